"""A TCP proxy that can delay, cut and stall connections, and lose data that the test chooses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Filter = Callable[[bytes], list[bytes]]
"""Given a piece of the data, returns the pieces to pass on: none drops it, two double it."""

PIECE = 1 << 16


class Proxy:
    """Passes TCP connections on to a port of ``host``, and breaks them on demand.

    ``delay`` is in seconds, each way. Bytes keep their order.
    """

    def __init__(self, target: int, delay: float = 0.0, host: str = "127.0.0.1") -> None:
        self.target = target
        self.host = host
        self.delay = delay
        self.port = 0
        self.to_client: Filter | None = None
        self.to_server: Filter | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._accepting = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._kept: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def stall(self) -> None:
        """Let nothing through in either direction; connections stay open."""
        self._open.clear()

    def resume(self) -> None:
        """Let everything through again, beginning with the data that was held back."""
        self._open.set()

    def cut(self) -> None:
        """Break all open connections."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def cut_unnoticed(self) -> None:
        """Break the clients' ends of all connections: to the server they seem open."""
        for down, forth in tuple(self._links):
            self._kept.add(forth)
            down.transport.abort()

    def shut(self) -> None:
        """Break new connections; open connections stay open."""
        self._accepting = False

    def refuse(self) -> None:
        """Break all connections, and new ones too."""
        self.shut()
        self.cut()

    def accept(self) -> None:
        """Accept new connections again."""
        self._accepting = True

    def part(self) -> None:
        """Cut the two sides off from each other: open connections are silent, none can be made."""
        self.stall()
        self.shut()

    def rejoin(self) -> None:
        """End `part`: what the open connections held back arrives, and new ones can be made."""
        self.resume()
        self.accept()

    async def _connected(self, up: asyncio.StreamReader, down: asyncio.StreamWriter) -> None:
        if not self._accepting:
            down.transport.abort()
            return
        try:
            back, forth = await asyncio.open_connection(self.host, self.target)
        except OSError:
            down.transport.abort()
            return
        self._writers |= {down, forth}
        self._links.add((down, forth))
        try:
            await asyncio.gather(
                self._pump(up, forth, lambda: self.to_server),
                self._pump(back, down, lambda: self.to_client),
            )
        finally:
            self._links.discard((down, forth))
            self._writers.discard(down)
            if forth not in self._kept:
                self._writers.discard(forth)
                forth.close()  # a pump that was cancelled before it began has not closed it

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        chosen: Callable[[], Filter | None],
    ) -> None:
        loop = asyncio.get_running_loop()
        flowing: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue(256)

        async def deliver() -> None:
            while (item := await flowing.get()) is not None:
                due, piece = item
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                await self._open.wait()
                change = chosen()
                for part in change(piece) if change else [piece]:
                    sink.write(part)
                await sink.drain()

        delivering = asyncio.create_task(deliver())
        try:
            with contextlib.suppress(OSError):
                while (piece := await source.read(PIECE)) and not delivering.done():
                    await flowing.put((loop.time() + self.delay, piece))
            if not delivering.done():
                await flowing.put(None)
            await asyncio.wait([delivering])
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
            if sink not in self._kept:
                sink.close()


@asynccontextmanager
async def proxy(target: int, delay: float = 0.0, host: str = "127.0.0.1") -> AsyncIterator[Proxy]:
    """Run a Proxy in front of ``target``; its own port is ``port``, on loopback."""
    wire = Proxy(target, delay, host)

    async def connected(up: asyncio.StreamReader, down: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        wire._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await wire._connected(up, down)
        finally:
            down.close()
            wire._tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        wire.resume()
        server.close()
        wire.cut()
        for task in tuple(wire._tasks):
            task.cancel()
        await asyncio.gather(*wire._tasks, return_exceptions=True)
