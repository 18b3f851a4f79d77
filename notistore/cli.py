"""The command line: `notistore demo`, `notistore stores`, `notistore element`, `notistore conform`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from errno import EADDRINUSE
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from .discovery import installed_stores
from .errors import InvalidArgument, StoreError
from .web._element import copy_element

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0; 1 after an error, or if a target does not conform; 2 for wrong
    arguments."""
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

    demo = commands.add_parser("demo", help="serve a web page with a live notification bell on this machine")
    demo.add_argument("--store", metavar="NAME:URL", help="an installed store and its URL (default: an SQLite file)")
    demo.add_argument("--db", metavar="FILE", help="the SQLite file (default: one in the temporary folder)")
    demo.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    demo.add_argument("--port", type=_port, default=8000, help="the port; 0 chooses a free one (default: %(default)s)")
    demo.set_defaults(run=_demo)

    stores = commands.add_parser("stores", help="list the installed stores")
    stores.set_defaults(run=_stores)

    element = commands.add_parser("element", help="copy the custom element and its TypeScript types into a folder")
    element.add_argument("folder", metavar="FOLDER", type=Path)
    element.set_defaults(run=_element)

    conform = commands.add_parser("conform", help="check a store, a backplane or a web server against the contract")
    conform.add_argument(
        "target", metavar="TARGET", nargs="?", help="package.module:make_store, or NAME:URL of an installed store"
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
        help="TARGET is the base URL of a server that serves the inbox routes",
    )
    conform.add_argument(
        "--identity",
        metavar="HEADER",
        action="append",
        default=[],
        help="with --web: a request header that authenticates a recipient; give it twice, for two recipients",
    )
    conform.add_argument(
        "--send",
        metavar="URL",
        help="with --web: the URL, or the path below TARGET, where a POST request sends its recipient a notification",
    )
    conform.add_argument(
        "--path", default="/notifications", help="with --web: the path of the inbox routes (default: %(default)s)"
    )
    conform.add_argument("--list", action="store_true", help="list the checks without running them")
    conform.add_argument("--json", metavar="FILE", help="write the report as JSON")
    conform.add_argument("--markdown", metavar="FILE", help="write the report as Markdown")
    conform.add_argument("--badge", metavar="FILE", help="write the verdict as an SVG badge")
    conform.add_argument("--only", metavar="PREFIX", help="run only the checks whose id begins with PREFIX")
    conform.add_argument(
        "--profile",
        choices=["quick", "full"],
        default="quick",
        help="how many rounds the generated and concurrent checks run (default: %(default)s)",
    )
    conform.add_argument("--seed", type=int, default=0, help="the seed of the generated checks (default: %(default)s)")
    conform.add_argument(
        "--seconds", type=float, help="time limit of the generated checks (default: 15; with --profile full: 120)"
    )
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
        raise ImportError(f'the demo needs more packages: pip install "notistore[demo]" ({error})') from error
    if arguments.db and arguments.store:
        raise InvalidArgument("--db", "expected either --db or --store")
    if arguments.db and not Path(arguments.db).absolute().parent.is_dir():
        raise InvalidArgument("--db", f"expected a file in a folder that exists, got {arguments.db}")
    if arguments.db and Path(arguments.db).is_dir():
        raise InvalidArgument("--db", f"expected a file, got the folder {arguments.db}")
    store = f"sqlite:{arguments.db}" if arguments.db else arguments.store

    def ready(url: str, store: str) -> None:
        print(f"notistore demo: {url}\nstore: {store}\nstop with Ctrl+C", flush=True)

    try:
        asyncio.run(run_demo(store=store, host=arguments.host, port=arguments.port, ready=ready))
    except OSError as error:
        if error.errno != EADDRINUSE:
            raise
        raise InvalidArgument("--port", f"{arguments.port} is in use; --port 0 chooses a free one") from error
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


def _element(arguments: argparse.Namespace) -> int:
    for copy in copy_element(arguments.folder):
        print(copy)
    return 0


def _conform(arguments: argparse.Namespace) -> int:
    # Imported by name: the kit depends on notistore, so notistore must not import it elsewhere.
    kit = import_module("notistore_conformance.cli")
    if arguments.list:
        listed: int = kit.list_checks(arguments.kind or "store", arguments.only, arguments.markdown)
        return listed
    if arguments.target is None:
        print("notistore: expected TARGET or --list", file=sys.stderr)
        return 2
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
        seed=arguments.seed,
        seconds=arguments.seconds,
    )
    return status
