"""Metrics for Prometheus: what happens as counters and histograms, and the health as gauges."""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from ...delivery.metrics import (
    METRICS,
    SECONDS_UP_TO,
    Metric,
    Sample,
    labels_of,
    samples_of,
    samples_of_health,
)
from ...domain.errors import MisuseError
from ...domain.health import RecordsHealth
from ...ports.logger import LogEvent

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class PrometheusLogger:
    """`Logger` that counts events in a registry of prometheus-client.

    The gauges are as old as the last `tell`. For the standard log beside it, see `FanOut`.

    Args:
        registry: Where the metrics are; by default one of their own, which `exposition` writes. A
            host that serves its own metrics gives its own, such as `prometheus_client.REGISTRY`.
        tenants: Whether tenant ids are labels: only for hosts with few tenants.

    Raises:
        MisuseError: prometheus-client is not installed.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, tenants: bool = False) -> None:
        try:
            import prometheus_client as client
        except ModuleNotFoundError as error:
            if error.name != "prometheus_client":
                raise  # it is there, but broken
            raise MisuseError(
                "metrics for Prometheus need prometheus-client:"
                ' pip install "evidence-courier[prometheus]"'
            ) from None
        self._client: Any = client
        self._registry = client.CollectorRegistry() if registry is None else registry
        self._tenants = tenants
        self._lock = Lock()
        self._collectors = {metric.name: self._collector(metric) for metric in METRICS}

    def _collector(self, metric: Metric) -> Any:
        client, labels = self._client, labels_of(metric, self._tenants)
        about = (metric.name, metric.help, labels)
        match metric.kind:
            case "counter":
                return client.Counter(*about, registry=self._registry)
            case "histogram":
                return client.Histogram(*about, registry=self._registry, buckets=SECONDS_UP_TO)
            case "gauge":
                return client.Gauge(*about, registry=self._registry)

    def log(self, event: LogEvent) -> None:
        """Count an event."""
        for sample in samples_of(event, self._tenants):
            self._take(sample)

    def tell(self, health: RecordsHealth, now: datetime | None = None) -> None:
        """Set the gauges to a health: of a courier, or of `Records`."""
        with self._lock:  # a gauge that is gone is not there for a moment
            for metric in METRICS:
                if metric.kind == "gauge" and labels_of(metric, self._tenants):
                    self._collectors[metric.name].clear()
            for sample in samples_of_health(health, now or datetime.now(UTC), self._tenants):
                self._take(sample)

    def exposition(self) -> tuple[str, bytes]:
        """The content type and the text that Prometheus reads."""
        with self._lock:
            text = self._client.generate_latest(self._registry)
        return self._client.CONTENT_TYPE_LATEST, text

    def _take(self, sample: Sample) -> None:
        found = self._collectors[sample.metric.name]
        if sample.labels:
            found = found.labels(**sample.labels)
        match sample.metric.kind:
            case "counter":
                found.inc(sample.value)
            case "histogram":
                found.observe(sample.value)
            case "gauge":
                found.set(sample.value)
