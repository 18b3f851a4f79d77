"""The pages: every link leads somewhere, every page and extra is listed, and the snippets of the inbox page run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
import time
import tomllib
from inspect import CO_COROUTINE
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from notistore import Recipient
from tools.checkout import ROOT, tracked
from tools.servers import free_port
from tools.site import CONTENTS, contents, rewrite_links

START_TIMEOUT = 120.0


@pytest.mark.parametrize("page", tracked(suffix=".md"))
def test_its_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:|#", target):
            assert (ROOT / page).parent.joinpath(target.partition("#")[0]).exists(), f"{page} links to {target}"


def test_the_contents_list_every_page_once() -> None:
    listed = [entry.page for section in contents() for entry in section.entries]
    pages = [page for page in tracked("docs", suffix=".md") if page != CONTENTS]
    records = [page for page in pages if page.startswith("docs/decisions/0")]
    assert sorted(listed) == sorted({*pages, "CHANGELOG.md"} - set(records))
    assert all(entry.description for section in contents() for entry in section.entries)
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    assert [f"docs/decisions/{name}" for name in re.findall(r"\]\((\d{4}-[^)]+)\)", index)] == records


def test_on_the_site_links_lead_to_its_pages_and_else_to_the_repository() -> None:
    page = (
        "[a](../schema.md#x) [b](../../README.md) [c](README.md) "
        "[d](../../examples) [e](../../notistore/store.py) [f](#g)"
        "\n```\n[h](../schema.md)\n```\n"
    )
    assert rewrite_links(page, "docs/adapters/redis.md") == (
        "[a](../schema.md#x) [b](../index.md) [c](../adapters/README.md) "
        "[d](https://github.com/notistore/notistore/tree/main/examples) [e](../reference/notistore.store.md) [f](#g)"
        "\n```\n[h](../schema.md)\n```\n"
    )


def test_every_extra_is_explained() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    rows = re.findall(r"^\| (`.+?`) \|", (ROOT / "docs/install.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(", ".join(rows).replace("`", "").split(", ")) == sorted(extras)


async def test_the_snippets_of_the_inbox_page_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the page's store is an SQLite file in the working directory
    names = await run_snippets("docs/inbox.md")
    try:
        await names["invite"]({Recipient("1"): "A1", Recipient("2"): "A2"})
        await names["comment_added"]("Grace", {"en": [Recipient("1")], "de": [Recipient("2")]})
        titles = [[row.data["title"] for row in await names["inbox"].page(Recipient(id))] for id in "12"]
        assert titles == [["Grace commented", f"Your seat is A{id}", "Sunday, 02:00 UTC"] for id in "12"]
        assert names["invoice"].number == 7
    finally:
        await names["async_engine"].dispose()


async def run_snippets(page: str) -> dict[str, Any]:
    """Run each Python block of a page, in the names of those before it. Returns the names."""
    text = (ROOT / page).read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "snippets"}
    for block in re.finditer(r"^( *)```python\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE):
        lines = "\n" * (text.count("\n", 0, block.start()) + 1)  # so that a traceback shows the page's line
        code = compile(
            lines + textwrap.dedent(block[2]), page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
        )
        result = eval(code, names)
        if code.co_flags & CO_COROUTINE:
            await result
    return names


def test_every_link_of_llms_txt_leads_to_a_page_of_the_served_site() -> None:
    pytest.importorskip("zensical", reason="install the site's tools: python3 dev.py docs")
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "tools.site", "--serve", address]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            pages = re.findall(r"\]\(([^)]+)\)", fetched(f"http://{address}/llms.txt", server))
            assert len(pages) > 50
            for page in pages:
                assert fetched(urljoin(f"http://{address}/", page), server)
        finally:
            server.terminate()


def fetched(url: str, server: subprocess.Popen[bytes]) -> str:
    """The text at `url`, which may appear only when the site's first build has ended."""
    until = time.monotonic() + START_TIMEOUT
    while True:
        try:
            if (response := httpx.get(url)).is_success:
                return response.text
            found = f"status {response.status_code}"
        except httpx.TransportError as error:
            found = repr(error)
        assert server.poll() is None, "the server has exited"
        assert time.monotonic() < until, f"{url}: {found}"
        time.sleep(0.2)
