"""The address of a client, whether it connects directly or through a proxy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

UNKNOWN: Final = ""
"""The address of a client whose address cannot be known."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies whose ``X-Forwarded-For`` is true, by their networks.

    A peer without an IP address is on a unix socket: it counts as one of them.
    """

    networks: Sequence[IPv4Network | IPv6Network] = ()

    def __str__(self) -> str:
        return ", ".join(map(str, self.networks)) or "none"

    @classmethod
    def parse(cls, raw: str) -> Proxies:
        """Return the proxies in a list of addresses and networks. Raises ValueError."""
        try:
            return cls(tuple(ip_network(part.strip()) for part in raw.split(",")))
        except ValueError as problem:
            raise ValueError(f"is not a list of IP addresses and networks: {problem}") from None

    def include(self, peer: str | None) -> bool:
        """Whether ``peer`` is one of these proxies."""
        if not peer:
            return True
        if not self.networks:
            return False
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.networks)

    def client_of(self, peer: str | None, forwarded_for: str) -> str:
        """Return the client's address, given its peer and ``X-Forwarded-For``; maybe `UNKNOWN`.

        It is the last address that is not a proxy's: a client may write those before it itself. An
        IPv6 address stands for its network of 64 bits, which belongs to one household.
        """
        hops = forwarded_for.split(",") if forwarded_for else []
        while self.include(peer):
            if not hops:
                return UNKNOWN
            peer = hops.pop().strip() or UNKNOWN
        try:
            address = ip_address(str(peer))
        except ValueError:
            return UNKNOWN
        if not isinstance(address, IPv6Address):
            return str(address)
        return str(address.ipv4_mapped or IPv6Network((int(address) >> 64 << 64, 64)))


NO_PROXIES: Final = Proxies()
