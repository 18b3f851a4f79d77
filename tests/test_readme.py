"""The README's example runs as written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]


def test_the_example_has_fifteen_lines_and_runs(tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n(from fastapi.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    (tmp_path / "app.py").write_text(example)
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "uvicorn", "app:app", "--port", "0"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stderr is not None
            said = iter(server.stderr.readline, "")
            address = next(m.group(1) for line in said if (m := re.search(r"running on (http://\S+)", line)))
            with httpx.Client(base_url=address) as client:
                assert client.post("/invoices/7/pay").status_code == 200
                [item] = client.get("/notifications").json()["items"]
                assert item["data"] == {"title": "Invoice 7 was paid"}
                assert client.get("/notifications/unread/count").json() == {"count": 1}
                with client.stream("GET", "/notifications/stream") as stream:
                    assert next(stream.iter_lines()) == "event: notification"
                element = client.get("/notifications/notistore-inbox.js")
                assert "customElements.define" in element.text
        finally:
            server.terminate()
