"""HTTP: the routes and streams without a framework (`core`), and an integration for each framework."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asgi import GetRecipient, GetSocketRecipient, inbox_app, inbox_websocket

__all__ = ["GetRecipient", "GetSocketRecipient", "inbox_app", "inbox_websocket"]


def __getattr__(name: str) -> Any:
    # Imported on first access: the mounts of other frameworks do not need Starlette.
    if name in __all__:
        from . import asgi

        return getattr(asgi, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
