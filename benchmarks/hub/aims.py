"""What was aimed for, and whether what was measured meets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from .report import Results
from .server import BARE, LITESTAR, NESTJS, NOTISTORE, NOTISTORE_ALONE, NOTISTORE_FASTAPI, Subject
from .works import Figure

Figures: TypeAlias = dict[str, list[Figure]]
Verdict: TypeAlias = tuple[str, bool]
"""What was found, and whether that is what was aimed for."""


@dataclass(frozen=True)
class Aim:
    """An aim for one work; `judge` raises KeyError where a subject that it is about was not measured."""

    work: str
    text: str
    judge: Callable[[Figures], Verdict]


def times(n: float, peer: Subject) -> Callable[[Figures], Verdict]:
    """Some peer costs at least `n` times as much."""

    def judge(figures: Figures) -> Verdict:
        found = ratios(figures[peer.name], figures[NOTISTORE.name])
        return spread(found), median(found) >= n

    return judge


def within(n: float, peer: Subject) -> Callable[[Figures], Verdict]:
    """It costs at most `n` times as much as some peer."""

    def judge(figures: Figures) -> Verdict:
        found = ratios(figures[NOTISTORE.name], figures[peer.name])
        return spread(found), median(found) <= n

    return judge


def at_most(n: float, unit: str, ours: Subject) -> Callable[[Figures], Verdict]:
    def judge(figures: Figures) -> Verdict:
        found = median(figure.value for figure in figures[ours.name])
        return f"{found:.3g} {unit}", found <= n

    return judge


def ahead_of_all(figures: Figures) -> Verdict:
    """Every peer costs more; the bare Protocol is the limit, and no peer."""
    ours = figures[NOTISTORE.name]
    peers = {name: ratios(found, ours) for name, found in figures.items() if name not in (BARE.name, NOTISTORE.name)}
    if not peers:
        raise KeyError("a peer")
    nearest = min(peers, key=lambda name: median(peers[name]))
    lost = sum(figure.lost + figure.dead for figure in ours)
    found = f"{spread(peers[nearest])} times for the nearest, {nearest}" + (f"; {lost:,} lost" if lost else "")
    return found, median(peers[nearest]) > 1 and not lost


def ratios(above: list[Figure], below: list[Figure]) -> list[float]:
    """By rounds, for what is measured at about the same time has suffered alike."""
    return [one.value / max(other.value, 1e-9) for one, other in zip(above, below, strict=True)]


def spread(found: list[float]) -> str:
    middle = f"{median(found):.3g}"
    return middle if len(found) == 1 else f"{middle} ({min(found):.3g} to {max(found):.3g})"


AIMS = (
    Aim("streams", "2.2 times Litestar", times(2.2, LITESTAR)),
    Aim("streams", "1.6 times NestJS", times(1.6, NESTJS)),
    Aim("streams", "within 1.8 of the bare Protocol", within(1.8, BARE)),
    Aim("more-streams", "4 times Litestar", times(4, LITESTAR)),
    Aim("more-streams", "2.2 times NestJS", times(2.2, NESTJS)),
    Aim("more-streams", "within 1.5 of the bare Protocol", within(1.5, BARE)),
    Aim("burst", "15 times Litestar", times(15, LITESTAR)),
    Aim("long-burst", "15 times Litestar", times(15, LITESTAR)),
    Aim("keys", "ahead of every peer", ahead_of_all),
    Aim("redis", "nothing lost, ahead of every peer", ahead_of_all),
    Aim("redis-beside", "0.1 CPU s, next to nothing", at_most(0.1, "CPU s", NOTISTORE)),
    Aim("memory", "15 KB as a bare ASGI app", at_most(15, "KB", NOTISTORE_ALONE)),
    Aim("memory", "25 KB in FastAPI", at_most(25, "KB", NOTISTORE_FASTAPI)),
    Aim("deaf", "1 MB", at_most(1, "MB", NOTISTORE)),
)


def against_aims(names: dict[str, str], results: Results) -> str:
    """A table of the aims for what was measured; `names` are those of the works."""
    lines = ["| work | aimed for | found | |", "|---|---|---|---|"]
    for aim in AIMS:
        try:
            found, met = aim.judge(results[aim.work])
        except KeyError:
            continue  # the work, or the peer, was not measured
        lines.append(f"| {names[aim.work]} | {aim.text} | {found} | {'met' if met else '**missed**'} |")
    return "\n".join(lines)
