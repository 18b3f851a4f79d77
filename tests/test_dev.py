"""dev.py: what each option of `test` chooses. What it installs is tested by every run of it, in CI too."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dev
from tools.checkout import ROOT

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_its_help_names_every_command() -> None:
    shown = subprocess.run([sys.executable, "dev.py", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.split()[2] for line in shown.stdout.splitlines()] == list(dev.COMMANDS)


def test_what_it_does_not_know_goes_to_pytest() -> None:
    environment, arguments = dev.chosen_tests(["tests/core", "-k", "ids", "--require-services"])
    assert environment == dev.Environment(ROOT / ".venv", sys.executable)
    assert arguments == ["-n", "2", "--dist", "loadscope", "tests/core", "-k", "ids", "--require-services"]


def test_a_python_and_the_lowest_versions_have_environments_of_their_own() -> None:
    environment, _ = dev.chosen_tests(["--python", VERSION])
    assert environment.folder == ROOT / f".venv-{VERSION}"
    version = subprocess.check_output([environment.python, "-c", "import sys; print(sys.version)"], text=True)
    assert version.startswith(f"{VERSION}.")
    environment, _ = dev.chosen_tests(["--lowest"])
    assert environment == dev.Environment(ROOT / ".venv-lowest", sys.executable, lowest=True)
    environment, _ = dev.chosen_tests(["--lowest", "--subset"])
    assert environment.group == "subset"


def test_a_python_that_is_not_there_is_named() -> None:
    with pytest.raises(SystemExit, match=r"no Python 3\.99 on PATH, in pyenv or in uv"):
        dev.chosen_tests(["--python", "3.99"])


def test_ci_passes_over_a_python_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        dev.chosen_tests(["--python", "3.99", "--if-found"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == "not run: no Python 3.99 on PATH, in pyenv or in uv\n"


def test_clusters_run_one_after_the_other() -> None:
    assert dev.chosen_tests(["--clusters", "-k", "galera"])[1] == ["tests/clusters", "--clusters", "-k", "galera"]


def test_the_subset_names_tests_that_exist() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *dev.SUBSET]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert collected.returncode == 0, collected.stdout
    assert [each for each in dev.SUBSET if each not in collected.stdout] == []
