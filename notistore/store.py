"""The contract: the methods of a store, and what each of them promises.

Every store implements `NotificationStore`. The `Supports...` protocols are optional, independent of each other, and
tested for with `supports(store, "prune")`. Each promise (a clause) is a list item that begins with its id in brackets.
The conformance kit refers to clauses by these ids, and a failed check names the clause that was broken.

`Inbox` makes the rows and validates every argument before it calls a store. A store may assume that ids are lower-case
UUIDs, times are UTC and whole milliseconds, and every string and number is within its bounds.

The protocols' methods return a Coroutine, so that both an `async def` and a plain function that returns a coroutine
satisfy them. (For an `async def` in a protocol, type checkers demand the stricter CoroutineType.)
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TypeGuard, overload, runtime_checkable

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
    """Stores the notifications of every recipient's inbox.

    Every method keeps these promises:

    - [recipient.isolation] A call reads and changes only rows of the recipient it is given. Id, type and tenant are all
      part of the recipient's identity, compared exactly, code point by code point; tenant None is a separate inbox.
    - [ids.not-yours] The id of another recipient's row, or of another tenant's, is treated as an unknown id.
    - [rows.round-trip] A row is returned equal to what was stored: data, Unicode, null, numbers and times included.
    - [rows.isolated] A stored row does not change when the caller later changes the object it passed in, or one that
      was returned.
    - [filters.types] `types` None or empty filters nothing; otherwise only rows of one of these types are included.
    - [calls.atomic] A call takes full effect or none.
    - [calls.errors] A failure of the database or its driver raises StoreError or a subclass, from the driver's error.
    - [calls.lost-reply] A write whose reply is lost has taken effect once or not at all. The call returns its true
      result, or raises OutcomeUnknown; another StoreError means that nothing changed. If the store repeats the write
      itself, no version is incremented twice, no row is a duplicate of itself, and what changed is counted.
    - [calls.cancel] Cancelling a call leaves the store usable and no connection checked out.
    - [calls.durable] A change is visible to every call made after the one that made it has returned, through any client
      of the same data.
    """

    def insert(self, notification: Notification) -> Coroutine[Any, Any, None]:
        """Store a new row.

        - [insert.stores] The row is stored when the call returns.
        - [insert.duplicate] An id that is already stored, for any recipient, raises DuplicateNotification.
        - [insert.duplicate-unchanged] The row that was already stored does not change.
        """
        ...

    def upsert(self, notification: Notification, *, renotify: bool = True) -> Coroutine[Any, Any, Notification]:
        """Insert a row or, if its id is already stored, replace that row's content. Returns the row as now stored.

        - [upsert.inserts] A row whose id is not stored yet is inserted, with version 1.
        - [upsert.replaces] Of a row that is already stored, type, data, actor, trace id and updated_at are replaced;
          data is not merged.
        - [upsert.version] Its version is incremented by the database, whatever the version of the argument.
        - [upsert.keeps-created-at] Its created_at, key and position in the inbox do not change.
        - [upsert.renotify] Its read_at becomes None; with `renotify=False` it does not change.
        - [upsert.returns-stored] The result equals what `get` would return.
        - [upsert.concurrent] N concurrent upserts of one id leave one row, with version N and the complete value of one
          of the callers. Each caller is returned a different version, and none gets an error.
        - [upsert.unsupported] A store that cannot do this raises Unsupported and changes nothing.
        """
        ...

    def get(self, recipient: Recipient, id: str) -> Coroutine[Any, Any, Notification | None]:
        """Return one row of this recipient.

        - [get.returns] The row with that id, as it is now stored.
        - [get.unknown] None for an id that is not stored, or is another recipient's.
        """
        ...

    def page(
        self,
        recipient: Recipient,
        *,
        unread_only: bool = False,
        types: Sequence[str] | None = None,
        before: Cursor | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> Coroutine[Any, Any, Sequence[Notification]]:
        """Return part of this recipient's inbox.

        - [page.order] Newest first by (created_at, id), ids compared as plain strings: a total order, in which rows of
          equal times do not change places.
        - [page.limit] At most `limit` rows; none for 0.
        - [page.offset] The first `offset` rows that pass the filters are skipped.
        - [page.before] Only rows whose (created_at, id) is less than the cursor's, whether or not its row still exists:
          paging by the last row's cursor never repeats or skips a row while others are added or read.
        - [page.unread-only] With `unread_only` only rows whose read_at is None.
        - [page.in-database] Filters, `limit` and `offset` are all applied in the database.
        """
        ...

    def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> Coroutine[Any, Any, int]:
        """Count this recipient's rows.

        - [count.equals-page] The number of rows `page` would return without a limit; 0 for an unknown recipient.
        """
        ...

    def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> Coroutine[Any, Any, int]:
        """Count this recipient's unread rows.

        - [unread-count.equals-page] The number of rows `page(unread_only=True)` would return without a limit.
        - [unread-count.at-most] Counting stops at `at_most`, which is the highest result.
        - [unread-count.in-database] The database counts the rows; they are not fetched.
        """
        ...

    def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> Coroutine[Any, Any, int]:
        """Mark rows read. Returns how many changed from unread to read.

        - [mark-read.marks] The unread rows among `ids` get read_at `at`; each is counted once, even if given twice.
        - [mark-read.first-wins] A row that is already read keeps its read_at and is not counted.
        - [mark-read.others-untouched] Unknown ids and other recipients' ids are not counted, and no such row changes.
        - [mark-read.keeps-content] updated_at and version do not change.
        - [mark-read.concurrent] Of N concurrent calls for one unread row exactly one returns 1.
        - [mark-read.no-ids] Without ids it changes nothing and returns 0.
        """
        ...

    def mark_unread(self, recipient: Recipient, *ids: str) -> Coroutine[Any, Any, int]:
        """Mark rows unread. Returns how many changed from read to unread.

        - [mark-unread.marks] The read rows among `ids` get read_at None; each is counted once.
        - [mark-unread.others-untouched] Rows that are unread or another recipient's are not counted and do not change.
        - [mark-unread.keeps-content] updated_at and version do not change.
        """
        ...

    def mark_all_read(
        self,
        recipient: Recipient,
        *,
        types: Sequence[str] | None = None,
        seen: datetime | None = None,
        at: datetime,
    ) -> Coroutine[Any, Any, int]:
        """Mark every unread row read. Returns how many were marked.

        - [mark-all-read.marks] Every unread row visible to the call gets read_at `at`; read rows keep their read_at.
        - [mark-all-read.types] With `types` only rows of those types.
        - [mark-all-read.seen] With `seen` only rows with updated_at at or before it; later ones stay unread.
        - [mark-all-read.keeps-content] updated_at and version do not change.
        """
        ...

    def delete(self, recipient: Recipient, *ids: str) -> Coroutine[Any, Any, int]:
        """Delete rows. Returns how many were deleted.

        - [delete.deletes] The rows among `ids` are no longer returned or counted by any method; each is counted once.
        - [delete.others-untouched] Unknown ids and other recipients' ids are not counted, and no such row changes.
        - [delete.concurrent] Of N concurrent calls for one row exactly one returns 1.
        - [delete.no-ids] Without ids it changes nothing and returns 0.
        """
        ...


class SupportsInsertMany(Protocol):
    """Inserts many rows in one call."""

    def insert_many(self, notifications: Sequence[Notification]) -> Coroutine[Any, Any, None]:
        """Store many new rows, of any recipients.

        - [insert-many.stores] All rows are stored when the call returns; an empty sequence is allowed.
        - [insert-many.atomic] If any id is already stored, or is twice in the argument, it raises DuplicateNotification
          and stores none of them.
        """
        ...


class SupportsUnreadCounts(Protocol):
    """The unread counts of many recipients at once, for a hub that updates many streams."""

    def unread_counts(
        self,
        recipients: Sequence[Recipient],
        *,
        types: Sequence[str] | None = None,
        at_most: int | None = None,
    ) -> Coroutine[Any, Any, Mapping[Recipient, int]]:
        """Count the unread rows of many recipients in one query.

        - [unread-counts.equals-single] For each recipient given, what `unread_count` would return; a 0 is included.
        """
        ...


class SupportsPrune(Protocol):
    """Retention: deletes old notifications."""

    def prune(
        self, *, older_than: datetime, only_read: bool = False, limit: int | None = None
    ) -> Coroutine[Any, Any, int]:
        """Delete old rows of every recipient, in batches that do not lock the table. Returns how many.

        - [prune.older-than] Rows with updated_at strictly before `older_than` are deleted, and no others.
        - [prune.only-read] With `only_read` unread rows are not deleted.
        - [prune.limit] At most `limit` rows are deleted.
        """
        ...


class SupportsErase(Protocol):
    """Erases all data of a recipient or a tenant, for example on a request under the GDPR."""

    def erase(self, recipient: Recipient) -> Coroutine[Any, Any, int]:
        """Delete a recipient's whole inbox. Returns how many rows were deleted.

        - [erase.recipient] No row of that recipient is left; rows of the same id with another tenant or type stay.
        """
        ...

    def erase_tenant(self, tenant: str) -> Coroutine[Any, Any, int]:
        """Delete every inbox of a tenant. Returns how many rows were deleted.

        - [erase.tenant] No row of that tenant is left; rows of other tenants, and of no tenant, stay.
        """
        ...


class SupportsSchema(Protocol):
    """Creates the table, for examples and tests; applications create it by their migrations."""

    def create_schema(self) -> Coroutine[Any, Any, None]:
        """Create the table and indexes that are missing.

        - [schema.twice] It may be called again at any time, and concurrently; it never drops or empties anything.
        - [schema.older-table] On a table that lacks indexes it creates them, and every row stays as it is.
        - [schema.other-columns] A table of that name with other columns raises StoreError and is not changed.
        """
        ...


class BoundStore(NotificationStore, Protocol):
    """A store inside a transaction of the application, which it never commits or rolls back itself."""

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the outermost transaction has committed.

        - [bind.after-commit] It is called once other connections can read the rows; never if the transaction, or a
          savepoint that was open when it was registered, was rolled back.
        - [bind.unsupported] If the ORM has no such hook, it raises Unsupported, and the application publishes itself.
        """
        ...


class SupportsBind(Protocol):
    """Writes inside the application's own transaction."""

    def bind(self, session: object) -> BoundStore:
        """Return a store that works inside `session`: the ORM's session, connection or transaction object.

        - [bind.commit] Its writes are visible to other connections once the application commits.
        - [bind.rollback] Its writes are undone if the application rolls back the transaction or the savepoint.
        - [bind.never-commits] It neither commits nor rolls back the application's transaction.
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

    It does if it has the methods of that part's `Supports...` protocol. A wrapper around a store that does not offer a
    part of the wrapped one sets that method to None.
    """
    return all(callable(getattr(store, method, None)) for method in _METHODS[part])
