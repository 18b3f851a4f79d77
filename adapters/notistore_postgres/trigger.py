"""The trigger by which the database notifies hubs of changed rows, whichever program changed them.

Each statement on the table notifies once per recipient. PostgreSQL delivers notifications when the transaction commits,
without duplicates, and drops them on a rollback. The payload is that of `Splitter` for a refetch message.
"""

from __future__ import annotations

from typing import Final

from notistore.hub.message import Kind, Message
from notistore.sql.dialect import Dialect
from notistore.sql.table import Table

__all__ = ["creation", "removal"]

_POSTGRESQL: Final = Dialect("postgresql")
_REFETCH: Final = Message(b"database", Kind.REFETCH, "").encode()

_FUNCTION: Final = """\
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    recipient text;
    hash bytea;
BEGIN
    FOR recipient IN
        SELECT length(tenant) || ':' || tenant || length(recipient_type) || ':' || recipient_type || recipient_id
        FROM (SELECT DISTINCT tenant, recipient_type, recipient_id FROM changed) AS recipients
    LOOP
        hash := sha256(convert_to(recipient, 'UTF8'));
        PERFORM pg_notify(
            '{prefix}_' || ((get_byte(hash, 0) << 16) + (get_byte(hash, 1) << 8) + get_byte(hash, 2)) % {channels},
            'row 0 0 ' || translate(
                encode(convert_to(recipient || E'\\n', 'UTF8') || '\\x{message}'::bytea, 'base64'), E'\\n', ''
            )
        );
    END LOOP;
    RETURN NULL;
END
$body$"""

_TRIGGER: Final = """\
CREATE OR REPLACE TRIGGER {prefix}_{event} AFTER {event} ON {table}
REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {function}()"""

_EVENTS: Final = {"insert": "NEW", "update": "NEW", "delete": "OLD"}


def creation(table: Table, prefix: str, channels: int) -> list[str]:
    """Statements that create the triggers and their function, or replace them."""
    names = {"table": table.quoted(_POSTGRESQL), "function": _function(table, prefix), "prefix": prefix}
    return [
        _FUNCTION.format(**names, channels=channels, message=_REFETCH.hex()),
        *(_TRIGGER.format(**names, event=event, rows=rows) for event, rows in _EVENTS.items()),
    ]


def removal(table: Table, prefix: str) -> list[str]:
    """Statements that drop what there is of them."""
    on = table.quoted(_POSTGRESQL)
    return [
        *(f"DROP TRIGGER IF EXISTS {prefix}_{event} ON {on}" for event in _EVENTS),
        f"DROP FUNCTION IF EXISTS {_function(table, prefix)}()",
    ]


def _function(table: Table, prefix: str) -> str:
    return Table(f"{prefix}_refetch", table.schema).quoted(_POSTGRESQL)
