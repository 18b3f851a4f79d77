"""One schema: Django's migrations and create_schema create the same table, which the other SQL adapters accept."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections, transaction
from sqlalchemy import Engine, create_engine, inspect

from notistore import Notification, Recipient
from notistore_django.models import Notification as Row
from notistore_django.store import SyncDjangoStore
from notistore_sqlalchemy import SyncSQLAlchemyStore

TABLE = "notistore_notifications"


@pytest.fixture
def engine(empty: str) -> Any:
    settings = connections[empty].settings_dict
    account = f"{settings['USER']}:{settings['PASSWORD']}@{settings['HOST']}:{settings['PORT']}"
    engine = create_engine(
        {
            "sqlite": f"sqlite:///{settings['NAME']}",
            "postgresql": f"postgresql+psycopg://{account}/{settings['NAME']}",
            "mysql": f"mysql+pymysql://{account}/{settings['NAME']}",
        }[connections[empty].vendor]
    )
    yield engine
    engine.dispose()


def migrate(alias: str, **options: Any) -> None:
    call_command("migrate", "notistore", database=alias, verbosity=0, **options)


def describe_table(engine: Engine) -> Any:
    """Columns with their types, collations and defaults, and indexes with their columns and conditions."""
    inspector = inspect(engine)
    columns = {
        column["name"]: (str(column["type"]), getattr(column["type"], "collation", None), column["nullable"])
        for column in inspector.get_columns(TABLE)
    }
    indexes = {
        index["name"]: (
            index["column_names"],
            index["unique"],
            {
                str(value).replace('"', "")
                for name, value in index.get("dialect_options", {}).items()
                if name.endswith("_where")
            },
        )
        for index in inspector.get_indexes(TABLE)
    }
    return columns, indexes, inspector.get_pk_constraint(TABLE)["constrained_columns"]


def test_the_models_have_no_changes_without_a_migration(alias: str) -> None:
    call_command("makemigrations", "notistore", check=True, dry_run=True, verbosity=0)


def test_djangos_checks_find_nothing(alias: str) -> None:
    call_command("check", "notistore", databases=[alias], fail_level="WARNING")


def test_migrate_and_create_schema_make_the_same_table(empty: str, engine: Engine) -> None:
    migrate(empty)
    migrated = describe_table(engine)
    with connections[empty].schema_editor() as editor:
        editor.delete_model(Row)
    SyncDjangoStore(empty).create_schema()
    assert describe_table(engine) == migrated


def test_it_is_the_table_that_sqlalchemy_makes(empty: str, engine: Engine) -> None:
    migrate(empty)
    migrated = describe_table(engine)
    with connections[empty].schema_editor() as editor:
        editor.delete_model(Row)
    SyncSQLAlchemyStore(engine).create_schema()
    assert describe_table(engine) == migrated


def test_sqlalchemy_takes_the_migrated_table_as_it_is(empty: str, engine: Engine, user: Recipient) -> None:
    migrate(empty)
    migrated = describe_table(engine)
    theirs, ours = SyncSQLAlchemyStore(engine), SyncDjangoStore(empty)
    theirs.create_schema()
    assert describe_table(engine) == migrated
    row = Notification.new(user, "t", {"n": [1, 2.5, None, "ü€🔔"]}, key="k", trace_id="trace")
    ours.insert(row)
    assert theirs.get(user, row.id) == row
    assert theirs.upsert(row, renotify=False) == ours.get(user, row.id)
    theirs.mark_read(user, row.id, at=row.created_at)
    assert ours.unread_count(user) == 0


def test_a_table_that_sqlalchemy_made_is_taken_over(empty: str, engine: Engine, user: Recipient) -> None:
    theirs, ours = SyncSQLAlchemyStore(engine), SyncDjangoStore(empty)
    theirs.create_schema()
    made = describe_table(engine)
    row = Notification.new(user, "t", {"n": [1, 2.5, None, "ü€🔔"]})
    theirs.insert(row)
    ours.create_schema()
    migrate(empty, fake_initial=True)
    assert describe_table(engine) == made
    assert ours.page(user) == [row]


def test_create_schema_by_many_at_once_makes_one_table(empty: str) -> None:
    errors: list[BaseException] = []

    def create() -> None:
        try:
            SyncDjangoStore(empty).create_schema()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert SyncDjangoStore(empty).count(Recipient("1")) == 0


def test_create_schema_joins_a_block_of_the_hosts_when_nothing_is_missing(alias: str) -> None:
    with transaction.atomic(alias):
        SyncDjangoStore(alias).create_schema()
