"""Every error notistore raises:

    NotistoreError
    ├── InvalidArgument            also a ValueError; `.field` names the argument
    │   └── InvalidNotification    the argument was part of a notification; nothing was written
    ├── StoreError                 the database failed; `__cause__` is the driver's own error
    │   ├── DuplicateNotification  `insert` of an id that is already stored
    │   └── OutcomeUnknown         the reply was lost: the call may or may not have taken effect
    ├── Unsupported                this store does not offer that part of the contract
    └── TooManyStreams             the hub's cap on open streams is reached

An unknown id and the id of another recipient's notification are not errors: both give the same result, None or 0.
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
    """The base class of every error notistore raises."""


class InvalidArgument(NotistoreError, ValueError):
    """An argument was refused before anything was read or written.

    Attributes:
        field: the name of the argument, or the path of the value in it ("limit", "data.items[3]").
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class InvalidNotification(InvalidArgument):
    """A value for a notification was refused; nothing was written."""


class StoreError(NotistoreError):
    """The database or its driver failed, and the call had no effect (except as `OutcomeUnknown` says)."""


class DuplicateNotification(StoreError):
    """`insert` of an id that is already stored; nothing changed.

    Attributes:
        id: the id.
    """

    def __init__(self, id: str) -> None:
        super().__init__(
            f"a notification with id {id} is already stored; nothing was changed. "
            "Use upsert() (a send with key=) to replace a notification in place."
        )
        self.id = id


class OutcomeUnknown(StoreError):
    """The connection was lost after the request was sent, so it is unknown whether the call took full effect or none.
    Marks, deletes and keyed sends may be repeated safely."""


class Unsupported(NotistoreError):
    """The store does not offer this part of the contract."""


class TooManyStreams(NotistoreError):
    """The hub already has the maximum number of open streams, for this recipient or in total."""
