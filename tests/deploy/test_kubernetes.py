"""The manifests for Kubernetes: valid, confined, and in agreement with each other and Compose."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

import kubernetes_validate
import pytest
import yaml

from collab.config import Config
from collab.setting_warnings import unknown_variables
from tests.deploy.test_confinement import mebibytes
from tests.support.kustomize import Manifest, build, containers, pod_of
from tests.support.processes import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("base", "demo", "production")
VERSIONS = ("1.31", "1.34", "1.37")
"""The oldest Kubernetes that knows all fields, and newer ones."""
HASHES = re.compile(r"\b(nginx|collab-settings)-[2456789bcdfghkmt]{10}\b")
"""What kustomize adds to the names of ConfigMaps."""


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return build(KUBERNETES / request.param)


@pytest.fixture(scope="module")
def demo() -> dict[tuple[str, str], Manifest]:
    """The manifests of the demo, which has everything that there is, by kind and name."""
    return {(each["kind"], each["metadata"]["name"]): each for each in build(KUBERNETES / "demo")}


def with_pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Yield the name, the manifest and the specification of all pods."""
    for manifest in manifests:
        if (pod := pod_of(manifest)) is not None:
            yield manifest["metadata"]["name"], manifest, pod


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_follows_the_published_schemas(
    manifests: list[Manifest], version: str
) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_field_does_not_follow_the_schemas() -> None:
    """Otherwise the test above would show nothing."""
    wrong = next(e for e in build(KUBERNETES / "base") if e["kind"] == "PodDisruptionBudget")
    wrong["spec"]["maxUnavailabel"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="maxUnavailabel"):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def has_kustomize() -> bool:
    """Whether kubectl is here, with a kustomize that takes folders as resources (4 or later)."""
    if shutil.which("kubectl") is None:
        return False
    shown = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True)
    return bool(re.search(r"Kustomize Version: v([4-9]|\d\d)", shown.stdout))


@pytest.mark.skipif(not has_kustomize(), reason="this machine has no kubectl that is new enough")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_builds_what_these_tests_read(overlay: str) -> None:
    command = ["kubectl", "kustomize", str(KUBERNETES / overlay)]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert len(set(HASHES.findall(built))) == 2

    def in_order(manifests: list[Manifest]) -> list[Manifest]:
        return sorted(manifests, key=lambda each: (each["kind"], each["metadata"]["name"]))

    kustomized = in_order(list(yaml.safe_load_all(HASHES.sub(r"\1", built))))
    assert kustomized == in_order(build(KUBERNETES / overlay))


