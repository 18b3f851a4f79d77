"""The SQL dialects of the databases, and the placeholders of their drivers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import InvalidArgument

__all__ = ["Dialect", "DialectName", "Placeholder"]

DialectName: TypeAlias = Literal["postgresql", "mariadb", "mysql", "sqlite"]
Placeholder: TypeAlias = Literal["?", "%s", "$"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """The database and driver that statements are rendered for.

    Attributes:
        name: the database. MariaDB can return rows from an upsert; MySQL needs a second statement for that.
        placeholder: the driver's parameter style: "?" (qmark), "%s" (format), or "$" for `$1`, `$2` (numeric).
        times_as_milliseconds: PostgreSQL only: select times as integers, for drivers that convert them to the session's
            time zone or parse them by its DateStyle (psycopg).
    """

    name: DialectName
    placeholder: Placeholder = "?"
    times_as_milliseconds: bool = False

    def __post_init__(self) -> None:
        if self.name not in ("postgresql", "mariadb", "mysql", "sqlite"):
            raise InvalidArgument("dialect", f"expected postgresql, mariadb, mysql or sqlite, got {self.name!r}")

    @property
    def is_mysql(self) -> bool:
        """Whether it is MySQL or MariaDB."""
        return self.name in ("mariadb", "mysql")

    @property
    def has_returning(self) -> bool:
        """Whether INSERT can return the row as stored."""
        return self.name != "mysql"

    def render(self, sql: str) -> str:
        """`sql` with each "?" replaced by the driver's placeholder."""
        if self.placeholder == "?":
            return sql
        if self.placeholder == "%s":
            return sql.replace("%", "%%").replace("?", "%s")
        first, *rest = sql.split("?")
        return first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))

    def quote(self, identifier: str) -> str:
        """The quoted identifier, whose case is kept."""
        mark = "`" if self.is_mysql else '"'
        return f"{mark}{identifier.replace(mark, mark * 2)}{mark}"
