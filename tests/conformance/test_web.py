"""The web kit, held against every mount there is on a real server, and against servers that break one promise each."""

import asyncio
from functools import partial

import pytest

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore_conformance import Outcome, check_web
from notistore_conformance.web import WEB_CHECKS, run_web_check
from tests.web.mounts import MOUNTS, standalone
from tests.web.served import serving

pytest_plugins = ["pytester"]

IDENTITIES = [{"x-user": "42"}, {"x-user": "43"}]


async def filled():
    inbox = Inbox(MemoryStore(), SseHub())
    for n in range(4):
        await inbox.send(Recipient("42"), "invoice.paid", {"n": n})
    return inbox


async def checked(app, prefix=""):
    async with serving() as server:
        server.app = app
        report = await check_web(server.url + prefix, IDENTITIES)
        await server.idle()
    return report


@pytest.mark.parametrize("name", MOUNTS)
async def test_every_mount_conforms(name):
    report = await checked(MOUNTS[name].build(await filled()), MOUNTS[name].prefix)
    assert report.conforms, str(report)


async def test_an_inbox_that_holds_too_little_is_partial():
    report = await checked(standalone(Inbox(MemoryStore(), SseHub())))
    assert report.verdict.startswith("PARTIAL")
    assert "has to hold 3 notifications, it holds 0" in str(report)


def answers(app, change):
    """The app with what it sends changed; `change` is given each message and the request's scope."""

    async def changed(scope, receive, send):
        async def send_changed(message):
            await send(change(scope, message))

        await app(scope, receive, send_changed)

    return changed


def requests(app, change):
    """The app with each request's scope changed."""

    async def changed(scope, receive, send):
        await app(change(scope), receive, send)

    return changed


def status(old, new, scope, message):
    return message | {"status": new} if message.get("status") == old else message


def body(old, new, scope, message):
    return message | {"body": message["body"].replace(old, new)} if "body" in message else message


def header(name, value, scope, message):
    if "headers" not in message:
        return message
    return message | {"headers": [(k, v) for k, v in message["headers"] if k != name] + [(name, value)]}


def without(name, scope):
    return scope | {"headers": [(key, value) for key, value in scope["headers"] if key != name]}


def everyone(scope):
    return without(b"x-user", scope) | {"headers": [*without(b"x-user", scope)["headers"], (b"x-user", b"42")]}


BROKEN = {
    "web/page": lambda app: answers(app, partial(header, b"cache-control", b"public, max-age=60")),
    "web/keyset": lambda app: answers(app, partial(body, b'"next"', b'"last"')),
    "web/garbage": lambda app: answers(app, partial(status, 422, 400)),
    "web/no-recipient": lambda app: answers(app, partial(status, 401, 200)),
    "web/marks": lambda app: answers(app, partial(status, 204, 200)),
    "web/not-yours": lambda app: requests(app, everyone),
    "web/many": lambda app: answers(app, partial(body, b"updated", b"changed")),
    "web/etag": lambda app: requests(app, partial(without, b"if-none-match")),
    "web/cross-site": lambda app: requests(app, lambda scope: without(b"origin", without(b"sec-fetch-site", scope))),
    "web/stream": lambda app: answers(app, partial(body, b"\n", b"\r\n")),
}


@pytest.mark.parametrize("id", BROKEN)
async def test_a_server_that_breaks_a_promise_is_caught_by_the_check_of_it(id):
    async with serving() as server:
        server.app = BROKEN[id](standalone(await filled()))
        result = await run_web_check(id, server.url, IDENTITIES, "/notifications")
    assert result.outcome is Outcome.FAILED
    assert "promised:" in result.message, result.message


def test_every_check_has_a_server_that_breaks_it():
    assert BROKEN.keys() == WEB_CHECKS.keys()


async def test_the_flag_checks_a_server(pytester):
    async with serving() as server:
        server.app = standalone(await filled())
        options = [f"--notistore-web-identity={name}: {value}" for who in IDENTITIES for name, value in who.items()]
        run = partial(
            pytester.runpytest_subprocess, "-p", "no:cacheprovider", f"--notistore-web={server.url}", timeout=60
        )
        result = await asyncio.to_thread(run, *options, "--notistore-report=out.svg")
    result.stdout.fnmatch_lines(["*CONFORMS (10 passed)*"])
    assert result.ret == 0
    assert "conforms" in (pytester.path / "out.svg").read_text()