def test_every_pod_is_confined(manifests: list[Manifest]) -> None:
    """As the namespace asks ("restricted"), and with a file system that nobody can write."""
    [namespace] = [each for each in manifests if each["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    for name, manifest, pod in with_pods(manifests):
        assert pod["automountServiceAccountToken"] is False, name
        context = pod["securityContext"]
        assert context["runAsNonRoot"] and context["runAsUser"] > 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(manifest):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert "memory" in container["resources"]["limits"], name
            assert "cpu" not in container["resources"]["limits"], "a limit delays who types"


def test_services_policies_and_budgets_select_the_pods_that_they_are_for(
    manifests: list[Manifest],
) -> None:
    labels = {
        name: manifest["spec"]["template"]["metadata"]["labels"]
        for name, manifest, _ in with_pods(manifests)
    }
    ports = {
        port["name"]: (name, port["containerPort"])
        for name, manifest, _ in with_pods(manifests)
        for container in containers(manifest)
        for port in container.get("ports", ())
        if (name, port["name"]) != ("nginx", "http")
    }
    ports["http"] = ("collab", 8005)

    def selected(selector: dict[str, str]) -> list[str]:
        return [name for name, those in labels.items() if selector.items() <= those.items()]

    seen = set()
    for manifest in manifests:
        kind, name, spec = manifest["kind"], manifest["metadata"]["name"], manifest.get("spec", {})
        if kind == "Service":
            [pods] = selected(spec["selector"])
            assert pods == {"collab": "nginx", "collab-nodes": "collab", "collab-api": "nginx"}.get(
                name, name
            )
            for port in spec["ports"]:
                assert ports[port["targetPort"]][1] == port["port"], name
        elif kind == "PodDisruptionBudget":
            assert selected(spec["selector"]["matchLabels"]) == [name]
            assert spec["maxUnavailable"] == 1
        elif kind == "NetworkPolicy" and spec["podSelector"]:
            assert selected(spec["podSelector"]["matchLabels"]) == [name]
        seen.add((kind, name))
    assert {("PodDisruptionBudget", "collab"), ("PodDisruptionBudget", "nginx")} <= seen
    assert {("NetworkPolicy", name) for name in (*labels, "nothing-comes-in")} <= seen


def test_redis_is_for_the_nodes_and_the_nodes_are_for_nginx_and_prometheus(
    demo: dict[tuple[str, str], Manifest],
) -> None:
    def sources(policy: str) -> list[str]:
        [rule] = demo["NetworkPolicy", policy]["spec"]["ingress"]
        return [
            each["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for each in rule["from"]
        ]

    assert demo["NetworkPolicy", "nothing-comes-in"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress"],
    }
    assert sources("redis") == ["collab"]
    assert sources("collab") == ["nginx", "prometheus"]
    public, api = demo["NetworkPolicy", "nginx"]["spec"]["ingress"]
    assert public == {"ports": [{"port": "http"}]}
    assert api["ports"] == [{"port": "api"}] and api["from"]


def test_nothing_is_published_unless_an_overlay_does(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        if manifest["kind"] == "Service":
            assert "type" not in manifest["spec"], "the default is reachable inside only"


def test_a_node_has_time_to_drain_and_a_new_one_is_ready_before_an_old_one_goes(
    demo: dict[tuple[str, str], Manifest],
) -> None:
    deployment = demo["Deployment", "collab"]
    grace = pod_of(deployment)["terminationGracePeriodSeconds"]
    assert grace >= 2 * Config.from_env({}).drain_time + 5
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert demo["Service", "collab-nodes"]["spec"]["publishNotReadyAddresses"] is True


def test_a_redis_that_is_away_restarts_nothing_and_disconnects_nobody(
    demo: dict[tuple[str, str], Manifest],
) -> None:
    """Only the readiness of a node may ask for it, which nginx does not look at."""
    for name in ("collab", "nginx"):
        for container in containers(demo["Deployment", name]):
            asking = [
                probe
                for probe, how in container.items()
                if probe.endswith("Probe") and how.get("httpGet", {}).get("path") == "/readyz"
            ]
            assert asking == (["readinessProbe"] if name == "collab" else []), name


def test_a_node_has_time_to_find_redis_before_it_is_restarted(
    demo: dict[tuple[str, str], Manifest],
) -> None:
    [node] = containers(demo["Deployment", "collab"])
    startup = node["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > Config.from_env({}).redis_wait


def test_the_nodes_get_known_settings_and_secrets_as_files(manifests: list[Manifest]) -> None:
    [settings] = [
        each["data"]
        for each in manifests
        if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "collab-settings"
    ]
    assert not list(unknown_variables(settings))
    [(_, manifest, pod)] = [each for each in with_pods(manifests) if each[0] == "collab"]
    [node] = containers(manifest)
    assert node["envFrom"] == [{"configMapRef": {"name": "collab-settings"}}]
    assert [variable["name"] for variable in node["env"]] == ["COLLAB_NODE_ID"]
    [volume], [mount] = pod["volumes"], node["volumeMounts"]
    assert volume["secret"]["secretName"] == "collab" and mount["readOnly"]
    for variable, value in settings.items():
        if re.search("KEY|SECRET|URL", variable) and value:
            assert variable.endswith("_FILE"), variable
            assert value.startswith(mount["mountPath"] + "/"), variable
    without_secrets = {k: v for k, v in settings.items() if not k.endswith("_FILE")}
    assert Config.from_env(without_secrets).trusted_proxies.include("10.1.2.3")


def test_the_images_are_composes(demo: dict[tuple[str, str], Manifest]) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.scale.yml").read_text())["services"]
    for manifest in demo.values():
        for container in containers(manifest):
            name = container["image"].partition(":")[0]
            service = "collab" if name == "collaboration-service" else name
            assert container["image"].removesuffix(":demo") == compose[service]["image"]
    [node] = containers(demo["Deployment", "collab"])
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    user = pod_of(demo["Deployment", "collab"])["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}\n" in dockerfile
    assert node["command"][-1].endswith("exec python -m collab"), "it gets the signals itself"
    assert 'ENTRYPOINT ["python", "-m", "collab"]' in dockerfile


def test_a_full_redis_refuses_writes_before_it_is_killed(
    demo: dict[tuple[str, str], Manifest],
) -> None:
    [redis] = containers(demo["StatefulSet", "redis"])
    options = redis["command"]
    limit = options[options.index("--maxmemory") + 1]
    assert mebibytes(limit) <= 0.5 * mebibytes(redis["resources"]["limits"]["memory"].lower()[:-1])
    assert options[options.index("--maxmemory-policy") + 1] == "noeviction"


def test_nginx_has_the_files_that_compose_has(demo: dict[tuple[str, str], Manifest]) -> None:
    nginx = ROOT / "deploy" / "nginx"
    data = demo["ConfigMap", "nginx"]["data"]
    assert data["nginx.conf"] == (nginx / "nginx.conf").read_text()
    for file in (nginx / "compose").iterdir():
        assert data[file.name] == file.read_text()
    mounts = {
        container["name"]: {
            mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]
        }
        for container in containers(demo["Deployment", "nginx"])
    }
    [place, server] = containers(demo["Deployment", "nginx"])
    assert (
        f"{mounts['place']['files']}/place.sh {mounts['place']['config']} <" in place["command"][2]
    )
    assert server["command"][server["command"].index("-c") + 1] == (
        f"{mounts['nginx']['config']}/nginx.conf"
    )
    assert server["command"][server["command"].index("-p") + 1] == mounts["nginx"]["tmp"]


def test_the_ingress_leads_to_nginx() -> None:
    [ingress] = [e for e in build(KUBERNETES / "production") if e["kind"] == "Ingress"]
    [rule] = ingress["spec"]["rules"]
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
    [path] = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": "collab", "port": {"name": "http"}}
    assert (path["path"], path["pathType"]) == ("/", "Prefix")
