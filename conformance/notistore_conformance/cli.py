"""`notistore conform`: the plain door on a command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .badge import badge_for
from .kinds import checks_of, stage_of
from .registry import CONTRACT
from .report import Kind, Outcome, Report, Result, check_writable, dump_json
from .run import selected
from .target import load, load_factory

__all__ = ["run_conform"]


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
    contract: str | None = None,
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
        badge_path: where to write a badge: an SVG, or for a name that ends in .json what shields.io makes one of.
        profile: "quick" or "full".
        contract: the version of the contract to hold it against; by default the latest.
        seed: what the random histories are drawn from.
        seconds: how long the random histories may go on; by default 15, and 120 in the full profile.

    Returns:
        The exit code: 0 when nothing that was run failed, 1 when it does not conform, 2 for a wrong argument or a
        target that could not be opened or closed.
    """
    options = {"profile": profile, "contract": contract or CONTRACT, "seed": seed, "seconds": seconds}
    try:
        for option, file in (("--json", json_path), ("--markdown", markdown_path), ("--badge", badge_path)):
            if file is not None:
                check_writable(option, file)
        chosen = selected(only, kind)
        stage = stage_of(kind, _factory(target, kind, identities, send, path), **options)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    report = None
    left = True
    try:
        with stage:
            if stage.failure is not None:
                sys.stderr.write(f"{stage.why(target)}\n")
                return 2
            results = [_shown(stage.run(check)) for check in chosen]
            sys.stderr.write("\n")
            report = Report(stage.about(target), results, len(checks_of(kind)))
    except Exception as error:
        if report is None:
            raise
        sys.stderr.write(f"after the checks {target} could not be left: {type(error).__name__}: {error}\n")
        left = False
    sys.stdout.write(f"{report}\n")
    if json_path is not None:
        Path(json_path).write_text(dump_json([report]), encoding="utf-8")
    if markdown_path is not None:
        Path(markdown_path).write_text(report.to_markdown(), encoding="utf-8")
    if badge_path is not None:
        Path(badge_path).write_text(badge_for([report], Path(badge_path)), encoding="utf-8")
    if report.broken:
        return 1
    return 0 if left else 2


def _shown(result: Result) -> Result:
    """One character for each check as it ends, so that a slow one can be seen to move."""
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
