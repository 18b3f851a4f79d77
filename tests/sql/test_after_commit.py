"""Callbacks after a commit, of a transaction that is reported statement by statement."""

from __future__ import annotations

import pytest

from notistore.sql import TransactionCallbacks


def called_after(*statements: str) -> list[str]:
    """The callbacks that run: one is added after each statement that is not the last. "!" is an error."""
    called: list[str] = []
    callbacks = TransactionCallbacks()
    for number, sql in enumerate(statements, 1):
        if sql == "!":
            callbacks.failed()
        else:
            assert callbacks.executed(sql) is (number == len(statements))
        if number < len(statements):
            callbacks.add(lambda sql=sql: called.append(sql))  # type: ignore[misc]
    assert not callbacks
    return called


@pytest.mark.parametrize("commit", ["COMMIT", "commit;", "END", " COMMIT WORK"])
def test_a_commit_runs_them_in_order(commit: str) -> None:
    assert called_after("SELECT 1", "INSERT INTO t VALUES (1)", commit) == ["SELECT 1", "INSERT INTO t VALUES (1)"]


@pytest.mark.parametrize("rollback", ["ROLLBACK", "rollback;", "ABORT", "ROLLBACK WORK", "ROLLBACK TRANSACTION;"])
def test_a_rollback_discards_them(rollback: str) -> None:
    assert called_after("SELECT 1", rollback) == []


@pytest.mark.parametrize(
    ("savepoint", "back"),
    [
        ("SAVEPOINT a", "ROLLBACK TO a"),
        ("SAVEPOINT a;", "ROLLBACK TO SAVEPOINT a;"),
        ('SAVEPOINT "a"', 'ROLLBACK TO SAVEPOINT "a"'),
        ("SAVEPOINT `a`", "ROLLBACK TO SAVEPOINT `a`"),
        ("savepoint a", "abort transaction to a"),
    ],
)
def test_a_rollback_to_a_savepoint_discards_those_added_since(savepoint: str, back: str) -> None:
    assert called_after("SELECT 1", savepoint, "SELECT 2", back, "COMMIT") == ["SELECT 1", back]


def test_a_savepoint_that_was_set_before_the_first_callback_takes_all_along() -> None:
    assert called_after("SELECT 1", "ROLLBACK TO before", "COMMIT") == ["ROLLBACK TO before"]


def test_a_released_savepoint_discards_nothing() -> None:
    assert called_after("SAVEPOINT a", "RELEASE a", "COMMIT") == ["SAVEPOINT a", "RELEASE a"]


def test_after_an_error_a_commit_discards_them_unless_a_savepoint_was_rolled_back() -> None:
    assert called_after("SELECT 1", "!", "COMMIT") == []
    assert called_after("SELECT 1", "SAVEPOINT a", "!", "ROLLBACK TO a", "COMMIT") == ["SELECT 1", "ROLLBACK TO a"]
