"""Grants: which rooms they match, when they end, and whose token a client shows."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collab.access.grant import Grant, bearer_token
from collab.errors import Unauthorized
from collab.rooms.handover import digest
from collab.rooms.identity import Role


def a_grant(*patterns: str, **more: Any) -> Grant:
    return Grant("ann", "Ann", tuple((pattern, Role.EDITOR) for pattern in patterns), **more)


NAMES = st.text("ab.-:", min_size=1, max_size=8)


@given(st.text("ab.-:*", min_size=1, max_size=8), NAMES)
@example("*", "a")
@example("a*b", "ab")
@example(".*", "aa")
def test_a_pattern_matches_as_if_only_the_star_had_a_meaning(pattern: str, room: str) -> None:
    wanted = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), room) is not None
    assert (a_grant(pattern).role_in(room) is Role.EDITOR) is wanted


def test_a_hard_pattern_takes_no_longer_than_an_easy_one() -> None:
    began = time.perf_counter()
    assert a_grant("a*" * 60 + "b").role_in("a" * 128) is None
    assert time.perf_counter() - began < 0.1


def test_the_first_rule_that_matches_decides() -> None:
    grant = Grant("ann", "Ann", (("mine", Role.ADMIN), ("*", Role.VIEWER)))
    assert (grant.role_in("mine"), grant.role_in("yours")) == (Role.ADMIN, Role.VIEWER)


def test_a_grant_holds_until_it_expires() -> None:
    a_grant().check()
    a_grant(expires=time.time() + 9).check()
    with pytest.raises(Unauthorized) as refused:
        a_grant(expires=time.time()).check()
    assert refused.value.reason == "token_expired"
    assert a_grant().seconds_left() is None
    assert a_grant(expires=time.time() + 9).seconds_left() == pytest.approx(9, abs=1)


def test_a_pid_names_another_client_for_each_owner() -> None:
    owners = ["", "ann", "bob"]
    assert len({digest("pid", owner) for owner in owners}) == len(owners)
    assert a_grant(digest="d").owner == "ann" and a_grant().owner == ""


def test_the_token_that_is_kept_for_a_hook_is_not_shown() -> None:
    assert "s3cret" not in repr(a_grant(token="s3cret"))


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", ""),
        ("", None),
        ("Basic abc", None),
    ],
)
def test_a_bearer_token_is_read_from_its_header(header: str, token: str | None) -> None:
    assert bearer_token(header) == token
