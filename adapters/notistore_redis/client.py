"""The few things the store asks of redis-py, of any of its clients alike: bytes or str, RESP2 or RESP3, sync or async.

A sync client's answers are there at once, so a coroutine that awaits nothing else never suspends over one.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, Final

import redis.asyncio
import redis.asyncio.cluster
import redis.cluster
from redis.exceptions import NoScriptError

from notistore.errors import InvalidArgument

from .errors import FAILURES, told

_LUA: Final = Path(__file__).parent / "lua"

Command = Sequence[str | int]


class Script:
    """One of the scripts in lua/, after what they all begin with. Those with a receipt may be sent again."""

    def __init__(self, name: str, *, write: bool = True) -> None:
        self.text = (_LUA / "inbox.lua").read_text() + (_LUA / f"{name}.lua").read_text()
        self.sha = hashlib.sha1(self.text.encode()).hexdigest()
        self.write = write


class Client:
    """A client that belongs to the application; it is never closed here."""

    def __init__(self, client: Any) -> None:
        encoding = client.get_encoder().encoding
        if codecs.lookup(encoding).name != "utf-8":
            raise InvalidArgument("client", f"expected one whose encoding is UTF-8, got {encoding!r}")
        self._client = client
        self._is_async: Final = isinstance(client, (redis.asyncio.Redis, redis.asyncio.cluster.RedisCluster))
        self.is_cluster: Final = isinstance(client, (redis.cluster.RedisCluster, redis.asyncio.cluster.RedisCluster))

    async def run(self, script: Script, keys: Sequence[str], *args: str | int) -> Any:
        """Run a script, which is sent whole only to a server that does not know it yet."""
        try:
            answer = self._client.execute_command("EVALSHA", script.sha, len(keys), *keys, *args)
            return _plain(await answer if self._is_async else answer)
        except NoScriptError:
            return await self.call("EVAL", script.text, len(keys), *keys, *args, write=script.write)
        except FAILURES as error:
            raise told(error, write=script.write) from error

    async def call(self, *command: str | int, write: bool = False) -> Any:
        """Send one command; `write` where its answer matters, so that a lost one is told."""
        try:
            answer = self._client.execute_command(*command)
            return _plain(await answer if self._is_async else answer)
        except FAILURES as error:
            raise told(error, write=write) from error

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send many commands at once, which is not one transaction: reads, and writes that no answer depends on."""
        if not commands:
            return []
        if len(commands) == 1:  # for which redis-py's pipelines take half as long again
            return [await self.call(*commands[0])]
        pipe = self._client.pipeline() if self.is_cluster else self._client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        try:
            return [_plain(answer) for answer in await self._awaited(pipe.execute())]
        except FAILURES as error:
            raise told(error, write=False) from error

    async def scan(self, pattern: str) -> AsyncGenerator[str, None]:
        """Every key that matches and is there all the while; one may come twice."""
        for node in await self._primaries():
            cursor: Any = 0
            while True:
                try:
                    found = await self._awaited(self._client.scan(cursor, match=pattern, count=1000, **node))
                except FAILURES as error:
                    raise told(error, write=False) from error
                cursor, keys = found
                if self.is_cluster:
                    [cursor] = cursor.values()
                for key in _plain(keys):
                    yield key
                if not int(cursor):
                    break

    async def _primaries(self) -> list[dict[str, Any]]:
        if not self.is_cluster:
            return [{}]
        if self._is_async:
            try:
                await self._client.initialize()
            except FAILURES as error:
                raise told(error, write=False) from error
        return [{"target_nodes": node} for node in self._client.get_primaries()]

    async def _awaited(self, answer: Any) -> Any:
        return await answer if self._is_async else answer


def _plain(answer: Any) -> Any:
    """The same with every string a str, whether the client decodes or not."""
    if isinstance(answer, list):
        return [part.decode() if isinstance(part, bytes) else part for part in answer]
    return answer.decode() if isinstance(answer, bytes) else answer
