"""Keep a user's in-app notifications in the database you already run, and light the bell the instant one lands."""

from .errors import (
    DuplicateNotification,
    InvalidArgument,
    InvalidNotification,
    NotistoreError,
    OutcomeUnknown,
    StoreError,
    Unsupported,
)
from .hub import SseHub
from .ids import keyed_id
from .inbox import Inbox, Message
from .memory import MemoryStore
from .model import Actor, Cursor, Notification, Recipient
from .sse import Event
from .store import NotificationStore, supports

__all__ = [
    "Actor",
    "Cursor",
    "DuplicateNotification",
    "Event",
    "Inbox",
    "InvalidArgument",
    "InvalidNotification",
    "MemoryStore",
    "Message",
    "Notification",
    "NotificationStore",
    "NotistoreError",
    "OutcomeUnknown",
    "Recipient",
    "SseHub",
    "StoreError",
    "Unsupported",
    "keyed_id",
    "supports",
]
