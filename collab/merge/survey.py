"""What a Yjs update brings and builds on, read from its bytes before it touches a document.

pycrdt applies an update or refuses to decode it; it does not say whether the update's foundations
are there, and it cannot hold half a surrogate pair. Both show in the update itself. The format is
the v1 encoding of Yjs (``UpdateEncoderV1``; the reader follows ``readClientsStructRefs`` and
``readDeleteSet``): clients' runs of structs, then the deleted ranges. Clocks count UTF-16 units.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from .errors import BadUpdate

EMPTY_UPDATE: Final = b"\x00\x00"
"""No structs, nothing deleted."""

HALF: Final = "\ufffd"
"""What JavaScript puts for each half of a surrogate pair that it had to break."""

_HALF_BYTES: Final = HALF.encode()
_CONTENT = 0x1F
_GC, _DELETED, _JSON, _BINARY, _STRING, _EMBED, _FORMAT, _TYPE, _ANY, _DOC, _SKIP = range(11)
_XML_ELEMENT, _XML_HOOK, _LAST_TYPE = 3, 5, 6
_HAS_PARENT_SUB, _HAS_RIGHT_ORIGIN, _HAS_ORIGIN = 0x20, 0x40, 0x80
_MAX_DEPTH = 64

Id = tuple[int, int]
"""Client and clock."""


@dataclass(slots=True)
class Survey:
    """What one update holds.

    ``runs`` and ``deleted`` are ``(client, start, end)`` in clocks; ``needs`` are the structs that
    others in the update refer to; ``cuts`` are the places ``(client, clock)`` between two units
    where the update takes existing content apart; ``strings`` say where content with characters
    outside the basic plane lies in the bytes: ``(client, clock, start, end)``, with ``start`` at
    the length's prefix.
    """

    runs: list[tuple[int, int, int]] = field(default_factory=list)
    deleted: list[tuple[int, int, int]] = field(default_factory=list)
    needs: list[Id] = field(default_factory=list)
    cuts: list[Id] = field(default_factory=list)
    strings: list[tuple[int, int, int, int]] = field(default_factory=list)
    has_halves: bool = False


def survey(update: bytes) -> Survey:
    """Read ``update`` to its last byte. Raises `BadUpdate` if it isn't a whole v1 update."""
    try:
        return _Reader(update).read()
    except (IndexError, UnicodeDecodeError) as error:
        raise BadUpdate("the update ends too soon or is not in the v1 encoding") from error


def pairs(update: bytes, seen: Survey) -> Iterator[Id]:
    """Yield the id of the first half of every surrogate pair in the update's strings."""
    for client, clock, start, end in seen.strings:
        for character in _text(update, start, end):
            if character > "\uffff":
                yield client, clock
                clock += 1
            clock += 1


def break_pairs(update: bytes, seen: Survey, broken: set[Id]) -> bytes:
    """Return ``update`` with each pair in ``broken`` as two U+FFFD, as JavaScript leaves it.

    Ids and clocks stay what they were, since U+FFFD is one UTF-16 unit, as a half is.
    """
    pieces: list[bytes] = []
    position = 0
    for client, clock, start, end in seen.strings:
        characters: list[str] = []
        for character in _text(update, start, end):
            if character > "\uffff":
                characters.append(HALF * 2 if (client, clock) in broken else character)
                clock += 1
            else:
                characters.append(character)
            clock += 1
        content = "".join(characters).encode()
        pieces += (update[position:start], _varuint(len(content)), content)
        position = end
    pieces.append(update[position:])
    return b"".join(pieces)


def _text(update: bytes, start: int, end: int) -> str:
    while update[start] & 0x80:
        start += 1
    return update[start + 1 : end].decode()


def _varuint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(0x80 | number & 0x7F)
        number >>= 7
    out.append(number)
    return bytes(out)


