"""The wire of docs/wire.md, checked from outside: any server, in any language, that mounts an inbox."""

from .mount import Mount, mount_of
from .runner import WebRunner

__all__ = ["Mount", "WebRunner", "mount_of"]
