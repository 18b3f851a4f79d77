"""`python3 dev.py docs`: build the documentation site, strictly, into `build/site`; `--serve` shows it while you write.

Pages are the Markdown files of `docs/`, README.md and CHANGELOG.md, whose links are written for GitHub. They are copied
to `build/pages` with the links that leave the site pointing to the repository. docs/README.md lists every page: the
site's navigation and `llms.txt` are made from it. The reference has a page for each module of `MODULES`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Final

from tools.checkout import ROOT, tracked

__all__ = [
    "CONTENTS",
    "MODULES",
    "Entry",
    "Section",
    "build",
    "contents",
    "prepare",
    "publish_markdown",
    "rewrite_links",
    "serve",
]

CONTENTS: Final = "docs/README.md"
MODULES: Final = [
    "notistore",
    "notistore.store",
    "notistore.sync",
    "notistore.model",
    "notistore.ids",
    "notistore.wire",
    "notistore.discovery",
    "notistore.hub",
    "notistore.hub.backplane",
    "notistore.hub.events",
    "notistore.web",
    "notistore.web.fastapi",
    "notistore.web.django",
    "notistore.web.litestar",
    "notistore.web.aiohttp",
    "notistore.web.flask",
    "notistore.web.quart",
    "notistore.web.sanic",
    "notistore.web.wsgi",
    "notistore.web.core",
    "notistore.web.websocket",
    "notistore.web.sync",
    "notistore.web.openapi",
    "notistore.sql",
    "notistore_sqlalchemy",
    "notistore_django",
    "notistore_tortoise",
    "notistore_peewee",
    "notistore_prisma",
    "notistore_redis",
    "notistore_sqlite",
    "notistore_asyncpg",
    "notistore_psycopg",
    "notistore_postgres",
    "notistore_conformance",
]

_PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_REPOSITORY: Final = _PROJECT["urls"]["Repository"]
_SOURCES: Final = [str(ROOT / folder) for folder in ("", "adapters", "conformance")]
_CONFIG: Final = ROOT / "build" / "mkdocs.yml"
_PAGES: Final = ROOT / "build" / "pages"
_SITE: Final = ROOT / "build" / "site"
_LINK: Final = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_FENCE: Final = re.compile(r"^( *```.*?^ *```$)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One line of a list of pages: `- [title](page): description`, with `page` as a path from ROOT."""

    title: str
    page: str
    description: str = ""


@dataclass(frozen=True)
class Section:
    """A heading of docs/README.md and the pages listed under it."""

    title: str
    entries: list[Entry]


def contents(page: str = CONTENTS) -> list[Section]:
    """The sections of a page that lists pages."""
    sections = []
    for part in re.split(r"^## ", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        found = re.findall(r"^- \[([^\]]+)\]\(([^)]+)\)(?:: )?(.*(?:\n  .*)*)", part, re.MULTILINE)
        folder = PurePosixPath(page).parent
        entries = [Entry(title, normpath(folder / path), re.sub(r"\n *", " ", about)) for title, path, about in found]
        sections.append(Section(part.partition("\n")[0], entries))
    return sections


def build() -> int:
    """Make the site. Returns 0, or 1 when there was a warning."""
    shutil.rmtree(_PAGES, ignore_errors=True)
    shutil.rmtree(_SITE, ignore_errors=True)
    prepare()
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(_CONFIG)]
    done = subprocess.run(command, text=True, capture_output=True)
    print(done.stdout + done.stderr, end="")
    if done.returncode or "griffe" in done.stderr:  # what docstrings have wrong is only logged
        return 1
    publish_markdown()
    print(f"{_SITE.relative_to(ROOT)}/index.html")
    return 0


def serve(address: str) -> int:
    """Serve the site on `address`, a host and port, and rebuild its pages whenever a source changes."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # otherwise the server would outlive this process
    prepare()
    print("The pages are there when the first build has ended, in about half a minute.", flush=True)
    command = [sys.executable, "-m", "zensical", "serve", "--config-file", str(_CONFIG), "--dev-addr", address]
    with subprocess.Popen(command) as server:
        seen = _changed()
        try:
            while server.poll() is None:
                time.sleep(1)
                publish_markdown()
                if (now := _changed()) != seen:
                    seen = now
                    prepare()
        except KeyboardInterrupt:
            server.terminate()
            return 0
    return server.returncode


def prepare() -> None:
    """Write the pages, `llms.txt` and the configuration. A file whose content stays the same is not touched."""
    for source in _sources():
        if source.endswith(".md"):
            _write(_PAGES / _place(source), rewrite_links((ROOT / source).read_text(encoding="utf-8"), source))
        else:
            (_PAGES / _place(source)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / source, _PAGES / _place(source))
    for module, page in _reference():
        _write(_PAGES / _reference_place(module), page)
    _write(_PAGES / "llms.txt", _llms_txt())
    _write(_CONFIG, json.dumps(_configuration(), indent=2))


def publish_markdown() -> None:
    """Write the pages' Markdown, which llms.txt links, into the site, once that is built."""
    if (_SITE / "llms.txt").exists():
        for page in _PAGES.rglob("*.md"):
            _write(_SITE / page.relative_to(_PAGES), page.read_text(encoding="utf-8"))


def rewrite_links(text: str, source: str) -> str:
    """The text of a page with its links as the site needs them: to its own pages, else to the repository."""

    def rewritten(match: re.Match[str]) -> str:
        path, hash_sign, anchor = match[0].partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        target = normpath(PurePosixPath(source).parent / path)
        if (ROOT / target).is_dir() and f"{target}/README.md" in _sources():
            target = f"{target}/README.md"
        if target in _sources():
            place = _place(target)
        elif (module := _module(target)) in MODULES:
            place = _reference_place(module)
        else:
            kind = "tree" if (ROOT / target).is_dir() else "blob"
            return f"{_REPOSITORY}/{kind}/main/{target}{hash_sign}{anchor}"
        here = PurePosixPath(_place(source)).parent
        return "../" * len(here.parts) + place + hash_sign + anchor

    return "".join(
        part if part.lstrip().startswith("```") else _LINK.sub(rewritten, part) for part in _FENCE.split(text)
    )


