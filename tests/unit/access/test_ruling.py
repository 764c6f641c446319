"""Rulings: to which tokens they apply, and what of them is kept in Redis."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.access.grant import Grant
from collab.access.ruling import EVERYWHERE, FIELDS, MAX_CLOCK_DIFFERENCE, TOKEN, Ruling
from collab.errors import Removed, Unauthorized
from collab.rooms.identity import Role

NOW = 1_700_000_000.5
DIGESTS = st.sampled_from(["d1", "d2", "d3"])
RULINGS = st.builds(
    Ruling, st.just("ann"), st.just("room"), st.none() | st.sampled_from(Role), st.integers(0, 9),
    st.integers(0, 9), st.booleans(), st.frozensets(DIGESTS),
    st.tuples(st.integers(1, 9), st.integers(0, 9)),
)  # fmt: skip
GRANTS = st.builds(
    lambda digest, issued: a_grant(digest, issued), DIGESTS, st.none() | st.integers(0, 9)
)


def a_grant(digest: str = "d1", issued: float | None = None) -> Grant:
    return Grant("ann", "Ann", (), digest=digest, issued=issued)


def removal(*tokens: str) -> Ruling:
    return Ruling.about_known("ann", "room", None, frozenset(tokens), NOW)


def revocation() -> Ruling:
    return Ruling.about_all("ann", EVERYWHERE, None, frozenset(), NOW)


def test_a_removal_covers_the_tokens_with_which_the_person_was_connected() -> None:
    assert removal("d1", "d2").covers(a_grant("d2"))
    assert not removal("d1", "d2").covers(a_grant("d3"))


@pytest.mark.parametrize(
    ("issued", "covered"),
    [(NOW - 60, True), (NOW - MAX_CLOCK_DIFFERENCE, False), (math.floor(NOW), False), (NOW, False)],
)
def test_a_removal_covers_other_tokens_that_were_issued_clearly_before(
    issued: float, covered: bool
) -> None:
    assert removal("d1").covers(a_grant("d2", issued)) is covered


@pytest.mark.parametrize(
    ("issued", "covered"),
    [
        (None, True), (NOW - 60, True), (math.floor(NOW), True), (NOW, True),
        (math.floor(NOW) + 1, False),
    ],
)  # fmt: skip
def test_a_revocation_covers_what_was_issued_up_to_the_end_of_its_second(
    issued: float | None, covered: bool
) -> None:
    assert revocation().covers(a_grant("d9", issued)) is covered


def test_a_ruling_covers_the_token_of_a_client_that_was_connected_when_it_was_made() -> None:
    for ruling in (removal("d1"), Ruling.about_all("ann", "", None, frozenset(), NOW)):
        earlier = replace(a_grant("d2", NOW + 60), shown=NOW - 1)
        later = replace(earlier, shown=NOW + 1)
        assert ruling.covers(earlier) and not ruling.names(earlier)
        assert not ruling.covers(later)


def test_a_ruling_gives_the_role_only_to_the_tokens_that_it_covers() -> None:
    viewer = Ruling.about_known("ann", "room", Role.VIEWER, frozenset(["d1"]), NOW)
    assert viewer.role_of(a_grant("d1"), Role.EDITOR) is Role.VIEWER
    assert viewer.role_of(a_grant("d2"), Role.EDITOR) is Role.EDITOR
    with pytest.raises(Removed) as removed:
        removal("d1").role_of(a_grant("d1"), Role.EDITOR)
    assert removed.value.payload()["room"] == "room"
    with pytest.raises(Unauthorized) as refused:
        revocation().role_of(a_grant(), Role.EDITOR)
    assert refused.value.reason == "token_revoked"


@given(RULINGS, RULINGS, GRANTS)
def test_of_two_rulings_the_later_counts_for_the_tokens_of_both(
    one: Ruling, other: Ruling, grant: Grant
) -> None:
    both = one.after(other)
    later = one if one.id >= other.id else other
    assert (both.role, both.until, both.id) == (later.role, later.until, later.id)
    if later.covers(grant) or grant.digest in one.tokens | other.tokens:
        assert both.covers(grant), "no token escapes because another one was ruled on"


@given(RULINGS)
def test_what_one_node_appends_to_the_log_another_reads(ruling: Ruling) -> None:
    assert Ruling.parse(ruling.id, ruling.pack()) == ruling


@given(st.lists(RULINGS, min_size=1, max_size=4), GRANTS)
def test_the_record_of_several_rulings_is_what_they_add_up_to(
    rulings: list[Ruling], grant: Grant
) -> None:
    record: dict[str, bytes] = {}
    total: Ruling | None = None
    for ruling in sorted(rulings, key=lambda each: each.id):
        words = ruling.record()
        record |= {key: value.encode() for key, value in zip(words[::2], words[1::2], strict=True)}
        record["id"] = f"{ruling.id[0]}-{ruling.id[1]}".encode()
        total = ruling.after(total)
    found = [record.get(name) for name in (*FIELDS, TOKEN + grant.digest)]
    read = Ruling.of_record("ann", "room", grant.digest, found)
    assert read is not None and total is not None
    assert (read.role, read.id) == (total.role, total.id)
    assert read.covers(grant) == total.covers(grant)


def test_no_record_is_no_ruling() -> None:
    assert Ruling.of_record("ann", "room", "d1", [None] * 6) is None


@pytest.mark.parametrize("entry", [b"", b"[]", b"{}", b'{"subject":"ann"}', b"{", b'"x"', b"\xff"])
def test_a_malformed_entry_is_a_value_error(entry: bytes) -> None:
    with pytest.raises(ValueError):
        Ruling.parse((1, 0), entry)
