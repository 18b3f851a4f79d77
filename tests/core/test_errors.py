"""The hierarchy of exceptions, as errors.py documents it."""

from __future__ import annotations

import pytest

from notistore import errors


def test_one_root_catches_everything() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.NotistoreError)


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (errors.InvalidArgument, ValueError),
        (errors.InvalidNotification, errors.InvalidArgument),
        (errors.DuplicateNotification, errors.StoreError),
        (errors.OutcomeUnknown, errors.StoreError),
    ],
)
def test_an_error_can_be_caught_as_its_parent(error: type[Exception], parent: type[Exception]) -> None:
    assert issubclass(error, parent)


def test_invalid_argument_names_its_field_first() -> None:
    error = errors.InvalidArgument("limit", "expected less")
    assert (error.field, str(error)) == ("limit", "limit: expected less")


def test_duplicate_notification_carries_the_id_and_says_what_to_do() -> None:
    error = errors.DuplicateNotification("some-id")
    assert error.id == "some-id"
    assert "some-id" in str(error)
    assert "upsert" in str(error)
