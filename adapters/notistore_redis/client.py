"""The operations of redis-py that the store uses, for all of its clients: bytes or str, RESP2 or RESP3, sync or async.

With a sync client a coroutine here never suspends. Every exception of a client is raised as a StoreError: besides its
own errors, a cluster client raises AttributeError and others while a node goes down.
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

from .errors import store_error

_LUA: Final = Path(__file__).parent / "lua"

Command = Sequence[str | int]


class Script:
    """A script made of files of lua/. Scripts that write may be resent: they store a receipt or are idempotent."""

    def __init__(self, *names: str, write: bool = True) -> None:
        self.text = "".join((_LUA / f"{name}.lua").read_text() for name in names)
        self.sha = hashlib.sha1(self.text.encode()).hexdigest()
        self.write = write


class Client:
    """Wraps the application's client, which is never closed here."""

    def __init__(self, client: Any) -> None:
        encoding = client.get_encoder().encoding
        if codecs.lookup(encoding).name != "utf-8":
            raise InvalidArgument("client", f"expected one whose encoding is UTF-8, got {encoding!r}")
        self._client = client
        self._is_async: Final = isinstance(client, (redis.asyncio.Redis, redis.asyncio.cluster.RedisCluster))
        self.is_cluster: Final = isinstance(client, (redis.cluster.RedisCluster, redis.asyncio.cluster.RedisCluster))

    async def run(self, script: Script, keys: Sequence[str], *args: str | int) -> Any:
        """Run a script by EVALSHA; its text is sent only to a server that has not cached it."""
        try:
            answer = self._client.execute_command("EVALSHA", script.sha, len(keys), *keys, *args)
            return _plain(await answer if self._is_async else answer)
        except NoScriptError:
            return await self.call("EVAL", script.text, len(keys), *keys, *args, write=script.write)
        except Exception as error:
            raise store_error(error, write=script.write) from error

    async def call(self, *command: str | int, write: bool = False) -> Any:
        """Send one command. With `write`, a lost reply raises OutcomeUnknown."""
        try:
            answer = self._client.execute_command(*command)
            return _plain(await answer if self._is_async else answer)
        except Exception as error:
            raise store_error(error, write=write) from error

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send many commands at once, not as a transaction: for reads, and writes whose replies are not needed."""
        if not commands:
            return []
        if len(commands) == 1:  # for which redis-py's pipelines take half as long again
            return [await self.call(*commands[0])]
        pipe = self._client.pipeline() if self.is_cluster else self._client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        try:
            # Raised by redis-py, an error would name the command, and with it the recipient.
            answers = await self._awaited(pipe.execute(raise_on_error=False))
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        except Exception as error:
            raise store_error(error, write=False) from error
        return [_plain(answer) for answer in answers]

    async def scan(self, pattern: str) -> AsyncGenerator[str, None]:
        """Every matching key that exists during the whole scan; a key may be returned twice."""
        for node in await self._primaries():
            cursor: Any = 0
            while True:
                try:
                    found = await self._awaited(self._client.scan(cursor, match=pattern, count=1000, **node))
                except Exception as error:
                    raise store_error(error, write=False) from error
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
        try:
            if self._is_async:
                await self._client.initialize()
            return [{"target_nodes": node} for node in self._client.get_primaries()]
        except Exception as error:
            raise store_error(error, write=False) from error

    async def _awaited(self, answer: Any) -> Any:
        return await answer if self._is_async else answer


def _plain(answer: Any) -> Any:
    """The same with every string a str, whether the client decodes or not."""
    if isinstance(answer, list):
        return [part.decode() if isinstance(part, bytes) else part for part in answer]
    return answer.decode() if isinstance(answer, bytes) else answer
