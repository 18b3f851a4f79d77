"""`python -m benchmarks.hub`: measure, print the tables, draw the plot, fill in the page."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import sys
import textwrap
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from .peers import install, versions
from .report import Results, fill, plot, table
from .scenarios import (
    Figure,
    Scenario,
    Setting,
    beside_redis,
    connects,
    deaf_reader,
    fanout,
    heartbeats,
    many_keys,
    memory,
    polling,
    send_many,
    through_redis,
)
from .server import (
    BARE,
    BROADCASTER,
    LITESTAR,
    LOAD_CORE,
    NESTJS,
    NOTISTORE,
    NOTISTORE_FASTAPI,
    NOTISTORE_MOUNTED,
    PEERS,
    ROOT,
    SERVER_CORE,
    SSE_STARLETTE,
)
from .targets import against_targets

PER_DELIVERY = "CPU s per 100,000 deliveries"
PER_CALL = "CPU s per 100,000"
OURS = (NOTISTORE, NOTISTORE_MOUNTED, NOTISTORE_FASTAPI)
EVERYONE = (BARE, *OURS, *PEERS)
MOST = (BARE, NOTISTORE, LITESTAR, SSE_STARLETTE, BROADCASTER, NESTJS)
ON_REDIS = (NOTISTORE, LITESTAR, BROADCASTER)
SCENARIOS = {
    "streams": Scenario("one event to 1,000 streams", PER_DELIVERY, fanout(1_000), EVERYONE),
    "more-streams": Scenario(
        "one event to 5,000 streams",
        PER_DELIVERY,
        fanout(5_000),
        (BARE, NOTISTORE, NOTISTORE_FASTAPI, LITESTAR, NESTJS),
    ),
    "burst": Scenario("20 events in one tick to 1,000 streams", PER_DELIVERY, fanout(1_000, events=20), MOST),
    "long-burst": Scenario(
        "100 events in one tick to 1,000 streams",
        PER_DELIVERY,
        fanout(1_000, events=100),
        (BARE, NOTISTORE, LITESTAR, BROADCASTER, NESTJS),
    ),
    "keys": Scenario("1,000 keys with one stream each", PER_DELIVERY, many_keys(1_000), EVERYONE),
    "redis": Scenario("through Redis, two nodes, 1,000 keys", PER_DELIVERY, through_redis(1_000), ON_REDIS),
    "redis-beside": Scenario(
        "through Redis, a node that none of it concerns",
        "CPU s per 100,000 events",
        beside_redis(1_000),
        (NOTISTORE,),
    ),
    "memory": Scenario("an idle stream", "KB", memory(2_000), EVERYONE, rounds=1),
    "deaf": Scenario(
        "200,000 events past a reader that reads nothing",
        "MB of growth",
        deaf_reader(200_000),
        (NOTISTORE, LITESTAR, SSE_STARLETTE, NESTJS),
        rounds=1,
    ),
    "connects": Scenario(
        "5,000 streams that begin at once, rows in PostgreSQL", "CPU ms per stream", connects(5_000), OURS
    ),
    "send-many": Scenario(
        "send_many to 50,000 recipients with a stream each",
        "CPU ms of the longest turn of the event loop",
        send_many(50_000),
        (NOTISTORE,),
    ),
    "poll": Scenario("GET unread/count", PER_CALL, polling(), (NOTISTORE,)),
    "poll-etag": Scenario("GET unread/count with If-None-Match", PER_CALL, polling(etag=True), (NOTISTORE,)),
    "poll-sqlite": Scenario("GET unread/count, rows in SQLite", PER_CALL, polling(sqlite=True), (NOTISTORE,)),
    "poll-sqlite-etag": Scenario(
        "GET unread/count with If-None-Match, rows in SQLite", PER_CALL, polling(etag=True, sqlite=True), (NOTISTORE,)
    ),
    "heartbeats": Scenario("heartbeats of 1,000 idle streams", PER_CALL, heartbeats(1_000), (NOTISTORE,)),
}


PAGE = ROOT / "docs" / "benchmarks" / "hub.md"
ELSEWHERE = ("poll", "poll-etag", "poll-sqlite", "poll-sqlite-etag", "heartbeats")  # docs/transports.md has these


async def measure(names: list[str], setting: Setting, *, rounds: int, conditions: str) -> tuple[Results, str]:
    """All rounds of all scenarios; within a round the implementations take turns. What is done is shown at once.

    The figures, and the conditions they were measured in.
    """
    results: Results = {}
    loads = [os.getloadavg()[0]]
    for name in names:
        scenario = SCENARIOS[name]
        implementations = [implementation for implementation in scenario.implementations if setting.has(implementation)]
        figures: dict[str, list[Figure]] = {implementation.name: [] for implementation in implementations}
        for _ in range(min(rounds, scenario.rounds)):
            for implementation in implementations:
                started = monotonic()
                figures[implementation.name].append(await scenario.run(implementation, setting))
                took = monotonic() - started
                print(
                    f"{name}: {implementation.name}: {figures[implementation.name][-1]} in {took:.1f} s",
                    file=sys.stderr,
                )
        results[name] = figures
        loads.append(os.getloadavg()[0])
        print(table(scenario, figures), end="\n\n", flush=True)
    return (
        results,
        f"{conditions}, at a load of {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} cores.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hub", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"all, or some of: {', '.join(SCENARIOS)}")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the size, one round, nothing installed")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the figures into this SVG")
    parser.add_argument(
        "--write", type=Path, nargs="?", const=PAGE, metavar="PAGE", help="put the tables into the page of the docs"
    )
    arguments = parser.parse_args()
    names = arguments.scenarios or list(SCENARIOS)
    if unknown := set(names) - SCENARIOS.keys():
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the servers inherit it
    os.sched_setaffinity(0, {LOAD_CORE})
    with ExitStack() as closing:
        if arguments.quick:
            setting = Setting({"python": sys.executable}, ours=True, scale=0.01, cpu=0.01)
        else:
            setting = Setting(install())
        conditions = f"Measured on {datetime.now(UTC):%Y-%m-%d}, {processor()}, {versions(setting.places)}"
        sys.path.insert(0, str(ROOT))
        if any(name.startswith("redis") for name in names):
            from tools.servers import Missing, RedisServer

            try:
                setting = setting.on(redis=closing.enter_context(RedisServer()).url)
            except Missing as missing:
                print(f"without the scenarios through Redis: {missing}", file=sys.stderr)
                names = [name for name in names if not name.startswith("redis")]
        if "connects" in names:
            from tools.servers import Missing, PostgresServer

            try:
                setting = setting.on(postgres=closing.enter_context(PostgresServer()).url)
            except Missing as missing:
                print(f"without the scenario on PostgreSQL: {missing}", file=sys.stderr)
                names.remove("connects")
        rounds = 1 if arguments.quick else 3
        results, conditions = asyncio.run(measure(names, setting, rounds=rounds, conditions=conditions))
    targets = against_targets({name: scenario.name for name, scenario in SCENARIOS.items()}, results)
    print(targets, conditions, sep="\n\n")
    shown = {name: figures for name, figures in results.items() if name not in ELSEWHERE}
    if arguments.plot is not None:
        arguments.plot.write_text(plot([(SCENARIOS[name], figures) for name, figures in shown.items()]))
    if arguments.write is not None:
        tables = "\n\n".join(table(SCENARIOS[name], figures) for name, figures in shown.items())
        parts = {"conditions": fold(conditions), "tables": tables, "targets": targets}
        arguments.write.write_text(fill(arguments.write.read_text(), parts))


def fold(sentence: str) -> str:
    return textwrap.fill(sentence, 116, break_on_hyphens=False)


def processor() -> str:
    models = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return f"{models[0] if models else platform.machine()}, server on core {SERVER_CORE}, load on core {LOAD_CORE}"


if __name__ == "__main__":
    main()
