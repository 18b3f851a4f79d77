"""The command line: `notistore demo`, `notistore stores`, `notistore conform`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from errno import EADDRINUSE
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from .errors import InvalidArgument, StoreError
from .stores import installed_stores

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, or 1 where a store does not conform or could not be opened."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except (InvalidArgument, ImportError, OSError, StoreError) as error:
        print(f"notistore: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="notistore", description="In-app notifications in the database you run.")
    parser.add_argument("--version", action="version", version=f"notistore {version('notistore')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="a live bell in a page on this machine")
    demo.add_argument("--store", metavar="NAME:URL", help="an installed store; by default an SQLite file")
    demo.add_argument("--db", metavar="FILE", help="the SQLite file; by default one in the temporary folder")
    demo.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    demo.add_argument("--port", type=_port, default=8000, help="the port; 0 is any that is free (default: %(default)s)")
    demo.set_defaults(run=_demo)

    stores = commands.add_parser("stores", help="the stores that are installed")
    stores.set_defaults(run=_stores)

    conform = commands.add_parser("conform", help="whether a store, a backplane or a server keeps the contract")
    conform.add_argument(
        "target", metavar="TARGET", help="package.module:make_store, or NAME:URL of an installed store"
    )
    kind = conform.add_mutually_exclusive_group()
    kind.add_argument(
        "--backplane",
        dest="kind",
        action="store_const",
        const="backplane",
        help="TARGET is package.module:make_backplane",
    )
    kind.add_argument(
        "--web",
        dest="kind",
        action="store_const",
        const="web",
        help="TARGET is the URL below which a server mounts an inbox",
    )
    conform.add_argument(
        "--identity", metavar="HEADER", action="append", default=[], help="with --web, twice: a recipient's header"
    )
    conform.add_argument(
        "--send",
        metavar="URL",
        help="with --web: where a POST sends its recipient a notification, a URL or a path below TARGET",
    )
    conform.add_argument("--path", default="/notifications", help="with --web (default: %(default)s)")
    conform.add_argument("--json", metavar="FILE", help="write the report as JSON")
    conform.add_argument("--markdown", metavar="FILE", help="write the report as Markdown")
    conform.add_argument("--badge", metavar="FILE", help="write the verdict as an SVG badge, or .json for shields.io")
    conform.add_argument("--only", metavar="PREFIX", help="only the checks whose id begins with this")
    conform.add_argument("--profile", choices=["quick", "full"], default="quick", help="(default: %(default)s)")
    conform.add_argument("--contract", metavar="VERSION", help="hold it against this version of the contract")
    conform.add_argument("--seed", type=int, default=0, help="what random histories are drawn from")
    conform.add_argument("--seconds", type=float, help="how long random histories may go on (default: 15; full: 120)")
    conform.set_defaults(run=_conform)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")
    return int(text)


def _demo(arguments: argparse.Namespace) -> int:
    try:
        from .demo import run_demo
    except ImportError as error:
        raise ImportError(f'the demo needs more than the core: pip install "notistore[demo]" ({error})') from error
    if arguments.db and arguments.store:
        raise InvalidArgument("--db", "expected either --db or --store")
    if arguments.db and not Path(arguments.db).absolute().parent.is_dir():
        raise InvalidArgument("--db", f"expected a file in a folder that exists, got {arguments.db}")
    if arguments.db and Path(arguments.db).is_dir():
        raise InvalidArgument("--db", f"expected a file, got the folder {arguments.db}")
    store = f"sqlalchemy:sqlite+aiosqlite:///{arguments.db}" if arguments.db else arguments.store

    def ready(url: str, store: str) -> None:
        print(f"notistore demo: {url}\nstore: {store}\nstop with Ctrl+C", flush=True)

    try:
        asyncio.run(run_demo(store=store, host=arguments.host, port=arguments.port, ready=ready))
    except OSError as error:
        if error.errno != EADDRINUSE:
            raise
        raise InvalidArgument("--port", f"{arguments.port} is in use; --port 0 takes any that is free") from error
    return 0


def _stores(arguments: argparse.Namespace) -> int:
    rows = [("NAME", "FROM", "OPENED BY", "READY")]
    for store in installed_stores():
        try:
            store.load()
        except ImportError as error:
            ready = str(error)
        else:
            ready = "yes"
        rows.append((store.name, store.distribution, store.target, ready))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for *cells, last in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), last, sep="  ")
    return 0


def _conform(arguments: argparse.Namespace) -> int:
    # By name: the kit imports notistore, and nothing of notistore's own needs it but this command.
    kit = import_module("notistore_conformance.cli")
    status: int = kit.run_conform(
        arguments.target,
        kind=arguments.kind or "store",
        identities=arguments.identity,
        send=arguments.send,
        path=arguments.path,
        json_path=arguments.json,
        markdown_path=arguments.markdown,
        badge_path=arguments.badge,
        only=arguments.only,
        profile=arguments.profile,
        contract=arguments.contract,
        seed=arguments.seed,
        seconds=arguments.seconds,
    )
    return status
