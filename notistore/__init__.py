"""In-app notifications, stored in the application's own database and published to open pages at once.

These are the most used names; the others are imported from their modules, such as `notistore.sync` or `notistore.web`.
"""

from .errors import (
    DuplicateNotification,
    InvalidArgument,
    InvalidNotification,
    NotistoreError,
    OutcomeUnknown,
    StoreError,
    TooManyStreams,
    Unsupported,
)
from .hub import SseHub
from .hub.events import Event
from .ids import keyed_id
from .inbox import Inbox, Message
from .memory import MemoryStore
from .model import Actor, Cursor, Notification, Recipient
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
    "TooManyStreams",
    "Unsupported",
    "keyed_id",
    "supports",
]
