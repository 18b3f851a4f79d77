"""The names of the store's keys, and patterns for scanning them (docs/adapters/redis.md describes them).

All keys of one inbox have the same hash tag, and so the same slot of a cluster, as scripts need.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

from notistore.model import Recipient

_PARTS: Final = ("rows", "all", "unread", "counts")
_GLOB: Final = re.compile(r"([*?\[\]\\])")


class Keys:
    """The keys below one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.layout: Final = f"{prefix}layout"
        self.every_inbox: Final = f"{_escaped(prefix)}{{*}}:rows"

    def stem(self, recipient: Recipient) -> str:
        """The prefix of an inbox's keys. Each part is prefixed with its length, so that "a" + "bc" differs from "ab" +
        "c"."""
        tenant = recipient.tenant or ""
        tag = f"{len(tenant)}:{tenant}{len(recipient.type)}:{recipient.type}{recipient.id}"
        return f"{self._prefix}{{{tag}}}"

    def inboxes_of(self, tenant: str) -> str:
        """The pattern of every key of a tenant's inboxes."""
        return f"{_escaped(self._prefix)}{{{len(tenant)}:{_escaped(tenant)}*}}:*"

    def owners(self, id: str) -> str:
        """The hash with the owner of this id; there are 65,536, so that each stays small and Redis stores it
        compactly."""
        return f"{self._prefix}ids:{id[-4:]}"


def inbox(stem: str) -> list[str]:
    """The four keys of an inbox, in the order the scripts take them."""
    return [f"{stem}:{part}" for part in _PARTS]


def stem_of(key: str) -> str | None:
    """The stem of the inbox that has this key; None for a receipt."""
    stem, _, part = key.rpartition(":")
    return stem if part in _PARTS else None


def receipt(stem: str) -> str:
    """The key where a call's reply, or an erased inbox's rows, are kept until they expire."""
    return f"{stem}:call:{secrets.token_hex(8)}"


def owner(stem: str) -> str:
    """The short name of an inbox in the hashes of owners, from which the recipient cannot be read."""
    return hashlib.sha256(stem.encode()).hexdigest()[:16]


def _escaped(text: str) -> str:
    return _GLOB.sub(r"\\\1", text)
