"""`supports`: which optional parts of the contract a store has."""

from __future__ import annotations

from typing import get_args

import pytest

from notistore import MemoryStore, NotificationStore, supports
from notistore.store import Part


def test_a_part_is_offered_when_the_store_has_its_methods() -> None:
    offered = {part for part in get_args(Part) if supports(MemoryStore(), part)}
    assert offered == {"insert_many", "unread_counts", "prune", "erase"}


def test_half_of_a_part_does_not_offer_it() -> None:
    class Half:
        async def erase(self, recipient: object) -> int: ...

    assert not supports(Half(), "erase")


@pytest.mark.parametrize("part", get_args(Part))
def test_what_is_no_store_offers_nothing(part: Part) -> None:
    assert not supports(object(), part)


def test_a_store_that_sets_the_method_to_none_does_not_offer_it() -> None:
    class Without(MemoryStore):
        insert_many = None  # type: ignore[assignment]

    assert not supports(Without(), "insert_many")
    assert supports(Without(), "prune")


def test_a_wrapper_that_sets_the_attribute_to_none_does_not_offer_it() -> None:
    class Wrapper(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.prune = None  # type: ignore[assignment]

    assert not supports(Wrapper(), "prune")


def test_a_store_without_one_of_the_methods_is_none() -> None:
    class Incomplete(MemoryStore):
        delete = None  # type: ignore[assignment]

    assert not isinstance(Incomplete(), NotificationStore)
