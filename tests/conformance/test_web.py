"""The web kit on every mount on a real server, and on servers that each break one promise."""

import asyncio
import re
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.cli import main
from notistore_conformance import Mount, Outcome, WebSuite, check_web
from notistore_conformance.registry import checks_of
from notistore_conformance.reports.catalogue import wire_promises
from notistore_conformance.web import WebRunner
from notistore_conformance.web.promises import UNCHECKABLE, WIRE
from tests.web.mounts import MOUNTS, standalone
from tests.web.served import serving

from .broken_servers import BROKEN, SEND, with_send
from .faulty_servers import FAULTS, PASSES

pytest_plugins = ["pytester"]

WEB_CHECKS = checks_of("web")

IDENTITIES = [{"x-user": "42"}, {"x-user": "43"}]
PAGE = (Path(__file__).parents[2] / "docs" / "wire.md").read_text(encoding="utf-8")


def fresh():
    return Inbox(MemoryStore(), SseHub())


async def filled():
    inbox = fresh()
    for n in range(4):
        await inbox.send(Recipient("42"), "invoice.paid", {"n": n})
    return inbox


@pytest.mark.parametrize("name", MOUNTS)
async def test_every_mount_conforms(name):
    inbox = fresh()
    async with serving() as server:
        server.app = with_send(MOUNTS[name].build(inbox), inbox)
        report = await check_web(server.url + MOUNTS[name].prefix, IDENTITIES, send=server.url + SEND)
        await server.idle()
    assert report.conforms, str(report)
    assert {result.outcome for result in report.results} == {Outcome.PASSED}


async def test_it_leaves_nothing_behind():
    inbox = fresh()
    async with serving() as server:
        server.app = with_send(standalone(inbox), inbox)
        await check_web(server.url, IDENTITIES, send=SEND)
    assert [await inbox.count(Recipient(id)) for id in ("42", "43")] == [0, 0]


async def test_without_a_way_to_send_it_uses_what_is_there_deletes_nothing_and_is_partial():
    inbox = await filled()
    async with serving() as server:
        server.app = standalone(inbox)
        report = await check_web(server.url, IDENTITIES)
    assert report.verdict.startswith("PARTIAL")
    outcomes = {result.id: result.outcome for result in report.results}
    assert outcomes["web/marks"] is outcomes["web/stream-read"] is Outcome.PASSED
    assert outcomes["web/delete"] is Outcome.NOT_RUN
    assert "the kit has no way to send a notification" in str(report)
    assert await inbox.count(Recipient("42")) == 4


async def test_an_inbox_that_holds_too_little_is_partial():
    async with serving() as server:
        server.app = standalone(fresh())
        report = await check_web(server.url, IDENTITIES)
    assert report.verdict.startswith("PARTIAL")
    assert "has to hold 3 notifications, it holds 0" in str(report)


async def test_a_wrong_address_and_a_wrong_identity_are_reported_at_once():
    async with serving() as server:
        server.app = standalone(fresh())
        with pytest.raises(ValueError, match=r"expected an inbox at .*/api/notifications, got 404"):
            await check_web(f"{server.url}/api", IDENTITIES)
        with pytest.raises(ValueError, match="expected the headers of a recipient, got 401 with x-who"):
            await check_web(server.url, [IDENTITIES[0], {"x-who": "43"}])
    with pytest.raises(ConnectionError, match=f"no server answers at {server.url}"):
        await check_web(server.url, IDENTITIES)


@pytest.mark.parametrize("entry_point", ["command line", "pytest"])
async def test_a_wrong_address_to_send_to_is_reported_once_and_runs_nothing(pytester, capsys, entry_point):
    async with serving() as server:
        server.app = with_send(standalone(fresh()), fresh())
        message = f"expected a 2xx from POST {server.url}/test/sent, which is to send a notification"
        if entry_point == "command line":
            command = ["conform", "--web", server.url, "--identity", "x-user: 42", "--identity", "x-user: 43"]
            assert await asyncio.to_thread(main, [*command, "--send", "/test/sent"]) == 2
            printed = capsys.readouterr()
            assert (printed.out, printed.err.count(message)) == ("", 1)
            assert f"got 404 Not Found; the path is taken below {server.url}" in printed.err
        else:
            options = [f"--notistore-web-identity=x-user: {id}" for id in ("42", "43")]
            options += [f"--notistore-web={server.url}", "--notistore-web-send=/test/sent"]
            run = partial(pytester.runpytest_subprocess, "-p", "no:cacheprovider", *options, timeout=180)
            result = await asyncio.to_thread(run)
            result.assert_outcomes(failed=1, skipped=len(WEB_CHECKS) - 1)
            result.stdout.fnmatch_lines([f"*{message}*"])


