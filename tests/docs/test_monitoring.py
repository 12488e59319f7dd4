"""Every metric is described, and every metric that a rule or a dashboard names exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml

from evidence_courier.adapters.loggers.prometheus import PrometheusLogger
from evidence_courier.delivery.metrics import METRICS, labels_of

HOUSE = Path(__file__).parents[2]
EXAMPLES = HOUSE / "examples" / "monitoring"
PAGE = (HOUSE / "docs" / "monitoring.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(evidence_courier_\w+)` \| (\w+) \|([^|]*)\|", PAGE, re.MULTILINE)
NAMED = re.compile(r"\bevidence_courier_\w+")
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}
SERIES = {f"{metric.name}{part}": metric for metric in METRICS for part in PARTS[metric.kind]}


def expressions() -> list[str]:
    rules = yaml.safe_load((EXAMPLES / "alerts.yaml").read_text(encoding="utf-8"))
    dashboard = json.loads((EXAMPLES / "dashboard.json").read_text(encoding="utf-8"))
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    panels = [one["expr"] for panel in dashboard["panels"] for one in panel["targets"]]
    return [*alerts, *panels]


def test_every_metric_is_described_with_its_labels() -> None:
    total = {metric.name: "_total" for metric in METRICS if metric.kind == "counter"}
    assert [(name, kind, re.findall(r"`(\w+)`", labels)) for name, kind, labels in ROWS] == [
        (f"{metric.name}{total.get(metric.name, '')}", metric.kind, [*metric.labels])
        for metric in METRICS
    ]


@pytest.mark.parametrize("expression", expressions())
def test_what_a_rule_or_a_dashboard_asks_for_exists(expression: str) -> None:
    named = NAMED.findall(expression)
    assert named
    for name in named:
        metric = SERIES[name]
        filters = re.findall(rf"{name}\{{(.*?)\}}", expression)
        asked = {label for one in filters for label in re.findall(r"(\w+)!?=~?\"", one)}
        grouped = {
            label.strip()
            for one in re.findall(r"\bby \((.*?)\)", expression)
            for label in one.split(",")
        }
        assert asked | grouped <= {*labels_of(metric, tenants=False), "le"}


@pytest.mark.parametrize("expression", expressions())
def test_prometheus_reads_what_a_rule_or_a_dashboard_asks(expression: str) -> None:
    for word, value in (("$__rate_interval", "5m"), ("$__range", "1h")):  # as Grafana does
        expression = expression.replace(word, value)
    assert "$" not in expression
    promql_parser.parse(expression)


def test_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    named = {SERIES[name].name for one in expressions() for name in NAMED.findall(one)}
    assert named == {metric.name for metric in METRICS}


def test_what_is_served_has_every_metric() -> None:
    _, text = PrometheusLogger().exposition()
    told = set(re.findall(r"^# TYPE (\w+) \w+$", text.decode(), re.MULTILINE))
    assert {metric.name for metric in METRICS} <= {one.removesuffix("_total") for one in told}


def test_each_rule_is_tried() -> None:
    rules = yaml.safe_load((EXAMPLES / "alerts.yaml").read_text(encoding="utf-8"))
    tried = (EXAMPLES / "alerts_test.yaml").read_text(encoding="utf-8")
    for group in rules["groups"]:
        assert [one["alert"] for one in group["rules"] if one["alert"] not in tried] == []


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_each_rule_tells_what_it_is_for() -> None:
    command = ["promtool", "test", "rules", str(EXAMPLES / "alerts_test.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_says_what_to_do() -> None:
    rules = yaml.safe_load((EXAMPLES / "alerts.yaml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert set(rule["annotations"]) == {"summary", "action"}
