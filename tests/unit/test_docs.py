"""The documentation says what is true of the code."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from collab import errors
from collab.config import Config
from collab.metrics import Metrics
from collab.setting_warnings import unknown_variables
from collab.settings import variables

ROOT = Path(__file__).resolve().parents[2]


def test_the_configuration_page_lists_every_variable_with_its_default_and_no_other() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    listed = dict(re.findall(r"^\| `(\w+)` \| `--[\w-]+` \| (.+?) \|", page, re.MULTILINE))
    assert listed == {
        setting.metadata["variable"]: str(setting.default) if setting.default != "" else "none"
        for setting in fields(Config)
    }


def test_the_configuration_page_lists_every_secret_with_its_file() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| `(\w+_FILE)` \|", page, re.MULTILINE)
    secret = [setting for setting in fields(Config) if setting.metadata["secret"]]
    assert listed == [tuple(variables(setting)) for setting in secret]


def test_no_variable_that_the_deployment_has_of_its_own_is_taken_for_a_mistake() -> None:
    places = [ROOT / name for name in ("Makefile", "Procfile", "docker-compose.scale.yml", ".env")]
    for folder in ("deploy", "loadtest"):
        files = (path for path in (ROOT / folder).rglob("*") if path.is_file())
        places += [path for path in files if path.suffix != ".pyc"]  # its words run together
    text = "".join(path.read_text(errors="replace") for path in places)
    used = dict.fromkeys(re.findall(r"\bCOLLAB_[A-Z_]+\b", text), "")
    assert "COLLAB_PUBLIC_PORT" in used and not list(unknown_variables(used))


def test_the_readme_explains_every_error_code_a_client_can_meet() -> None:
    readme = (ROOT / "README.md").read_text()
    for error in errors.CollabError.__subclasses__():
        if error is not errors.ConfigError:
            assert f"`{error.code}`" in readme, error.code


def test_every_test_that_the_threat_model_names_exists() -> None:
    module, named = "", 0
    for path, test in re.findall(
        r"`(tests/[\w/]+\.py)?::(\w+)`", (ROOT / "SECURITY.md").read_text()
    ):
        module = path or module
        source = (ROOT / module).read_text()
        assert re.search(rf"^(async )?def {test}\(", source, re.MULTILINE), f"{module}::{test}"
        named += 1
    assert named > 30


def exposed() -> dict[str, str]:
    """Return the type of each metric of a node."""
    return dict(re.findall(r"^# TYPE (\w+) (\w+)$", Metrics().render().decode(), re.MULTILINE))


def test_the_metrics_page_lists_every_metric_with_its_type_and_labels_and_no_other() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*)\|", page, re.MULTILINE)
    assert {name: kind for name, kind, _ in rows} == exposed()
    listed = {name: set(re.findall(r"\w+", labels)) for name, _, labels in rows}
    metrics = Metrics("a")
    metrics.connections.labels("text").inc()
    metrics.http_requests.labels("/", "GET", "200").inc()
    for family in metrics.registry.collect():
        for sample in family.samples:
            name = re.sub(r"_(bucket|sum|count)$", "", sample.name)
            assert listed[name] == sample.labels.keys() - {"le"}, name


def test_every_metric_that_the_pages_the_dashboard_and_the_rules_name_exists() -> None:
    pages = [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]
    for folder in ("dashboards", "prometheus"):
        pages += (ROOT / "deploy" / folder).iterdir()
    histograms = {name for name, kind in exposed().items() if kind == "histogram"}
    series = {name + end for name in histograms for end in ("_bucket", "_sum", "_count")}
    for page in pages:
        named = set(re.findall(r"\b(?:collab|process|python_gc)_[a-z_]*[a-z]\b", page.read_text()))
        assert named <= {*exposed(), *series}, page.name


def test_a_series_has_no_time_of_its_creation() -> None:
    assert "_created" not in Metrics().render().decode()


def test_links_between_pages_lead_somewhere() -> None:
    pages = [page for folder in ("docs", "deploy") for page in (ROOT / folder).rglob("*.md")]
    for page in [*ROOT.glob("*.md"), *pages]:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
            path = page.parent / target if target else page
            assert path.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in _anchors(path), f"{page.name}: {target}#{anchor}"


def _anchors(page: Path) -> set[str]:
    """Return what a link can name in a page: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
