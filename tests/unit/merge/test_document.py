"""pycrdt's Rust objects, which `collab.merge.document` calls, do what their Python classes do.

When one of these fails, `Document` must be reviewed before setup.cfg may allow that version.
"""

from __future__ import annotations

import gc

import pytest
from pycrdt import Doc, Text
from pycrdt import _pycrdt as rust

from collab.merge.delta import Delta
from collab.merge.document import Changes, Document
from collab.merge.replica import Replica
from collab.merge.survey import EMPTY_UPDATE

CLIENT = 7


def test_the_python_classes_make_the_same_calls() -> None:
    doc: Doc[Text] = Doc(client_id=CLIENT)
    text = doc.get("code", type=Text)
    assert type(doc._doc) is rust.Doc
    assert type(text.integrated) is rust.Text
    with doc.transaction() as transaction:
        assert type(transaction._txn) is rust.Transaction
        text.insert(0, "one é two")
        del text[3:6]
    own = Document(CLIENT)
    own.edit([(0, "one é two"), (3, -3)])
    assert own.length == len(text)
    assert own.content() == str(text)
    assert own.state() == doc.get_update()
    assert own.state_vector() == doc.get_state()
    assert own.client_id == doc.client_id == CLIENT


def test_an_edit_tells_its_update() -> None:
    author, reader = Document(), Document()
    author.edit([(0, "text")])
    update = author.pop_update()
    assert reader.apply(update) == [{"insert": "text"}]
    assert reader.pop_update() == update
    author.edit([(1, "é"), (3, -2)])
    event = reader.apply(author.pop_update())
    assert event == [{"retain": 1}, {"insert": "é"}, {"delete": 2}]
    assert (reader.content(), reader.length) == ("tét", 4)


def test_an_update_that_changes_nothing_tells_nothing() -> None:
    author, reader = Document(), Document()
    author.edit([(0, "text")])
    update = author.pop_update()
    reader.apply(update)
    assert reader.apply(update) is None
    assert reader.pop_update() == EMPTY_UPDATE


def test_a_refused_update_ends_its_transaction() -> None:
    document = Document()
    document.edit([(0, "text")])
    with pytest.raises(ValueError):
        document.apply(b"\xff" * 20)
    assert document.pop_update() == EMPTY_UPDATE
    document.edit([(0, "more ")])
    assert document.content() == "more text"


def test_reading_is_no_change() -> None:
    document = Document()
    document.edit([(0, "text")])
    document.state(), document.state_vector(), document.embeds()
    assert document.pop_update() != EMPTY_UPDATE
    assert document.pop_update() == EMPTY_UPDATE


def test_an_observed_document_is_freed_with_its_last_reference() -> None:
    """Without the garbage collector: nothing that Rust holds refers back to the document."""
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(each, Changes) for each in gc.get_objects())
        replica = Replica()
        replica.apply_update(replica.copy().edit(Delta.of("text")))
        assert sum(isinstance(each, Changes) for each in gc.get_objects()) == before + 1
        del replica
        assert sum(isinstance(each, Changes) for each in gc.get_objects()) == before
    finally:
        gc.enable()
