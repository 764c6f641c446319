"""The members of a big room: many who read, and some who type, each into a line of its own.

The text is code and a line for each typist. A letter has arrived when a text has it: at another
typist if it is in its author's line, at a reader if the text is long enough to have as many letters
as were typed until then. That needs no parsing, and a thousand readers are in one process.
"""

import asyncio
import json
from array import array
from collections import deque

from loadtest.members import JOIN_TIMEOUT, PONG, TYPED, Room, TextMember, clock, halves
from loadtest.wire import TEXT, frame

LETTERS = TYPED.replace('"', "").replace("\n", "")


class BigRoom(Room):
    """A big room: when each letter was typed, in all and by each typist."""

    def __init__(self, name: str, size: int, typists: int) -> None:
        super().__init__(name, size)
        self.typed_by = [array("d") for _ in range(typists)]
        lines = "".join(f"{self.head(n)}\n" for n in range(typists))
        self.first = halves(size)[0] + lines + halves(size)[1]
        self.empty_size = 0
        """Bytes of a receive without any letter, from the first that a typist gets."""

    @staticmethod
    def head(number: int) -> str:
        """Return the beginning of a typist's line."""
        return f"# {number:03}:"


class Reader(TextMember):
    """A member that only reads.

    ``delays`` has a pair for each letter that has arrived: when it was typed, and how long it took.
    """

    room: BigRoom

    def __init__(self, room: BigRoom, *, deflate: bool = False) -> None:
        super().__init__(room, deflate=deflate)
        self.delays: list[tuple[float, float]] = []
        self.receives = self.bytes = self.presence_bytes = 0

    def on_message(self, payload: bytes) -> None:
        self.bytes += len(payload)
        if payload.startswith(b'42["receive"'):
            self.receives += 1
            self._last = payload
            self.show(len(payload) - self.room.empty_size)
        else:
            if payload.startswith(b'42["presence"'):
                self.presence_bytes += len(payload)
            super().on_message(payload)

    def show(self, letters: int) -> None:
        """Note that a text with that many letters has arrived."""
        now = clock()
        if self.shown < 0:
            self.first_text.set_result(now)
            self.shown = letters  # what was typed before does not count
        for at in self.room.typed_at[self.shown : letters]:
            self.delays.append((at, now - at))
        self.shown = max(self.shown, letters)


class LazyReader(Reader):
    """A reader that takes what has arrived only once in a while."""

    PAUSE = 1.0

    def on_message(self, payload: bytes) -> None:
        super().on_message(payload)
        if payload.startswith(b'42["receive"') and self.transport and self.transport.is_reading():
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(self.PAUSE, self._read_again)

    def _read_again(self) -> None:
        if self.transport and not self.transport.is_closing():
            self.transport.resume_reading()


class Typist(Reader):
    """A member that types into its line of the text that it shows, and shows what arrives.

    ``acknowledged`` is like ``delays``, for its own changes. Only a ``witness`` looks for the
    letters of the others, because that takes time.
    """

    def __init__(self, room: BigRoom, number: int, *, witness: bool = True) -> None:
        super().__init__(room)
        self._head = room.head(number)
        self._number = number
        self._witness = witness
        self._shown_of = [0] * len(room.typed_by)
        self._sent: deque[float] = deque()
        self.text = room.first
        self.acknowledged: list[tuple[float, float]] = []

    @classmethod
    async def come(cls, room: BigRoom, number: int, port: int, *, witness: bool = True) -> "Typist":
        """Connect a typist and let it join."""
        loop = asyncio.get_running_loop()
        typist = cls(room, number, witness=witness)
        async with asyncio.timeout(JOIN_TIMEOUT):
            await loop.create_connection(lambda: typist, "127.0.0.1", port)
            await typist.joined
        return typist

    def on_message(self, payload: bytes) -> None:
        if payload == b"2":
            self.write(PONG)
        elif payload.startswith(b'42["receive"'):
            self.receives += 1
            self.text = json.loads(payload[2:])[1]["code"]
            letters = len(self.text) - len(self.room.first)
            self.room.empty_size = len(payload) - letters
            if not self.first_text.done():
                self.first_text.set_result(clock())
            if self._witness:
                self._look()
        elif payload.startswith(b'431[{"ok":true'):
            at = self._sent.popleft()
            self.acknowledged.append((at, clock() - at))
            if not self.stored.done():
                self.stored.set_result(None)
        else:
            super().on_message(payload)

    def _look(self) -> None:
        """Note which letters of the others have arrived."""
        now = clock()
        for number, typed in enumerate(self.room.typed_by):
            shown = self._shown_of[number]
            if number != self._number and shown < len(typed):
                letters = len(self._line(number))
                for at in typed[shown:letters]:
                    self.delays.append((at, now - at))
                self._shown_of[number] = max(shown, letters)

    def _line(self, number: int) -> str:
        _, _, rest = self.text.partition(self.room.head(number))
        return rest.partition("\n")[0]

    def write_text(self) -> None:
        """Send the text that the room begins with."""
        self._send_text()

    def type_letter(self) -> None:
        """Send the next letter at the end of the typist's line."""
        typed = self.room.typed_by[self._number]
        before, head, rest = self.text.partition(self._head)
        line, end, after = rest.partition("\n")
        self.text = "".join((before, head, line, LETTERS[len(typed) % len(LETTERS)], end, after))
        now = clock()
        typed.append(now)
        self.room.typed_at.append(now)
        self._send_text()

    def _send_text(self) -> None:
        self._sent.append(clock())
        event = json.dumps(["change", {"room": self.room.name, "code": self.text}])
        self.write(frame(TEXT, b"421" + event.encode()))

    def final_text(self) -> str:
        return self.text
