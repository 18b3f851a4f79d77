"""Runs only with `--clusters`. The figures of each scenario are printed at the end, for docs/reliability.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from .report import RESULTS, tables, write


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if config.getoption("--clusters") else True


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-reliability", action="store_true", help="put the figures into docs/reliability.md")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if RESULTS:
        terminalreporter.section("reliability")
        terminalreporter.write_line(tables())
        if config.getoption("--write-reliability"):
            write(Path(config.rootpath, "docs", "reliability.md"))
