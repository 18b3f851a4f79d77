"""Every check of the kit, as text and as the page docs/checks.md; and the promises of the wire, as in docs/wire.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..registry import Check, Kind, checks_of

__all__ = ["as_page", "as_text", "wire_promises"]

_KINDS: Final[dict[Kind, tuple[str, str]]] = {
    "store": ("Stores", "[notistore/store.py](../notistore/store.py)"),
    "backplane": ("Backplanes", "[notistore/hub/backplane.py](../notistore/hub/backplane.py)"),
    "web": ("Servers", "[the wire](wire.md)"),
}

_HEAD: Final = """\
# The checks

Every check of the [conformance kit](conformance.md), for authors of stores, backplanes and servers who look for the one
that failed, or for what a promise is checked by. `notistore conform --list --markdown docs/checks.md` writes this page.
"""


def as_text(checks: Iterable[Check]) -> str:
    """Two lines per check: its id and title, and below them the promises it checks."""
    return "".join(
        f"{check.id}{_condition(check)}\n    {check.title} [{', '.join(check.clauses)}]\n" for check in checks
    )


def as_page() -> str:
    """A table of the checks of each kind, in Markdown."""
    lines = [_HEAD]
    for kind, (title, promises) in _KINDS.items():
        checks = checks_of(kind).values()
        lines += [f"## {title}", "", f"{len(checks)} checks of the promises in {promises}.", ""]
        lines += ["| check | what holds where it passes | promises |", "|---|---|---|"]
        for check in checks:
            cells = (f"`{check.id}`{_condition(check)}", check.title, ", ".join(check.clauses))
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


def wire_promises() -> str:
    """Every promise of the wire as a list in Markdown, in its order, with the reason if no check can see it."""
    from ..web.promises import UNCHECKABLE, WIRE

    return "".join(
        f"- `[{id}]` {sentence}{f' Not checked: {UNCHECKABLE[id]}.' if id in UNCHECKABLE else ''}\n"
        for id, sentence in WIRE.items()
    )


def _condition(check: Check) -> str:
    return "" if check.part is None else f" (with {check.part})"
