"""The names of every key the store uses, and the patterns that find them again (docs/adapters/redis.md draws them).

All keys of one inbox share a hash tag, which a cluster keeps in one slot: its scripts are whole on a cluster too.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

from notistore.model import Recipient

_GLOB: Final = re.compile(r"([*?\[\]\\])")


class Keys:
    """The keys below one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.layout: Final = f"{prefix}layout"
        self.every_inbox: Final = f"{_escaped(prefix)}{{*}}:all"

    def stem(self, recipient: Recipient) -> str:
        """What an inbox's keys begin with. Lengths before the parts keep "a" + "bc" from reading as "ab" + "c"."""
        tenant = recipient.tenant or ""
        tag = f"{len(tenant)}:{tenant}{len(recipient.type)}:{recipient.type}{recipient.id}"
        return f"{self._prefix}{{{tag}}}"

    def inboxes_of(self, tenant: str) -> str:
        """The pattern of every inbox of a tenant."""
        return f"{_escaped(self._prefix)}{{{len(tenant)}:{_escaped(tenant)}*}}:all"

    def owners(self, id: str) -> str:
        """The hash that says whose this id is; 65,536 of them stay small enough for Redis to pack tightly."""
        return f"{self._prefix}ids:{id[-4:]}"


def inbox(stem: str) -> list[str]:
    """The four keys of an inbox, in the order the scripts take them."""
    return [f"{stem}:rows", f"{stem}:all", f"{stem}:unread", f"{stem}:counts"]


def stem_of(key: str) -> str:
    """The stem of an inbox found by its pattern."""
    return key.removesuffix(":all")


def receipt(stem: str) -> str:
    """Where one call leaves its answer for a while."""
    return f"{stem}:call:{secrets.token_hex(8)}"


def owner(stem: str) -> str:
    """An inbox's short name in the hashes of owners; it does not tell whose inbox it is."""
    return hashlib.sha256(stem.encode()).hexdigest()[:16]


def _escaped(text: str) -> str:
    return _GLOB.sub(r"\\\1", text)
