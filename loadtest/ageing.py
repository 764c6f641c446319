"""Rooms that have been edited for a long time."""

import asyncio
import random
from collections.abc import Sequence
from functools import lru_cache

from pycrdt import Doc, Text, merge_updates

from loadtest.members import Room, YjsMember, halves, sync

EDITS_AT_ONCE = 100
"""Edits that arrive in one message, as those of a client that was offline. One by one, 20,000
would take minutes at the pace that a node lets a client keep."""
WORD = "words"
ROOMS_AT_ONCE = 10


@lru_cache
def history(size: int, edits: int) -> list[bytes]:
    """Return the frames that write a text and then edit it that often.

    Words are typed at random places, letter by letter, and taken back in the same way. So the text
    is the same in the end, and the document has a piece and a deleted word for each place.
    """
    updates: list[bytes] = []
    doc: Doc[Text] = Doc()
    text = doc.get("code", type=Text)
    subscription = doc.observe(lambda event: updates.append(event.update))
    text += "".join(halves(size))
    chance = random.Random(1)
    for _ in range(edits // (2 * len(WORD))):
        place = chance.randrange(size)
        for number, letter in enumerate(WORD):
            text.insert(place + number, letter)
        for number in reversed(range(len(WORD))):
            del text[place + number]
    doc.unobserve(subscription)
    first, *later = updates
    batches = [later[at : at + EDITS_AT_ONCE] for at in range(0, len(later), EDITS_AT_ONCE)]
    return [sync(2, first), *(sync(2, merge_updates(*batch)) for batch in batches)]


async def age_rooms(rooms: Sequence[Room], port: int, edits: int) -> None:
    """Let a Yjs client make that many edits in each room, and leave."""
    few = asyncio.Semaphore(ROOMS_AT_ONCE)

    async def age(room: Room) -> None:
        async with few:
            author = await YjsMember.enter(room, port)
            for message in history(room.size, edits):
                author.write(message)
            author.ask_whether_stored()
            await author.stored
            author.close()

    await asyncio.gather(*map(age, rooms))
