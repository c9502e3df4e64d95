"""The three Hypothesis profiles differ as they are meant to, on CI as well."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

CONFTEST = Path(__file__).parents[1] / "conftest.py"
REPORT = (
    "import runpy, sys; from hypothesis import settings; runpy.run_path(sys.argv[1]); s = settings();"
    "print(s.derandomize, s.max_examples, s.database is not None, s.deadline)"
)


def test_development_draws_few_and_remembers():
    profile = settings.get_profile("development")
    assert not profile.derandomize
    assert isinstance(profile.database, DirectoryBasedExampleDatabase)
    assert profile.max_examples < settings.get_profile("pull-request").max_examples


def test_a_pull_request_sees_the_same_examples_every_time():
    profile = settings.get_profile("pull-request")
    assert profile.derandomize
    assert profile.database is None
    assert profile.deadline is None


def test_the_nightly_run_draws_others_every_night_and_keeps_what_it_found():
    profile = settings.get_profile("nightly")
    assert not profile.derandomize
    assert isinstance(profile.database, DirectoryBasedExampleDatabase)
    assert profile.deadline is None
    assert profile.max_examples > 10 * settings.get_profile("pull-request").max_examples


@pytest.mark.parametrize("profile", ["", "development", "pull-request", "nightly"])
def test_the_profile_asked_for_is_loaded_on_ci_too(profile, tmp_path):
    told = subprocess.run(
        [sys.executable, "-c", REPORT, str(CONFTEST)],
        env={
            **os.environ,
            "CI": "true",
            "HYPOTHESIS_PROFILE": profile,
            "MINT_HYPOTHESIS_DATABASE": str(tmp_path / "kept"),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    expected = settings.get_profile(profile or "development")
    assert told == [str(expected.derandomize), str(expected.max_examples), str(profile != "pull-request"), "None"]


def test_the_nightly_database_is_kept_where_the_environment_says(tmp_path):
    keep = (
        "import runpy, sys; from hypothesis import settings; runpy.run_path(sys.argv[1]);"
        "settings().database.save(b'key', b'value')"
    )
    subprocess.run(
        [sys.executable, "-c", keep, str(CONFTEST)],
        env={
            **os.environ,
            "HYPOTHESIS_PROFILE": "nightly",
            "MINT_HYPOTHESIS_DATABASE": str(tmp_path / "kept"),
        },
        check=True,
    )
    assert any((tmp_path / "kept").rglob("*"))


def test_an_unknown_profile_is_an_error(tmp_path):
    told = subprocess.run(
        [sys.executable, "-c", REPORT, str(CONFTEST)],
        env={**os.environ, "HYPOTHESIS_PROFILE": "nightley"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode != 0
    assert "nightley" in told.stderr
