"""The methods of the SQL stores are generated; they have the signatures of the contract."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from notistore import NotificationStore, Recipient
from notistore.sql.stores import BoundSQLStore, BoundSyncSQLStore, SQLStore, SyncSQLStore
from notistore.sync import SyncNotificationStore
from notistore_sqlite import SQLiteStore, SyncSQLiteStore

METHODS = [name for name in vars(NotificationStore) if not name.startswith("_")]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("made", [SQLStore, SyncSQLStore, BoundSQLStore, BoundSyncSQLStore])
def test_a_method_has_the_signature_of_the_contract(made: type, name: str) -> None:
    method, declared = (inspect.signature(getattr(of, name)) for of in (made, SyncNotificationStore))
    assert list(method.parameters.values())[1:] == list(declared.parameters.values())[1:]
    assert inspect.iscoroutinefunction(getattr(made, name)) is (made in (SQLStore, BoundSQLStore))


def test_create_schema_takes_nothing(tmp_path: Path) -> None:
    store = SyncSQLiteStore(tmp_path / "inbox.db")
    assert str(inspect.signature(store.create_schema)) == "() -> 'None'"
    store.close()


WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("page", (), {}),
    ("get", (Recipient("42"), "id", "more"), {}),
    ("count", (Recipient("42"),), {"other": 1}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), WRONG, ids=[name for name, _, _ in WRONG])
async def test_wrong_arguments_are_a_type_error_and_no_failure_of_the_database(
    tmp_path: Path, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    blocking, store = SyncSQLiteStore(tmp_path / "inbox.db"), SQLiteStore(tmp_path / "inbox.db")
    with pytest.raises(TypeError, match="argument"):
        getattr(blocking, name)(*args, **kwargs)
    with pytest.raises(TypeError, match="argument"):
        await getattr(store, name)(*args, **kwargs)
    blocking.close()
    await store.close()
