"""`notistore conform`: the plain door on a command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .badge import badge_for
from .registry import CONTRACT
from .report import Kind, dump_json
from .run import check_blocking
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
        The exit code: 0 when nothing that was run failed, 1 when it does not conform, 2 for a wrong argument.
    """
    try:
        make = _factory(target, kind, identities, send, path)
        report = check_blocking(
            kind,
            make,
            name=target,
            only=only,
            profile=profile,
            contract=contract or CONTRACT,
            seed=seed,
            seconds=seconds,
        )
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{report}\n")
    if json_path is not None:
        Path(json_path).write_text(dump_json([report]), encoding="utf-8")
    if markdown_path is not None:
        Path(markdown_path).write_text(report.to_markdown(), encoding="utf-8")
    if badge_path is not None:
        Path(badge_path).write_text(badge_for([report], Path(badge_path)), encoding="utf-8")
    return 1 if report.broken else 0


def _factory(target: str, kind: Kind, identities: Sequence[str], send: str | None, path: str) -> Callable[[], Any]:
    if kind == "store":
        return load(target)
    if kind == "backplane":
        return load_factory(target)
    from .web import mount_of

    mount = mount_of(target, identities, send, path)
    return lambda: mount
