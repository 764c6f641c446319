"""The clients of a node that hold a grant: who is found by which id."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.access import holders as module
from collab.access.grant import Grant
from collab.access.holders import Holders
from collab.rooms.identity import Role
from collab.store.reply import ReplyTo
from collab.store.rulings import (
    FoundToken,
    TokensQuestion,
    pack_tokens,
    parse_tokens,
)

TOKENS = st.builds(
    FoundToken, st.text(), st.text(), st.none() | st.integers(0, 10**10).map(float),
    st.booleans(), st.booleans(),
)  # fmt: skip


@dataclass(eq=False)
class Client:
    """A client that does nothing."""

    id: str
    grant: Grant
    rooms: list[str] = field(default_factory=list)
    connected: bool = True

    def let_go(self, problem: Any, *, may_return: bool) -> None: ...

    def remove(self, room: str, problem: Any) -> None: ...

    def set_role(self, room: str, role: Role) -> None: ...


def a_client(id: str, subject: str, digest: str = "d") -> Client:
    return Client(id, Grant(subject, subject.title(), (), 9.0, digest))


def test_a_member_and_its_subject_are_found() -> None:
    holders = Holders()
    tabs = [a_client("1", "ann", "d1"), a_client("2", "ann", "d2"), a_client("3", "bob")]
    for tab in tabs:
        holders.add(tab)
    assert holders.find_member("2") == [FoundToken("ann", "d2", 9.0, True, True)]
    assert {each.digest for each in holders.find_subject("ann")} == {"d1", "d2"}
    assert set(holders.of("ann")) == set(tabs[:2])
    assert not holders.find_member("ann") and not holders.find_subject("2")


def test_the_id_of_a_client_that_has_gone_is_still_known_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_GONE", 2)
    holders = Holders()
    for id in ("1", "2", "3"):
        client = a_client(id, "ann")
        holders.add(client)
        holders.discard(client)
        holders.discard(client)  # once is enough
    assert holders.find_member("3") == [FoundToken("ann", "d", 9.0, True, False)]
    assert not holders.find_member("1"), "the first that left is forgotten first"
    assert not holders.find_subject("ann") and not list(holders) and not holders.of("ann")


def test_a_client_that_takes_the_place_of_another_stays() -> None:
    holders, old, new = Holders(), a_client("1", "ann", "old"), a_client("1", "ann", "new")
    holders.add(old)
    holders.add(new)
    holders.discard(old)
    assert holders.of("ann") == (new,) and list(holders) == [new]


@given(st.lists(TOKENS, max_size=3))
def test_what_one_node_answers_another_reads(tokens: list[FoundToken]) -> None:
    assert parse_tokens(pack_tokens(tokens)) == tokens


@given(st.text(), st.booleans())
def test_what_one_node_asks_another_reads(id: str, or_member: bool) -> None:
    question = TokensQuestion(ReplyTo("channel", b"q"), id, or_member)
    assert TokensQuestion.parse(question.pack()) == question


@pytest.mark.parametrize(
    "message", [b"", b"W ", b"W a b\n", b"W a b\n1", b"W a b\n[1]", b"W a\n[]"]
)
def test_a_malformed_question_is_a_value_error(message: bytes) -> None:
    with pytest.raises(ValueError):
        TokensQuestion.parse(message)


@pytest.mark.parametrize("answer", [b"", b"1", b"[1]", b"[[1]]", b'[{"a":1}]'])
def test_a_malformed_answer_is_a_value_error(answer: bytes) -> None:
    with pytest.raises(ValueError):
        parse_tokens(answer)
