"""Every relative link leads somewhere, on GitHub and on the site; every page and every extra is listed."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import tomllib
from urllib.parse import urljoin

import httpx
import pytest

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
