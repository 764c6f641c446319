"""Deltas: edits that lead from one text to another.

A delta runs over a whole text in code points, as in Quill's Delta: retain, insert, delete. It is
kept in one canonical form, so that equal edits are equal tuples: neighbours of one kind are merged,
an insert stands before a delete at the same place, and the trailing retain is left out.

`compose` is Quill's. `transform` is the inclusion transform of Ellis & Gibbs (1989) as Jupiter uses
it, between two parties, where TP1 is all that is needed. Both walk their operands once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, final

from .splice import MAX_SPLICES, Splice, joined

Op = int | str
"""A positive number retains, a negative one deletes that many code points; a string is inserted."""


@final
class Delta:
    """An immutable edit of a whole text.

    ``ops`` is canonical. Build deltas with `of`, `from_splices`, `compose` and `transform`, which
    ensure this.
    """

    __slots__ = ("ops",)

    ops: tuple[Op, ...]

    def __init__(self, ops: tuple[Op, ...] = ()) -> None:
        self.ops = ops

    @classmethod
    def of(cls, *ops: Op) -> Delta:
        """Return the delta of ``ops``, which need not be canonical."""
        return cls(tuple(_canonical(ops)))

    @classmethod
    def from_splices(cls, splices: Sequence[Splice]) -> Delta:
        """Return the edit that ``splices`` describe; they are sorted and do not overlap."""
        ops: list[Op] = []
        position = 0
        for start, end, insert in splices:
            ops += (start - position, insert, start - end)
            position = end
        return cls(tuple(_canonical(ops)))

    def to_splices(self) -> list[Splice]:
        """Return the same edit as splices on the old text."""
        splices: list[Splice] = []
        position = 0
        insert = ""
        for op in self.ops:
            if isinstance(op, str):
                insert = op
            elif op < 0:
                splices.append(Splice(position, position - op, insert))
                insert = ""
                position -= op
            else:
                if insert:
                    splices.append(Splice(position, position, insert))
                    insert = ""
                position += op
        if insert:
            splices.append(Splice(position, position, insert))
        return splices

    def coarse(self, text: str) -> Delta:
        """Return an edit that makes the same of ``text``, in at most `MAX_SPLICES` splices.

        It is this one if that has so few. Otherwise neighbours are joined: see `joined`.
        """
        if len(self.ops) <= MAX_SPLICES:
            return self
        return Delta.from_splices(joined(text, self.to_splices()))

    @property
    def is_identity(self) -> bool:
        """Whether the edit changes no text."""
        return not self.ops

    def apply(self, text: str) -> str:
        """Return ``text`` after the edit. Raises ``ValueError`` if the text is too short for it."""
        if not self.ops:
            return text
        pieces: list[str] = []
        position = 0
        for op in self.ops:
            if isinstance(op, str):
                pieces.append(op)
            elif op < 0:
                position -= op
            else:
                pieces.append(text[position : position + op])
                position += op
        if position > len(text):
            raise ValueError(f"the delta reaches {position}, the text ends at {len(text)}")
        pieces.append(text[position:])
        return "".join(pieces)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Delta) and self.ops == other.ops

    def __hash__(self) -> int:
        return hash(self.ops)

    def __repr__(self) -> str:
        return f"Delta.of({', '.join(map(repr, self.ops))})"


IDENTITY: Final = Delta()


def compose(first: Delta, then: Delta) -> Delta:
    """Return the delta that has the effect of ``first`` followed by ``then``.

    ``first`` is walked up to the position where ``then`` ends; the rest of it is copied. So a
    keystroke on a long history costs a scan and two slices, not a rebuild.
    """
    if not then.ops:
        return first
    if not first.ops:
        return then
    ops = first.ops
    index, head, skipped = _untouched(ops, then.ops[0])
    out: list[Op] = list(ops[head:index])
    end = len(ops)
    current: Op = ops[index] if index < end else 0
    for position, op in enumerate(then.ops):
        if isinstance(op, str):
            out.append(op)
            continue
        keep = op > 0
        left = op if keep else -op
        if position == 0 and keep:
            left -= skipped
        while left:
            if index == end:
                out.append(left if keep else -left)
                break
            if isinstance(current, str):
                size = len(current)
                if size > left:
                    if keep:
                        out.append(current[:left])
                    current = current[left:]
                    break
                if keep:
                    out.append(current)
            elif current < 0:
                out.append(current)
                size = 0
            else:
                size = current
                if size > left:
                    out.append(left if keep else -left)
                    current -= left
                    break
                out.append(size if keep else -size)
            left -= size
            index += 1
            current = ops[index] if index < end else 0
    if index == end:
        return Delta(ops[:head] + tuple(_canonical(out)))
    # The ops after the next retain are canonical already and cannot merge with earlier ops.
    out.append(current)
    index += 1
    if not (isinstance(current, int) and current > 0):
        while index < end:
            op = ops[index]
            out.append(op)
            index += 1
            if isinstance(op, int) and op > 0:
                break
    return Delta(ops[:head] + tuple(_canonical(out, last=index == end)) + ops[index:])


def transform(winner: Delta, other: Delta) -> tuple[Delta, Delta]:
    """Return ``(winner', other')`` for two edits of one text, so that both orders give one text.

    ``compose(winner, other') == compose(other, winner')``. Where both insert at one place, the
    winner's text comes first. No insertion is ever deleted: a deletion is split around the text
    that the other edit inserts inside it.
    """
    if not winner.ops or not other.ops:
        return winner, other
    ours, theirs = iter(winner.ops), iter(other.ops)
    our_out: list[Op] = []
    their_out: list[Op] = []
    a: Op = next(ours, 0)
    b: Op = next(theirs, 0)
    while a and b:
        if isinstance(a, str):
            our_out.append(a)
            their_out.append(len(a))
            a = next(ours, 0)
        elif isinstance(b, str):
            their_out.append(b)
            our_out.append(len(b))
            b = next(theirs, 0)
        else:
            size = min(abs(a), abs(b))
            if a > 0:
                if b > 0:
                    our_out.append(size)
                    their_out.append(size)
                    b -= size
                else:
                    their_out.append(-size)
                    b += size
                a -= size
            else:
                if b > 0:
                    our_out.append(-size)
                    b -= size
                else:
                    b += size
                a += size
            if not a:
                a = next(ours, 0)
            if not b:
                b = next(theirs, 0)
    _run_out(a, ours, our_out, their_out)
    _run_out(b, theirs, their_out, our_out)
    return Delta(tuple(_canonical(our_out))), Delta(tuple(_canonical(their_out)))


def _run_out(op: Op, rest: Iterable[Op], own: list[Op], other: list[Op]) -> None:
    """Transform the remaining ops of one side over the other side's implicit trailing retain."""
    if not op:
        return
    for left in (op, *rest):
        own.append(left)
        if isinstance(left, str):
            other.append(len(left))
        elif left > 0:
            other.append(left)


