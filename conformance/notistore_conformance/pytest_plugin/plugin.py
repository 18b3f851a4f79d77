"""The pytest plugin: `--notistore=pkg:make_store` needs no test file, `--notistore-report` writes what was found.

It is loaded in every pytest run where notistore is installed, so it imports the kit only when used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from ..reports.report import Report

_REPORT: Final = pytest.StashKey["_Collected"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("notistore", "notistore conformance")
    group.addoption(
        "--notistore",
        metavar="TARGET",
        help="check the store that package.module:make_store or NAME:URL gives; other tests run only if named",
    )
    group.addoption(
        "--notistore-backplane", metavar="TARGET", help="check the backplane that package.module:make_backplane gives"
    )
    group.addoption("--notistore-web", metavar="URL", help="check the inbox that a server mounts below this URL")
    group.addoption(
        "--notistore-web-identity",
        metavar="HEADER",
        action="append",
        default=[],
        help='a recipient\'s request header, such as "x-user: 42"; to be given twice, for two recipients',
    )
    group.addoption(
        "--notistore-web-send",
        metavar="URL",
        help="where a POST sends its recipient a notification: a URL, or a path below that of --notistore-web",
    )
    group.addoption("--notistore-web-path", metavar="PATH", default="/notifications", help="where the inbox is mounted")
    group.addoption("--notistore-report", metavar="PATH", help="write what was found to PATH: as JSON, or .md or .svg")
    group.addoption("--notistore-badge", metavar="PATH", help="write the verdict to PATH as an SVG badge")
    group.addoption("--notistore-profile", choices=["quick", "full"], default="quick", help="how hard to try")
    group.addoption("--notistore-seed", type=int, default=0, metavar="N", help="what random histories are drawn from")
    group.addoption("--notistore-seconds", type=float, metavar="S", help="how long random histories may go on")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_REPORT] = _Collected()
    config.pluginmanager.register(config.stash[_REPORT])
    for option in ("--notistore-report", "--notistore-badge"):
        if path := config.getoption(option):
            from ..reports.report import check_writable

            try:
                check_writable(option, path)
            except ValueError as error:
                raise pytest.UsageError(str(error)) from error
    if any(map(config.getoption, ("--notistore", "--notistore-backplane", "--notistore-web"))):
        if config.args_source is not pytest.Config.ArgsSource.ARGS:
            config.args = []  # no paths were given: only the kit's checks are meant
        from .items import asked_for

        for checks in asked_for(config):
            config.pluginmanager.register(checks)


class _Collected:
    """Gathers results from the tests' reports, which come from other processes under xdist."""

    def __init__(self) -> None:
        self._found: dict[str, list[dict[str, Any]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            for name, value in report.user_properties:
                if name == "notistore" and isinstance(value, dict):
                    self._found.setdefault(json.dumps(value["about"]), []).append(value["result"])

    def reports(self) -> Iterator[Report]:
        from ..registry import checks_of
        from ..reports.report import About, Report, Result

        for encoded, found in self._found.items():
            about = About(**json.loads(encoded))
            checks = list(checks_of(about.kind))
            results: dict[str, Result] = {}
            for result in map(Result.from_dict, found):
                # A check that was run again and passed has failed all the same.
                if result.id not in results or results[result.id].outcome != "failed":
                    results[result.id] = result
            yield Report(about, sorted(results.values(), key=lambda result: checks.index(result.id)), len(checks))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        path, badge_path = config.getoption("--notistore-report"), config.getoption("--notistore-badge")
        reports = list(self.reports()) if self._found else []
        if reports:
            from ..reports.console import missing

            terminalreporter.section("notistore conformance")
            for report in reports:
                terminalreporter.line(f"{report.store}: {report.verdict}")
                for line in missing(report):
                    terminalreporter.line(line)
        if path:
            from ..reports.report import write

            write(reports, Path(path))
        if badge_path:
            from ..reports.badge import badge

            Path(badge_path).write_text(badge(reports), encoding="utf-8")
