"""Closes the TCP connection of a client that has stopped reading, on any server.

A server waits until the last byte of a response is sent, during its shutdown too, and ASGI has no message to close a
connection. So the connection is looked up among this process's sockets and shut down, which looks to the server as if
the client had disconnected. That needs `/dev/fd` (Linux, macOS, BSD), HTTP/1.1 over TCP, and the client's address in
the scope. If a proxy's headers have replaced that address, the connection is not found, and the proxy has to close it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias

__all__ = ["close_connection"]

if sys.platform != "win32":
    from fcntl import ioctl
    from termios import TIOCOUTQ

_Address: TypeAlias = tuple[str, int, int]  # the client's host and port, and the server's port
_wanted: Final[dict[_Address, bool]] = {}  # whether only a connection with unsent bytes is closed


def close_connection(scope: Mapping[str, Any], *, if_unsent: bool = False) -> None:
    """Close the TCP connection of this request and drop unsent bytes, if the connection can be found.

    Args:
        scope: of the request.
        if_unsent: only if the kernel has bytes that the client has not taken, where the kernel tells (Linux).
    """
    client, server = scope.get("client"), scope.get("server")
    if not client or not server or not scope.get("http_version", "").startswith("1"):
        return  # no address, or a connection shared with other requests
    if any(b"forwarded" in name and client[0].encode() in value for name, value in scope["headers"]):
        return  # an address from a header, which may be that of another connection
    address = client[0], int(client[1] or 0), int(server[1] or 0)  # granian passes strings
    _wanted[address] = if_unsent and _wanted.get(address, True)
    # In a thread, since it checks every descriptor, of 50,000 perhaps. One pass closes all connections requested by
    # then.
    asyncio.get_running_loop().run_in_executor(None, _close_wanted)


def _close_wanted() -> None:
    wanted: dict[_Address, bool] = {}
    while _wanted:
        address, if_unsent = _wanted.popitem()
        wanted[address] = if_unsent
    for name in os.listdir("/dev/fd") if wanted and os.path.isdir("/dev/fd") else ():
        with suppress(OSError):  # closed meanwhile
            _close_if(int(name), wanted)


def _close_if(descriptor: int, wanted: Mapping[_Address, bool]) -> None:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return
    # A duplicate: the number may belong to another file by the time of the shutdown.
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            host, port, *_ = connection.getpeername()
            if_unsent = wanted.get((host, port, connection.getsockname()[1]))
            if if_unsent is False or (if_unsent and _has_unsent(connection)):
                connection.shutdown(socket.SHUT_RDWR)


def _has_unsent(connection: socket.socket) -> bool:
    if sys.platform == "win32":
        return False
    queued = bytearray(4)
    ioctl(connection, TIOCOUTQ, queued)
    return any(queued)
