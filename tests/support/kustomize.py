"""Builds the manifests of deploy/kubernetes, by the few features of kustomize that are used there.

`kubectl kustomize` does the same, but Debian 12 has none that is new enough. Where there is one, a
test compares the two. An unknown field is an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
FIELDS = {
    "apiVersion", "kind", "namespace", "resources", "configMapGenerator", "images", "replicas",
}  # fmt: skip
NOT_IN_A_NAMESPACE = ("Namespace",)


def build(folder: Path) -> list[Manifest]:
    """Return the manifests of a kustomization; the names of its ConfigMaps have no hash."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(kustomization) <= FIELDS, set(kustomization) - FIELDS
    manifests: list[Manifest] = []
    for resource in kustomization.get("resources", ()):
        path = (folder / resource).resolve()
        if path.is_dir():
            manifests += build(path)
        else:
            assert path.parent == folder.resolve(), f"kustomize reads no file above: {path}"
            manifests += yaml.safe_load_all(path.read_text())
    for generator in kustomization.get("configMapGenerator", ()):
        _generate(folder, manifests, **generator)
    for manifest in manifests:
        if manifest["kind"] not in NOT_IN_A_NAMESPACE and "namespace" in kustomization:
            manifest["metadata"]["namespace"] = kustomization["namespace"]
        for replicas in kustomization.get("replicas", ()):
            if (
                manifest["kind"] == "Deployment"
                and replicas["name"] == manifest["metadata"]["name"]
            ):
                manifest["spec"]["replicas"] = replicas["count"]
        for image in kustomization.get("images", ()):
            for container in containers(manifest):
                if container["image"] == image["name"]:
                    name = image.get("newName", image["name"])
                    container["image"] = f"{name}:{image['newTag']}"
    return manifests


def _generate(
    folder: Path,
    manifests: list[Manifest],
    name: str,
    behavior: str = "create",
    files: tuple[str, ...] = (),
    envs: tuple[str, ...] = (),
    literals: tuple[str, ...] = (),
) -> None:
    data = {Path(file).name: (folder / file).read_text() for file in files}
    lines = [line for file in envs for line in (folder / file).read_text().splitlines()]
    for line in (*lines, *literals):
        if line and not line.startswith("#"):
            variable, _, value = line.partition("=")
            data[variable] = value
    if behavior == "merge":
        [there] = [
            each
            for each in manifests
            if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", name)
        ]
        there["data"].update(data)
    else:
        assert behavior == "create"
        manifests.append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        )


def pod_of(manifest: Manifest) -> Manifest | None:
    """Return the specification of a manifest's pods, if it has any."""
    pod: Manifest | None = manifest.get("spec", {}).get("template", {}).get("spec")
    return pod


def containers(manifest: Manifest) -> list[Manifest]:
    """Return the containers of a manifest's pods, also those that run before the others."""
    pod = pod_of(manifest) or {}
    return [*pod.get("initContainers", ()), *pod.get("containers", ())]
