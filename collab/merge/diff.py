"""Compute an edit from the text before it and the text after it.

Bisection on slices finds the common ends, at the speed of memory. The middle is diffed by the
greedy algorithm of Myers, *An O(ND) Difference Algorithm and Its Variations* (1986), up to a bound.
Beyond the bound, lines are compared instead of characters, regardless of their indentation, because
so large a change is usually made by a formatter. All positions are code points.
"""

from itertools import chain

from .splice import Splice, edit_size, joined

MAX_DISTANCE = 128
"""Single insertions and deletions between the common ends that the search finds at most. Its cost
grows with the square of this number, to about 2 ms. The same bound holds for lines."""

MAX_QUICK_DISTANCE = 32
"""The same bound for `edit_distance`, about 0.1 ms at worst."""

MAX_LINES = 25_000
"""Lines of a text that are compared, in about 15 ms: 10 bytes a line in the largest text."""

_GALLOP = 16
_MIN_PIECE, _MAX_PIECE = 4, 32


def diff(old: str, new: str) -> list[Splice]:
    """Return the edit from ``old`` to ``new`` as sorted splices that do not overlap.

    The edit is minimal if the texts differ by at most `MAX_DISTANCE` between their common ends.
    Otherwise it is computed line by line, in at most `MAX_SPLICES` splices, or is one splice from
    the first difference to the last. Equal texts give no splice.
    """
    if old == new:
        return []
    start, old_end, new_end = _ends(old, new)
    if start in (old_end, new_end):
        return [Splice(start, old_end, new[start:new_end])]
    old, new = old[start:old_end], new[start:new_end]
    splices = _myers(old, new) or _by_lines(old, new)
    if not start:
        return splices
    return [Splice(start + a, start + b, insert) for a, b, insert in splices]


def inserted(old: str, new: str, at: int) -> Splice | None:
    """Return the edit from ``old`` to ``new`` if it is an insertion at ``at``: as `diff` does.

    This is most of what is typed, because most letters are typed behind another. It takes a few
    comparisons, a tenth of `diff`.
    """
    more = len(new) - len(old)
    if more <= 0 or new[at : at + 1] == old[at : at + 1]:  # it begins later, or is none
        return None
    if new[:at] != old[:at] or new[at + more :] != old[at:]:
        return None
    return Splice(at, at, new[at : at + more])


def quick_diff(old: str, new: str) -> list[Splice]:
    """Return an edit from ``old`` to ``new``, at a fraction of the cost of `diff`.

    The edit is minimal if the texts differ by at most `MAX_QUICK_DISTANCE` between their common
    ends, otherwise one splice.
    """
    if old == new:
        return []
    start, old_end, new_end = _ends(old, new)
    middle, other = old[start:old_end], new[start:new_end]
    splices = _myers(middle, other, MAX_QUICK_DISTANCE) if middle and other else None
    if splices is None:
        return [Splice(start, old_end, other)]
    return [Splice(start + a, start + b, insert) for a, b, insert in splices]


def edit_distance(old: str, new: str, limit: int, *, exact: int = MAX_QUICK_DISTANCE) -> int | None:
    """Estimate how many code points an edit from ``old`` to ``new`` inserts and deletes.

    Returns ``None`` if the estimate is over ``limit``. It is exact up to ``exact``, and for changes
    at one place; otherwise it is the size of one splice from the first difference to the last. This
    costs a fraction of `diff`, so that many texts can be searched.
    """
    if abs(len(old) - len(new)) > limit:
        return None
    start, old_end, new_end = _ends(old, new)
    distance = old_end - start + new_end - start
    if start not in (old_end, new_end):
        splices = _myers(old[start:old_end], new[start:new_end], min(limit, exact))
        if splices is not None:
            distance = edit_size(splices)
    return distance if distance <= limit else None


def _by_lines(old: str, new: str) -> list[Splice]:
    """Return an edit that keeps lines which differ only in the whitespace around them.

    Each line is mapped to one character, so that `_myers` works on lines too. If there are more
    lines than `MAX_LINES`, the edit is one splice.
    """
    whole = [Splice(0, len(old), new)]
    if max(old.count("\n"), new.count("\n")) > MAX_LINES:
        return whole
    old_lines, new_lines = old.splitlines(keepends=True), new.splitlines(keepends=True)
    if max(len(old_lines), len(new_lines)) > MAX_LINES:
        return whole
    old_names, new_names = _names(old_lines, new_lines)
    start, old_end, new_end = _ends(old_names, new_names)
    hunks = _myers(old_names[start:old_end], new_names[start:new_end])
    if hunks is None:
        hunks = [Splice(0, old_end - start, new_names[start:new_end])]
    changed: list[Splice] = []
    position = here = there = 0
    for hunk in [*hunks, Splice(len(old_lines) - start, len(old_lines) - start, "")]:
        kept = hunk.start + start - here
        for line, other in zip(
            old_lines[here : here + kept], new_lines[there : there + kept], strict=True
        ):
            end = position + len(line)
            if line != other:
                changed.append(Splice(position, end, other))
            position = end
        here = hunk.end + start
        removed = sum(map(len, old_lines[hunk.start + start : here]))
        there += kept
        added = "".join(new_lines[there : there + len(hunk.insert)])
        there += len(hunk.insert)
        changed.append(Splice(position, position + removed, added))
        position += removed
    # They are joined before they are trimmed, so that few are left to trim.
    trimmed = [_trimmed(old, splice) for splice in joined(old, changed)]
    return [splice for splice in trimmed if splice.start < splice.end or splice.insert]


