"""Prometheus' rules: promtool plays series to each alert, and looks when it fires."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.support.processes import ROOT, tool

RULES = ROOT / "deploy" / "prometheus" / "collab.rules.yml"
WHO = 'job="collab",instance="a:8005"'


def alerts() -> dict[str, dict[str, Any]]:
    """Return the alerts of the rules by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def promtool(*arguments: str | Path) -> None:
    """Run promtool, which must succeed."""
    done = subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


class Case(NamedTuple):
    """Series under which an alert is silent at one time, and fires at another."""

    alert: str
    series: Mapping[str, str]
    silent: str
    fires: str
    interval: str = "10s"


def histogram(name: str, good: str, all: str, limit: float) -> dict[str, str]:
    """Return a histogram's series; ``good`` counts the values up to ``limit``."""
    return {
        f'{name}_bucket{{{WHO},le="{limit}"}}': good,
        f'{name}_bucket{{{WHO},le="+Inf"}}': all,
        f"{name}_count{{{WHO}}}": all,
    }


def one(name: str, values: str, labels: str = "") -> dict[str, str]:
    return {f"{name}{{{WHO}{labels}}}": values}


DELIVERY, COMMIT = "collab_delivery_seconds", "collab_commit_seconds"
LAG = "collab_loop_lag_seconds"
USED = "collab_redis_used_bytes"
UP, NO_LIMIT = one("collab_redis_up", "1x400"), one("collab_redis_max_bytes", "0x400")
REDIS = one("collab_redis_max_bytes", "1000x400")

CASES = [
    # 2 % of 100 deliveries a second are slow from the beginning, of which a rate is known after two
    # samples. The window of an hour shows it at once, and the alert waits for two minutes.
    Case("CollabDeliveriesSlow", histogram(DELIVERY, "0+980x60", "0+1000x60", 0.1), "2m", "2m10s"),
    # 0.7 % are seven times too many: only the windows of six hours and 30 minutes tell.
    Case("CollabDeliveriesSlow", histogram(DELIVERY, "0+993x60", "0+1000x60", 0.1), "2m", "2m10s"),
    Case("CollabCommitsSlow", histogram(COMMIT, "0+980x60", "0+1000x60", 0.5), "2m", "2m10s"),
    Case(
        "CollabDeliveriesSlowForDays", histogram(DELIVERY, "0+998x200", "0+1000x200", 0.1),
        "1h", "1h1m", "1m",
    ),
    Case(
        "CollabCommitsSlowForDays", histogram(COMMIT, "0+998x200", "0+1000x200", 0.5),
        "1h", "1h1m", "1m",
    ),
    Case("CollabNodeDown", one("up", "1x9 0x20"), "2m30s", "2m40s"),
    Case(
        "CollabNodeRestarting", one("process_start_time_seconds", "1x9 200x9 300x9 400x9"),
        "4m50s", "5m",
    ),
    Case("CollabNodeDeaf", one("collab_pubsub_up", "1x9 0x20") | UP, "2m", "2m10s"),
    Case("CollabRoomNotCommitting", one("collab_uncommitted_age_seconds", "0+10x20"), "30s", "40s"),
    Case(
        "CollabLoopLag",
        histogram(LAG, "0+38x60", "0+40x60", 0.1) | one(f"{LAG}_bucket", "0+40x60", ',le="0.25"'),
        "5m", "5m10s",
    ),
    Case("CollabDrainStuck", one("collab_draining", "0x9 1x20"), "3m30s", "3m40s"),
    Case(
        "CollabServerErrors", one("collab_errors_total", "0x9 1x20", ',code="internal"'),
        "1m30s", "1m40s",
    ),
    Case("CollabRedisAway", one("collab_redis_up", "1x9 0x20"), "1m50s", "2m"),
    Case("CollabRedisFull", one(USED, "500x9 910x20") | REDIS, "2m30s", "2m40s"),
    Case("CollabRedisFilling", one(USED, "500x9 760x90") | REDIS, "6m30s", "6m40s"),
    Case("CollabRedisUnlimited", one(USED, "500x900") | NO_LIMIT, "29m50s", "30m"),
    Case("CollabRoomUnreadable", one("collab_unreadable_rooms", "0x9 2x20"), "1m50s", "2m10s"),
    Case(
        "CollabGuessesUp",
        one("collab_guesses_total", "0+60x200") | one("collab_changes_total", "0+1000x200"),
        "10m", "10m10s",
    ),
    Case(
        "CollabRefusalsUp", one("collab_errors_total", "0+400x200", ',code="rate_limited"'),
        "5m", "5m10s",
    ),
    Case(
        "CollabClientsLetGo", one("collab_let_go_total", "0x9 20x200", ',code="node_full"'),
        "2m30s", "2m40s",
    ),
    Case(
        "CollabManyReconnections",
        one("collab_connects_total", "0+10x200", ',endpoint="text",kind="restored"')
        | one("collab_connections", "10x200", ',endpoint="text"'),
        "5m50s", "6m",
    ),
    Case(
        "CollabConnectionsNearLimit",
        one("collab_connections", "500x200", ',endpoint="text"')
        | one("collab_connections", "350x200", ',endpoint="yjs"')
        | one("collab_max_connections", "1000x200"),
        "4m50s", "5m",
    ),
    # The rate of five minutes is above 0.7 after four minutes and a half.
    Case("CollabCpuNearLimit", one("process_cpu_seconds_total", "0+8x200"), "14m", "14m40s"),
    Case(
        "CollabFilesNearLimit",
        one("process_open_fds", "81x200") | one("process_max_fds", "100x200"),
        "4m50s", "5m",
    ),
    Case(
        "CollabHeldBytesNearLimit",
        one("collab_held_bytes", "81x200") | one("collab_held_max_bytes", "100x200"),
        "1m50s", "2m",
    ),
    Case("CollabWebhooksLate", one("collab_webhook_oldest_age_seconds", "910x200"), "4m50s", "5m"),
    Case(
        "CollabWebhooksHeldBack", one("collab_webhook_held_back_total", "0x9 1x20"),
        "2m20s", "2m40s",
    ),
    Case("CollabWebhooksDead", one("collab_webhook_dead", "0x9 1x20"), "2m20s", "2m40s"),
]  # fmt: skip

