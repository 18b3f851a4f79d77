"""The contract: what a store keeps, and what it promises while it does.

`NotificationStore` is the part every store offers; the `Supports...` protocols are optional, each on its own, and
asked for with `supports(store, "prune")`. Each promise is a line that begins with its id in brackets. The
conformance kit cites these ids: every one of them is checked, and a failure names the one that was broken.

Core makes the rows and checks every argument before a store sees it, so a store only keeps rows. It may assume that
ids are lower-case UUIDs, times are UTC and whole milliseconds, and every string and number is within its bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, Protocol, TypeGuard, overload, runtime_checkable

from .model import Cursor, Notification, Recipient

__all__ = [
    "BoundStore",
    "NotificationStore",
    "Part",
    "SupportsBind",
    "SupportsErase",
    "SupportsInsertMany",
    "SupportsPrune",
    "SupportsSchema",
    "SupportsUnreadCounts",
    "supports",
]


@runtime_checkable
class NotificationStore(Protocol):
    """Keeps the notifications of every recipient's inbox.

    Of every method:

    - [recipient.isolation] A call reads and changes rows of the one recipient it names. Id, type and tenant are all
      part of who that is, compared exactly, code point by code point; tenant None is an inbox of its own.
    - [ids.not-yours] The id of another recipient's row, or of another tenant's, is treated as one that is not there.
    - [rows.round-trip] A row comes back equal to what was stored: data, Unicode, null, numbers, times and all.
    - [rows.isolated] What was stored does not change when the caller later changes the object it passed in, or one it
      got back.
    - [filters.types] `types` None or empty filters nothing; otherwise only rows whose type is one of them count.
    - [calls.atomic] A call happens wholly or not at all.
    - [calls.errors] A failure of the database or its driver raises StoreError or a subclass, from the driver's error.
    - [calls.cancel] Cancelling a call leaves the store usable and no connection checked out.
    - [calls.durable] What a call has acknowledged is there for every later call, through any client of the same data.
    """

    async def insert(self, notification: Notification) -> None:
        """Store a new row.

        - [insert.stores] The row is there when the call returns.
        - [insert.duplicate] An id that is already stored, whoever its recipient is, raises DuplicateNotification.
        - [insert.duplicate-unchanged] The row that was there stays as it is.
        """
        ...

    async def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        """Insert a row or, when its id is there, replace that row's content. Returns the row as it is now stored.

        - [upsert.inserts] An id that is not there is inserted, with version 1.
        - [upsert.replaces] An id that is there has its type, data, actor, trace id and updated_at replaced, wholly.
        - [upsert.version] Its version is raised by one, by the database, whatever version the argument carries.
        - [upsert.keeps-created-at] Its created_at, key and place in the inbox stay.
        - [upsert.renotify] Its read_at becomes None; with `renotify=False` it stays as it is.
        - [upsert.returns-stored] The result equals what `get` would return.
        - [upsert.concurrent] N concurrent upserts of one id leave one row, at version N, that holds one caller's whole
          value. Each caller gets a version of its own and no caller sees an error.
        - [upsert.unsupported] A store that cannot do this raises Unsupported and changes nothing.
        """
        ...

    async def get(self, recipient: Recipient, id: str) -> Notification | None:
        """Return one row of this recipient.

        - [get.returns] The row with that id, as it is now stored.
        - [get.unknown] None for an id that is not there, or not this recipient's.
        """
        ...

    async def page(
        self,
        recipient: Recipient,
        *,
        unread_only: bool = False,
        types: Sequence[str] | None = None,
        before: Cursor | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> Sequence[Notification]:
        """Return part of this recipient's inbox.

        - [page.order] Newest first by (created_at, id), ids compared as plain strings: equal times never shuffle.
        - [page.limit] At most `limit` rows; none for 0.
        - [page.offset] `offset` rows of the filtered order are passed over first.
        - [page.before] Only rows whose (created_at, id) is below the cursor's, whether or not its row still exists:
          pages that follow the last row's cursor never repeat or skip a row while others are added or read.
        - [page.unread-only] With `unread_only` only rows whose read_at is None.
        - [page.in-database] Filters, `limit` and `offset` are applied in the database, together.
        """
        ...

    async def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int:
        """Count this recipient's rows.

        - [count.equals-page] The number of rows `page` would give without a limit; 0 for an unknown recipient.
        """
        ...

    async def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        """Count this recipient's unread rows.

        - [unread-count.equals-page] The number of rows `page(unread_only=True)` would give without a limit.
        - [unread-count.at-most] `at_most` is the most it returns, and where counting stops.
        - [unread-count.in-database] The rows are counted where they are, not fetched.
        """
        ...

    async def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        """Mark rows read. Returns how many went from unread to read.

        - [mark-read.marks] The unread rows among `ids` get read_at `at`; each is counted once, even if named twice.
        - [mark-read.first-wins] A row that is read keeps its read_at and is not counted.
        - [mark-read.others-untouched] Unknown and foreign ids are not counted and nothing of theirs changes.
        - [mark-read.keeps-content] updated_at and version stay.
        - [mark-read.concurrent] Of N concurrent calls for one unread row exactly one reports 1.
        - [mark-read.no-ids] Without ids nothing happens and the answer is 0.
        """
        ...

    async def mark_unread(self, recipient: Recipient, *ids: str) -> int:
        """Mark rows unread. Returns how many went from read to unread.

        - [mark-unread.marks] The read rows among `ids` get read_at None; each is counted once.
        - [mark-unread.others-untouched] Unread, unknown and foreign rows are neither counted nor changed.
        - [mark-unread.keeps-content] updated_at and version stay.
        """
        ...

    async def mark_all_read(
        self,
        recipient: Recipient,
        *,
        types: Sequence[str] | None = None,
        seen: datetime | None = None,
        at: datetime,
    ) -> int:
        """Mark every unread row read. Returns how many were.

        - [mark-all-read.marks] Every unread row it sees gets read_at `at`; rows that are read keep theirs.
        - [mark-all-read.types] With `types` only rows of those types.
        - [mark-all-read.seen] With `seen` only rows with updated_at at or before it: what landed later stays unread.
        - [mark-all-read.keeps-content] updated_at and version stay.
        """
        ...

    async def delete(self, recipient: Recipient, *ids: str) -> int:
        """Delete rows. Returns how many were there.

        - [delete.deletes] The rows among `ids` are gone for every method; each is counted once.
        - [delete.others-untouched] Unknown and foreign ids are not counted and nothing of theirs changes.
        - [delete.concurrent] Of N concurrent calls for one row exactly one reports 1.
        - [delete.no-ids] Without ids nothing happens and the answer is 0.
        """
        ...


class SupportsInsertMany(Protocol):
    """Bulk fan-out."""

    async def insert_many(self, notifications: Sequence[Notification]) -> None:
        """Store many new rows, of any recipients.

        - [insert-many.stores] All rows are there when the call returns; none is fine.
        - [insert-many.atomic] If any id is there already, or twice in the argument, it raises DuplicateNotification
          and stores none of them.
        """
        ...


class SupportsUnreadCounts(Protocol):
    """The badges of many recipients at once, for a hub that has to set many streams right."""

    async def unread_counts(
        self,
        recipients: Sequence[Recipient],
        *,
        types: Sequence[str] | None = None,
        at_most: int | None = None,
    ) -> Mapping[Recipient, int]:
        """Count the unread rows of many recipients in one query.

        - [unread-counts.equals-single] For each recipient asked for, 0 included, what `unread_count` would return.
        """
        ...


class SupportsPrune(Protocol):
    """Retention."""

    async def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        """Delete old rows of every recipient, in batches that do not lock the table. Returns how many.

        - [prune.older-than] Rows with updated_at strictly before `older_than` are deleted, others stay.
        - [prune.only-read] With `only_read` unread rows stay.
        - [prune.limit] At most `limit` rows are deleted.
        """
        ...


class SupportsErase(Protocol):
    """The right to be forgotten."""

    async def erase(self, recipient: Recipient) -> int:
        """Delete a recipient's whole inbox. Returns how many rows it held.

        - [erase.recipient] Nothing of that recipient is left; the same id in another tenant or type stays.
        """
        ...

    async def erase_tenant(self, tenant: str) -> int:
        """Delete every inbox of a tenant. Returns how many rows they held.

        - [erase.tenant] Nothing of that tenant is left; other tenants, and inboxes without one, stay.
        """
        ...


class SupportsSchema(Protocol):
    """For getting started and for tests; applications with migrations use those."""

    async def create_schema(self) -> None:
        """Create the table and indexes that are missing.

        - [schema.twice] It may be called again at any time, and concurrently: nothing is ever dropped or emptied.
        - [schema.other-columns] A table of that name with other columns raises StoreError and stays as it is.
        """
        ...


class BoundStore(NotificationStore, Protocol):
    """A store inside the host application's own transaction: it joins, and never commits or rolls back."""

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the outermost transaction has committed.

        - [bind.after-commit] It is called after the rows can be read by others; never when the transaction, or the
          savepoint that was open when it was registered, was rolled back.
        - [bind.unsupported] Where the ORM has no such hook it raises Unsupported, and the caller publishes.
        """
        ...


class SupportsBind(Protocol):
    """Sends that commit or vanish with the application's own work."""

    def bind(self, session: object) -> BoundStore:
        """Return a store that works inside `session`: whatever the ORM calls its session, connection or transaction.

        - [bind.commit] What it wrote is there for others once the host commits.
        - [bind.rollback] What it wrote is gone once the host rolls back, its transaction or the savepoint.
        - [bind.never-commits] It neither commits nor rolls back the host's transaction.
        """
        ...


