"""What an attack is: a function of the offender, and its sizes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tests.abuse.offender import Offender

Act = Callable[[Offender, int], AsyncIterator[None]]
"""Prepares, yields once, and then attacks, with a size."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack, its size in ``make test``, and its size in ``make abuse``.

    ``hears`` is false if the offender does not read, so that no reason can reach it. ``is_fuzz``
    tells that the node must only survive it: what is kept and stated then depends on the inputs.
    ``settings`` are variables of the node.
    """

    act: Act
    small: int
    full: int
    hears: bool = True
    is_fuzz: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.act.__name__.replace("_", "-")

    @property
    def title(self) -> str:
        return (self.act.__doc__ or "").partition("\n")[0].rstrip(".")


def by_name(attacks: Iterable[Attack]) -> dict[str, Attack]:
    return {attack.name: attack for attack in attacks}
