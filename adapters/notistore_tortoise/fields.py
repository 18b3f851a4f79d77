"""Fields for the column types of docs/schema.md that Tortoise has no field for."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from tortoise.fields import CharField, Field, JSONField
from tortoise.models import Model

from notistore._validation import check_time
from notistore.sql import Dialect
from notistore.sql.rows import encoded, time_encoder, utc
from notistore.sql.table import column_type

__all__ = ["DataField", "NameField", "UtcTimeField"]

_DIALECTS: Final = {"postgres": Dialect("postgresql"), "mysql": Dialect("mariadb"), "sqlite": Dialect("sqlite")}


def _get_for_dialect(field: Field[Any], dialect: str, key: str) -> Any:
    """As Tortoise's, but with the type that the column has in every adapter's table."""
    if key == "SQL_TYPE" and dialect in _DIALECTS:
        return column_type(field.model_field_name, _DIALECTS[dialect])
    return Field.get_for_dialect(field, dialect, key)


class NameField(CharField[Any]):
    """Text with a binary collation, so that case, accents and trailing spaces count."""

    get_for_dialect = _get_for_dialect


class UtcTimeField(Field[Any], datetime):
    """A UTC instant in whole milliseconds: timestamptz(3), datetime(3) in UTC, or milliseconds since 1970 in SQLite.

    Values are aware datetimes in UTC, whatever `use_tz` and `timezone` say. It compares and orders; it has none of
    DatetimeField's lookups (`__year`), whose SQL expects other columns.
    """

    SQL_TYPE = "BIGINT"
    get_for_dialect = _get_for_dialect

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
    """A JSON object: jsonb, json, or compact text in SQLite."""

    get_for_dialect = _get_for_dialect

    def __init__(self, **options: Any) -> None:
        super().__init__(encoder=encoded, decoder=json.loads, **options)
