"""The address that a question carries for its answers, and the form of an answer."""

from __future__ import annotations

from typing import NamedTuple


class ReplyTo(NamedTuple):
    """The address of an answer: a channel of the asking node, and the question's random name."""

    channel: str
    question: bytes

    def pack(self) -> bytes:
        """Return the address as a question carries it: ``channel question``."""
        return self.channel.encode() + b" " + self.question

    @classmethod
    def parse(cls, packed: bytes) -> ReplyTo:
        """Read what ``pack`` returned. Raises ValueError."""
        channel, question = packed.split(b" ")
        return cls(channel.decode(), question)

    def pack_answer(self, answer: bytes) -> tuple[str, bytes]:
        """Return the channel for an answer, and the message: ``question\\nanswer``."""
        return self.channel, self.question + b"\n" + answer


def parse_answer(message: bytes) -> tuple[bytes, bytes]:
    """Return the name of the question, and the answer, that a message contains."""
    question, _, answer = message.partition(b"\n")
    return question, answer
