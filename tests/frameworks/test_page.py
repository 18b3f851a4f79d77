"""docs/frameworks.md shows the code of the examples, and has a section for each native mount."""

from __future__ import annotations

import re

from .examples import FOLDER

ROOT = FOLDER.parents[1]
PAGE = (ROOT / "docs" / "frameworks.md").read_text(encoding="utf-8")
ELSEWHERE = {"fastapi", "django"}  # on docs/web.md
NATIVE = {path.stem for path in (ROOT / "notistore" / "web").glob("*.py")} & {
    path.stem.removesuffix("_app") for path in FOLDER.glob("*_app.py")
}


def test_each_native_mount_has_a_section_whose_code_is_its_examples() -> None:
    sections = {section.partition("\n")[0].lower(): section for section in PAGE.split("\n## ")[1:]}
    for name in NATIVE - ELSEWHERE:
        example = f"examples/frameworks/{name}_app.py"
        source = (ROOT / example).read_text(encoding="utf-8")
        blocks = re.findall(r"```python\n(.*?)```", sections[name], re.DOTALL)
        assert f"(../{example})" in sections[name]
        assert f"`notistore[{name}]`" in PAGE
        assert blocks
        for block in blocks:
            assert block in source, f"{example} has no such lines:\n{block}"
