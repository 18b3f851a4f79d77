"""The faulty stores have exactly one mistake: without it, the class of each kind passes."""

import pytest

from notistore import MemoryStore
from notistore_conformance.clauses import CLAUSES
from notistore_conformance.registry import checks_of
from notistore_conformance.reports.report import Outcome
from notistore_conformance.store.neighbours import ALONE
from notistore_conformance.store.runner import StoreRunner

from .faults import FAULTS
from .faults.bound import Transactional
from .faults.caches import caching
from .faults.errors import Failing
from .faults.identity import TypesSeen, blurred
from .faults.leaks import Pooled
from .faults.races import Counting
from .faults.values import converting
from .matrix import NAMED

WHOLE = {
    "caches": caching("get", "page", "count", "unread_count", "unread_counts", stale_after=None),
    "identity": blurred("page", "count", "unread_count", "get", "mark_read", "mark_unread", "delete", "erase"),
    "types": TypesSeen,
    "values": converting("insert", "insert_many", "upsert", change=lambda row: row),
    "counters": Counting,
    "pools": Pooled,
    "bound": Transactional.subject,
    "errors": Failing.subject,
    "memory": MemoryStore,
}


@pytest.mark.parametrize("kind", WHOLE)
def test_without_the_mistake_it_passes(kind):
    with StoreRunner(WHOLE[kind], surroundings=(ALONE,), processes=False, seconds=0.5) as run:
        results = [run.run(check) for check in checks_of("store").values()]
    failed = [result.message for result in results if result.outcome is Outcome.FAILED]
    assert not failed, "\n\n".join(failed)


OWN = {
    "bind/after-nested-savepoints": "ReleasedSavepointsCallBackForever",
    "bind/callbacks": "CallsBackOnceForTwoCallbacks",
    "bind/duplicate-of-many": "BoundInsertManySpoiltByADuplicate",
    "bind/every-call": "BoundPruneWritesOutside",
    "bind/evolves": "BoundUpsertCommits",
    "bind/nested-savepoints": "InnerSavepointsRollBackTheOuter",
    "identity/erase": "ErasesTenantsFolded",
    "identity/ids": "PrimaryKeyIncludesTheKey",
    "identity/keys": "KeysLoseTrailingSpace",
    "identity/recipients": "CountIgnoresAccents",
    "identity/types": "MarkAllIgnoresAccentsOfTypes",
    "races/counters": "CounterDriftsInRaces",
    "races/deletes": "DeleteCountsWhatItSelected",
    "races/inserts": "UpsertRaisesWhenInsertedMeanwhile",
    "races/marks-and-upserts": "MarksSelectedIdsAll",
    "races/prune": "PrunesWhatWasReadWhenSelected",
    "races/reads": "UnreadPageReadsIdsThenRows",
    "rereads/after-each-write": "BadgeStaleAfterMarkAllSeen",
    "rereads/after-pruning": "CounterOutlivesPrune",
    "sizes/erase": "EraseTenantStopsAfter100Inboxes",
    "sizes/ids": "MarkUnreadStopsAt5000",
    "sizes/prune": "PruneRoundsLimitsUp",
    "sizes/recipients": "ManyBadgesForgetTheSecondChunk",
    "sizes/rows": "InsertManyLosesOnePast1024",
    "sizes/types": "BadgeFiltersBy99Types",
    "sizes/versions": "VersionIsAByte",
    "whole/cancelled": "CounterDriftsWhenCancelled",
    "whole/cancelled-often": "CountLeaksWhenCancelled",
    "whole/cancelled-prunes": "PruneLeaksWhenCancelled",
    "whole/readers": "MarkAllGoesByHalves",
    "whole/refused-often": "ADuplicateLocksItsRow",
    "writers/isolated": "InsertManyKeepsTheCallersObjects",
    "writers/time-zone": "PrunesByLocalTime",
    "writers/values": "InsertParsesDates",
}
"""A fault for each check that goes through every method: no check named for one method catches it."""


@pytest.mark.parametrize("id", OWN)
def test_a_sweeping_check_catches_its_fault(id):
    with StoreRunner(FAULTS[OWN[id]].make, surroundings=(ALONE,), processes=False) as run:
        result = run.run(checks_of("store")[id])
    assert result.outcome is Outcome.FAILED, result
    assert "promised:" in result.message


def test_each_sweeping_check_has_a_fault():
    assert OWN.keys() == checks_of("store").keys() - NAMED.keys() - {"model/history"}


def test_every_fault_breaks_a_promise_of_the_contract():
    assert {fault.promise for fault in FAULTS.values()} <= CLAUSES.keys()
    assert 0.25 < sum(fault.held_out for fault in FAULTS.values()) / len(FAULTS) < 0.4
