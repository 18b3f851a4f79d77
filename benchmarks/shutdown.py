"""How long each server takes to end on SIGTERM with a thousand open streams: `python -m benchmarks.shutdown`."""

from __future__ import annotations

import asyncio

from tools.shutdown import SERVERS, STREAMS, shutdown


async def main() -> None:
    print(f"| server, {STREAMS} open streams | seconds to exit | streams ended properly |")
    print("|---|---|---|")
    for name in SERVERS:
        took, whole = await shutdown(name)
        print(f"| {name} | {took:.1f} | {whole} |", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
