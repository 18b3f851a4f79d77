"""`notistore conform`: the plain door on a command line."""

from __future__ import annotations

import sys
from pathlib import Path

from .badge import badge
from .registry import CONTRACT
from .report import dump_json
from .run import check_store_blocking
from .target import load

__all__ = ["run_conform"]


def run_conform(
    target: str,
    *,
    json_path: str | Path | None = None,
    markdown_path: str | Path | None = None,
    only: str | None = None,
    badge_path: str | Path | None = None,
    profile: str = "quick",
    contract: str | None = None,
    seed: int = 0,
) -> int:
    """Check the store `target` names and print the report.

    Args:
        target: "package.module:make_store", or "NAME:URL" for a store of the entry-point group `notistore.stores`.
        json_path: where to write the report as JSON, `{"reports": [...]}`.
        markdown_path: where to write it as Markdown.
        only: run only checks whose id begins with this.
        badge_path: where to write a badge, an SVG.
        profile: "quick" or "full".
        contract: the version of the contract to hold it against; by default the latest.
        seed: what the random histories are drawn from.

    Returns:
        The exit code: 0 when nothing that was run failed, 1 when the store does not conform, 2 for a wrong argument.
    """
    try:
        make_store = load(target)
        report = check_store_blocking(
            make_store, name=target, only=only, profile=profile, contract=contract or CONTRACT, seed=seed
        )
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{report}\n")
    if json_path is not None:
        Path(json_path).write_text(dump_json([report]))
    if markdown_path is not None:
        Path(markdown_path).write_text(report.to_markdown())
    if badge_path is not None:
        Path(badge_path).write_text(badge([report]))
    return 1 if report.broken else 0
