"""The checks as functions: give a factory, get a report."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from .registry import Check, Kind, checks_of
from .reports.report import Report
from .running.runners import runner_of

__all__ = [
    "check_backplane",
    "check_backplane_blocking",
    "check_blocking",
    "check_expected",
    "check_store",
    "check_store_blocking",
    "check_web",
    "check_web_blocking",
    "name_of",
    "selected",
]


async def check_store(
    make_store: Callable[[], Any],
    *,
    name: str | None = None,
    only: str | None = None,
    expected_failures: Mapping[str, str] | None = None,
    profile: str = "quick",
    seed: int = 0,
    seconds: float | None = None,
) -> Report:
    """Run the checks on a store, in a thread of their own, and report.

    Args:
        make_store: gives a context manager or a generator, asynchronous or not, that yields a store or a
            `StoreImplementation`; or gives the store itself. Called once, entered once, on the kit's own event loop.
        name: how the report calls the store; by default the factory's own name.
        only: run only checks whose id begins with this; the verdict is then PARTIAL at best.
        expected_failures: check id to reason. A check that ends in another way than failing is a failure then.
        profile: "quick", or "full" for longer races and histories.
        seed: what the random histories are drawn from.
        seconds: how long the random histories may go on; by default 15, and 120 in the full profile.

    Raises:
        ValueError: an unknown profile, an `only` that selects nothing, or an unknown id
            among the expected failures.
    """
    return await asyncio.to_thread(
        check_store_blocking,
        make_store,
        name=name,
        only=only,
        expected_failures=expected_failures,
        profile=profile,
        seed=seed,
        seconds=seconds,
    )


def check_store_blocking(make_store: Callable[[], Any], **options: Any) -> Report:
    """The same, for callers without an event loop."""
    return check_blocking("store", make_store, **options)


async def check_backplane(
    make_backplane: Callable[[], Any],
    *,
    name: str | None = None,
    only: str | None = None,
    expected_failures: Mapping[str, str] | None = None,
    profile: str = "quick",
) -> Report:
    """Run the checks on a backplane, in a thread of their own, and report.

    Args:
        make_backplane: gives a new backplane, not open yet, each time it is called, all of them on the same server
            and prefix; or a context manager or a generator, asynchronous or not, that yields one or a
            `BackplaneImplementation`. Called on an event loop of the kit's own, once for each node of a check.

    The other arguments, and what is raised, are those of `check_store`.
    """
    return await asyncio.to_thread(
        check_backplane_blocking,
        make_backplane,
        name=name,
        only=only,
        expected_failures=expected_failures,
        profile=profile,
    )


def check_backplane_blocking(make_backplane: Callable[[], Any], **options: Any) -> Report:
    """The same, for callers without an event loop."""
    return check_blocking("backplane", make_backplane, **options)


async def check_web(
    base_url: str,
    identities: Sequence[Mapping[str, str]],
    *,
    path: str = "/notifications",
    send: str | Callable[..., Any] | None = None,
    name: str | None = None,
    only: str | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Report:
    """Check a server's inbox through HTTP alone, and report.

    Args:
        base_url: what the mount's path begins at, such as "https://staging.example/api".
        identities: the request headers of two different recipients, whom no one else uses meanwhile. Their
            notifications are marked to and fro; only what the kit has sent is deleted.
        path: where the inbox is mounted below `base_url`.
        send: how to send one of them a notification, see `Mount.send`. Without it the first one's inbox has to hold
            three notifications, and the report is PARTIAL at best.

    The other arguments, and what is raised, are those of `check_store`.
    """
    return await asyncio.to_thread(
        check_web_blocking,
        base_url,
        identities,
        path=path,
        send=send,
        name=name,
        only=only,
        expected_failures=expected_failures,
    )


def check_web_blocking(
    base_url: str,
    identities: Sequence[Mapping[str, str]],
    *,
    path: str = "/notifications",
    send: str | Callable[..., Any] | None = None,
    name: str | None = None,
    **options: Any,
) -> Report:
    """The same, for callers without an event loop."""
    from .web import Mount

    mount = Mount(base_url, identities, send, path)
    return check_blocking("web", lambda: mount, name=name or base_url, **options)


def check_blocking(
    kind: Kind,
    make: Callable[[], Any],
    *,
    name: str | None = None,
    only: str | None = None,
    expected_failures: Mapping[str, str] | None = None,
    **options: Any,
) -> Report:
    """Run the checks of a kind on what `make` gives, and report; `options` are `Runner`'s."""
    expected = check_expected(expected_failures or {}, kind)
    chosen = selected(only, kind)
    runner = runner_of(kind, make, **options)
    try:
        with runner:
            results = [runner.run(check).judged(expected) for check in chosen]
            about = runner.about(name or name_of(make))
    finally:
        if runner.left:
            sys.stderr.write(f"{runner.left}\n")
    return Report(about, results, len(checks_of(kind)))


def selected(only: str | None, kind: Kind = "store") -> list[Check]:
    """The checks whose id begins with `only`, or all."""
    checks = checks_of(kind)
    chosen = [check for id, check in checks.items() if only is None or id.startswith(only)]
    if not chosen:
        families = dict.fromkeys(id.partition("/")[0] for id in checks)
        near = get_close_matches(only or "", [*checks, *families])
        hint = f"did you mean {' or '.join(near)}?" if near else f"ids begin with {', '.join(families)}."
        raise ValueError(
            f"expected the beginning of a check's id, got {only!r}; {hint} `notistore conform --list` lists them."
        )
    return chosen


def check_expected(expected: Mapping[str, str], kind: Kind = "store") -> Mapping[str, str]:
    """Return the expected failures, or raise ValueError if one names no check."""
    if unknown := sorted(expected.keys() - checks_of(kind).keys()):
        raise ValueError(f"expected_failures names no check of the kit: {', '.join(unknown)}")
    return expected


def name_of(make: Callable[[], Any]) -> str:
    """The name of an object to which the caller gave none."""
    owner, name = getattr(make, "__module__", ""), getattr(make, "__qualname__", repr(make))
    return f"{owner}:{name}" if owner else name
