"""HTTP: one framework-neutral core of endpoints, then thin glue per framework."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asgi import GetRecipient, inbox_app

__all__ = ["GetRecipient", "inbox_app"]


def __getattr__(name: str) -> Any:
    # Not before it is asked for: other frameworks' glue does without Starlette.
    if name in __all__:
        from . import asgi

        return getattr(asgi, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
