"""Nodes that share a Redis, behind a real nginx with the repository's configuration."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.support.ports import free_port
from tests.support.processes import ROOT, Node, Process, Redis, tool, until_ready


class Nginx(Process):
    """nginx as the Procfile starts it, in front of nodes on the given ports."""

    def __init__(self, home: Path, *ports: int) -> None:
        tool("nginx")
        self.port = free_port()
        self.api_port = free_port()
        self.home = home
        super().__init__(
            "sh", str(ROOT / "deploy" / "cluster.sh"), "nginx",
            env={
                "CLUSTER_PORT": str(self.port),
                "CLUSTER_API_PORT": str(self.api_port),
                "CLUSTER_NODE_PORTS": " ".join(map(str, ports)),
                "CLUSTER_HOME": str(home),
            },
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    async def start(self) -> None:
        await super().start()
        await until_ready(self.url, self)

    def list_nodes(self, *ports: int) -> None:
        """Send requests to nodes on other ports from now on, as after a change of the scale."""
        assert self.process is not None
        servers = "".join(f"server 127.0.0.1:{port} max_fails=0;\n" for port in ports)
        (self.home / "nginx" / "place" / "nodes.conf").write_text(servers)
        self.process.send_signal(signal.SIGHUP)

    def requests(self) -> list[dict[str, str]]:
        """Return the entries of the access log."""
        log = (self.home / "nginx" / "access.log").read_text()
        return [json.loads(line) for line in log.splitlines()]


class Cluster:
    """Nodes with one Redis, by their names, and nginx in front of them."""

    def __init__(self, home: Path, redis: Redis, *names: str, **settings: str) -> None:
        self.nodes = {name: Node(redis.url, name, **settings) for name in names}
        self.nginx = Nginx(home, *(node.port for node in self.nodes.values()))

    @property
    def url(self) -> str:
        return self.nginx.url

    @property
    def api_url(self) -> str:
        return self.nginx.api_url
