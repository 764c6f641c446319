"""How much of a document, and by one update, Yjs members may build."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for what comes from outside, checked before yrs, the library in pycrdt, sees it.

    A text that two people edit for hours makes some 10,000 *structs*, as Yjs calls what is inserted
    and deleted at once. Editors reach none of these bounds but that of the text's size.
    """

    text_bytes: int
    """UTF-8 bytes of the text."""
    document_bytes: int
    """Bytes of the whole document: what was never text, or is deleted, is sent to all who come."""
    document_structs: int = 100_000
    """Structs of the whole document: each takes some 200 bytes of memory, and 4 µs to be read."""
    update_structs: int = 20_000
    """Structs that one update inserts, and values in them."""
    update_ranges: int = 20_000
    """Ranges that one update deletes. Each return of a client repeats all there ever were."""
    nesting: int = 64
    """Shared types that lie in each other. Rich text has a dozen; JavaScript's stack ends at some
    thousands, and yrs, at some ten thousands, ends the process."""
    state_vector: int = 20_000
    """Entries of a state vector: one for each editing session that the document ever had."""
