"""What Prometheus and Grafana are given: it loads, rings when it must, and asks for metrics that exist."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from test_metrics import TABLE

ROOT = Path(__file__).parent.parent
OBSERVE = ROOT / "deploy" / "observe"
RULES = [
    rule
    for group in yaml.safe_load((OBSERVE / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS = [
    panel
    for path in sorted((OBSERVE / "grafana" / "dashboards").glob("*.json"))
    for panel in json.loads(path.read_text())["panels"]
]
EXPRESSIONS = [
    *(rule["expr"] for rule in RULES),
    *(target["expr"] for panel in PANELS for target in panel["targets"]),
]


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None and os.environ.get("CI"):
        pytest.fail("CI must have promtool: apt-get install prometheus")
    if found is None:
        pytest.skip("NO PROMTOOL: apt-get install prometheus")
    return found


def _checked(*command: str, cwd: Path = OBSERVE) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration(promtool: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    shutil.copyfile(OBSERVE / "alerts.yml", tmp_path / "alerts.yml")
    text = (OBSERVE / "prometheus.yml").read_text().replace("/run/secrets/hone-token", "token")
    (tmp_path / "prometheus.yml").write_text(text)
    _checked(promtool, "check", "config", "--lint-fatal", "prometheus.yml", cwd=tmp_path)


def test_each_alert_rings_where_it_must_and_only_there(promtool: str) -> None:
    cases = yaml.safe_load((OBSERVE / "alerts_test.yml").read_text())["tests"]
    asked = [(a["alertname"], bool(a["exp_alerts"])) for case in cases for a in case["alert_rule_test"]]
    assert sorted(asked) == sorted((rule["alert"], rings) for rule in RULES for rings in (True, False))
    _checked(promtool, "test", "rules", "alerts_test.yml")


def test_prometheus_can_evaluate_what_the_dashboards_ask(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(EXPRESSIONS)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    _checked(promtool, "check", "rules", "rules.yml", cwd=tmp_path)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_only_what_is_exposed(expression: str) -> None:
    named = set(re.findall(r"\bhone_\w+", expression))
    assert named or expression == 'up{job="hone"} == 0'
    assert named <= set(_samples())
    for name, labels in re.findall(r"\b(hone_\w+)\{([^}]*)\}", expression):
        measure = TABLE[name.removesuffix("_bucket")]
        assert set(re.findall(r"(\w+)\s*=", labels)) <= {*measure.labels, "le"}


def _samples() -> Iterator[str]:
    """The names that a query may use."""
    for name, measure in TABLE.items():
        if measure.kind == "histogram":
            yield from (f"{name}_{part}" for part in ("bucket", "sum", "count"))
        else:
            yield name


def test_each_alert_leads_to_its_run_book() -> None:
    for rule in RULES:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        heads = re.findall(r"^#+ (.+)$", (ROOT / page).read_text("utf-8"), re.M)
        anchors = [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads]
        assert anchor in anchors, f"{rule['alert']}: {anchor} is none of {anchors}"
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_the_dashboards_are_what_is_written_and_fit_on_the_page() -> None:
    module = _script()
    assert {path: path.read_text("utf-8") for path in module.HERE.iterdir()} == module.files()
    assert all(panel["targets"] and panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)
    sources = yaml.safe_load((OBSERVE / "grafana/provisioning/datasources/prometheus.yml").read_text())
    assert {panel["datasource"]["uid"] for panel in PANELS} == {sources["datasources"][0]["uid"]}


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dashboards", OBSERVE / "dashboards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