def _untouched(ops: tuple[Op, ...], first: Op) -> tuple[int, int, int]:
    """Measure how many of ``ops`` lie wholly within the leading retain ``first``.

    Returns ``(index, head, length)``: the ops before ``index`` are covered and make ``length`` code
    points of text; the ops before ``head`` end where a covered retain begins, so no later op can
    merge with them.
    """
    if isinstance(first, str) or first < 0:
        return 0, 0, 0
    length = head = index = 0
    for index, op in enumerate(ops):
        if isinstance(op, str):
            grown = length + len(op)
            if grown > first:
                return index, head, length
            length = grown
        elif op > 0:
            grown = length + op
            if grown > first:
                return index, head, length
            length = grown
            head = index
    return len(ops), head, length


def _canonical(ops: Iterable[Op], last: bool = True) -> list[Op]:
    """Return ``ops`` in canonical form; ``last`` tells whether to leave out a trailing retain."""
    out: list[Op] = []
    inserts: list[str] = []
    retain = delete = 0
    for op in ops:
        if isinstance(op, str):
            if op:
                inserts.append(op)
        elif op < 0:
            delete += op
        elif op:
            if inserts or delete:
                if retain:
                    out.append(retain)
                    retain = 0
                if inserts:
                    out.append(inserts[0] if len(inserts) == 1 else "".join(inserts))
                    inserts.clear()
                if delete:
                    out.append(delete)
                    delete = 0
            retain += op
    if inserts or delete:
        if retain:
            out.append(retain)
            retain = 0
        if inserts:
            out.append("".join(inserts))
        if delete:
            out.append(delete)
    elif retain and not last:
        out.append(retain)
    return out
