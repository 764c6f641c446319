"""Limits on the updates of Yjs members, and on the documents that they build."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on untrusted input, checked before yrs, the library in pycrdt, reads it.

    A text that two people edit for hours has some 10,000 *structs*, which is Yjs's word for a piece
    that was inserted or deleted at once. Editors reach only one of these bounds, ``text_bytes``.
    """

    text_bytes: int
    """UTF-8 bytes of the text."""
    document_bytes: int
    """Bytes of the whole document. Each Yjs member that joins is sent all of it, with deleted
    content and content that is not text."""
    document_structs: int = 50_000
    """Structs of the whole document: each takes some 200 bytes of memory and 4 µs to read."""
    update_structs: int = 12_000
    """Structs that one update inserts, and values in them."""
    update_ranges: int = 12_000
    """Ranges that one update deletes. A client that reconnects sends all ranges of the document."""
    nesting: int = 64
    """Levels of shared types in shared types. Rich text has a dozen. JavaScript's stack overflows
    at some thousands, and yrs ends the process at some ten thousands."""
    state_vector: int = 10_000
    """Entries of a state vector, and clients that may write a document: it has one for each editing
    session it ever had."""
