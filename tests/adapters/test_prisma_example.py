"""The example runs as it is written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from notistore_prisma import model
from tools.prisma_engine import client_class

EXAMPLE = Path(__file__).parents[2] / "examples" / "with_prisma"


def test_the_example_prints_what_it_stored(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    client_class("sqlite", "asyncio", request)  # brings Prisma's command line and engine
    for name in ("schema.prisma", "main.py"):
        shutil.copy(EXAMPLE / name, tmp_path)
    for command in (["-m", "prisma", "generate"], ["main.py"]):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-3:] == [
        "export.progress {'progress': 100} version 3",
        "invoice.paid {'invoice': 7} version 1",
        "2 unread",
    ]


def test_the_example_s_model_is_the_adapter_s() -> None:
    assert (EXAMPLE / "schema.prisma").read_text(encoding="utf-8").endswith(model("sqlite"))
