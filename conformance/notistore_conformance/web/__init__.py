"""The wire of docs/wire.md, checked from outside: any server, in any language, that says it mounts an inbox."""

from . import checks
from .mount import Mount, mount_of
from .registry import WEB_CHECKS
from .stage import WebStage

__all__ = ["WEB_CHECKS", "Mount", "WebStage", "checks", "mount_of"]