def _names(*texts: list[str]) -> list[str]:
    """Return each text's lines as one character each: equal ones if their stripped lines are."""
    stripped = [[*map(str.strip, lines)] for lines in texts]
    names = {line: chr(at) for at, line in enumerate(dict.fromkeys(chain(*stripped)))}
    return ["".join(map(names.__getitem__, lines)) for lines in stripped]


def _trimmed(text: str, splice: Splice) -> Splice:
    """Return a splice of ``text`` without what it deletes and inserts again at its ends."""
    start, old_end, new_end = _ends(text[splice.start : splice.end], splice.insert)
    return Splice(splice.start + start, splice.start + old_end, splice.insert[start:new_end])


def _ends(old: str, new: str) -> tuple[int, int, int]:
    """Return where the first difference starts, and where the last ends in ``old`` and ``new``."""
    shorter = min(len(old), len(new))
    start = _common_prefix(old, new, shorter)
    tail = _common_suffix(old, new, shorter - start)
    return start, len(old) - tail, len(new) - tail


def _common_prefix(old: str, new: str, limit: int) -> int:
    low, high = 0, limit
    while low < high:
        half = (low + high + 1) >> 1
        if new.startswith(old[low:half], low):
            low = half
        else:
            high = half - 1
    return low


def _common_suffix(old: str, new: str, limit: int) -> int:
    old_size, new_size = len(old), len(new)
    low, high = 0, limit
    while low < high:
        half = (low + high + 1) >> 1
        if new.endswith(old[old_size - half : old_size - low], 0, new_size - low):
            low = half
        else:
            high = half - 1
    return low


def _snake(old: str, new: str, x: int, y: int) -> int:
    """Return where in ``old`` the run of equal code points from ``(x, y)`` ends.

    Steps grow while they match, because one edit at each end of a long text leaves one long run.
    """
    step = _GALLOP
    size = len(old)
    while x < size:
        piece = old[x : x + step]
        if not new.startswith(piece, y):
            break
        x += len(piece)
        y += len(piece)
        step += step
    limit = min(step, size - x, len(new) - y)
    return x + _common_prefix(old[x : x + limit], new[y : y + limit], limit)


def _surely_exceeds(old: str, new: str, distance: int) -> bool:
    """Whether every edit from ``old`` to ``new`` has more than ``distance`` steps: a quick test.

    An edit of ``distance`` steps leaves at least one of ``distance + 1`` pieces of ``old`` as it
    is, and shifts it by at most ``distance``. So texts that have nothing to do with each other cost
    a hundredth of the search. The opposite is not certain.
    """
    size = len(old) // (distance + 1)
    if size < _MIN_PIECE:
        return False
    for at in range(0, size * (distance + 1), size):
        end = at + min(size, _MAX_PIECE)
        if new.find(old[at:end], max(0, at - distance), end + distance) >= 0:
            return False
    return True


def _myers(old: str, new: str, max_distance: int = MAX_DISTANCE) -> list[Splice] | None:
    """Return the shortest edit of two texts that share neither first nor last code point.

    Returns ``None`` if it takes more than ``max_distance`` single insertions and deletions.
    """
    old_size, new_size = len(old), len(new)
    if abs(old_size - new_size) > max_distance or _surely_exceeds(old, new, max_distance):
        return None
    furthest = {1: 0}
    trace: list[dict[int, int]] = []
    for distance in range(max_distance + 1):
        reached: dict[int, int] = {}
        for diagonal in range(-distance, distance + 1, 2):
            if diagonal > old_size or -diagonal > new_size:
                continue
            down = furthest.get(diagonal + 1, -1)
            right = furthest.get(diagonal - 1, -1) + 1 if diagonal - 1 in furthest else -1
            x = max(down, right)
            y = x - diagonal
            if x < 0 or x > old_size or y > new_size:
                continue
            start = x
            while x < old_size and y < new_size and old[x] == new[y]:
                x += 1
                y += 1
                if x - start == _GALLOP:
                    x = _snake(old, new, x, y)
                    y = x - diagonal
                    break
            reached[diagonal] = x
            if x == old_size and y == new_size:
                trace.append(reached)
                return _walk_back(new, trace, old_size)
        trace.append(reached)
        furthest = reached
    return None


def _walk_back(new: str, trace: list[dict[int, int]], x: int) -> list[Splice]:
    """Follow the furthest paths from the end to the start, and join single steps into splices."""
    splices: list[Splice] = []
    y = len(new)
    for distance in range(len(trace) - 1, 0, -1):
        furthest = trace[distance - 1]
        diagonal = x - y
        down = furthest.get(diagonal + 1, -1)
        right = furthest.get(diagonal - 1, -1) + 1 if diagonal - 1 in furthest else -1
        if down >= right:
            x, y = down, down - diagonal - 1
            step = Splice(x, x, new[y])
        else:
            x, y = right - 1, right - diagonal
            step = Splice(x, x + 1, "")
        if splices and splices[-1].start == step.end:
            _, end, insert = splices.pop()
            step = Splice(step.start, end, step.insert + insert)
        splices.append(step)
    splices.reverse()
    return splices