def _sources() -> list[str]:
    """The files that the site shows, as paths from ROOT."""
    return ["README.md", "CHANGELOG.md", *tracked("docs")]


def _changed() -> list[float]:
    return [(ROOT / path).stat().st_mtime for path in [*_sources(), *tracked(suffix=".py")] if (ROOT / path).exists()]


def _place(source: str) -> str:
    """Where a source lies in the site."""
    special = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", CONTENTS: "contents.md"}
    return special.get(source, source.removeprefix("docs/"))


def _module(source: str) -> str:
    """The name of the module in this file or folder."""
    path = re.sub(r"^(adapters|conformance)/|(/__init__)?\.py$", "", source)
    return path.replace("/", ".")


def _reference_place(module: str) -> str:
    return f"reference/{module}.md"


def _reference() -> Iterator[tuple[str, str]]:
    """Each module with its page. A name that two modules export is on the first one's page."""
    import griffe

    loader = griffe.GriffeLoader(search_paths=_SOURCES)
    shown: set[str] = set()
    for module in MODULES:
        loader.load(module.partition(".")[0])
    loader.resolve_aliases(external=False)
    for module in MODULES:
        found = loader.modules_collection[module]
        names = [name for name in found.exports or () if str(name) in found.members]
        fresh = [name for name in names if found.members[name].canonical_path not in shown]
        shown.update(found.members[name].canonical_path for name in fresh)
        members = "".join(f"\n        - {name}" for name in fresh) or " []"
        yield module, f"# {module}\n\n::: {module}\n    options:\n      members:{members}\n"


def _decisions() -> list[Entry]:
    """The decision records, by their number and title."""
    titles = {
        path: (ROOT / path).read_text(encoding="utf-8").partition("\n")[0][2:] for path in tracked("docs/decisions")
    }
    return [Entry(title, path) for path, title in titles.items() if not path.endswith("README.md")]


def _navigation() -> list[object]:
    navigation: list[object] = [{"notistore": "index.md"}]
    for section in contents():
        pages: list[object] = [{entry.title: _place(entry.page)} for entry in section.entries]
        if section.title == "Reference":
            pages.append({"Python": [{module: _reference_place(module)} for module in MODULES]})
        if section.title == "Decisions":
            pages = ["decisions/README.md", *({entry.title: _place(entry.page)} for entry in _decisions())]
        navigation.append({section.title: pages})
    return [*navigation, {"All pages": "contents.md"}]


def _llms_txt() -> str:
    """What https://llmstxt.org describes: every page with what it is for."""
    lines = ["# notistore", "", f"> {_PROJECT['description']}"]
    for section in contents():
        lines += ["", f"## {section.title}", ""]
        lines += [f"- [{entry.title}]({_place(entry.page)}): {entry.description}" for entry in section.entries]
        if section.title == "Reference":
            lines += [f"- [{module}](reference/{module}/index.html): made from its docstrings" for module in MODULES]
    return "\n".join(lines) + "\n"


def _configuration() -> dict[str, object]:
    """What zensical, and as well MkDocs with Material, reads as mkdocs.yml; JSON is YAML."""
    strict = ("omitted_files", "absolute_links", "unrecognized_links", "anchors", "not_found")
    return {
        "site_name": "notistore",
        "site_description": _PROJECT["description"],
        "repo_url": _REPOSITORY,
        "docs_dir": _PAGES.name,
        "site_dir": _SITE.name,
        "theme": {
            "name": "material",
            "font": False,  # the system's fonts: none is fetched from another host
            "features": [
                "content.code.copy",
                "content.tabs.link",
                "navigation.indexes",
                "navigation.footer",
                "navigation.tabs",
                "navigation.top",
                "search.highlight",
                "toc.follow",
            ],
            "palette": [
                {"media": "(prefers-color-scheme: light)", "scheme": "default"},
                {"media": "(prefers-color-scheme: dark)", "scheme": "slate"},
            ],
        },
        "plugins": [
            "search",
            {
                "mkdocstrings": {
                    "handlers": {
                        "python": {
                            "paths": _SOURCES,
                            "options": {
                                "docstring_style": "google",
                                "docstring_options": {"warn_missing_types": False},
                                "filters": ["!^_"],
                                "heading_level": 2,
                                "inherited_members": True,
                                "members_order": "__all__",
                                "merge_init_into_class": True,
                                "separate_signature": True,
                                "show_if_no_docstring": True,
                                "show_root_heading": False,
                                "show_root_toc_entry": False,
                                "show_signature_annotations": True,
                                "show_source": False,
                            },
                        }
                    }
                }
            },
        ],
        "markdown_extensions": [
            "admonition",
            "attr_list",
            "tables",
            {"toc": {"permalink": True}},
            "pymdownx.highlight",
            "pymdownx.inlinehilite",
            "pymdownx.superfences",
            {"pymdownx.tabbed": {"alternate_style": True}},
        ],
        "validation": dict.fromkeys(strict, "warn"),
        "nav": _navigation(),
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="dev.py docs", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--serve",
        nargs="?",
        const="localhost:8000",
        metavar="HOST:PORT",
        help="serve it, by default on localhost:8000, and rebuild it whenever a file changes",
    )
    address: str | None = parser.parse_args().serve
    sys.exit(serve(address) if address else build())
