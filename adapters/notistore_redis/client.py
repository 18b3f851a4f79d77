"""The few things the store asks of redis-py, of any of its clients alike: bytes or str, RESP2 or RESP3, sync or async.

A sync client's answers are there at once, so a coroutine that awaits nothing else never suspends over one.
"""

from __future__ import annotations

import codecs
import hashlib
import inspect
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, Final

import redis.asyncio
import redis.asyncio.cluster
import redis.cluster
from redis.exceptions import NoScriptError

from notistore.errors import InvalidArgument

from .errors import translated

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
        self.is_cluster: Final = isinstance(client, (redis.cluster.RedisCluster, redis.asyncio.cluster.RedisCluster))

    async def run(self, script: Script, keys: Sequence[str], *args: str | int) -> list[Any]:
        """Run a script, which is sent whole only to a server that does not know it yet."""
        with translated(write=script.write):
            try:
                answer = await self._call("EVALSHA", script.sha, len(keys), *keys, *args)
            except NoScriptError:
                answer = await self._call("EVAL", script.text, len(keys), *keys, *args)
        plain: list[Any] = _plain(answer)
        return plain

    async def read(self, *command: str | int) -> Any:
        with translated(write=False):
            return _plain(await self._call(*command))

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send many commands at once, which is not one transaction: reads, and writes that no answer depends on."""
        if not commands:
            return []
        if len(commands) == 1:  # for which redis-py's pipelines take half as long again
            return [await self.read(*commands[0])]
        with translated(write=False):
            pipe = self._client.pipeline() if self.is_cluster else self._client.pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)
            plain: list[Any] = _plain(await _awaited(pipe.execute()))
            return plain

    async def scan(self, pattern: str) -> AsyncGenerator[str, None]:
        """Every key that matches and is there all the while; one may come twice."""
        for node in await self._primaries():
            cursor: Any = 0
            while True:
                with translated(write=False):
                    found = await _awaited(self._client.scan(cursor, match=pattern, count=1000, **node))
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
        if isinstance(self._client, redis.asyncio.cluster.RedisCluster):
            with translated(write=False):
                await self._client.initialize()
        return [{"target_nodes": node} for node in self._client.get_primaries()]

    async def _call(self, *command: str | int) -> Any:
        return await _awaited(self._client.execute_command(*command))


async def _awaited(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer


def _plain(answer: Any) -> Any:
    """The same with every string a str, whether the client decodes or not."""
    if isinstance(answer, bytes):
        return answer.decode()
    if isinstance(answer, list):
        return [_plain(part) for part in answer]
    return answer
