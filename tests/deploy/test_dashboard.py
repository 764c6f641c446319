"""The dashboard is one that Grafana can show, as far as its schema and Prometheus can tell."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.processes import ROOT, tool

FILE = ROOT / "deploy" / "dashboards" / "collab.json"
CLIENTS = ROOT / "tests" / "js"
WIDTH = 24
"""Columns of Grafana's grid."""


@pytest.fixture
def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(FILE.read_text())
    return loaded


def check(folder: Path, text: str) -> str:
    """Return what TypeScript says of a dashboard, by the types that Grafana publishes."""
    (folder / "node_modules").symlink_to(CLIENTS / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "dashboard.d.ts").write_text((CLIENTS / "dashboard.d.ts").read_text())
    (folder / "check.ts").write_text(
        'import type { DashboardFile } from "./dashboard.d.ts";\n'
        f"export const dashboard: DashboardFile = {text};\n"
    )
    compiler = CLIENTS / "node_modules" / ".bin" / "tsc"
    strict = ("--noEmit", "--strict", "--skipLibCheck", "--allowImportingTsExtensions")
    modern = ("--module", "NodeNext", "--target", "ES2022", "--types", "")
    done = subprocess.run(
        [compiler, *strict, *modern, "check.ts"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_dashboard_is_as_grafanas_schema_wants_it(tmp_path: Path) -> None:
    assert check(tmp_path, FILE.read_text()) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"placement": "bottom"', '"placement": "below"'),
        ('"unit": "ops"', '"units": "ops"'),
        ('"fillOpacity": 10', '"fillOpacity": "10"'),
        ('"type": "timeseries"', '"type": "graph"'),
    ],
)
def test_what_grafana_would_ignore_is_found(tmp_path: Path, right: str, wrong: str) -> None:
    assert "error TS" in check(tmp_path, FILE.read_text().replace(right, wrong, 1))


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (panel for panel in dashboard["panels"] if panel["type"] != "row")


def test_no_panel_covers_another_and_each_says_what_it_shows(dashboard: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(panel["description"] for panel in panels(dashboard))


def test_prometheus_understands_every_query(dashboard: dict[str, Any], tmp_path: Path) -> None:
    queries = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
    assert len(queries) > 40
    assert all("$node" in query for query in queries)
    rules = [
        {
            "record": "checked",
            "expr": query.replace("$__rate_interval", "5m"),
            "labels": {"number": str(number)},
        }
        for number, query in enumerate(queries)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    command = (tool("promtool"), "check", "rules", str(file))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
