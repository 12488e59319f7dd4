"""Metrics and traces for OpenTelemetry: the metrics of Prometheus, and a span for each attempt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...delivery.metrics import (
    METRICS,
    SECONDS_UP_TO,
    Metric,
    provider_label,
    samples_of,
    samples_of_health,
    tenant_label,
)
from ...domain.errors import MisuseError
from ...domain.health import RecordsHealth
from ...domain.upload.failure import FailureKind
from ...ports.logger import AttemptEnded, AttemptRecovered, LogEvent

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

_NAME = "evidence_courier"
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:/+=~-]{1,200}")


class OpenTelemetryLogger:
    """`Logger` that gives events to OpenTelemetry's meters, and attempts to its tracer as spans.

    The gauges are as old as the last `tell`. A span has the provider, the attempt's number, its
    verdict, the kind of error, the HTTP status and the provider's request id (if it has letters,
    digits and a few signs only): no evidence id and no text of a person or a platform. For the
    standard log beside it, see `FanOut`.

    Args:
        meter_provider: Where the metrics go; by default the global one.
        tracer_provider: Where the spans go; by default the global one.
        tenants: Whether tenant ids are attributes.

    Raises:
        MisuseError: opentelemetry-api is not installed.
    """

    def __init__(
        self,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        *,
        tenants: bool = False,
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ModuleNotFoundError as error:
            if error.name not in ("opentelemetry", "opentelemetry.metrics", "opentelemetry.trace"):
                raise  # it is there, but broken
            raise MisuseError(
                "metrics and traces for OpenTelemetry need opentelemetry-api:"
                ' pip install "evidence-courier[opentelemetry]"'
            ) from None
        self._trace = trace
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._instruments = {metric.name: _instrument(meter, metric) for metric in METRICS}
        self._tenants = tenants
        self._reported: set[tuple[str, tuple[tuple[str, str], ...]]] = set()

    def log(self, event: LogEvent) -> None:
        """Count an event; the end of an attempt is a span as well."""
        for sample in samples_of(event, self._tenants):
            instrument: Any = self._instruments[sample.metric.name]
            add = instrument.record if sample.metric.kind == "histogram" else instrument.add
            add(sample.value, dict(sample.labels))
        if isinstance(event, AttemptEnded | AttemptRecovered) and event.started_at is not None:
            self._span(event, event.started_at, event.seconds or 0.0)

    def tell(self, health: RecordsHealth, now: datetime | None = None) -> None:
        """Set the gauges to a health: of a courier, or of `Records`."""
        before, self._reported = self._reported, set()
        for sample in samples_of_health(health, now or datetime.now(UTC), self._tenants):
            self._instruments[sample.metric.name].set(sample.value, dict(sample.labels))
            self._reported.add((sample.metric.name, tuple(sample.labels.items())))
        for name, labels in before - self._reported:  # it has none any more
            self._instruments[name].set(0, dict(labels))

    def _span(
        self, event: AttemptEnded | AttemptRecovered, started_at: datetime, seconds: float
    ) -> None:
        start, attributes = int(started_at.timestamp() * 1e9), self._attributes(event)
        span = self._tracer.start_span(
            "evidence_courier.attempt",
            kind=self._trace.SpanKind.CLIENT,
            start_time=start,
            attributes={name: value for name, value in attributes.items() if value is not None},
        )
        if attributes["evidence_courier.verdict"] not in ("delivered", "processing"):
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(end_time=start + int(seconds * 1e9))

    def _attributes(
        self, event: AttemptEnded | AttemptRecovered
    ) -> Mapping[str, str | int | float | None]:
        key = event.key
        about: Mapping[str, str | int | float | None] = {
            "evidence_courier.provider": provider_label(key.provider),
            "evidence_courier.attempt": event.attempt,
            "evidence_courier.tenant": tenant_label(key.tenant_id) if self._tenants else None,
        }
        if isinstance(event, AttemptRecovered):
            ended = {"evidence_courier.verdict": "recovered"}
            return {**about, **ended, "error.type": FailureKind.INTERRUPTED.value}
        failure, request_id = event.failure, event.request_id
        return {
            **about,
            "evidence_courier.verdict": event.verdict,
            "evidence_courier.request_id": request_id if _is_plain(request_id) else None,
            "evidence_courier.gate_wait_seconds": event.waited,
            "error.type": None if failure is None else failure.kind.value,
            "http.response.status_code": None if failure is None else failure.http_status,
        }


def _is_plain(request_id: str | None) -> bool:
    """Whether it is no text of the platform's in which a person may be named."""
    return request_id is not None and _REQUEST_ID.fullmatch(request_id) is not None


def _instrument(meter: Any, metric: Metric) -> Any:
    match metric.kind:
        case "counter":
            return meter.create_counter(metric.name, description=metric.help)
        case "histogram":
            return meter.create_histogram(
                metric.name,
                unit=metric.unit,
                description=metric.help,
                explicit_bucket_boundaries_advisory=SECONDS_UP_TO,
            )
        case "gauge":
            return meter.create_gauge(metric.name, unit=metric.unit, description=metric.help)
