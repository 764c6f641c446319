"""Several Redis servers in place of one: a master, its replica and Sentinels; and a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError

from collab.embedded import newest_redis
from collab.store.slots import slot_of
from tests.support.ports import free_port, free_port_with_bus
from tests.support.processes import SCRATCH, Process, Redis, running, tool, until_open

SERVICE = "rooms"
"""The name by which the Sentinels know the master."""
DOWN_AFTER = 500
"""Milliseconds of silence after which a server counts as down."""
SYNC = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
"""Options of all servers: a replica waits for no others that might want the same data, and is soon
known to have it: a cluster lists no replica that has received nothing yet."""
READY_TIMEOUT = 20.0
RETRY = Retry(ConstantBackoff(0.05), 100)

Client = redis.asyncio.Redis
Step = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """Do nothing between two steps."""


def _use_tls(server: Redis) -> None:
    """Let a server, whose options name a certificate, answer on its port with TLS only."""
    words = list(server.command)
    words[words.index("--port") : words.index("--port") + 2] = [
        "--port", "0", "--tls-port", str(server.port)
    ]  # fmt: skip
    server.command = tuple(words)


class Sentinel(Process):
    """A Sentinel that watches one master, together with two others."""

    def __init__(self, master: int, *settings: str) -> None:
        self.port = free_port()
        home = SCRATCH / f"sentinel-{self.port}"
        home.mkdir()
        self._configuration = home / "sentinel.conf"
        self._lines = (
            f"port {self.port}", "bind 127.0.0.1", f"dir {home}", *settings,
            f"sentinel monitor {SERVICE} 127.0.0.1 {master} 2",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}",
            f"sentinel failover-timeout {SERVICE} 1000",
        )  # fmt: skip
        super().__init__(tool("redis-sentinel"), str(self._configuration))

    def use_tls(self) -> None:
        """Speak TLS only; the settings have the certificate."""
        self._lines = ("port 0", f"tls-port {self.port}", *self._lines[1:])

    async def start(self) -> None:
        if not self._configuration.exists():  # a Sentinel writes what it learns into it
            self._configuration.write_text("\n".join(self._lines) + "\n")
        await super().start()
        await until_open(self.port, self)


class WatchedRedis:
    """A master, a replica, and three Sentinels that promote the replica when the master is down."""

    def __init__(
        self, options: Sequence[str] = (), replica: Sequence[str] = (), sentinel: Sequence[str] = ()
    ) -> None:
        server = newest_redis().path
        options = (*SYNC, *options)
        first = Redis(None, *options, server=server)
        follow = ("--replicaof", "127.0.0.1", str(first.port))
        second = Redis(None, *options, *replica, *follow, server=server)
        self.servers = [first, second]
        self.sentinels = [Sentinel(first.port, *sentinel) for _ in range(3)]

    def use_tls(self) -> None:
        """Let all servers and Sentinels speak TLS only; the options have the certificate."""
        for server in self.servers:
            _use_tls(server)
        for sentinel in self.sentinels:
            sentinel.use_tls()

    @property
    def hosts(self) -> str:
        return ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)

    @property
    def url(self) -> str:
        return f"redis+sentinel://{self.hosts}/{SERVICE}"

    async def master(self) -> Redis:
        """Return the server that a Sentinel takes for the master."""
        async with Client(port=self.sentinels[0].port) as sentinel:
            found: Any = await sentinel.sentinel_get_master_addr_by_name(SERVICE)
        port = found[1]
        return next(server for server in self.servers if server.port == port)

    async def replica(self) -> Redis:
        """Return the other server."""
        master = await self.master()
        return next(server for server in self.servers if server is not master)

    async def promoted(self, server: Redis) -> None:
        """Wait until the Sentinels take ``server`` for the master."""
        async with asyncio.timeout(READY_TIMEOUT):
            while await self.master() is not server:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)

    async def ready(self) -> None:
        """Start what does not run, and wait until the replica follows and may be promoted."""
        for process in (*self.servers, *self.sentinels):
            if not process.running:
                await process.start()
        async with asyncio.timeout(READY_TIMEOUT):
            for server in self.servers:
                async with Client(port=server.port) as client:
                    await client.config_set("masterauth", "")  # undoes `cut_replication`
            while not await self._is_ready():  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.05)

    async def _is_ready(self) -> bool:
        master, replica = await self.master(), await self.replica()
        async with Client(port=master.port) as first, Client(port=replica.port) as second:
            leading, following = [await each.info("replication") for each in (first, second)]
            if leading["role"] == following["role"] == "master":
                # A Sentinel would do it too, ten seconds later.
                await second.replicaof("127.0.0.1", str(master.port))
            if following.get("master_link_status") != "up":
                return False
        for each in self.sentinels:
            async with Client(port=each.port) as sentinel:
                masters: Any = await sentinel.sentinel_masters()
                found = masters[SERVICE]
                if not (found["num-slaves"] and found["num-other-sentinels"] == 2):
                    return False
                replicas = await sentinel.sentinel_slaves(SERVICE)
                if found["flags"] != "master" or replicas[0]["flags"] != "slave":
                    return False
        return True

    async def cut_replication(self) -> None:
        """Let the replica miss what is written from now on; it still counts as healthy."""
        async with Client(port=(await self.replica()).port) as replica:
            await replica.config_set("masterauth", "a password that the master does not have")
        async with Client(port=(await self.master()).port) as master:
            await master.client_kill_filter(_type="replica")


@asynccontextmanager
async def watched_redis() -> AsyncIterator[WatchedRedis]:
    """Run a `WatchedRedis`."""
    redises = WatchedRedis()
    async with running(*redises.servers), running(*redises.sentinels):
        await redises.ready()
        yield redises


class RedisCluster:
    """Three masters and a replica for each, or none; ``server`` is another program for them."""

    def __init__(
        self, *options: str, replicas: int = 1, server: str = "", cli: Sequence[str] = ()
    ) -> None:
        self._replicas = replicas
        self._cli = cli
        settings = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(DOWN_AFTER),
            "cluster-replica-validity-factor": "0",  # a replica is promoted however old it is
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self.servers = [
            Redis(
                free_port_with_bus(), *words, *SYNC, *options, server=server or newest_redis().path
            )
            for _ in range(3 * (1 + replicas))
        ]

    def use_tls(self) -> None:
        """Let all servers speak TLS only; the options have the certificate."""
        for server in self.servers:
            _use_tls(server)

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{each.port}" for each in self.servers[:3])

    async def cli(self, *words: str) -> str:
        """Run ``redis-cli``; return what it prints. It fails if it does."""
        process = await asyncio.create_subprocess_exec(
            tool(str(Path(newest_redis().path).with_name("redis-cli"))), *self._cli, *words,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(READY_TIMEOUT):
            output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    async def create(self) -> None:
        """Make a cluster of the servers, which run."""
        hosts = [f"127.0.0.1:{server.port}" for server in self.servers]
        await self.cli(
            "--cluster", "create", *hosts, "--cluster-replicas", str(self._replicas),
            "--cluster-yes",
        )  # fmt: skip

    def at(self, port: str | int) -> Redis:
        """Return the server on a port."""
        return next(server for server in self.servers if server.port == int(port))

    async def slots(self) -> list[tuple[int, int, Redis, list[Redis]]]:
        """Return the first and last slot, the master and the replicas of each range of slots."""
        server = next(each for each in self.servers if each.running)
        async with Client(port=server.port, retry=RETRY) as client:
            answer = await client.execute_command("CLUSTER SLOTS", NEVER_DECODE=True)
        return [
            (first, last, self.at(master[1]), [self.at(other[1]) for other in others])
            for first, last, master, *others in answer
        ]

    async def masters(self) -> list[Redis]:
        """Return the masters, in the order of their slots."""
        return list(dict.fromkeys(master for _, _, master, _ in await self.slots()))

    async def master_of(self, key: str) -> Redis:
        """Return the master that has a key."""
        slot = slot_of(key)
        return next(each[2] for each in await self.slots() if each[0] <= slot <= each[1])

    async def rooms_at_each(self, prefix: str) -> list[str]:
        """Return the name of a room for each master, in the order of their slots."""
        masters = await self.masters()
        rooms: dict[Redis, str] = {}
        for number in range(1000):
            room = f"{prefix}-{number}"
            rooms.setdefault(await self.master_of(f"code_{room}"), room)
            if len(rooms) == len(masters):
                break
        return [rooms[master] for master in masters]

    async def move_slot(
        self, key: str, source: Redis, target: Redis, half: Step = nothing, end: Step = nothing
    ) -> None:
        """Move the slot of ``key``, one key after the other.

        ``half`` is awaited when one key has moved, ``end`` when all have, but not yet the slot.
        """
        slot = slot_of(key)
        async with Client(port=source.port) as old, Client(port=target.port) as new:
            old_id, new_id = [await each.execute_command("CLUSTER MYID") for each in (old, new)]
            await new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", old_id)
            await old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", new_id)
            steps = [half]
            while keys := await old.execute_command("CLUSTER GETKEYSINSLOT", slot, 1):
                await old.execute_command("MIGRATE", "127.0.0.1", target.port, keys[0], 0, 5000)
                if steps:
                    await steps.pop()()
            await end()
            for client in (new, old):
                await client.execute_command("CLUSTER SETSLOT", slot, "NODE", new_id)
        # As redis-cli does. A master in which an import was left open believes nobody about a slot.
        for master in await self.masters():
            if master is not source and master is not target:
                async with Client(port=master.port) as other:
                    await other.execute_command("CLUSTER SETSLOT", slot, "STABLE")
                    await other.execute_command("CLUSTER SETSLOT", slot, "NODE", new_id)

    async def cut_replication(self, master: Redis) -> Redis:
        """Let the replica of a master miss what is written from now on; return the replica."""
        replica = next(others[0] for _, _, each, others in await self.slots() if each is master)
        async with Client(port=replica.port) as client:
            await client.config_set("masterauth", "a password that the master does not have")
        async with Client(port=master.port) as client:
            await client.client_kill_filter(_type="replica")
        return replica

    async def fail_over(self, master: Redis, *how: str) -> None:
        """Let the replica of a master take its place, while both run.

        It first gets what it lacks, unless ``how`` is ``TAKEOVER``.
        """
        replica = next(others[0] for _, _, each, others in await self.slots() if each is master)
        async with Client(port=replica.port) as client:
            await client.execute_command("CLUSTER FAILOVER", *how)
            async with asyncio.timeout(READY_TIMEOUT):
                while (await client.info("replication"))["role"] != "master":  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

    async def ready(self) -> None:
        """Start what does not run, and wait until each master has its replica, and all agree."""
        await asyncio.gather(*(each.start() for each in self.servers if not each.running))
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                for server in self.servers:
                    async with Client(port=server.port) as client:
                        await client.config_set("masterauth", "")  # undoes `cut_replication`
                while not await self._is_ready():  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"the cluster is not ready:\n{await self._views()}") from None

    async def _views(self) -> str:
        """Return what each server says about the cluster."""
        said = []
        for server in self.servers:
            try:
                async with asyncio.timeout(1), Client(port=server.port) as client:
                    words = "CLUSTER INFO", "CLUSTER NODES", "INFO replication"
                    told = [await client.execute_command(*each.split()) for each in words]
            except (RedisError, OSError, TimeoutError) as problem:
                told = [repr(problem)]
            said.append("\n".join(map(str, (server.port, *told))))
        return "\n\n".join(said)

    async def _is_ready(self) -> bool:
        views = set()
        for server in self.servers:
            try:
                async with Client(port=server.port) as client:
                    info = await client.execute_command("CLUSTER INFO")
                    if info["cluster_state"] != "ok" or info["cluster_slots_fail"] != "0":
                        return False
                    replication = await client.info("replication")
                    if replication.get("master_link_status", "up") != "up":
                        return False
                    found = await client.execute_command("CLUSTER SLOTS", NEVER_DECODE=True)
            except RedisError:
                return False
            views.add(tuple(sorted((*each[:2], each[2][1], len(each) - 3) for each in found)))
        ((view),) = views if len(views) == 1 else ((),)
        return bool(view) and all(each[3] >= self._replicas for each in view)


@asynccontextmanager
async def redis_cluster(*options: str, **more: Any) -> AsyncIterator[RedisCluster]:
    """Run a `RedisCluster`."""
    cluster = RedisCluster(*options, **more)
    async with running(*cluster.servers):
        await cluster.create()
        await cluster.ready()
        yield cluster
