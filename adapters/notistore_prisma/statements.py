"""SQL for calls that Prisma's API cannot express: counting up to a limit, and deleting a limited number of rows.

Lists go as one JSON parameter, so that no list is too long. On PostgreSQL each parameter is cast from text, which is
how the engine sends it whatever the type of the column.
"""

from __future__ import annotations

__all__ = ["old", "unread_counts"]


def unread_counts(*, sqlite: bool, types: bool, at_most: int | None) -> str:
    """Takes a JSON array of [tenant, type, id], and one of types; gives `place` in the array from 0, and `unread`.

    Each inbox is counted by itself, on the index of its unread rows, and no further than `at_most`.
    """
    if sqlite:
        inboxes, place = "json_each(?1) AS inbox", "inbox.key"
        tenant, type, id = (f"json_extract(inbox.value, '$[{part}]')" for part in range(3))
        names = "SELECT value FROM json_each(?2)"
    else:
        inboxes, place = "jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS inbox(value, nth)", "inbox.nth - 1"
        tenant, type, id = (f"(inbox.value ->> {part})" for part in range(3))
        names = "SELECT jsonb_array_elements_text($2::text::jsonb)"
    where = f"tenant = {tenant} AND recipient_type = {type} AND recipient_id = {id} AND read_at IS NULL"
    if types:
        where += f" AND type IN ({names})"
    limit = "" if at_most is None else f" LIMIT {at_most:d}"
    counted = f"SELECT count(*) FROM (SELECT 1 FROM notistore_notifications WHERE {where}{limit}) AS unread"
    return f"SELECT {place} AS place, ({counted}) AS unread FROM {inboxes}"


def old(*, sqlite: bool, only_read: bool, after: bool, at_most: int) -> str:
    """Deletes the oldest rows before a time; gives the `id` and `updated` of each.

    Takes the time and, with `after`, the `updated` and id of the row to go on after. Times are milliseconds since 1970.
    Rows locked by another transaction are skipped.
    """
    if sqlite:
        updated, before, last, id = "updated_at", "?1", "?2", "?3"
    else:
        updated, id = "(extract(epoch FROM updated_at) * 1000)::bigint", "$3::text"
        before, last = (
            f"(timestamptz 'epoch' + ${parameter}::text::bigint * interval '1 millisecond')" for parameter in (1, 2)
        )
    where = f"updated_at < {before}"
    if only_read:
        where += " AND read_at IS NOT NULL"
    if after:
        where += f" AND updated_at >= {last} AND (updated_at > {last} OR id > {id})"
    ids = f"SELECT id FROM notistore_notifications WHERE {where} ORDER BY updated_at, id LIMIT {at_most:d}"
    chosen = f"IN ({ids})" if sqlite else f"= ANY(ARRAY({ids} FOR UPDATE SKIP LOCKED))"
    return f"DELETE FROM notistore_notifications WHERE id {chosen} RETURNING id, {updated} AS updated"
