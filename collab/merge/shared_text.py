"""The shared text of a document, and the string in it."""

from __future__ import annotations

from collections.abc import Iterable

from .delta import IDENTITY, Delta
from .diff import diff
from .document import ByteOp, Document, TextEvent
from .errors import BadUpdate, refusals
from .repairs import runs_of_halves, without_embeds, written_again
from .units import byte_ops, delta_from_event, utf8_size


class SharedText:
    """The shared text of a ``document``, and its ``content``: the string, without embeds.

    The content is cached: reading it from pycrdt costs more than a whole edit. ``size`` is its size
    in UTF-8 bytes. ``is_plain`` tells whether the shared text holds nothing but its content,
    ``is_formatted`` whether anything in the document is, or was, formatted, ``has_halves`` whether
    the last update may have brought U+FFFD.
    """

    __slots__ = ("content", "document", "has_halves", "is_formatted", "is_plain", "size")

    def __init__(self, document: Document) -> None:
        """Take the text of an empty document."""
        self.document = document
        self.content = ""
        self.size = 0
        self.is_plain = True
        self.is_formatted = False
        self.has_halves = False

    def copy(self, document: Document) -> SharedText:
        """Return the shared text of ``document``, a copy of this text's document.

        Raises `BadUpdate` if the copy has another text.
        """
        if (document.length, document.content()) != (self.document.length, self.content):
            raise BadUpdate("the replica cannot be copied")
        other = SharedText(document)
        other.content, other.size, other.is_plain = self.content, self.size, self.is_plain
        other.is_formatted, other.has_halves = self.is_formatted, self.has_halves
        return other

    @property
    def is_observable(self) -> bool:
        """Whether pycrdt may be asked how an update changes the content.

        If the document has formatting, and that is forged, the report ends the process.
        """
        return self.is_plain and not self.is_formatted

    def edit(self, delta: Delta, expected: str) -> None:
        """Apply ``delta`` in one transaction, which also removes all embeds.

        If the content is then ``expected``, that string is kept, so that its memory is shared.
        Raises `BadText` if an insertion holds a lone surrogate, ``ValueError`` if the delta reaches
        beyond the text; the document is unchanged then.
        """
        before = self.content
        after = delta.apply(before)
        if after == expected:
            after = expected
        size = utf8_size(after)
        self.document.edit((*self._without_embeds(), *byte_ops(before, delta)))
        assert self.document.length == size, "pycrdt moved an index"
        self.content, self.size, self.is_plain = after, size, True

    def follow(self, event: TextEvent | None) -> Delta:
        """Return how an update changed the content; ``event`` is what pycrdt reports of it.

        The delta is coarse (`Delta.coarse`).
        """
        if event is None:
            return IDENTITY
        before = self.content
        delta = delta_from_event(before, event)
        if delta is None:
            return self.compare()
        after = delta.apply(before)
        size = utf8_size(after)
        if self.document.length != size:
            return self.compare()  # the event is not the whole change
        self.content, self.size = after, size
        return delta.coarse(before)

    def compare(self) -> Delta:
        """Read the content from the document, and return how updates have changed it."""
        before = self.content
        self.reload()
        return Delta.from_splices(diff(before, self.content))

    def reload(self) -> None:
        """Read the content from the document."""
        self.content = self.document.content()
        self.size = utf8_size(self.content)
        self.is_plain = self.document.length == self.size

    def repair(self) -> bool:
        """Make the document representable as text, in one transaction; return whether it was not.

        Removes embeds, and replaces each U+FFFD by another if the last update may have brought one.
        The content does not change. Raises `BadUpdate` if the repair fails.
        """
        halves = runs_of_halves(self.content) if self.has_halves else []
        self.has_halves = False
        if self.is_plain and not halves:
            return False
        with refusals():
            ops = self._without_embeds()
            self.document.edit((*ops, *written_again(self.content, halves)))
            if self.document.length != self.size:
                raise BadUpdate("the document cannot be reduced to its text")
        self.is_plain = True
        return True

    def check(self) -> None:
        """Assert that the content is the document's. For tests: it reads the document."""
        assert self.document.content() == self.content
        assert utf8_size(self.content) == self.size
        assert not self.is_plain or self.document.length == self.size

    def _without_embeds(self) -> Iterable[ByteOp]:
        if self.is_plain:
            return ()
        return without_embeds(self.document, self.content, self.size, formatted=self.is_formatted)
