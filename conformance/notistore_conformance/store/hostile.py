"""Ordinary names that a faulty store confuses; every check that compares names uses them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from notistore.model import Recipient

__all__ = ["groups", "keys", "recipients", "types"]

_SEPARATORS: Final = (":", "::", "|", "/", "#", "-", ".", "@", ",", ";", "_", " ")


def groups(unique: str) -> list[list[str]]:
    """New names and names with which they may be confused. Each has at most 64 characters."""
    digits = str(random.randrange(10**11, 10**12))
    long = str(random.randrange(10**18, 9 * 10**18))
    some = f"{random.getrandbits(128):032x}"
    uuid = f"{some[:8]}-{some[8:12]}-{some[12:16]}-{some[16:20]}-{some[20:]}"
    return [
        [
            f"ada-{unique}",
            f"Ada-{unique}",
            f"ADA-{unique.upper()}",
            f"ada-{unique} ",
            f" ada-{unique}",
            f"ada-{unique}0",
        ],
        [f"Zo\u00eb-{unique}", f"Zoe\u0308-{unique}", f"Zoe-{unique}", f"ZO\u00cb-{unique}"],
        [f"stra\u00dfe-{unique}", f"strasse-{unique}", f"\ufb01n-{unique}", f"fin-{unique}", f"\uff46in-{unique}"],
        [f"i-{unique}", f"\u0131-{unique}", f"a\u00adb-{unique}", f"ab-{unique}", f"a\u200db-{unique}"],
        [digits, f"0{digits}", f"00{digits}", f"+{digits}", f"{digits}.0", f"{digits} "],
        [long, str(int(long) + 1)],
        [uuid, uuid.upper(), some, f"{{{uuid}}}"],
        [f"a_b-{unique}", f"axb-{unique}", f"a%b-{unique}", f"a*b-{unique}", f"a?b-{unique}"],
        [f"\U0001f514-{unique}", f"\U0001f515-{unique}", f"?-{unique}", f"-{unique}"],
    ]


def recipients(unique: str, tenant: str | None = None) -> list[Recipient]:
    """Distinct recipients, grouped by similarity."""
    found = [Recipient(name, tenant=tenant) for group in groups(unique) for name in group]
    found += [
        Recipient(unique, type, tenant) for type in ("user", "User", "user ", "us\u00e9r", "use\u0301r", "0", "00")
    ]
    found += [Recipient(unique, tenant=name) for group in groups(unique)[:5] for name in group]
    words = ("default", "public", "global", "none", "None", "null", "user", "0", "-", "*", "%", " ")
    found += [Recipient(unique, tenant=word) for word in (None, *words)]
    for mark in _SEPARATORS:  # joined with the mark, those of each pair read the same
        found += [Recipient(f"c{mark}{unique}", f"a{mark}b", tenant), Recipient(unique, f"a{mark}b{mark}c", tenant)]
        found += [Recipient(unique, f"b{mark}c", f"a{mark}{unique}"), Recipient(unique, "c", f"a{mark}{unique}{mark}b")]
    return list(dict.fromkeys(found))


def types() -> Sequence[str]:
    """Distinct types of notifications that are nearly the same."""
    return [
        *("paid", "Paid", "PAID", "paid ", " paid", "p\u00e1id", "pa\u0301id", "p\u00e1\u0131d", "pa\u00adid"),
        *("a,b", "a", "b", "a_b", "axb", "a%", "a%b", "1", "01", "1.0", "+1", "null", "\U0001f514", "\U0001f515"),
    ]


def keys(unique: str) -> list[str]:
    """Distinct keys that are nearly the same."""
    return [name for group in groups(unique) for name in group] + ["k" * 254 + "a", "k" * 254 + "b"]
