"""The page about clients shows the programs that the tests run, and the types name every code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from collab import errors

DOCS = Path(__file__).resolve().parents[2] / "docs"
SNIPPET = re.compile(
    r"^\[`(?P<path>\S+)`\]\((?P=path)\).*\n\n```\w+\n(?P<code>(?:.*\n)*?)```$", re.MULTILINE
)
"""A program in the page: a line that begins with a link to its file, and then all of the file."""
PROGRAM_LANGUAGES = {"ts", "tsx", "css", "python"}
NOT_EVENTS = {
    "bad_config", "bad_request", "no_such_room", "room_exists", "unknown_session", "wrong_host",
}  # fmt: skip
"""Codes of errors at the start of a node, and of HTTP alone."""


def test_each_program_in_the_page_is_the_file_that_the_tests_run() -> None:
    page = (DOCS / "clients.md").read_text()
    shown = {snippet["path"]: snippet["code"] for snippet in SNIPPET.finditer(page)}
    files = [path for path in (DOCS / "clients").rglob("*") if path.is_file()]
    assert shown == {
        str(path.relative_to(DOCS)): path.read_text() for path in files if path.suffix != ".pyc"
    }
    blocks = re.findall(r"^```(\w+)$", page, re.MULTILINE)
    assert len([language for language in blocks if language in PROGRAM_LANGUAGES]) == len(shown)


def test_the_types_of_events_list_every_code_that_a_client_can_meet() -> None:
    listed = (DOCS / "clients" / "events.d.ts").read_text().partition("type ErrorCode =")[2]
    codes = {line.strip(' |;"') for line in listed.splitlines() if line.strip()}
    assert codes == {error.code for error in _classes(errors.CollabError)} - NOT_EVENTS


def _classes(base: type[errors.CollabError]) -> Iterator[type[errors.CollabError]]:
    yield base
    for error in base.__subclasses__():
        yield from _classes(error)
