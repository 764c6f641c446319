"""Who is charged for an HTTP request, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from collab.bucket import Budget
from collab.budget import Budgets, Meter
from collab.wire.connection import Connection

REQUEST_COST: Final = 0.0002
"""Seconds charged for each request besides the time of its handler: reading it, and answering."""
HANDSHAKE_COST: Final = 0.005
"""Seconds charged for a handshake, which makes a session: 50 a second on one TCP connection."""
PAYERS: web.RequestKey[Sequence[Budget]] = web.RequestKey("payers")
"""The key under which a request keeps the budgets that are charged for it."""


def meter_of(request: web.BaseRequest) -> Meter | None:
    """Return the meter of the connection of a request; None if another server has accepted it."""
    protocol = request.protocol
    return protocol.meter if isinstance(protocol, Connection) else None


def charge_request(request: web.BaseRequest, budgets: Budgets, busy: float) -> None:
    """Charge ``busy`` seconds to those who pay for a request (`PAYERS`), if anybody does."""
    for payer in request.get(PAYERS, ()):
        payer.charge(budgets.cost(busy), budgets.clock())


def address_of(request: web.BaseRequest, budgets: Budgets) -> str:
    """Return the address of a request's client; it may be `UNKNOWN`."""
    return budgets.address_of(request.remote, request.headers.getall("X-Forwarded-For", ()))
