"""Read what a Yjs update contains, before a document applies it.

pycrdt applies an update or refuses to decode it; it does not report whether the updates that it
builds on are missing, and it cannot hold half a surrogate pair. The bytes of the update show both.
The format is the v1 encoding of Yjs (``UpdateEncoderV1``; the reader follows
``readClientsStructRefs`` and ``readDeleteSet``): clients' runs of structs, then the deleted ranges.
"""

from __future__ import annotations

from typing import Final

from .cursor import Cursor
from .errors import BadUpdate, UpdateTooLarge
from .limits import Limits
from .steps import Steps, finish
from .survey import HALF, Id, Struct, Survey

_HALF_BYTES: Final = HALF.encode()
_CONTENT = 0x1F
_GC, _DELETED, _JSON, _BINARY, _STRING, _EMBED, _FORMAT, TYPE, _ANY, _DOC, SKIP = range(11)
_XML_ELEMENT, _XML_HOOK, _LAST_TYPE = 3, 5, 6
_HAS_PARENT_SUB, _HAS_RIGHT_ORIGIN, _HAS_ORIGIN = 0x20, 0x40, 0x80
_JOINABLE = frozenset((_STRING, _JSON, _ANY))
"""Kinds of content with which yrs joins two structs, if one continues the other."""

MAX_NESTING: Final = 64
"""Levels of JSON values: more levels overflow stacks that are smaller than this process's."""

STEP_STRUCTS: Final = 1000
"""Structs of one client that are read in one step of `survey_steps`."""


def survey(update: bytes, limits: Limits | None = None) -> Survey:
    """Read ``update`` to its last byte.

    Raises `BadUpdate` if it isn't a whole v1 update. Raises `UpdateTooLarge` if it is over one of
    the ``limits``, without reading on.
    """
    return finish(survey_steps(update, limits))


def survey_steps(update: bytes, limits: Limits | None = None) -> Steps[Survey]:
    """Do the same as `survey`, in steps of some milliseconds."""
    reader = _Reader(update, limits)
    yield from _read(reader)
    return reader.seen


def structs_of(update: bytes) -> tuple[list[list[Struct]], Survey]:
    """Return an update's structs, one list for each run of one client's, and its survey.

    Raises `BadUpdate` as `survey` does.
    """
    reader = _Reader(update)
    reader.blocks = []
    finish(_read(reader))
    return reader.blocks, reader.seen


def _read(reader: _Reader) -> Steps[None]:
    try:
        yield from reader.read()
    except (IndexError, UnicodeDecodeError) as error:
        raise BadUpdate("the update ends too soon or is not in the v1 encoding") from error


class _Reader(Cursor):
    """A cursor over one update."""

    __slots__ = ("blocks", "limits", "seen")

    def __init__(self, raw: bytes, limits: Limits | None = None) -> None:
        super().__init__(raw)
        self.limits = limits
        self.seen = Survey()
        self.blocks: list[list[Struct]] | None = None

    def read(self) -> Steps[None]:
        number, seen = self.number, self.seen
        for _ in range(number()):
            structs, client, clock = number(), number(), number()
            if self.blocks is not None:
                self.blocks.append([])
            yield from self.structs(structs, client, clock)
        seen.deletions = self.at
        limit = self.limits.update_ranges if self.limits is not None else None
        total = 0
        for _ in range(number()):
            client, ranges = number(), number()
            total += max(1, ranges)
            if limit is not None and total > limit:
                raise UpdateTooLarge(f"an update may delete at most {limit} ranges")
            for _ in range(ranges):
                clock = number()
                end = clock + number()
                seen.deleted.append((client, clock, end))
                seen.cuts += ((client, clock), (client, end))
        if self.at != len(self.raw):
            raise BadUpdate("there are bytes after the update's end")
        seen.has_halves = _HALF_BYTES in self.raw

    def count(self, structs: int) -> None:
        """Count structs, and values in them, before they are read."""
        self.seen.built += structs
        limit = self.limits.update_structs if self.limits is not None else None
        if limit is not None and self.seen.built > limit:
            raise UpdateTooLarge(f"an update may insert at most {limit} structs")

    def structs(self, count: int, client: int, clock: int) -> Steps[None]:
        number, seen, raw = self.number, self.seen, self.raw
        start = clock
        last: tuple[int, Id | None] | None = None
        self.count(max(1, count))
        for index in range(1, count + 1):
            if index % STEP_STRUCTS == 0:
                yield
            at = self.at
            info = raw[at]
            self.at += 1
            kind = info & _CONTENT
            origin = right = parent = None
            content = self.at
            if kind == _GC:
                size = number()
            elif kind == SKIP:
                if clock > start:
                    seen.runs.append((client, start, clock))
                size = number()
                start = clock + size
            else:
                if info & _HAS_ORIGIN:
                    origin = number(), number()
                    if origin[0] != client or origin[1] >= clock:
                        seen.needs.append(origin)
                    seen.cuts.append((origin[0], origin[1] + 1))
                if info & _HAS_RIGHT_ORIGIN:
                    right = number(), number()
                    if right[0] != client or right[1] >= clock:
                        seen.needs.append(right)
                    seen.cuts.append(right)
                if origin is None and right is None:
                    if number():
                        self.skip()
                    else:
                        parent = number(), number()
                        if parent[0] != client or parent[1] >= clock:
                            seen.needs.append(parent)
                    if info & _HAS_PARENT_SUB:
                        self.skip()
                content = self.at
                size = self.string(client, clock) if kind == _STRING else self.content(kind)
            continues = last == (kind, right) and origin == (client, clock - 1)
            seen.joinable += continues
            last = (kind, right) if kind in _JOINABLE else None
            if self.blocks is not None:
                needs = tuple(each for each in (origin, right, parent) if each is not None)
                self.blocks[-1].append(
                    Struct(kind, client, clock, clock + size, needs, parent, at, content, self.at,
                           continues)
                )  # fmt: skip
            clock += size
        if clock > start or (count and kind == SKIP):
            # After a skip there may be an empty run, which shows up to where the update skips.
            seen.runs.append((client, start, clock))

    def string(self, client: int, clock: int) -> int:
        """Read a string content and return its length in UTF-16 units."""
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
            self.count(count)
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
            self.seen.has_formats = True
            self.skip()
            self.skip()
        elif kind == TYPE:
            self.seen.types += 1
            reference = self.number()
            # pycrdt reads a hook, but encodes it later in a form that nothing can read.
            if reference > _LAST_TYPE or reference == _XML_HOOK:
                raise BadUpdate("the update holds a type that pycrdt does not know")
            if reference == _XML_ELEMENT:
                self.skip()
        elif kind == _DOC:
            self.skip()
            self.any()
        else:
            raise BadUpdate("the update holds a kind of content that Yjs does not know")
        return 1

    def any(self, depth: int = 0) -> None:
        """Skip a value in lib0's ``any`` encoding."""
        if depth > MAX_NESTING:
            raise BadUpdate("a value in the update is nested too deeply")
        self.count(1)
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
            raise BadUpdate("a value in the update is of an unknown kind")
