"""Which redis-server becomes the private Redis."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from collab import embedded
from collab.embedded import newest_redis
from collab.errors import StoreUnavailable

Install = Callable[[str, str], str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return what puts a program named redis-server into a new folder at the end of PATH."""
    folders: list[str] = []

    def install_(folder: str, script: str) -> str:
        program = tmp_path / folder / "redis-server"
        program.parent.mkdir()
        program.write_text(script)
        program.chmod(0o755)
        folders.append(str(program.parent))
        monkeypatch.setenv("PATH", ":".join([*folders, "/bin", "/usr/bin"]))
        monkeypatch.setattr(embedded, "_candidates", lambda: _own(tmp_path, candidates()))
        return str(program)

    candidates = embedded._candidates
    return install_


def _own(home: Path, paths: list[str]) -> list[str]:
    """Leave out what this machine has."""
    return [path for path in paths if path.startswith(str(home))]


def version(number: str) -> str:
    return f"#!/bin/sh\necho Redis server v={number} sha=00000000:0 malloc=libc bits=64\n"


def test_the_newest_wins_wherever_it_is_on_path(install: Install) -> None:
    install("venv", version("6.2.14"))
    newest = install("system", version("10.0.1"))
    install("other", version("7.4.2"))
    assert (newest_redis().path, str(newest_redis())) == (newest, "10.0.1")


def test_of_two_of_one_version_the_first_on_path_wins(install: Install) -> None:
    first = install("first", version("7.0.15"))
    install("second", version("7.0.15"))
    assert newest_redis().path == first


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("no program at all", "Exec format error"),
        ("#!/nowhere/sh\n", "No such file"),
        ("#!/bin/sh\necho error while loading shared libraries >&2; exit 127\n", "status 127"),
        ("#!/bin/sh\necho hello\n", "it prints no version"),
        ("#!/bin/sh\nexec sleep 30\n", "timed out"),
    ],
)
def test_one_that_cannot_be_run_is_left_out_with_a_warning(
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    script: str,
    reason: str,
) -> None:
    monkeypatch.setattr(embedded, "VERSION_TIMEOUT", 0.5)
    broken = install("broken", script)
    with pytest.raises(StoreUnavailable, match="install Redis"):
        newest_redis()
    working = install("working", version("6.0.0"))
    with caplog.at_level(logging.WARNING):
        assert newest_redis().path == working
    warned = caplog.records[-1]
    assert warned.getMessage() == "a redis-server can't be run"
    assert vars(warned)["path"] == broken and reason in vars(warned)["reason"]
