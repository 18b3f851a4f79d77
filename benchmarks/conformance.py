"""How long a run of the conformance kit takes: `python -m benchmarks.conformance [--profile full]`.

On MemoryStore, and through SQLAlchemy and asyncpg on a PostgreSQL server of its own, on this machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time

from tools.servers import PostgresServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.conformance", description=__doc__)
    parser.add_argument("--profile", choices=["quick", "full"], default="quick")
    profile = parser.parse_args().profile
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {profile} profile")
    with PostgresServer() as server:
        url = server.url.replace("postgresql:", "postgresql+asyncpg:")
        for what, target in (("MemoryStore", "memory:"), ("SQLAlchemy, asyncpg", f"sqlalchemy:{url}")):
            code = "import sys; from notistore.cli import main; sys.exit(main())"
            command = [sys.executable, "-c", code, "conform", target, "--profile", profile]
            started, used = time.monotonic(), processor()
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            seconds = time.monotonic() - started
            verdict = next(line for line in done.stdout.splitlines() if line.startswith(("CONF", "PART", "DOES")))
            print(f"{what}: {seconds:.1f} s, of the processor {processor() - used:.1f} s; {verdict}", flush=True)


def processor() -> float:
    """Seconds of processor time of the processes that have ended: not those of the database server, which has not."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
