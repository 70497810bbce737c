"""What Prometheus is told of a monitor, when it asks."""

import threading
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cpi.contract import errors
from cpi.contract.units import bytes_from_mib
from cpi.resurrection.alert import Alert
from cpi.resurrection.monitor import Condition, Monitor

try:
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import Collector
except ImportError as missing:
    raise errors.CpiError("metrics need prometheus-client; install it with: pip install 'multicpi[watch]'") from missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

_LABELS = ("instance", "group")


class Metrics(Collector):
    """Counts alerts, and looks at the monitor when it is asked."""

    def __init__(self) -> None:
        self.monitor: Monitor | None = None
        self._guard = threading.Lock()
        self._alerts: Counter[str] = Counter()
        self._down_seconds = 0.0

    def count(self, alert: Alert) -> None:
        """Something happened."""
        with self._guard:
            self._alerts[alert.kind.name.lower()] += 1
            self._down_seconds += alert.jobs_down_seconds or 0.0

    def collect(self) -> "Iterator[Metric]":
        """All figures as they are now."""
        with self._guard:
            counted, down_seconds = dict(self._alerts), self._down_seconds
        alerts = CounterMetricFamily("multicpi_alerts", "Alerts, by kind", labels=["kind"])
        for kind, number in counted.items():
            alerts.add_metric([kind], number)
        yield alerts
        yield CounterMetricFamily(
            "multicpi_jobs_down_seconds", "Seconds that jobs were down before they were recreated", down_seconds
        )
        if self.monitor is not None:
            yield from _of(self.monitor)


def _of(monitor: Monitor) -> "Iterator[Metric]":
    up = GaugeMetricFamily("multicpi_instance_up", "1 if the instance's agent responds", labels=_LABELS)
    silent = GaugeMetricFamily("multicpi_instance_silent_seconds", "Seconds since the agent last responded", labels=_LABELS)
    tries = CounterMetricFamily("multicpi_instance_recreations", "Attempts to recreate the instance", labels=_LABELS)
    for view in monitor.views():
        labels = (view.name, view.group)
        up.add_metric(labels, view.condition == Condition.WELL.value)
        silent.add_metric(labels, view.silent_seconds)
        tries.add_metric(labels, view.tries)
    yield from (up, silent, tries)
    yield from _of_disks(monitor)
    yield GaugeMetricFamily(
        "multicpi_meltdown", "1 while nothing is recreated because too many instances are down", monitor.is_meltdown
    )


def _of_disks(monitor: Monitor) -> "Iterator[Metric]":
    size = GaugeMetricFamily("multicpi_disk_size_bytes", "Size of the instance's persistent disk", labels=_LABELS)
    used = GaugeMetricFamily("multicpi_disk_used_ratio", "Share of the persistent disk that is used", labels=_LABELS)
    inodes = GaugeMetricFamily("multicpi_disk_inodes_used_ratio", "Share of its inodes that is used", labels=_LABELS)
    left = GaugeMetricFamily(
        "multicpi_disk_full_in_seconds",
        "Seconds until the disk is full, at the rate of the last hours",
        labels=_LABELS,
    )
    growths = CounterMetricFamily("multicpi_disk_growths", "How often the disk was grown by itself", labels=_LABELS)
    for view in monitor.views():
        labels, fill = (view.name, view.group), view.fill
        if fill is None:
            continue
        used.add_metric(labels, fill.used / 100)
        inodes.add_metric(labels, fill.inodes / 100)
        growths.add_metric(labels, fill.growths)
        if fill.size is not None:
            size.add_metric(labels, bytes_from_mib(fill.size))
        if fill.full_in is not None:
            left.add_metric(labels, fill.full_in)
    yield from (size, used, inodes, left, growths)


class MetricsServer:
    """Answers Prometheus until the end of the block."""

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        """Raises CpiError if it cannot listen there. Port 0: any that is free."""
        registry = CollectorRegistry()
        registry.register(metrics)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise errors.CpiError(f"metrics cannot be served at {host}:{port}: {error.strerror}") from error

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
