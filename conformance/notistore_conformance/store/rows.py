"""Equality of rows: field by field, including JSON types and time zones."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta

from notistore.model import Notification

__all__ = ["differences"]


def differences(got: Notification, expected: Notification) -> list[str]:
    """The names of the fields in which `got` differs from what was expected."""
    names = [field.name for field in fields(Notification)]
    return [name for name in names if not _same(name, getattr(got, name), getattr(expected, name))]


def _same(name: str, one: object, other: object) -> bool:
    if name == "data":
        return _same_json(one, other)
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one.utcoffset() == timedelta(0) and one == other
    return type(one) is type(other) and one == other


def _same_json(one: object, other: object) -> bool:
    """Equality of JSON values: true is not 1 and an array is a list, yet 1.0 is 1, as in JavaScript."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(_same_json(one[key], other[key]) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(_same_json, one, other))
        case (bool(), _) | (_, bool()):
            return one is other
        case (int() | float(), int() | float()):
            return one == other
        case _:
            return type(one) is type(other) and one == other
