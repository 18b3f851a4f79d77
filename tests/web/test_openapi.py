"""One description of the routes: docs/openapi.json, and what FastAPI and Litestar say of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import pytest
from fastapi import FastAPI
from litestar import Litestar, get
from litestar.params import HeaderParameter
from openapi_spec_validator import validate
from pydantic import BaseModel

from notistore import Inbox, MemoryStore, Recipient
from notistore.web import fastapi, litestar
from notistore.web.openapi import SCHEMAS, openapi_document
from notistore.wire import ActorItem, Item

from .mounts import async_user_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def document() -> dict[str, Any]:
    return openapi_document()


@pytest.fixture
def of_fastapi() -> dict[str, Any]:
    app = FastAPI()
    app.include_router(fastapi.inbox_router(Inbox(MemoryStore()), async_user_of))
    return app.openapi()


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_the_page_is_up_to_date(document: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")
    document["info"]["version"] = json.loads(page)["info"]["version"]  # it may lag behind a release
    assert page == json.dumps(document, indent=2) + "\n", "python -m notistore.web.openapi > docs/openapi.json"


def test_it_has_every_route_and_what_each_may_answer(document: dict[str, Any]) -> None:
    documented = {
        (method.upper(), path): {int(status) for status in operation["responses"]}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert documented == {
        ("GET", "/notifications"): {200, 401, 422, 503},
        ("GET", "/notifications/unread"): {200, 401, 422, 503},
        ("GET", "/notifications/unread/count"): {200, 304, 401, 422, 503},
        ("PATCH", "/notifications/read"): {200, 400, 401, 403, 413, 422, 503},
        ("POST", "/notifications/read-all"): {204, 401, 403, 422, 503},
        ("POST", "/notifications/{id}/read"): {204, 401, 403, 404, 503},
        ("POST", "/notifications/{id}/unread"): {204, 401, 403, 404, 503},
        ("DELETE", "/notifications/{id}"): {204, 401, 403, 404, 503},
        ("GET", "/notifications/stream"): {200, 401},
    }


@pytest.mark.parametrize(("name", "typed"), [("NotificationItem", Item), ("NotificationActor", ActorItem)])
def test_a_component_has_the_fields_of_the_wire(name: str, typed: Any) -> None:
    assert list(SCHEMAS[name]["properties"]) == SCHEMAS[name]["required"] == list(get_type_hints(typed))


class Problem(BaseModel):
    mine: bool


def plain(value: Any) -> Any:
    """Without what only pydantic, FastAPI and Litestar write."""
    if isinstance(value, dict):
        kept = {
            name: plain(item) for name, item in value.items() if name not in ("title", "operationId", "description")
        }
        if kept.get("type") == "object" and isinstance(kept.get("additionalProperties"), dict):
            kept["additionalProperties"] = True  # JSON's values, spelled out
        if "oneOf" in kept:
            kept["anyOf"] = kept.pop("oneOf")
        if isinstance(kept.get("required"), list):
            kept["required"] = sorted(kept["required"])
        if kept.get("deprecated") is False:
            del kept["deprecated"]
        return kept
    return [plain(item) for item in value] if isinstance(value, list) else value


def test_fastapis_document_is_valid_too(of_fastapi: dict[str, Any]) -> None:
    validate(of_fastapi)


def test_fastapis_operations_are_the_documents(of_fastapi: dict[str, Any], document: dict[str, Any]) -> None:
    body = document["paths"]["/notifications/read"]["patch"]["requestBody"]["content"]["application/json"]
    body["schema"] = document["components"]["schemas"].pop("NotificationIds")  # FastAPI has no way to refer to it
    assert plain(of_fastapi["paths"]) == plain(document["paths"])


def test_fastapis_components_are_the_documents(of_fastapi: dict[str, Any], document: dict[str, Any]) -> None:
    theirs, ours = of_fastapi["components"]["schemas"], document["components"]["schemas"]
    theirs.pop("JsonValue", None)
    theirs["NotificationIds"] = fastapi.NotificationIds.model_json_schema()
    assert plain(theirs) == plain(ours)
    assert {name: schema["description"] for name, schema in theirs.items()} == {
        name: schema["description"] for name, schema in ours.items()
    }


def test_a_host_with_models_of_its_own_keeps_its_references() -> None:
    app = FastAPI()
    app.include_router(fastapi.inbox_router(Inbox(MemoryStore()), async_user_of), prefix="/api")

    @app.get("/own")
    async def own() -> Problem:
        return Problem(mine=True)

    document = app.openapi()
    validate(document)
    assert "mine" in document["components"]["schemas"]["Problem"]["properties"]
    assert "/api/notifications/stream" in document["paths"]


def litestars(*others: Any) -> dict[str, Any]:
    async def nobody() -> None:
        return None

    app = Litestar([litestar.inbox_router(Inbox(MemoryStore()), nobody), *others])
    document = app.openapi_schema.to_schema()
    validate(document)
    return document


def test_litestars_document_is_the_same(document: dict[str, Any]) -> None:
    theirs = litestars()
    body = document["paths"]["/notifications/read"]["patch"]["requestBody"]["content"]["application/json"]
    body["schema"] = document["components"]["schemas"].pop("NotificationIds")  # it has no way to refer to it
    assert plain(theirs["paths"]) == plain(document["paths"])
    assert plain(theirs["components"]["schemas"]) == plain(document["components"]["schemas"])


def test_what_litestars_dependency_takes_is_documented_beside_it() -> None:
    async def user_of(x_user: Annotated[str, HeaderParameter(name="x-user")]) -> Recipient:
        return Recipient(x_user)

    app = Litestar([litestar.inbox_router(Inbox(MemoryStore()), user_of)])
    operation = app.openapi_schema.to_schema()["paths"]["/notifications/unread"]["get"]
    assert [(parameter["name"], parameter["in"]) for parameter in operation["parameters"]] == [
        ("type", "query"),
        ("x-user", "header"),
    ]
    assert "400" in operation["responses"]


def test_a_litestar_host_with_a_model_of_that_name_keeps_both() -> None:
    @dataclass
    class NotificationCount:
        mine: bool

    @get("/own", signature_types=[NotificationCount])
    async def own() -> NotificationCount:
        return NotificationCount(mine=True)

    schemas = litestars(own)["components"]["schemas"]
    assert sorted(list(schema["properties"]) for name, schema in schemas.items() if "NotificationCount" in name) == [
        ["count"],
        ["mine"],
    ]
