"""The targets, and whether what was measured meets them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from .report import Results
from .scenarios import Figure
from .server import BARE, LITESTAR, NESTJS, NOTISTORE, NOTISTORE_FASTAPI, PEERS, Implementation

PEER_NAMES = {peer.name for peer in PEERS}

Figures: TypeAlias = dict[str, list[Figure]]
Verdict: TypeAlias = tuple[str, bool]
"""What was found, and whether that meets the target."""


@dataclass(frozen=True)
class Target:
    """A target for one scenario; `judge` raises KeyError where an implementation that it is about was not measured."""

    scenario: str
    text: str
    judge: Callable[[Figures], Verdict]


def times(n: float, peer: Implementation) -> Callable[[Figures], Verdict]:
    """Some peer costs at least `n` times as much."""

    def judge(figures: Figures) -> Verdict:
        found = ratios(figures[peer.name], figures[NOTISTORE.name])
        return spread(found), median(found) >= n

    return judge


def within(n: float, peer: Implementation) -> Callable[[Figures], Verdict]:
    """It costs at most `n` times as much as some peer."""

    def judge(figures: Figures) -> Verdict:
        found = ratios(figures[NOTISTORE.name], figures[peer.name])
        return spread(found), median(found) <= n

    return judge


def at_most(n: float, unit: str, ours: Implementation) -> Callable[[Figures], Verdict]:
    def judge(figures: Figures) -> Verdict:
        found = median(figure.value for figure in figures[ours.name])
        return f"{found:.3g} {unit}", found <= n

    return judge


def ahead_of_all(figures: Figures) -> Verdict:
    """Every peer costs more; the bare Protocol is the limit, and no peer."""
    ours = figures[NOTISTORE.name]
    peers = {name: ratios(found, ours) for name, found in figures.items() if name in PEER_NAMES}
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


TARGETS = (
    Target("streams", "2.5 times Litestar", times(2.5, LITESTAR)),
    Target("streams", "1.9 times NestJS", times(1.9, NESTJS)),
    Target("streams", "within 1.3 of the bare Protocol", within(1.3, BARE)),
    Target("more-streams", "3.8 times Litestar", times(3.8, LITESTAR)),
    Target("more-streams", "2.2 times NestJS", times(2.2, NESTJS)),
    Target("more-streams", "within 1.3 of the bare Protocol", within(1.3, BARE)),
    Target("burst", "15 times Litestar", times(15, LITESTAR)),
    Target("long-burst", "15 times Litestar", times(15, LITESTAR)),
    Target("keys", "1.4 times Litestar", times(1.4, LITESTAR)),
    Target("keys", "1.4 times NestJS", times(1.4, NESTJS)),
    Target("redis", "nothing lost, ahead of every peer", ahead_of_all),
    Target("redis-beside", "0.1 CPU s, next to nothing", at_most(0.1, "CPU s", NOTISTORE)),
    Target("memory", "12 KB as uvicorn runs it", at_most(12, "KB", NOTISTORE)),
    Target("memory", "25 KB in FastAPI", at_most(25, "KB", NOTISTORE_FASTAPI)),
    Target("deaf", "1 MB", at_most(1, "MB", NOTISTORE)),
    Target("connects", "0.35 CPU ms", at_most(0.35, "CPU ms", NOTISTORE)),
    Target("send-many", "10 ms", at_most(10, "ms", NOTISTORE)),
)


def against_targets(names: dict[str, str], results: Results) -> str:
    """A table of the targets for what was measured; `names` are those of the scenarios."""
    lines = ["| scenario | target | found | |", "|---|---|---|---|"]
    for target in TARGETS:
        try:
            found, met = target.judge(results[target.scenario])
        except KeyError:
            continue  # the scenario, or the peer, was not measured
        lines.append(f"| {names[target.scenario]} | {target.text} | {found} | {'met' if met else '**missed**'} |")
    return "\n".join(lines)
