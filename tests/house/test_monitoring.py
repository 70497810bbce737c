"""docs/monitoring: what it asks Prometheus for is what `cpi watch` serves, and Prometheus takes the rules."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from cpi.resurrection.alert import Alert, Kind
from cpi.resurrection.metrics import Metrics
from tests.house.source import ROOT

_FOLDER = ROOT / "docs" / "monitoring"
_NAME = re.compile(r"\bmulticpi_\w+")


class _Monitor:
    """What Metrics looks at."""

    is_meltdown = False

    def views(self) -> tuple[Any, ...]:
        """None."""
        return ()


def _served() -> set[str]:
    metrics = Metrics()
    metrics.monitor = _Monitor()  # type: ignore[assignment]  # it has what is looked at
    metrics.count(Alert(kind=next(iter(Kind)), message=""))
    registry = CollectorRegistry()
    registry.register(metrics)
    text = generate_latest(registry).decode()
    return {name + ("_total" if kind == "counter" and not name.endswith("_total") else "") for name, kind in _types(text)}


def _types(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            yield name, kind


def test_rules_and_dashboard_ask_for_what_is_served() -> None:
    """A renamed metric would make an alert that never fires."""
    rules = yaml.safe_load((_FOLDER / "alerts.yml").read_text(encoding="utf-8"))
    asked = {name for group in rules["groups"] for rule in group["rules"] for name in _NAME.findall(rule["expr"])}
    dashboard = json.loads((_FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    asked |= {name for panel in dashboard["panels"] for one in panel["targets"] for name in _NAME.findall(one["expr"])}
    assert asked - _served() == set()
    assert _served() - asked == set()


def test_prometheus_takes_the_rules() -> None:
    """By its own tool."""
    if shutil.which("promtool") is None:
        pytest.skip("cannot run here: needs the Debian package prometheus")
    done = subprocess.run(
        ["promtool", "check", "rules", str(_FOLDER / "alerts.yml")], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 rules found" in done.stdout
