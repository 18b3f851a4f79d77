"""The promises the checks are about, read from the docstrings of the protocols, so that they are said once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Final

from notistore import store
from notistore.hub import backplane

__all__ = ["BACKPLANE_CLAUSES", "CLAUSES", "UNCHECKABLE"]

_CLAUSE: Final = re.compile(r"^- \[([a-z.-]+)\] (.+(?:\n +.+)*)", re.MULTILINE)


def _docstrings(module: ModuleType) -> Iterator[str]:
    for protocol in vars(module).values():
        if isinstance(protocol, type) and protocol.__module__ == module.__name__:
            yield protocol.__doc__ or ""
            yield from (member.__doc__ or "" for member in vars(protocol).values() if inspect.isfunction(member))


def _read(module: ModuleType) -> Iterator[tuple[str, str]]:
    for docstring in _docstrings(module):
        for id, sentence in _CLAUSE.findall(inspect.cleandoc(docstring)):
            yield id, " ".join(sentence.split())


CLAUSES: Final[Mapping[str, str]] = dict(_read(store))
"""The sentence of each clause, by its id."""

BACKPLANE_CLAUSES: Final[Mapping[str, str]] = dict(_read(backplane))
"""The same for a backplane."""

UNCHECKABLE: Final[Mapping[str, str]] = {
    "schema.older-table": "dropping an index takes the database's own language",
    "schema.other-columns": "making a table of another shape takes the database's own language",
    "close.client": "only who passed the client in can see it",
}
"""Clauses that no check can observe from outside, with the reason. They need tests of the adapter's own."""
