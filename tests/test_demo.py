"""`notistore demo`: its shutdown on signals, and its messages about wrong arguments."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

COMMAND = [str(Path(sys.executable).with_name("notistore")), "demo"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_shuts_it_down_cleanly_with_a_stream_open(number: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "rows.db"
    with subprocess.Popen(
        [*COMMAND, "--port", "0", "--db", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        try:
            assert demo.stdout is not None
            url = demo.stdout.readline().split()[-1]
            with httpx.stream("GET", url + "t/acme/u/ada/notifications/stream") as stream:
                lines = stream.iter_lines()
                assert next(lines) == "event: notification"
                demo.send_signal(number)
                assert list(lines)[-1] == ""  # the response is complete
            _, complaints = demo.communicate(timeout=60)
        finally:
            demo.kill()
    assert (demo.returncode, complaints) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.db"], "the database was not closed"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "99999"], "expected a port from 0 to 65535, got '99999'"),
        (["--port", "{busy}"], r"--port: \d+ is in use; --port 0 chooses a free one"),
        (["--port", "0", "--db", "nowhere/rows.db"], "--db: expected a file in a folder that exists"),
        (["--port", "0", "--db", "."], "--db: expected a file, got the folder"),
        (["--port", "0", "--db", "a.db", "--store", "memory:"], "--db: expected either --db or --store"),
        (["--port", "0", "--store", "nonsense"], "expected NAME:URL with NAME one of .*memory.*; got 'nonsense'"),
        (
            ["--port", "0", "--store", "sqlalchemy:garbage"],
            "url: expected SQLAlchemy's, such as sqlite:///file.db; got 'garbage'",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_usage_error_is_one_line(arguments: list[str], says: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        asked = [argument.format(busy=busy.getsockname()[1]) for argument in arguments]
        done = subprocess.run([*COMMAND, *asked], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode in (1, 2)
    assert re.search(says, done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr
