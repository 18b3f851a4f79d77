"""Options of every test here, of tests/ and benchmarks/ alike."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-services", action="store_true", help="fail where a database server is missing")
    parser.addoption("--clusters", action="store_true", help="run tests/clusters too")
