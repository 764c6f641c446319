"""The messages of a room's channel: their bytes, and which bytes are rejected.

Nodes of an older version publish and read the same bytes: a test here that has to be changed means
that a rolling restart loses messages.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.store.channel import (
    TRACE,
    Announcement,
    CensusQuestion,
    Emit,
    Message,
    PresenceReport,
    ReportedMember,
    RoomDamaged,
    RoomEnded,
    parse,
    writer_word,
)
from collab.store.records import entry_text
from collab.store.reply import ReplyTo, parse_answer

WORDS = st.text(st.characters(codec="utf-8", exclude_characters=" \n"), min_size=1, max_size=12)
NAMES = st.text(st.characters(codec="utf-8"), max_size=12)
NUMBERS = st.integers(0, 2**53 - 1)
IDS = st.tuples(NUMBERS, NUMBERS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
"""With halves of surrogate pairs, which the states of clients may hold."""

WRITERS = WORDS.filter(lambda word: TRACE not in word)
"""A node's name has letters, digits and -_. only."""
ANNOUNCEMENTS = st.builds(
    Announcement, WORDS, WRITERS, IDS, IDS, st.integers(0, 10**9).map(lambda ms: ms / 1000),
    st.binary(max_size=20), st.just("") | WORDS,
)  # fmt: skip
MEMBERS = st.builds(
    ReportedMember, NAMES, NAMES, st.none() | NUMBERS, st.integers(0, 2**63 - 1), NUMBERS,
    st.none() | st.dictionaries(st.text(max_size=8), JSON, max_size=3),
)  # fmt: skip
REPORTS = st.builds(
    PresenceReport, NAMES, st.integers(1, 2**63 - 1), st.booleans(), st.booleans(),
    st.lists(MEMBERS, max_size=3), st.lists(NAMES, max_size=3),
)  # fmt: skip
REPLIES = st.builds(
    ReplyTo, WORDS, st.binary(min_size=16, max_size=16).map(bytes.hex).map(str.encode)
)


def packed(message: Message) -> bytes:
    """Return a message's bytes; those of a commit as the scripts put them together."""
    if isinstance(message, Announcement):
        header = f"J {message.epoch} {writer_word(message.writer, message.trace)}"
        ids = f"{entry_text(message.previous)} {entry_text(message.id)}"
        return f"{header} {ids} {round(message.ttl * 1000)}\n".encode() + message.update
    if isinstance(message, Emit):
        return message.message
    return message.pack()


@given(
    ANNOUNCEMENTS
    | REPORTS
    | st.builds(CensusQuestion, REPLIES)
    | st.just(RoomEnded())
    | st.just(RoomDamaged())
)
def test_what_one_node_packs_another_parses(message: Message) -> None:
    assert parse(packed(message)) == message


@given(WRITERS, WORDS)
def test_a_traced_commit_is_announced_with_as_many_words_as_any_other(
    writer: str, trace: str
) -> None:
    """A node of an older version takes it, as of a writer that is not itself."""
    assert writer_word(writer, "") == writer
    word = writer_word(writer, trace)
    assert word.split(" ") == [word] != [writer]


@given(REPLIES, st.binary(max_size=20))
def test_an_answer_names_the_question_that_it_answers(reply_to: ReplyTo, answer: bytes) -> None:
    assert ReplyTo.parse(reply_to.pack()) == reply_to
    channel, message = reply_to.pack_answer(answer)
    assert channel == reply_to.channel and parse_answer(message) == (reply_to.question, answer)


STATE = {"user": {"name": "Ada \ud83d"}}
EXAMPLES: dict[bytes, Message] = {
    b"J e1 node-a~1f 5-0 6-1 1500\nup\ndate": Announcement(
        "e1", "node-a~1f", (5, 0), (6, 1), 1.5, b"up\ndate"
    ),
    b"E": RoomEnded(),
    b"D": RoomDamaged(),
    b'P {"node":"a","at":7,"full":true,"ask":false,"members":'
    rb'[["1","Ada",9,8,3,"{\"user\":{\"name\":\"Ada \\ud83d\"}}"],'
    b'["2","Bob",null,0,0,null]]}': PresenceReport(
        "a",
        7,
        True,
        False,
        [ReportedMember("1", "Ada", 9, 8, 3, STATE), ReportedMember("2", "Bob", None, 0, 0, None)],
    ),
    b'P {"node":"a","at":8,"full":false,"ask":false,"members":[],"gone":["1","2"]}': PresenceReport(
        "a", 8, False, False, [], ["1", "2"]
    ),
    b"Q collab:answers:a~1f 00ff\n": CensusQuestion(ReplyTo("collab:answers:a~1f", b"00ff")),
    b'{"method":"emit"}': Emit(b'{"method":"emit"}'),
}


@pytest.mark.parametrize("message", EXAMPLES)
def test_the_bytes_of_each_message_are_those_of_older_versions(message: bytes) -> None:
    assert parse(message) == EXAMPLES[message]
    assert packed(EXAMPLES[message]) == message


@pytest.mark.parametrize(
    "junk",
    [b"", b"x", b"EE", b"E ", b"J", b"P", b"Q", b"[]", b"X y",
     b"J ", b"J a b c", b"J e n x-1 2-0 5\n", b"J e n 1-0 2-0\n", b"J e n 1-0 2-0 1" + b"0" * 400,
     b"J e n 1-0 2-0 1" + b"0" * 5000, b"J \xff n 1-0 2-0 5\n",
     b"Q ", b"Q a", b"Q a b c\n", b"Q \xff b\n",
     b"P ", b"P []", b"P {}", b'P {"node":1,"at":1,"full":true,"ask":0,"members":[1]}',
     b'P {"node":1,"at":"x","full":true,"ask":0,"members":[]}',
     b'P {"node":1,"at":1,"full":false,"ask":0,"members":[],"gone":7}',
     b'P {"node":1,"at":1,"full":true,"ask":0,"members":[]}\n\x05\x01',
     b'P {"node":1,"at":1,"full":true,"ask":0,"members":[["1","Ada",7,1,1,"{"]]}',
     b'P {"node":1,"at":1,"full":true,"ask":0,"members":[["1","Ada",7,1,1,"[]"]]}',
     b'P {"node":1,"at":1,"full":true,"ask":0,"members":[["1","Ada","7",1,1,null]]}',
     b'P {"node":1,"at":1,"full":true,"ask":0,"members":[["1","Ada","",1,1,null]]}',
     b'P {"node":1,"at":1,"full":true,"ask":0,"members":[["1","Ada",7,1,1,"'
     + b"[" * 100_000 + b'"]]}'],
)  # fmt: skip
def test_parsing_anything_else_raises_a_value_error(junk: bytes) -> None:
    with pytest.raises(ValueError):
        parse(junk)


@given(
    st.binary(max_size=60)
    | st.tuples(
        (ANNOUNCEMENTS | REPORTS | st.builds(CensusQuestion, REPLIES)).map(packed),
        st.integers(0, 300), st.integers(0, 3), st.binary(max_size=3),
    ).map(lambda cut: cut[0][: cut[1]] + cut[3] + cut[0][cut[1] + cut[2] :])
)  # fmt: skip
def test_junk_and_broken_messages_raise_nothing_but_value_errors(junk: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse(junk)
