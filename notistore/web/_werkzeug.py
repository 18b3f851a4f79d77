"""What Flask and Quart share: Werkzeug's routing and its default content type."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from flask.sansio.blueprints import Blueprint
    from werkzeug.sansio.response import Response

    from .core import Route

SLASHES: Final = {"strict_slashes": False, "merge_slashes": False}
"""Options of a rule, with which Werkzeug matches the path as it is and redirects to no other."""


def add_routes(blueprint: Blueprint, routes: Iterable[Route], view: Callable[[Route], Callable[..., Any]]) -> None:
    for route in routes:
        path = route.path.replace("{id}", "<id>")
        blueprint.add_url_rule(path, route.endpoint.__name__, view(route), methods=[route.method], **SLASHES)


def remove_default_content_type(response: Response, headers: Iterable[str]) -> None:
    """Remove the content type that a response has by default, unless it is one of the answer's own `headers`."""
    if "content-type" not in headers:
        del response.headers["content-type"]
