"""Fields for the column types of docs/schema.md that Django has no field for."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from notistore._validation import check_time
from notistore.sql.dialect import Dialect, DialectName
from notistore.sql.rows import time_encoder, utc
from notistore.sql.table import column_type

_COLLATIONS: Final = {"postgresql": "C", "mariadb": "utf8mb4_nopad_bin", "mysql": "utf8mb4_0900_bin"}


class NameField(models.CharField):  # type: ignore[type-arg]  # generic in the stubs only
    """Text with a binary collation, so that case, accents and trailing spaces count.

    Django's `db_collation` is one name for all databases; here each has its own.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        if connection.vendor == "postgresql":
            # Not "varchar", for which Django adds a second index to a primary key, for LIKE, which the collation "C"
            # does not need.
            return f"character varying({self.max_length})"
        return super().db_type(connection)

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        return {**super().db_parameters(connection), "collation": _COLLATIONS.get(dialect_name(connection))}


class UtcTimeField(models.Field):  # type: ignore[type-arg]
    """A UTC instant in whole milliseconds: timestamptz(3), datetime(3) in UTC, or milliseconds since 1970 in SQLite.

    Values are aware datetimes in UTC, whatever USE_TZ and TIME_ZONE say. It compares and orders; it has none of
    DateTimeField's lookups (`__date`, `__year`), whose SQL expects other columns.
    """

    empty_strings_allowed = False
    description = "UTC time, in milliseconds"

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return column_type("read_at", Dialect(dialect_name(connection)))

    def to_python(self, value: Any) -> datetime | None:
        if value is None or isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValidationError(f"expected an ISO 8601 time with an offset, got {value!r}") from None

    def get_prep_value(self, value: Any) -> Any:
        value = self.to_python(super().get_prep_value(value))
        return None if value is None else check_time(value, self.name)

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        value = value if prepared else self.get_prep_value(value)
        return time_encoder(dialect_name(connection))(value) if isinstance(value, datetime) else value

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        """With USE_TZ off, Django selects local times without a time zone from PostgreSQL, which would be ambiguous."""
        return (f"{sql} AT TIME ZONE 'UTC'" if compiler.connection.vendor == "postgresql" else sql), params

    def from_db_value(self, value: Any, expression: object, connection: BaseDatabaseWrapper) -> datetime | None:
        return None if value is None else utc(value)

    def value_to_string(self, obj: models.Model) -> str:
        value = self.value_from_object(obj)
        return "" if value is None else value.isoformat()


def dialect_name(connection: Any) -> DialectName:
    """The database, as a `notistore.sql.Dialect` names it."""
    vendor: DialectName = connection.vendor
    return "mariadb" if vendor == "mysql" and connection.mysql_is_mariadb else vendor