class _Reader:
    """A cursor over one update."""

    __slots__ = ("at", "raw", "seen")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 0
        self.seen = Survey()

    def read(self) -> Survey:
        number = self.number
        for _ in range(number()):
            structs, client, clock = number(), number(), number()
            self.structs(structs, client, clock)
        seen = self.seen
        for _ in range(number()):
            client = number()
            for _ in range(number()):
                clock = number()
                end = clock + number()
                seen.deleted.append((client, clock, end))
                seen.cuts += ((client, clock), (client, end))
        if self.at != len(self.raw):
            raise BadUpdate("there is more after the update's end")
        seen.has_halves = _HALF_BYTES in self.raw
        return seen

    def structs(self, count: int, client: int, clock: int) -> None:
        number, seen, raw = self.number, self.seen, self.raw
        start = clock
        for _ in range(count):
            info = raw[self.at]
            self.at += 1
            kind = info & _CONTENT
            if kind == _GC:
                clock += number()
                continue
            if kind == _SKIP:
                if clock > start:
                    seen.runs.append((client, start, clock))
                clock += number()
                start = clock
                continue
            if info & _HAS_ORIGIN:
                origin = number(), number()
                seen.needs.append(origin)
                seen.cuts.append((origin[0], origin[1] + 1))
            if info & _HAS_RIGHT_ORIGIN:
                origin = number(), number()
                seen.needs.append(origin)
                seen.cuts.append(origin)
            if not info & (_HAS_ORIGIN | _HAS_RIGHT_ORIGIN):
                if number():
                    self.skip()
                else:
                    seen.needs.append((number(), number()))
                if info & _HAS_PARENT_SUB:
                    self.skip()
            clock += self.string(client, clock) if kind == _STRING else self.content(kind)
        if clock > start:
            seen.runs.append((client, start, clock))

    def string(self, client: int, clock: int) -> int:
        """Read a text content and return its length in UTF-16 units."""
        start = self.at
        size = self.number()
        content = self.raw[self.at : self.at + size]
        self.at += size
        if len(content) != size:
            raise IndexError
        if content.isascii():
            return size
        text = content.decode()
        units = len(text.encode("utf-16-le")) >> 1
        if units != len(text):
            self.seen.strings.append((client, clock, start, self.at))
        return units

    def content(self, kind: int) -> int:
        """Read any other content and return how many clocks it takes."""
        if kind == _DELETED:
            return self.number()
        if kind == _JSON:
            count = self.number()
            for _ in range(count):
                self.skip()
            return count
        if kind == _ANY:
            count = self.number()
            for _ in range(count):
                self.any()
            return count
        if kind in (_BINARY, _EMBED):
            self.skip()
        elif kind == _FORMAT:
            self.skip()
            self.skip()
        elif kind == _TYPE:
            reference = self.number()
            # pycrdt takes a hook in, but what it writes of it later nobody can read.
            if reference > _LAST_TYPE or reference == _XML_HOOK:
                raise BadUpdate("the update holds a type that pycrdt does not know")
            if reference == _XML_ELEMENT:
                self.skip()
        elif kind == _DOC:
            self.skip()
            self.any()
        else:
            raise BadUpdate("the update holds a content that Yjs does not know")
        return 1

    def number(self) -> int:
        raw, at = self.raw, self.at
        byte = raw[at]
        at += 1
        value = byte & 0x7F
        shift = 7
        while byte & 0x80:
            # Within the loop: a number of a million bytes would take minutes to add up.
            if shift > 63:
                raise BadUpdate("a number in the update is longer than 64 bits")
            byte = raw[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
        self.at = at
        return value

    def skip(self, size: int | None = None) -> None:
        """Step over ``size`` bytes, or over a string or buffer with its length in front."""
        if size is None:
            size = self.number()
        self.at += size
        if self.at > len(self.raw):
            raise IndexError

    def any(self, depth: int = 0) -> None:
        """Step over a value of lib0's ``any`` encoding; its nesting is bounded."""
        if depth > _MAX_DEPTH:
            raise BadUpdate("a value in the update is nested too deep")
        tag = self.raw[self.at]
        self.at += 1
        if tag in (119, 116):
            self.skip()
        elif tag == 125:
            self.number()
        elif tag in (123, 122):
            self.skip(8)
        elif tag == 124:
            self.skip(4)
        elif tag == 118:
            for _ in range(self.number()):
                self.skip()
                self.any(depth + 1)
        elif tag == 117:
            for _ in range(self.number()):
                self.any(depth + 1)
        elif tag not in (120, 121, 126, 127):
            raise BadUpdate("a value in the update is of no known kind")


def read_state_vector(encoded: bytes) -> dict[int, int]:
    """Return client -> clock. Raises `BadUpdate` if ``encoded`` isn't a state vector."""
    reader = _Reader(encoded)
    try:
        return {reader.number(): reader.number() for _ in range(reader.number())}
    except IndexError as error:
        raise BadUpdate("the state vector ends too soon") from error
