"""A pycrdt document with one shared text, and what one transaction changes in it.

The objects of pycrdt's Rust library are called, not those of its Python classes: their context
managers, locks and checks take several times as long as a keystroke. tests/unit/merge/
test_document.py fails if they change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pycrdt._pycrdt import Doc, Subscription, Transaction, TransactionEvent

from .survey import EMPTY_UPDATE
from .units import utf8_size

ROOT: Final = "code"
"""Name of the shared text: ``doc.getText('code')`` in JavaScript."""

TextEvent = Sequence[dict[str, Any]]
"""What a transaction changed in the text: the steps of Quill's delta, counted in UTF-8 bytes."""

ByteOp = tuple[int, int | str]
"""A place in the shared text, in bytes, and what to insert there, or how many bytes to delete
(< 0). An embed counts as one byte."""


class Changes:
    """What the last transaction changed: ``update``, and ``event`` if somebody observed the text.

    pycrdt holds the callbacks in Rust, where Python's garbage collector can't see to what they
    refer. So they belong to this object, which does not refer to the document.
    """

    __slots__ = ("event", "update")

    def __init__(self) -> None:
        self.update = EMPTY_UPDATE
        self.event: TextEvent | None = None

    def keep_update(self, event: TransactionEvent) -> None:
        """Keep the update of a transaction."""
        self.update = event.update

    def keep_event(self, event: Any) -> None:
        """Keep what a transaction changed in the text."""
        self.event = event.delta


class Document:
    """A document with a shared text.

    ``client_id`` is the Yjs id of the edits that are made here. ``length`` is that of the text, in
    UTF-8 bytes; an embed counts as one.

    The document is observed from the first edit or `apply` on; the text only while something is
    applied, because to find out what changed takes time that grows with the document.
    """

    __slots__ = ("_changes", "_doc", "_observing", "_text", "client_id", "length")

    def __init__(self, client_id: int | None = None) -> None:
        self._doc = Doc(client_id, None, None)
        self._changes = Changes()
        self._observing: Subscription | None = None
        self.client_id = self._doc.client_id()
        transaction = self._doc.create_transaction()
        self._text = self._doc.get_or_insert_text(transaction, ROOT)
        self.length = 0
        _finish(transaction)

    def edit(self, ops: Iterable[ByteOp]) -> None:
        """Make one transaction of ``ops``, one after the other."""
        self._observe()
        text, transaction = self._text, self._doc.create_transaction()
        try:
            for index, op in ops:
                if isinstance(op, str):
                    text.insert(transaction, index, op)
                else:
                    text.remove_range(transaction, index, -op)
            self.length = text.len(transaction)
        finally:
            _finish(transaction)

    def apply(self, update: bytes, *, with_event: bool = True) -> TextEvent | None:
        """Apply ``update`` and return what it changed in the text; None if nothing.

        None also without the event, which costs more than anything else if the update is large.
        """
        self._observe()
        changes = self._changes
        changes.event = None
        if not with_event:
            self.apply_part(update)
            return None
        observing = self._text.observe(changes.keep_event)
        try:
            self.apply_part(update)
        finally:
            observing.drop()
        event, changes.event = changes.event, None
        return event

    def pop_update(self) -> bytes:
        """Return the update that the last edit or `apply` made, and keep it no more.

        The first one of a room has its whole text.
        """
        changes = self._changes
        update, changes.update = changes.update, EMPTY_UPDATE
        return update

    def apply_part(self, update: bytes) -> None:
        """Apply ``update``, without an answer what it changed."""
        transaction = self._doc.create_transaction()
        try:
            self._doc.apply_update(transaction, update)
            self.length = self._text.len(transaction)
        finally:
            _finish(transaction)

    def state(self, state_vector: bytes = b"\0") -> bytes:
        """Return what a document with ``state_vector`` lacks as one update; by default, all."""
        transaction = self._doc.create_transaction()
        try:
            return self._doc.get_update(transaction, state_vector)
        finally:
            transaction.drop()

    def state_vector(self) -> bytes:
        """Return the document's state vector, encoded."""
        transaction = self._doc.create_transaction()
        try:
            return self._doc.get_state(transaction)
        finally:
            transaction.drop()

    def content(self) -> str:
        """Return the text, without embeds."""
        transaction = self._doc.create_transaction()
        try:
            return self._text.get_string(transaction)
        finally:
            transaction.drop()

    def embeds(self) -> list[int]:
        """Return the places of the embeds in the text, each of which counts one."""
        transaction = self._doc.create_transaction()
        try:
            contents = [content for content, _ in self._text.diff(transaction)]
        finally:
            transaction.drop()
        index = 0
        places: list[int] = []
        for content in contents:
            if isinstance(content, str):
                index += utf8_size(content)
            else:
                places.append(index)
                index += 1
        return places

    def _observe(self) -> None:
        self._changes.update = EMPTY_UPDATE
        if self._observing is None:
            self._observing = self._doc.observe(self._changes.keep_update)


def _finish(transaction: Transaction) -> None:
    try:
        transaction.commit()
    finally:
        transaction.drop()
