"""Comparisons that treat different names as equal, and keys that include too many columns."""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import replace

from notistore import DuplicateNotification, MemoryStore

from .registry import breaks, register


def fold(name):
    return name.lower()


def plain(name):
    """Without accents, as a collation ending in _ai_ci compares."""
    decomposed = unicodedata.normalize("NFD", name)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def composed(name):
    return unicodedata.normalize("NFC", name)


def compatible(name):
    return unicodedata.normalize("NFKC", name)


def number(name):
    """As a column of integers reads it."""
    return str(int(name)) if re.fullmatch(r"[0-9]{1,18}", name) else name


def real(name):
    """As a column of floating-point numbers reads it: digits past the 16th are lost."""
    return repr(float(name)) if re.fullmatch(r"[0-9]{1,19}", name) else name


def as_uuid(name):
    """As a column of UUIDs reads it."""
    try:
        return str(uuid.UUID(name))
    except ValueError:
        return name


def unpadded(name):
    return name.rstrip(" ")


def visible(name):
    """Without the characters that a collation ignores."""
    return "".join(c for c in name if unicodedata.category(c) != "Cf")


def blurred(*methods, id=str, type=str, tenant=lambda tenant: tenant):
    """A MemoryStore in which these methods compare recipients after applying the functions to their parts."""

    def as_seen(recipient):
        return id(recipient.id), type(recipient.type), tenant(recipient.tenant)

    class Blurred(MemoryStore):
        blurring = False

        def _select(self, recipient, *, types=None, unread_only=False):
            for row in self._rows.values():
                mine = as_seen(row.recipient) == as_seen(recipient) if self.blurring else row.recipient == recipient
                if mine and (not types or row.type in types) and not (unread_only and row.read_at is not None):
                    yield row

        def _named(self, recipient, ids):
            rows = (self._rows.get(id) for id in dict.fromkeys(ids))
            return [row for row in rows if row and (as_seen(row.recipient) == as_seen(recipient))]

        async def get(self, recipient, id):
            row = self._rows.get(id)
            if self.blurring and row and as_seen(row.recipient) == as_seen(recipient):
                recipient = row.recipient
            return await super().get(recipient, id)

    def method(name):
        original = getattr(Blurred, name)

        async def call(self, *args, **kwargs):
            outside, self.blurring = self.blurring, True
            try:
                return await original(self, *args, **kwargs)
            finally:
                self.blurring = outside

        return call

    for name in methods:
        setattr(Blurred, name, method(name))
    if not {"mark_read", "mark_unread", "delete"} & set(methods):
        Blurred._named = MemoryStore._named
    return Blurred


def mistakes(name, *methods, **how):
    register("recipient.isolation", name, __name__, blurred(*methods, **how))


mistakes("MarkAllFoldsIds", "mark_all_read", id=fold)
mistakes("CountIgnoresAccents", "count", id=plain)
mistakes("BadgeNormalisesIds", "unread_count", id=composed)
mistakes("BadgeTakesLigaturesForLetters", "unread_count", id=compatible)
mistakes("IdsAreNumbers", "page", "count", "unread_count", "mark_all_read", "get", id=number)
mistakes("EraseTakesIdsForNumbers", "erase", id=number)
mistakes("IdsAreFloats", "page", "count", "unread_count", "get", id=real)
mistakes("IdsAreUuids", "page", "count", "unread_count", "mark_all_read", "get", id=as_uuid)
mistakes("DeleteIgnoresTrailingSpace", "delete", id=unpadded)
mistakes("IgnoresInvisibleCharacters", "page", "count", "unread_count", id=visible)
mistakes("MarkUnreadFoldsTypes", "mark_unread", type=fold)
mistakes("EraseFoldsRecipientTypes", "erase", type=fold)
mistakes("MarkReadFoldsTenants", "mark_read", tenant=lambda tenant: tenant and tenant.casefold())
mistakes("EraseIgnoresTheTenantsAccents", "erase", tenant=lambda tenant: tenant and plain(tenant))
for name, word in {"Default": "default", "Public": "public", "Global": "global", "Dash": "-"}.items():
    mistakes(
        f"NoTenantIsTheTenant{name}",
        "page",
        "count",
        "unread_count",
        tenant=lambda tenant, word=word: tenant or word,
    )
mistakes("NoTenantIsTheTenantDefaultInErase", "erase", tenant=lambda tenant: tenant or "default")


def joined(separator):
    class Joined(MemoryStore):
        """Inboxes are keys made of the parts."""

        def _select(self, recipient, *, types=None, unread_only=False):
            for row in self._rows.values():
                if (
                    self.name(row.recipient) == self.name(recipient)
                    and (not types or row.type in types)
                    and not (unread_only and row.read_at is not None)
                ):
                    yield row

        @staticmethod
        def name(recipient):
            return separator.join([recipient.tenant or "", recipient.type, recipient.id])

    return Joined


for name, separator in {"Pipes": "|", "Hashes": "#", "Dashes": "-", "Dots": ".", "DoubleColons": "::"}.items():
    register("recipient.isolation", f"JoinsPartsWith{name}", __name__, joined(separator))


@breaks("unread-counts.equals-single")
class CountsManyByJoinedNames(MemoryStore):
    """Maps results back to recipients by a name joined from the parts."""

    async def unread_counts(self, recipients, *, types=None, at_most=None):
        found = {}
        for who in recipients:
            found[f"{who.tenant}@{who.type}@{who.id}"] = await self.unread_count(who, types=types, at_most=at_most)
        return {who: found[f"{who.tenant}@{who.type}@{who.id}"] for who in recipients}


