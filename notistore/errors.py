"""Every error notistore raises.

::

    NotistoreError
    ├── InvalidArgument            also a ValueError; `.field` names what was wrong
    │   └── InvalidNotification    the argument was to become a row; nothing was written
    ├── StoreError                 the database failed; `__cause__` is the driver's own error
    │   ├── DuplicateNotification  insert met an id that is already there
    │   └── OutcomeUnknown         the reply was lost: the call may or may not have happened
    ├── Unsupported                this store does not offer that part of the contract
    └── TooManyStreams             the hub's cap on open streams is reached

"Not there" and "not yours" are never errors: they are return values (None, 0), and the same one.
"""

from __future__ import annotations

__all__ = [
    "DuplicateNotification",
    "InvalidArgument",
    "InvalidNotification",
    "NotistoreError",
    "OutcomeUnknown",
    "StoreError",
    "TooManyStreams",
    "Unsupported",
]


class NotistoreError(Exception):
    """The root of the tree: catch this to catch everything notistore raises."""


class InvalidArgument(NotistoreError, ValueError):
    """A caller's value was refused before anything was read or written.

    Attributes:
        field: the name of what was wrong, as the caller knows it ("limit", "data.items[3]").
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class InvalidNotification(InvalidArgument):
    """A value that was to become part of a notification was refused; nothing was written."""


class StoreError(NotistoreError):
    """The database or its driver failed. The call happened wholly or not at all, and did not happen."""


class DuplicateNotification(StoreError):
    """`insert` met an id that is already there; nothing changed.

    Attributes:
        id: the id that was to be inserted.
    """

    def __init__(self, id: str) -> None:
        super().__init__(
            f"a notification with id {id} is already stored; nothing was changed. "
            "Use upsert() (a send with key=) to replace a notification in place."
        )
        self.id = id


class OutcomeUnknown(StoreError):
    """The connection was lost after the request was sent: the call happened wholly or not at all, and
    which of the two is unknown. Marks, deletes and keyed sends may be repeated safely."""


class Unsupported(NotistoreError):
    """The store does not offer this part of the contract."""


class TooManyStreams(NotistoreError):
    """The hub holds as many open streams, for this recipient or in all, as it was told to allow."""
