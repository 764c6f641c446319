"""Keeps what was written in rooms: a receiver of webhooks. pip install aiohttp

python receiver.py PORT, with the secret in WEBHOOK_SECRET; the texts go to a file of SQLite.
"""

import base64
import hashlib
import hmac
import os
import sqlite3
import sys
import time

from aiohttp import web

KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
TOLERANCE = 5 * 60  # seconds: what was signed earlier may be a replay

db = sqlite3.connect(os.environ.get("HISTORY", "history.db"))
db.executescript("""
    create table if not exists seen (id text primary key);
    create table if not exists texts (
        room text, life text, sequence integer, text text, primary key (room, life));
""")


def is_genuine(headers, body):
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    fresh = abs(time.time() - int(headers["webhook-timestamp"])) < TOLERANCE
    signatures = headers["webhook-signature"].split()  # two while the secret is being changed
    return fresh and any(
        hmac.compare_digest(f"v1,{expected}".encode(), each.encode()) for each in signatures
    )


async def receive(request):
    body = await request.read()  # the signature is of these bytes, not of parsed JSON
    try:
        genuine = is_genuine(request.headers, body)
    except (KeyError, ValueError):
        genuine = False
    if not genuine:
        return web.Response(status=401)
    event = await request.json()
    with db:  # one transaction: an event that was noted was also kept
        id = request.headers["webhook-id"]
        if db.execute("insert or ignore into seen values (?)", [id]).rowcount:
            keep(event)
    return web.Response(status=204)


def keep(event):
    data = event["data"]
    print(event["type"], data["room"], flush=True)
    if data.get("text") is not None:
        # Events may change places; a later one has a greater sequence.
        db.execute(
            "insert into texts values (:room, :life, :sequence, :text)"
            " on conflict do update set sequence = :sequence, text = :text"
            " where sequence < :sequence",
            {name: data[name] for name in ("room", "life", "sequence", "text")},
        )


app = web.Application(client_max_size=8 * 2**20)  # a text, as JSON writes it
app.router.add_post("/webhooks", receive)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