@breaks("unread-counts.equals-single")
class CountsManyByFoldedIds(MemoryStore):
    """Maps results back to recipients by the id as the database returned it, case-folded."""

    async def unread_counts(self, recipients, *, types=None, at_most=None):
        found = {}
        for who in recipients:
            found[replace(who, id=number(who.id))] = await self.unread_count(who, types=types, at_most=at_most)
        return {who: found[replace(who, id=number(who.id))] for who in recipients}


class TypesSeen(MemoryStore):
    """Compares the types of a filter after applying `seen`, in these methods."""

    methods = ()
    seen = staticmethod(fold)
    filtering = False

    def __init_subclass__(cls):
        for name in cls.methods:
            setattr(cls, name, cls.blurring(getattr(MemoryStore, name)))

    @staticmethod
    def blurring(original):
        async def call(self, *args, **kwargs):
            self.filtering = True
            try:
                return await original(self, *args, **kwargs)
            finally:
                self.filtering = False

        return call

    def _select(self, recipient, *, types=None, unread_only=False):
        if not (self.filtering and types):
            yield from super()._select(recipient, types=types, unread_only=unread_only)
            return
        wanted = {self.seen(type) for type in types}
        for row in super()._select(recipient, unread_only=unread_only):
            if self.seen(row.type) in wanted:
                yield row


@breaks("filters.types")
class MarkAllIgnoresAccentsOfTypes(TypesSeen):
    methods = ("mark_all_read",)
    seen = staticmethod(plain)


@breaks("filters.types")
class BadgeIgnoresTrailingSpaceOfTypes(TypesSeen):
    methods = ("unread_count",)
    seen = staticmethod(unpadded)


@breaks("filters.types")
class CountNormalisesTypes(TypesSeen):
    methods = ("count",)
    seen = staticmethod(composed)


@breaks("filters.types")
class ManyBadgesFoldTypes(MemoryStore):
    async def unread_counts(self, recipients, *, types=None, at_most=None):
        if types:
            types = [*types, *(type.lower() for type in types), *(type.capitalize() for type in types)]
        return await super().unread_counts(recipients, types=types, at_most=at_most)


@breaks("filters.types")
class SplitsTypesAtCommas(MemoryStore):
    """The filter is passed as one comma-separated string."""

    async def page(self, recipient, *, types=None, **query):
        return await super().page(recipient, types=",".join(types).split(",") if types else None, **query)


@breaks("filters.types")
class MarkAllTakesTypesForPatterns(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        if types:
            patterns = [re.compile(re.escape(type).replace("_", ".").replace("%", ".*"), re.DOTALL) for type in types]
            there = {row.type for row in self._select(recipient)}
            types = [type for type in there if any(pattern.fullmatch(type) for pattern in patterns)] or types
        return await super().mark_all_read(recipient, types=types, seen=seen, at=at)


def keyed_by(name, see):
    class Keyed(MemoryStore):
        """Has a unique index on recipient and key, which compares keys loosely."""

        async def upsert(self, notification, *, renotify=True):
            for row in self._rows.values():
                if (
                    row.recipient == notification.recipient
                    and row.key
                    and notification.key
                    and see(row.key) == see(notification.key)
                ):
                    notification = replace(notification, id=row.id)
                    break
            return await super().upsert(notification, renotify=renotify)

    register("upsert.inserts", name, __name__, Keyed)


keyed_by("KeysAreFolded", fold)
keyed_by("KeysLoseTrailingSpace", unpadded)
keyed_by("KeysAreNumbers", number)
keyed_by("KeysAreNormalised", composed)


@breaks("upsert.inserts")
class KeysAreUniquePerIdAndNotPerTenant(MemoryStore):
    async def insert_many(self, notifications):
        for row in notifications:
            for old in self._rows.values():
                if row.key and old.key == row.key and old.recipient.id == row.recipient.id:
                    raise DuplicateNotification(row.id)
        await super().insert_many(notifications)


def primary_key(name, *parts):
    class TooMuch(MemoryStore):
        """The primary key is the id and more, so that an id may be there twice."""

        async def insert_many(self, notifications):
            kept = []
            for row in notifications:
                old = self._rows.get(row.id)
                if old and any(getattr(old, part) != getattr(row, part) for part in parts):
                    continue  # stored in addition to the other, and not found by id
                kept.append(row)
            await super().insert_many(kept)

    register("insert.duplicate", name, __name__, TooMuch)


primary_key("PrimaryKeyIncludesTheDay", "created_at")
primary_key("PrimaryKeyIncludesTheType", "type")
primary_key("PrimaryKeyIncludesTheKey", "key")
primary_key("PrimaryKeyIncludesTheRecipient", "recipient")


@breaks("erase.tenant")
class ErasesTenantsFolded(MemoryStore):
    async def erase_tenant(self, tenant):
        rows = self._rows.values()
        return self._remove(
            [row for row in rows if row.recipient.tenant and fold(row.recipient.tenant) == fold(tenant)]
        )


@breaks("erase.tenant")
class ErasesNoTenantAsDefault(MemoryStore):
    async def erase_tenant(self, tenant):
        rows = self._rows.values()
        return self._remove([row for row in rows if (row.recipient.tenant or "default") == tenant])


@breaks("rows.round-trip")
class RecipientsComeBackAsNumbers(MemoryStore):
    """Finds rows by the exact id, but returns the id as the column stores it."""

    async def get(self, recipient, id):
        row = await super().get(recipient, id)
        return row and replace(row, recipient=replace(recipient, id=number(recipient.id)))
