"""What `dev.py types` gives pyright: each Python block of the pages, with the names that the page does not define."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tools.types import write_blocks

ROOT = Path(__file__).parents[1]

PAGE = """
Text.

```python
await inbox.send(user, "hello", {right})
```

- in a list:

  ```python
  from __future__ import annotations
  inbox = yours.inbox(of_your_own)
  ```
"""


def test_each_block_of_a_page_is_a_module_that_pyright_checks(tmp_path: Path) -> None:
    for name, data in (("right", "{}"), ("wrong", "7")):
        tmp_path.joinpath(f"{name}.md").write_text(PAGE.replace("{right}", data))
    subprocess.check_call(["git", "init", "-q"], cwd=tmp_path)
    subprocess.check_call(["git", "add", "."], cwd=tmp_path)
    write_blocks(tmp_path / "blocks", root=tmp_path)
    assert sorted(path.name for path in (tmp_path / "blocks").iterdir()) == [
        "right_line_10.py",
        "right_line_4.py",
        "wrong_line_10.py",
        "wrong_line_4.py",
    ]
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    report = subprocess.run([*command, tmp_path / "blocks"], cwd=ROOT, capture_output=True, text=True, check=False)
    [error] = json.loads(report.stdout)["generalDiagnostics"]
    assert (Path(error["file"]).name, error["rule"]) == ("wrong_line_4.py", "reportArgumentType")
