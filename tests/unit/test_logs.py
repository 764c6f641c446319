"""Log lines: one for each record, whatever clients have sent, with the node and the request."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from collab.errors import StoreUnavailable
from collab.logs import JsonFormatter, TextFormatter, request_id, set_up

FORMATTERS = [TextFormatter("a"), JsonFormatter("a")]
FORGED = "x\n12:00:00.000 ERROR forged\r\x1b[2J\u2028\u2029\x85\x00\x9b\ud800"


def record(event: str = "joined", fault: Exception | None = None, **fields: Any) -> Any:
    info = None
    if fault is not None:
        try:
            raise fault
        except Exception:
            info = sys.exc_info()
    made = logging.LogRecord("collab.x", logging.INFO, __file__, 1, event, None, info)
    vars(made).update(fields)
    return made


def test_a_line_is_json_with_its_fields_and_the_node() -> None:
    line = json.loads(JsonFormatter("a").format(record(room="r", size=7)))
    assert line["event"] == "joined" and line["level"] == "info" and line["logger"] == "collab.x"
    assert line["room"] == "r" and line["size"] == 7 and line["node"] == "a"
    failed = json.loads(JsonFormatter("a").format(record(fault=StoreUnavailable("gone"))))
    assert "StoreUnavailable: gone" in failed["traceback"]


def test_a_line_is_text_with_its_fields_and_the_node() -> None:
    line = TextFormatter("a").format(record(room="r", reason="two words", empty=""))
    assert line.endswith('INFO    joined  node=a room=r reason="two words" empty=""')
    failed = TextFormatter("a").format(record(fault=StoreUnavailable("gone"))).split("\n")
    assert "StoreUnavailable: gone" in failed[-1]
    assert all(line.startswith("    ") for line in failed[1:])


@pytest.mark.parametrize("formatter", FORMATTERS, ids=["text", "json"])
def test_text_from_a_client_never_forges_a_line_or_moves_the_cursor(
    formatter: logging.Formatter,
) -> None:
    line = formatter.format(record(FORGED, sid=FORGED, big=1 << 70))
    assert line.isprintable() and line.encode() and len(line.splitlines()) == 1
    trace = formatter.format(record(fault=ValueError(FORGED)))
    assert not any(line.startswith("12:00:00.000") for line in trace.splitlines())
    assert trace.replace("\n", "").isprintable()


def test_a_value_cannot_look_like_another_field() -> None:
    line = TextFormatter("a").format(record(sid='x" room=forged'))
    assert line.endswith('sid="x\\" room=forged"')


@pytest.mark.parametrize("formatter", FORMATTERS, ids=["text", "json"])
def test_a_line_names_the_request_that_caused_it_if_it_has_an_id(
    formatter: logging.Formatter,
) -> None:
    assert "request" not in formatter.format(record())
    token = request_id.set("0a1b")
    try:
        assert "0a1b" in formatter.format(record())
    finally:
        request_id.reset(token)


@pytest.mark.parametrize(("level", "expected"), [("info", 1), ("warning", 0)])
def test_bytes_that_are_not_http_are_one_line_at_info_without_a_traceback(
    capsys: pytest.CaptureFixture[str], level: str, expected: int
) -> None:
    before = logging.root.handlers[:], logging.root.level
    try:
        set_up(level, "json", "a")
        try:
            raise BadHttpMessage("secret: header")
        except BadHttpMessage:
            logging.getLogger("aiohttp.server").exception("Error handling request from %s", "::1")
    finally:
        logging.root.handlers[:], level_before = before
        logging.root.setLevel(level_before)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(lines) == expected
    for line in lines:
        assert line["event"] == "bad request" and line["reason"] == "BadHttpMessage"
        assert line["level"] == "info" and "traceback" not in line and "secret" not in str(line)
