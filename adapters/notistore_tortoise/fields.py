"""Fields for the column types of docs/schema.md that Tortoise has no field for."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from tortoise.fields import CharField, Field, JSONField
from tortoise.models import Model

from notistore._validation import check_time
from notistore.sql.rows import encoded, time_encoder, utc

__all__ = ["DataField", "NameField", "UtcTimeField"]


class NameField(CharField[Any]):
    """Text with a binary collation, so that case, accents and trailing spaces count.

    On PostgreSQL "C" also keeps the indexes valid when the operating system's collations change.
    """

    class _db_postgres:  # noqa: N801
        def __init__(self, field: NameField) -> None:
            self._length = field.max_length

        @property
        def SQL_TYPE(self) -> str:  # noqa: N802
            return f'VARCHAR({self._length}) COLLATE "C"'

    class _db_mysql:  # noqa: N801
        def __init__(self, field: NameField) -> None:
            self._length = field.max_length

        @property
        def SQL_TYPE(self) -> str:  # noqa: N802
            return f"VARCHAR({self._length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"


class UtcTimeField(Field[Any], datetime):
    """A UTC instant in whole milliseconds: timestamptz(3), datetime(3) in UTC, or milliseconds since 1970 in SQLite.

    Values are aware datetimes in UTC, whatever `use_tz` and `timezone` say. It compares and orders; it has none of
    DatetimeField's lookups (`__year`), whose SQL expects other columns.
    """

    SQL_TYPE = "BIGINT"

    class _db_postgres:  # noqa: N801
        SQL_TYPE = "TIMESTAMP(3) WITH TIME ZONE"

    class _db_mysql:  # noqa: N801
        SQL_TYPE = "DATETIME(3)"

    def to_db_value(self, value: Any, instance: type[Model] | Model) -> Any:
        self.validate(value)
        if not isinstance(value, datetime):
            return value
        return time_encoder(instance._meta.db.capabilities.dialect)(check_time(value, self.model_field_name))

    def to_python_value(self, value: Any) -> datetime | None:
        if value is None:
            return None
        return utc(datetime.fromisoformat(value) if isinstance(value, str) else value)


class DataField(JSONField[dict[str, Any]]):
    """A JSON object: jsonb, json, or text in SQLite, where a column called JSON would be a number's."""

    class _db_sqlite:  # noqa: N801
        SQL_TYPE = "TEXT"

    def __init__(self, **options: Any) -> None:
        super().__init__(encoder=encoded, decoder=json.loads, **options)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        path, args, options = super().deconstruct()
        return path, args, {name: value for name, value in options.items() if name not in ("encoder", "decoder")}
