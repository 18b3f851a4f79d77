"""`notistore conform`: the same from the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from .api import selected
from .registry import Kind, checks_of
from .reports.badge import badge
from .reports.catalogue import as_page, as_text
from .reports.report import Outcome, Report, Result, check_writable, dump_json
from .running.runners import runner_of
from .running.signals import Terminated
from .running.targets import load, load_factory

__all__ = ["list_checks", "run_conform"]

_INTERRUPTED: Final = 128 + 2  # as a shell reports SIGINT
_TERMINATED: Final = 128 + 15


def run_conform(
    target: str,
    *,
    kind: Kind = "store",
    identities: Sequence[str] = (),
    send: str | None = None,
    path: str = "/notifications",
    json_path: str | Path | None = None,
    markdown_path: str | Path | None = None,
    only: str | None = None,
    badge_path: str | Path | None = None,
    profile: str = "quick",
    seed: int = 0,
    seconds: float | None = None,
) -> int:
    """Check what `target` names and print the report.

    Args:
        target: of a store "package.module:make_store", or "NAME:URL" for one of the entry-point group
            `notistore.stores`; of a backplane "package.module:make_backplane"; of a web mount its URL.
        kind: what it is.
        identities: of a web mount, the request headers of its two recipients, each "name: value".
        send: of a web mount, the URL that sends a notification.
        path: of a web mount, where it begins.
        json_path: where to write the report as JSON, `{"reports": [...]}`.
        markdown_path: where to write it as Markdown.
        only: run only checks whose id begins with this.
        badge_path: where to write the verdict as a badge, an SVG.
        profile: "quick" or "full".
        seed: what the random histories are drawn from.
        seconds: how long the random histories may go on; by default 15, and 120 in the full profile.

    Returns:
        The exit code: 0 when nothing that was run failed, 1 when it does not conform, 2 for a wrong argument or a
        target that could not be opened or closed.
    """
    options = {"profile": profile, "seed": seed, "seconds": seconds}
    try:
        for option, file in (("--json", json_path), ("--markdown", markdown_path), ("--badge", badge_path)):
            if file is not None:
                check_writable(option, file)
        chosen = selected(only, kind)
        runner = runner_of(kind, _factory(target, kind, identities, send, path), **options)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    report = None
    left = True
    try:
        with runner:
            if runner.failure is not None:
                sys.stderr.write(f"{runner.why(target)}\n")
                return 2
            results = [_shown(runner.run(check)) for check in chosen]
            sys.stderr.write("\n")
            report = Report(runner.about(target), results, len(checks_of(kind)))
    except KeyboardInterrupt as stop:
        sys.stderr.write(f"\nstopped; {runner.left or 'what the checks had stored was deleted'}\n")
        return _TERMINATED if isinstance(stop, Terminated) else _INTERRUPTED
    except Exception as error:
        if report is None:
            raise
        sys.stderr.write(f"after the checks {target} could not be left: {type(error).__name__}: {error}\n")
        left = False
    if runner.left:
        sys.stderr.write(f"{runner.left}\n")
    sys.stdout.write(f"{report}\n")
    if json_path is not None:
        Path(json_path).write_text(dump_json([report]), encoding="utf-8")
    if markdown_path is not None:
        Path(markdown_path).write_text(report.to_markdown(), encoding="utf-8")
    if badge_path is not None:
        Path(badge_path).write_text(badge([report]), encoding="utf-8")
    if report.broken:
        return 1
    return 0 if left else 2


def list_checks(kind: Kind = "store", only: str | None = None, markdown_path: str | Path | None = None) -> int:
    """Print the checks of a kind whose id begins with `only`, or write those of every kind as a page of Markdown.

    Returns:
        The exit code: 0, or 2 for a wrong argument.
    """
    try:
        if markdown_path is None:
            sys.stdout.write(as_text(selected(only, kind)))
        else:
            check_writable("--markdown", markdown_path)
            Path(markdown_path).write_text(as_page(), encoding="utf-8")
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _shown(result: Result) -> Result:
    """Print a character as each check ends, to show progress."""
    sys.stderr.write({Outcome.PASSED: ".", Outcome.FAILED: "F", Outcome.MISSING: "F"}.get(result.outcome, "-"))
    sys.stderr.flush()
    return result


def _factory(target: str, kind: Kind, identities: Sequence[str], send: str | None, path: str) -> Callable[[], Any]:
    if kind == "store":
        return load(target)
    if kind == "backplane":
        return load_factory(target)
    from .web import mount_of

    mount = mount_of(target, identities, send, path)
    return lambda: mount