async def test_no_server_where_it_is_to_send_is_reported_at_once():
    async with serving() as server:
        server.app = standalone(fresh())
        with pytest.raises(ConnectionError, match="no server answers where the kit is to send"):
            await check_web(server.url, IDENTITIES, send="http://127.0.0.1:1/send")


async def test_a_function_may_send():
    inbox = fresh()

    def send(identity, type, data, key):
        sending = inbox.send(Recipient(identity["x-user"]), type, data, key=key)
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(sending, loop))

    loop = asyncio.get_running_loop()
    async with serving() as server:
        server.app = standalone(inbox)
        report = await check_web(server.url, IDENTITIES, send=send, only="web/delete")
    assert [result.outcome for result in report.results] == [Outcome.PASSED], str(report)


async def test_a_session_of_one_recipient_is_not_kept_for_the_other():
    inbox = fresh()
    app = with_send(standalone(inbox), inbox)

    async def session_middleware(scope, receive, send):
        """A client with a cookie from an earlier response needs no other credentials."""
        cookies = dict(scope["headers"]).get(b"cookie", b"").partition(b"=")[2]
        if cookies and b"x-user" not in dict(scope["headers"]):
            scope = scope | {"headers": [*scope["headers"], (b"x-user", cookies)]}

        async def sent(message):
            if "headers" in message:
                cookie = (b"set-cookie", b"user=" + dict(scope["headers"]).get(b"x-user", b""))
                message = message | {"headers": [*message["headers"], cookie]}
            await send(message)

        await app(scope, receive, sent)

    async with serving() as server:
        server.app = session_middleware
        report = await check_web(server.url, IDENTITIES, send=SEND, only="web/no-recipient")
    assert [result.outcome for result in report.results] == [Outcome.PASSED], str(report)


async def test_a_server_whose_streams_only_count_offers_no_more():
    inbox = Inbox(MemoryStore())
    async with serving() as server:
        server.app = with_send(standalone(inbox), inbox)
        report = await check_web(server.url, IDENTITIES, send=SEND)
    assert report.conforms, str(report)
    outcomes = {result.id: result.outcome for result in report.results}
    assert outcomes["web/stream-count"] is outcomes["web/stream-resumed"] is Outcome.PASSED
    assert outcomes["web/stream-item"] is outcomes["web/stream-read"] is Outcome.UNSUPPORTED
    assert "this server's end after the count" in str(report)


# Tests of the kit itself


def checks_about(promise):
    return [check for check in WEB_CHECKS.values() if promise in check.clauses]


async def results_of(broken, checks):
    inbox = fresh()
    return await results_on(broken(with_send(standalone(inbox), inbox)), checks)


async def results_on(app, checks, *, until_one_fails=False):
    def run(url):
        results = []
        with WebRunner(lambda: Mount(url, IDENTITIES, SEND)) as runner:
            for check in checks:
                results.append(runner.run(check))
                if until_one_fails and results[-1].outcome is Outcome.FAILED:
                    break
        return results

    async with serving() as server:
        server.app = app
        return await asyncio.to_thread(run, server.url)


@pytest.mark.parametrize("promise", BROKEN)
async def test_a_server_that_breaks_a_promise_is_caught_by_a_check_of_it(promise):
    results = await results_of(BROKEN[promise], checks_about(promise))
    messages = [result.message for result in results if result.outcome is Outcome.FAILED]
    assert any(f"promised:\n    [{promise}] " in message for message in messages), messages or results


@pytest.mark.parametrize("id", WEB_CHECKS)
async def test_every_check_catches_a_server_that_breaks_one_of_its_promises(id):
    for promise in WEB_CHECKS[id].clauses:
        [result] = await results_of(BROKEN[promise], [WEB_CHECKS[id]])
        if result.outcome is Outcome.FAILED:
            return
    pytest.fail(f"{id} passes whatever is broken")


@pytest.mark.parametrize("name", FAULTS)
async def test_a_server_with_a_fault_is_caught_by_a_check_of_the_promise_it_breaks(name):
    fault = FAULTS[name]
    results = await results_on(fault.serve(), checks_about(fault.promise), until_one_fails=True)
    caught = results[-1].outcome is Outcome.FAILED
    assert caught is (name not in PASSES), PASSES.get(name, results)