HEALTHY = {
    **one("up", "1x400"),
    **one("process_start_time_seconds", "1x9 200x9 300x400"),  # two deployments
    **one("process_cpu_seconds_total", "0+6x400"),
    **one("process_open_fds", "700x400"),
    **one("process_max_fds", "1000x400"),
    **histogram(DELIVERY, "0+99950x400", "0+100000x400", 0.1),
    **histogram(COMMIT, "0+99950x400", "0+100000x400", 0.5),
    **histogram(LAG, "0+40x400", "0+40x400", 0.1),
    **one("collab_connections", "700x400", ',endpoint="text"'),
    **one("collab_max_connections", "1000x400"),
    **one("collab_connects_total", "0+1x400", ',endpoint="text",kind="restored"'),
    **one("collab_draining", "0x9 1x9 0x400"),
    **one("collab_changes_total", "0+1000x400"),
    **one("collab_guesses_total", "0+20x400"),
    **one("collab_errors_total", "0+1x400", ',code="rate_limited"'),
    **one("collab_errors_total", "5x400", ',code="internal"'),
    **one("collab_let_go_total", "0x9 1x400", ',code="rate_limited"'),
    **one("collab_held_bytes", "70x400"),
    **one("collab_held_max_bytes", "100x400"),
    **one("collab_webhook_oldest_age_seconds", "0 600x9 0x400"),
    **one("collab_webhook_held_back_total", "5x400"),
    **one("collab_webhook_dead", "0x400"),
    **one("collab_uncommitted_age_seconds", "0 0.002 12 0x400"),  # a Redis that was restarted
    **one("collab_pubsub_up", "1 0 1x400"),
    **one("collab_redis_up", "1 0 1x400"),
    **one("collab_redis_used_bytes", "700x400"),
    **one("collab_redis_max_bytes", "1000x400"),
}


def firing(alert: str, at: str, count: int) -> dict[str, Any]:
    """Return promtool's test that so many alerts of a name fire at a time."""
    which = f'alertname=~"{alert}",alertstate="firing"'
    return {
        "expr": f"count(ALERTS{{{which}}}) or vector(0)",
        "eval_time": at,
        "exp_samples": [{"labels": "{}", "value": count}],
    }


def played(series: Mapping[str, str], interval: str, *tests: dict[str, Any]) -> dict[str, Any]:
    """Return what makes promtool play series to the rules, and check the tests."""
    return {
        "interval": interval,
        "input_series": [{"series": name, "values": text} for name, text in series.items()],
        "promql_expr_test": list(tests),
    }


def play(folder: Path, *tests: dict[str, Any]) -> None:
    """Let promtool play `played` series; its output names the alert that is not as expected."""
    file = folder / "test.yml"
    plan = {"rule_files": [str(RULES)], "evaluation_interval": "10s", "tests": list(tests)}
    file.write_text(yaml.safe_dump(plan))
    promtool("test", "rules", file)


def test_promtool_accepts_the_rules_and_the_example_that_loads_them() -> None:
    promtool("check", "rules", RULES)
    promtool("check", "config", RULES.with_name("prometheus.yml"))


def test_an_alert_fires_when_its_time_has_passed_and_not_before(tmp_path: Path) -> None:
    plans = [
        played(
            case.series, case.interval,
            firing(case.alert, case.silent, 0), firing(case.alert, case.fires, 1),
        )
        for case in CASES
    ]  # fmt: skip
    play(tmp_path, *plans)


def test_every_alert_is_played() -> None:
    assert {case.alert for case in CASES} == set(alerts())


def test_nothing_fires_in_a_healthy_cluster(tmp_path: Path) -> None:
    times = ("20s", "1m", "3m", "10m", "50m")
    play(tmp_path, played(HEALTHY, "10s", *(firing(".*", at, 0) for at in times)))


def test_a_node_without_redis_is_not_called_deaf_too(tmp_path: Path) -> None:
    both = one("collab_pubsub_up", "0x60") | one("collab_redis_up", "0x60")
    told = firing("CollabNodeDeaf", "5m", 0), firing("CollabRedisAway", "5m", 1)
    play(tmp_path, played(both, "10s", *told))


def test_of_ten_deliveries_at_night_a_slow_one_wakes_nobody(tmp_path: Path) -> None:
    night = histogram(DELIVERY, "0x18 0+1x180", "0x18 1+1x180", 0.1)
    play(tmp_path, played(night, "10s", firing("CollabDeliveriesSlow", "10m", 0)))


def test_every_alert_says_who_is_woken_what_it_means_and_where_to_read_on() -> None:
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}, name
        assert "{{ $labels." in rule["annotations"]["description"], name
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"


def test_the_runbook_has_a_section_for_every_alert_and_no_other() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    assert re.findall(r"^### (Collab\w+)$", runbook, re.MULTILINE) == list(alerts())
    for section in re.split(r"^### ", runbook, flags=re.MULTILINE)[1:]:
        name = section.split("\n", 1)[0]
        for part in ("**What people notice.**", "**Look first.**", "**Do.**", "**It is over"):
            assert part in section, f"{name}: {part}"
