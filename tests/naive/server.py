"""The contract as anybody would write it first: what the storm is compared with."""

import os

import redis.asyncio
import socketio
from aiohttp import web

URL = os.environ["REDIS_URL"]
db = redis.asyncio.from_url(URL, decode_responses=True)
sio = socketio.AsyncServer(async_mode="aiohttp", client_manager=socketio.AsyncRedisManager(URL))
app = web.Application()
sio.attach(app)


@sio.event
async def join(sid: str, data: dict[str, str]) -> dict[str, bool]:
    await sio.enter_room(sid, data["room"])
    code = await db.get(f"code_{data['room']}")
    if code is not None:
        await sio.emit("receive", {"type": "receive", "code": code}, to=sid)
    return {"ok": True}


@sio.event
async def change(sid: str, data: dict[str, str]) -> dict[str, bool]:
    await db.set(f"code_{data['room']}", data["code"], ex=1800)
    message = {"type": "receive", "code": data["code"]}
    await sio.emit("receive", message, room=data["room"], skip_sid=sid)
    return {"ok": True}


@sio.event
async def leave(sid: str, data: dict[str, str]) -> None:
    await sio.leave_room(sid, data["room"])


web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None, access_log=None)
