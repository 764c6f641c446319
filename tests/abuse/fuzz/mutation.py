"""Mutations of bytes, and random JSON values."""

from __future__ import annotations

from random import Random
from typing import Any

MAX_MUTATIONS = 4
SCRAPS = (
    b"", b"\0", b"\xff", b"\xff" * 10, b"\x80" * 9 + b"\1", b"\x7f", b"\x1e", b"\r\n", b'"', b"\\",
    b"[", b"[" * 2000, b'{"a":' * 500, b"-", b"1e999", b"9" * 400, b"NaN", b"null", b"\\ud800",
    b"\xed\xa0\x80", b"\xf0\x9f\x90\x8d", b"a" * 3000, b"__proto__", b"%00", b"/", b",", b"0",
    b'"' * 4000, b"(" * 2000,
)  # fmt: skip
"""What parsers stumble over."""
TEXTS = (
    "", "code", "room", "a", "\0", "\ud800", "🐍", "a\u2028b", "é" * 40, "x" * 5000, "../..",
    "__proto__", "fuzz", "NaN", "\r\n", "\x1e",
)  # fmt: skip
NUMBERS = (0, -1, 1, 0.5, -0.0, 1e308, 2**31, 2**53 + 1, 2**64, -(2**70), 10**40)


def mutated(rng: Random, data: bytes, others: list[bytes]) -> bytes:
    """Return ``data`` after some random changes; one may continue it with a part of another."""
    out = bytearray(data)
    for _ in range(rng.randint(0, MAX_MUTATIONS)):
        start = rng.randint(0, len(out))
        end = min(len(out), start + rng.randint(0, 8))
        match rng.randrange(6):
            case 0 if out:
                out[start % len(out)] ^= 1 << rng.randrange(8)
            case 1:
                del out[start:end]
            case 2:
                out[start:start] = rng.choice(SCRAPS)
            case 3:
                out[start:start] = out[start:end] * rng.randint(1, 50)
            case 4:
                del out[start:]
            case _:
                other = rng.choice(others)
                out[start:] = other[rng.randint(0, len(other)) :]
    return bytes(out)


def json_value(rng: Random, depth: int = 3) -> Any:
    """Return a random value that JSON can write, or nearly."""
    kind = rng.randrange(8 if depth else 6)
    if kind == 0:
        return None
    if kind == 1:
        return rng.random() < 0.5
    if kind == 2:
        return rng.choice(NUMBERS)
    if kind < 6:
        return rng.choice(TEXTS)
    inner = [json_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return inner if kind == 6 else {rng.choice(TEXTS): value for value in inner}
