"""A real Prometheus that asks nodes every second, with the repository's rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import yaml

from tests.support.ports import free_port
from tests.support.processes import ROOT, Node, Process, tool, until_open

RULES = ROOT / "deploy" / "prometheus" / "collab.rules.yml"


class Firing(NamedTuple):
    """An alert, and the job for which it fires."""

    alert: str
    job: str


class Prometheus(Process):
    """Prometheus, for which each node is a job of its own.

    Its alerts fire after a second: with the times of the rules nobody would wait for a test.
    """

    def __init__(self, home: Path, *nodes: Node) -> None:
        self.port = free_port()
        rules = re.sub(r"(?m)^( +for): \w+$", r"\1: 1s", RULES.read_text())
        (home / "collab.rules.yml").write_text(rules)
        config = {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "evaluation_interval": "1s",
            },
            "rule_files": ["collab.rules.yml"],
            "scrape_configs": [
                {
                    "job_name": f"collab-{node.name}",
                    "static_configs": [{"targets": [f"127.0.0.1:{node.port}"]}],
                }
                for node in nodes
            ],
        }
        (home / "prometheus.yml").write_text(yaml.safe_dump(config))
        super().__init__(
            tool("prometheus"), f"--config.file={home}/prometheus.yml",
            f"--storage.tsdb.path={home}/data", f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        )  # fmt: skip

    async def start(self) -> None:
        await super().start()
        await until_open(self.port, self)

    async def _get(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        async with aiohttp.ClientSession() as session, session.get(url, params=query) as answer:
            if answer.status == 503:  # it is not ready yet
                return {"alerts": [], "result": []}
            return (await answer.json())["data"]

    async def finds(self, query: str, count: int) -> bool:
        """Return whether a query finds so many series."""
        return len((await self._get("query", query=query))["result"]) == count

    async def is_over(self, *alerts: Firing) -> bool:
        """Return whether none of some alerts fires."""
        return (await self.firing()).keys().isdisjoint(alerts)

    async def firing(self) -> dict[Firing, dict[str, str]]:
        """Return the annotations of each alert that fires."""
        return {
            Firing(alert["labels"]["alertname"], alert["labels"]["job"]): alert["annotations"]
            for alert in (await self._get("alerts"))["alerts"]
            if alert["state"] == "firing"
        }
