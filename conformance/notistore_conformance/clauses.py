"""The promises the checks are about, read from the docstrings of `notistore.store`, so that they are said once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Final

from notistore import store

__all__ = ["CLAUSES", "UNCHECKABLE"]

_CLAUSE: Final = re.compile(r"^- \[([a-z.-]+)\] (.+(?:\n +.+)*)", re.MULTILINE)


def _docstrings() -> Iterator[str]:
    for protocol in vars(store).values():
        if isinstance(protocol, type) and protocol.__module__ == store.__name__:
            yield protocol.__doc__ or ""
            yield from (member.__doc__ or "" for member in vars(protocol).values() if inspect.isfunction(member))


def _read() -> Iterator[tuple[str, str]]:
    for docstring in _docstrings():
        for id, sentence in _CLAUSE.findall(inspect.cleandoc(docstring)):
            yield id, " ".join(sentence.split())


CLAUSES: Final[Mapping[str, str]] = dict(_read())
"""Clause id to its sentence."""

UNCHECKABLE: Final[Mapping[str, str]] = {
    "schema.other-columns": "making a table of another shape takes the database's own language",
}
"""Clauses no check can see from outside, with the reason. An adapter's own tests have to."""
