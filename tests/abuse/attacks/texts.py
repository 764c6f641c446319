"""Changes of text members that are dear to merge."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tests.abuse.offender import Offender
from tests.cluster.peers import peers

OLD_TEXT = 150_000
"""Characters of the text of an old room."""


async def random_indentation(offender: Offender, lines: int) -> AsyncIterator[None]:
    """One `change` that indents each line anew, at random."""
    rng = offender.rng

    def indented() -> str:
        return "\n".join(" " * rng.randrange(4) + f"x{n % 997};" for n in range(lines))

    member = await offender.text_member()
    await member.change("indented", indented())
    yield
    await member.change("indented", indented())


async def unjoined_change(offender: Offender, entries: int) -> AsyncIterator[None]:
    """One `change` of 150 kB from who never joined, in a room with a long history."""
    rng = offender.rng
    async with peers(offender.redis_url, "old", "stage") as (stage,):
        await stage.insert("".join(rng.choices("abcdefgh \n", k=OLD_TEXT)))
        for _ in range(entries):
            await stage.insert(f"edit {rng.random()}", rng.randrange(OLD_TEXT))
        text = list(stage.text)
    for place in rng.sample(range(len(text)), len(text) // 20):
        text[place] = "~"
    member = await offender.text_member()
    yield
    await member.change("old", "".join(text))
