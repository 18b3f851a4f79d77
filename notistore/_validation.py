"""Validation of arguments: text, numbers, times and JSON. Core validates, so stores need not."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

from .errors import InvalidArgument, InvalidNotification

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

MAX_DATA_BYTES: Final = 64 * 1024
MAX_DATA_DEPTH: Final = 30
MAX_OFFSET: Final = 2**31 - 1

_NUMBER_BOUND: Final = 2**63
# Control characters can split log lines and event-stream frames, JavaScript takes U+2028 and U+2029 for line ends, and
# a lone surrogate cannot be encoded as UTF-8.
_REFUSED_IN_NAMES: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_REFUSED_IN_DATA: Final = re.compile("[\x00\ud800-\udfff]")


def check_name(value: object, field: str, *, at_most: int, error: type[InvalidArgument] = InvalidNotification) -> str:
    """Return `value` as a plain `str` of 1 to `at_most` characters, or raise `error` naming `field`."""
    if not isinstance(value, str):
        raise error(field, f"expected a string, got {_describe(value)}")
    if not value:
        raise error(field, f"expected 1 to {at_most} characters, got an empty string")
    if len(value) > at_most:
        raise error(field, f"expected at most {at_most} characters, got {len(value)}")
    if refused := _REFUSED_IN_NAMES.search(value):
        raise error(
            field,
            f"character U+{ord(refused.group()):04X} at position {refused.start()} is not allowed "
            "(control characters, U+2028, U+2029 and lone surrogates are not)",
        )
    return str.__str__(value)


def check_int(value: object, field: str, *, at_least: int, at_most: int) -> int:
    """Return `value` as an `int` in the closed range, or raise `InvalidArgument` naming `field`."""
    if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= at_most:
        raise InvalidArgument(field, f"expected a whole number from {at_least} to {at_most}, got {_describe(value)}")
    return int(value)


def check_types(types: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return the type filter as a tuple without repeats, or None if it is None or empty (no filter)."""
    if types is None:
        return None
    if isinstance(types, str):
        raise InvalidArgument("types", f"expected a collection of names, got the string {types!r}; use [{types!r}]")
    if not isinstance(types, Iterable):
        raise InvalidArgument("types", f"expected a collection of names or None, got {_describe(types)}")
    checked = (check_name(name, f"types[{i}]", at_most=64, error=InvalidArgument) for i, name in enumerate(types))
    names = tuple(dict.fromkeys(checked))
    if len(names) > 100:
        raise InvalidArgument("types", f"expected at most 100 type names, got {len(names)}")
    return names or None


def check_time(value: object, field: str, *, error: type[InvalidArgument] = InvalidArgument) -> datetime:
    """Return `value` in UTC, truncated to the millisecond; a naive datetime is refused."""
    if not isinstance(value, datetime):
        raise error(field, f"expected a datetime, got {_describe(value)}")
    if value.utcoffset() is None:
        raise error(field, f"expected an aware datetime, got the naive {value.isoformat()}; give it a tzinfo")
    try:
        value = value.astimezone(UTC)
    except OverflowError:
        raise error(field, f"{value.isoformat()} is out of range in UTC") from None
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def check_data(value: object, field: str = "data", *, max_bytes: int = MAX_DATA_BYTES) -> dict[str, JsonValue]:
    """Return a deep copy of a JSON object, with tuples as lists.

    Raises:
        InvalidNotification: names the path of a value that is refused: anything that is not JSON, keys that are not
            strings, NaN and infinities, numbers of magnitude 2**63 and over, NUL and lone surrogates, more than 30
            levels of nesting, more than `max_bytes` bytes as compact UTF-8 JSON.
    """
    if not isinstance(value, Mapping):
        raise InvalidNotification(field, f"expected a JSON object (a mapping with string keys), got {_describe(value)}")
    copied = _copy_object(value, field, 1)
    size = len(json.dumps(copied, ensure_ascii=False, separators=(",", ":")).encode())
    if size > max_bytes:
        raise InvalidNotification(
            field,
            f"expected at most {max_bytes} bytes of JSON, got {size}; store large content elsewhere and link to it",
        )
    return copied


def _copy_object(value: Mapping[object, object], where: str, depth: int) -> dict[str, JsonValue]:
    _check_depth(where, depth)
    copied: dict[str, JsonValue] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidNotification(where, f"expected string keys, got the key {_describe(key)}")
        name = _copy_text(key, where)  # before it becomes part of a path
        copied[name] = _copy_value(item, f"{where}.{name}", depth)
    return copied


def _copy_value(value: object, where: str, depth: int) -> JsonValue:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _copy_text(value, where)
    if isinstance(value, int):
        if not -_NUMBER_BOUND < value < _NUMBER_BOUND:
            raise InvalidNotification(where, "expected a number of magnitude below 2**63; send larger ones as strings")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidNotification(where, f"expected a finite number, got {value!r}; JSON has no NaN or infinity")
        if not -_NUMBER_BOUND < value < _NUMBER_BOUND:
            raise InvalidNotification(where, f"expected a number of magnitude below 2**63, got {value!r}")
        return float(value)
    if isinstance(value, Mapping):
        return _copy_object(value, where, depth + 1)
    if isinstance(value, (list, tuple)):
        _check_depth(where, depth + 1)
        return [_copy_value(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
    raise InvalidNotification(
        where, f"expected a JSON value (object, array, string, number, boolean or null), got {_describe(value)}"
    )


def _copy_text(value: str, where: str) -> str:
    if refused := _REFUSED_IN_DATA.search(value):
        raise InvalidNotification(
            where, f"character U+{ord(refused.group()):04X} is not allowed (NUL and lone surrogates are not)"
        )
    return str.__str__(value)


def _check_depth(where: str, depth: int) -> None:
    if depth > MAX_DATA_DEPTH:
        raise InvalidNotification(where, f"expected at most {MAX_DATA_DEPTH} levels of nesting, got more")


def _describe(value: object) -> str:
    text = repr(value)
    if len(text) > 60:
        text = text[:57] + "..."
    return f"{text} ({type(value).__name__})"
