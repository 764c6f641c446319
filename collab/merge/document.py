"""A pycrdt document with one shared text, and what one transaction changes in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from pycrdt import Doc, Text

from .survey import EMPTY_UPDATE
from .units import utf8_size

ROOT: Final = "code"
"""Name of the shared text: ``doc.getText('code')`` in JavaScript."""

TextEvent = Sequence[dict[str, Any]]
"""What a transaction changed in the text: the steps of Quill's delta, counted in UTF-8 bytes."""


class Document:
    """A document, its ``text``, and the update that the last transaction made: see `pop_update`.

    ``client_id`` is the Yjs id of the edits that are made here.

    The document is observed only during a transaction: pycrdt holds the callback in Rust, where
    Python's garbage collector can't see that it refers back to its document, so that neither would
    ever be freed. Besides, pycrdt computes an event for each transaction of an observed text, in
    time that grows with the document. The objects of pycrdt's Rust library are observed, because
    pycrdt's own ``observe`` asks for the callback's signature, which takes longer than an update.
    """

    __slots__ = (
        "_doc",
        "_event",
        "_observable_doc",
        "_observable_text",
        "_update",
        "client_id",
        "text",
    )

    def __init__(self, client_id: int | None = None) -> None:
        self._doc: Doc[Text] = Doc(client_id=client_id)
        self.text = self._doc.get(ROOT, type=Text)
        self.client_id = self._doc.client_id
        self._update = EMPTY_UPDATE
        self._event: TextEvent | None = None
        self._observable_doc = self._doc._doc
        self._observable_text = self.text.integrated

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make one transaction of the edits in the context."""
        with self._observed(), self._doc.transaction():
            yield

    def apply(self, update: bytes, *, with_event: bool = True) -> TextEvent | None:
        """Apply ``update`` and return what it changed in the text; None if nothing.

        None also without the event, which costs more than anything else if the update is large.
        """
        self._event = None
        subscription = self._observable_text.observe(self._keep_event) if with_event else None
        try:
            with self._observed():
                self._doc.apply_update(update)
        finally:
            if subscription is not None:
                subscription.drop()
        event, self._event = self._event, None
        return event

    def pop_update(self) -> bytes:
        """Return the update that the last transaction made, and keep it no more.

        The first one of a room has its whole text.
        """
        update, self._update = self._update, EMPTY_UPDATE
        return update

    def apply_part(self, update: bytes) -> None:
        """Apply ``update``, and keep nothing of what it changed."""
        self._doc.apply_update(update)

    def state(self, state_vector: bytes = b"\0") -> bytes:
        """Return what a document with ``state_vector`` lacks as one update; by default, all."""
        return self._doc.get_update(state_vector)

    def state_vector(self) -> bytes:
        """Return the document's state vector, encoded."""
        return self._doc.get_state()

    def embeds(self) -> list[int]:
        """Return the places of the embeds in the text, each of which counts one."""
        index = 0
        places: list[int] = []
        for content, _ in self.text.diff():
            if isinstance(content, str):
                index += utf8_size(content)
            else:
                places.append(index)
                index += 1
        return places

    @contextmanager
    def _observed(self) -> Iterator[None]:
        self._update = EMPTY_UPDATE
        subscription = self._observable_doc.observe(self._keep_update)
        try:
            yield
        finally:
            subscription.drop()

    def _keep_update(self, event: Any) -> None:
        self._update = event.update

    def _keep_event(self, event: Any) -> None:
        self._event = event.delta