def test_every_promise_has_a_check_and_a_server_that_breaks_it_or_a_reason_why_not():
    assert {promise for check in WEB_CHECKS.values() for promise in check.clauses} == WIRE.keys() - UNCHECKABLE.keys()
    assert BROKEN.keys() == WIRE.keys() - UNCHECKABLE.keys()


def test_every_check_is_of_a_promise():
    assert all(check.clauses for check in WEB_CHECKS.values())


def test_every_promise_is_in_the_text_of_the_page_of_the_wire():
    assert set(re.findall(r"`\[([a-z.-]+)\]`", PAGE.partition("\n## Every promise\n")[0])) == WIRE.keys()


def test_the_page_of_the_wire_ends_with_what_the_kit_cites():
    written = PAGE.partition("\n## Every promise\n")[2].partition("\n- ")[2]
    assert f"- {written}" == wire_promises(), f"docs/wire.md has to end with\n\n{wire_promises()}"


def test_every_line_of_the_page_of_the_wire_has_a_promise():
    promised = PAGE.partition("\n## Routes\n")[2].partition("\n## What clients make of `data`\n")[0]
    for block in promised.split("\n\n"):
        rows = (
            [line for line in block.splitlines() if line.startswith("| ")][1:] if "|---" in block else [block.strip()]
        )
        for row in rows:
            if not row.startswith("## "):
                assert re.search(r"`\[[a-z.-]+\]`", row), row


# The entry points


async def test_the_flag_checks_a_server(pytester):
    inbox = fresh()
    async with serving() as server:
        server.app = with_send(standalone(inbox, path="/bell"), inbox)
        options = [f"--notistore-web-identity={name}: {value}" for who in IDENTITIES for name, value in who.items()]
        options += ["--notistore-web-send=/test/send", "--notistore-web-path=/bell", "--notistore-badge=badge.svg"]
        run = partial(
            pytester.runpytest_subprocess, "-p", "no:cacheprovider", f"--notistore-web={server.url}", timeout=180
        )
        result = await asyncio.to_thread(run, *options, "--notistore-report=out.svg")
    result.stdout.fnmatch_lines([f"*CONFORMS ({len(WEB_CHECKS)} passed)*"])
    assert result.ret == 0
    assert "notistore web 1.0: conforms" in (pytester.path / "out.svg").read_text()
    assert "notistore web 1.0: conforms" in (pytester.path / "badge.svg").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--notistore-web-identity=x-user: 42"], "*expected two identities*got ?'x-user: 42'?*"),
        (["--notistore-web-identity=x-user: 42", "--notistore-web-identity=bob"], "*expected two identities*"),
        ([f"--notistore-web-identity=x-user: {n}" for n in "12"] + ["-n", "2"], "*leave out -n*"),
    ],
)
def test_a_wrong_use_of_the_flag_is_explained(pytester, options, message):
    result = pytester.runpytest_subprocess("--notistore-web=http://localhost:1", *options, timeout=60)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


async def test_the_command_line_checks_a_server(capsys):
    inbox = fresh()
    async with serving() as server:
        server.app = with_send(standalone(inbox), inbox)
        command = ["conform", "--web", server.url, "--identity", "x-user: 42", "--identity", "x-user: 43"]
        assert await asyncio.to_thread(main, [*command, "--send", SEND]) == 0
        assert f"CONFORMS ({len(WEB_CHECKS)} passed)" in capsys.readouterr().out
        assert await asyncio.to_thread(main, command[:-2]) == 2
        assert "expected two identities" in capsys.readouterr().err


class TestSuite(WebSuite):
    """The class, on a server that its factory starts."""

    async def make_mount(self):
        inbox = fresh()
        async with serving() as server:
            server.app = with_send(standalone(inbox), inbox)
            yield Mount(server.url, IDENTITIES, SEND, backend="uvicorn")


async def test_the_server_of_the_page_conforms_at_the_address_it_says(capsys):
    page = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")
    [source] = re.findall(r"```python\n# app.py\n(.*?)```", page, re.DOTALL)
    app: dict[str, Any] = {}
    exec(source, app)
    [options] = re.findall(r"^notistore conform --web http://127.0.0.1:8000/api (.*)$", page, re.MULTILINE)
    async with serving() as server:
        server.app = app["app"]
        command = ["conform", "--web", f"{server.url}/api", *shlex.split(options)]
        assert await asyncio.to_thread(main, command) == 0
    assert f"CONFORMS ({len(WEB_CHECKS)} passed)" in capsys.readouterr().out
