"""Every clause of the contract has a check, and every check a clause."""

import re
from pathlib import Path

import notistore_conformance.store.checks
from notistore import store
from notistore.cli import main
from notistore_conformance.clauses import CLAUSES, UNCHECKABLE
from notistore_conformance.registry import checks_of
from notistore_conformance.reports.catalogue import as_page

CHECKS = checks_of("store")
FOLDER = Path(notistore_conformance.store.checks.__file__).parent


def test_every_clause_of_the_docstrings_is_read():
    written = re.findall(r"^\s*- \[([a-z.-]+)\] ", Path(store.__file__).read_text(), re.MULTILINE)
    assert sorted(written) == sorted(CLAUSES)
    assert all(sentence.endswith(".") for sentence in CLAUSES.values()), CLAUSES


def test_every_clause_has_a_check_or_a_reason_why_not():
    cited = {clause for check in CHECKS.values() for clause in check.clauses}
    assert CLAUSES.keys() - cited == CLAUSES.keys() & UNCHECKABLE.keys()


def test_every_check_cites_clauses_that_exist():
    assert {
        id: set(check.clauses) - CLAUSES.keys() for id, check in CHECKS.items() if set(check.clauses) - CLAUSES.keys()
    } == {}
    assert all(check.clauses for check in CHECKS.values())


def test_a_check_is_named_after_its_file():
    families = {id.partition("/")[0].replace("-", "_") for id in CHECKS}
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert families == files


def test_every_expectation_cites_a_clause_of_its_check():
    source = {
        path.stem: path.read_text() for path in Path(notistore_conformance.store.checks.__file__).parent.glob("*.py")
    }
    cited = {clause for check in CHECKS.values() for clause in check.clauses}
    expected = {name for text in source.values() for name in re.findall(r'c\.\w+\(\s*"([a-z-]+\.[a-z-]+)"', text)}
    assert expected <= cited


def test_the_page_of_checks_is_up_to_date():
    page = Path(__file__).parents[2] / "docs" / "checks.md"
    assert page.read_text(encoding="utf-8") == as_page(), "notistore conform --list --markdown docs/checks.md"


def test_checks_can_be_listed(capsys):
    assert main(["conform", "--list", "--only", "get/"]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("get/returns\n    A row is returned as it is now stored [get.returns]\n")
    assert "insert/" not in listed
    assert main(["conform", "--list", "--backplane"]) == 0
    assert "backplane/once\n" in capsys.readouterr().out
    assert main(["conform", "--list", "--only", "nothing"]) == 2
    assert main(["conform"]) == 2
