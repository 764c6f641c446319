"""Structured logs: the name of an event and its fields, as text on a terminal, else as JSON.

Fields are passed as ``extra={...}``. They never hold documents, tokens or people's names. Every
line, also of a library, names the node, and the request that caused it if the load balancer has
given the request an id.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

log = logging.getLogger(__name__)

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id that the load balancer gave to the current request; '' if none."""

CLIENT_FAULTS = (HttpProcessingError, RequestPayloadError)
"""Errors that aiohttp raises, and logs with a traceback, for bytes that are not HTTP."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_LIBRARY_LEVELS = {
    "aiohttp.access": logging.WARNING,
    "aiohttp.websocket": logging.ERROR,  # its warnings repeat bytes of the handshake
    "engineio.server": logging.WARNING,
    "socketio.server": logging.WARNING,
}
"""The lowest level at which each library logs."""


class _Formatter(logging.Formatter):
    """Formats a record as one line, with the fields that all lines have."""

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        request = request_id.get()
        common = {"node": self._node, **({"request": request} if request else {})}
        own = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        return {**common, **own}


class TextFormatter(_Formatter):
    """``12:00:00.123 INFO  joined  node=n room=a sid=b``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line for ``record``, followed by its indented traceback, if any.

        Each part may hold text from clients, which must not look like another line.
        """
        when = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        pairs = " ".join(f"{key}={_quoted(value)}" for key, value in self._fields(record).items())
        line = f"{when} {record.levelname:<7} {_printable(record.getMessage())}  {pairs}"
        if record.exc_info:
            trace = self.formatException(record.exc_info).split("\n")
            line += "".join(f"\n    {_printable(each)}" for each in trace)
        return line


class JsonFormatter(_Formatter):
    """One JSON object a line: time, level, logger, event, and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return ``record`` as one line of JSON, in ASCII."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **self._fields(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, separators=(",", ":"), default=str)


class _WithoutClientFaults(logging.Filter):
    """Replaces the traceback of a request that is not HTTP by one line at level info."""

    def filter(self, record: logging.LogRecord) -> bool:
        fault = record.exc_info[1] if record.exc_info else None
        if not isinstance(fault, CLIENT_FAULTS):
            return True
        record.exc_info = None
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.msg, record.args = "bad request", ()
        record.reason = type(fault).__name__
        return logging.getLogger(record.name).isEnabledFor(logging.INFO)


def set_up(level: str, form: str, node: str) -> None:
    """Send all logs to standard error; ``form`` is text, json, or auto (text on a terminal)."""
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter(node) if text else JsonFormatter(node))
    handler.addFilter(_WithoutClientFaults())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, minimum in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(minimum)


def log_ready(addresses: Iterable[Any]) -> None:
    """Log that the node serves at these addresses, when its sockets are open."""
    log.info("ready", extra={"url": ", ".join(_url(address) for address in addresses)})


def _url(address: Any) -> str:
    if not isinstance(address, tuple):
        return f"unix:{address}"
    host, port = address[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _printable(text: str) -> str:
    """Return ``text`` with each character escaped that would break the line or move the cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _quoted(value: Any) -> str:
    """Return a field's value, in quotes if its end would not be clear without them."""
    text = _printable(str(value))
    if text and not any(sign in text for sign in ' "='):
        return text
    return '"' + text.replace('"', '\\"') + '"'
