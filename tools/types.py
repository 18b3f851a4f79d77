"""`python3 dev.py types`: mypy on the packages, and pyright on what users write.

What users write is the examples, each Python block of the pages, and `tests/typing/public.py`, which states what the
public names are to a type checker and is checked by both.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

__all__ = ["check_types", "write_blocks"]

_ROOT: Final = Path(__file__).parents[1]
_BLOCK: Final = re.compile(r"^( *)```python\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_NAMES: Final = _ROOT / "tests" / "typing" / "names.py"
_PREAMBLE: Final = """\
# pyright: reportUndefinedVariable=false, reportMissingImports=false
from __future__ import annotations
"""


def check_types() -> int:
    """Run every check. Returns 0, or 1 when one found something."""
    write_blocks(_ROOT / "build" / "blocks")
    commands = (
        [sys.executable, "-m", "mypy"],
        [sys.executable, "-m", "mypy", "tests/typing/public.py"],
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable],
    )
    return max([subprocess.call(command, cwd=_ROOT) != 0 for command in commands])


def write_blocks(folder: Path, *, root: Path = _ROOT) -> None:
    """Write each Python block of the Markdown pages that git knows as a module into `folder`, which is emptied."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for page in subprocess.check_output(["git", "ls-files", "*.md"], cwd=root, text=True).splitlines():
        text = (root / page).read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 1
            name = re.sub(r"\W", "_", f"{page.removesuffix('.md')}_line_{line}")
            (folder / f"{name}.py").write_text(_module(textwrap.dedent(block[2])), encoding="utf-8")


def _module(code: str) -> str:
    """A block, with imports for the names that its page does not define. The reader's own names stay undefined."""
    try:
        compile(code, "a block", "exec")
    except SyntaxError:  # it awaits something outside any function
        code = f"async def block() -> None:\n{textwrap.indent(code, '    ')}"
    left_out = _bound(_NAMES.read_text(encoding="utf-8")) - _bound(code)
    imports = "".join(f"from tests.typing.names import {name}\n" for name in sorted(left_out))
    return _PREAMBLE + imports + code.replace("from __future__ import annotations\n", "")


def _bound(code: str) -> set[str]:
    """Every name that some statement of this code binds."""
    bound = set()
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                bound.add(name)
            case ast.ClassDef(name=name) | ast.arg(arg=name):
                bound.add(name)
            case ast.alias(name=name, asname=renamed):
                bound.add(renamed or name)
    return bound


if __name__ == "__main__":
    sys.exit(check_types())