Part = Literal["insert_many", "unread_counts", "prune", "erase", "schema", "bind"]
"""The names of the optional parts, as `supports` takes them and the conformance kit's reports show them."""

_METHODS: Final[Mapping[Part, Sequence[str]]] = {
    "insert_many": ("insert_many",),
    "unread_counts": ("unread_counts",),
    "prune": ("prune",),
    "erase": ("erase", "erase_tenant"),
    "schema": ("create_schema",),
    "bind": ("bind",),
}


@overload
def supports(store: object, part: Literal["insert_many"]) -> TypeGuard[SupportsInsertMany]: ...
@overload
def supports(store: object, part: Literal["unread_counts"]) -> TypeGuard[SupportsUnreadCounts]: ...
@overload
def supports(store: object, part: Literal["prune"]) -> TypeGuard[SupportsPrune]: ...
@overload
def supports(store: object, part: Literal["erase"]) -> TypeGuard[SupportsErase]: ...
@overload
def supports(store: object, part: Literal["schema"]) -> TypeGuard[SupportsSchema]: ...
@overload
def supports(store: object, part: Literal["bind"]) -> TypeGuard[SupportsBind]: ...
@overload
def supports(store: object, part: Part) -> bool: ...
def supports(store: object, part: Part) -> bool:
    """Whether `store` offers an optional part of the contract.

    It does when it has the methods of that part's `Supports...` protocol. A wrapper that cannot offer what it wraps
    sets the attribute to None.
    """
    return all(callable(getattr(store, method, None)) for method in _METHODS[part])
