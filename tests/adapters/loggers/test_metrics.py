"""Metrics and traces: what is counted, that no label holds what a person or a platform wrote, and
that an exporter which fails harms nothing."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from store_fixtures import House, evidence

from evidence_courier.adapters.engines.notify import Notifier
from evidence_courier.adapters.loggers.opentelemetry import OpenTelemetryLogger
from evidence_courier.adapters.loggers.prometheus import PrometheusLogger
from evidence_courier.bootstrap.fan_out import FanOut
from evidence_courier.bootstrap.metrics import exposition, observed
from evidence_courier.delivery.metrics import METRICS, SECONDS_UP_TO, labels_of
from evidence_courier.domain.health import (
    MOST_LISTED,
    Count,
    RecordsHealth,
    Stop,
    TenantHealth,
    health_of,
)
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.upload import Status, UploadKey
from evidence_courier.ports.logger import (
    AttemptEnded,
    AttemptRecovered,
    AttemptStarted,
    LogEvent,
)
from evidence_courier.testing import until_settled
from evidence_courier.testing.contracts.events import HOSTILE, NOW, one_of_each
from evidence_courier.testing.logger import RecordingLogger

KEY = UploadKey("acme", "asha@acme.example", "sprinto")
DOWN = Failure(FailureKind.SERVER_ERROR, "Asha's file was refused", http_status=503)
ENDED = AttemptEnded(KEY, 2, "deferred", DOWN, NOW, NOW, 1.5, 0.25, "req-7")
HEALTH = RecordsHealth(
    counts={"retrying": 3, "succeeded": 9, "held": 0},
    reasons={"retrying": {"server_error": 2, "check_in_review": 1}},
    parked=1,
    oldest_open=None,
    by_tenant=[TenantHealth(tenant_id="acme", counts={}, last_success_at=NOW)],
    stops=[
        Stop(
            state="paused",
            tenant_id="acme",
            provider="sprinto",
            since=NOW,
            reason="Asha is on leave",
        )
    ],
    last_success_at=NOW,
    stopped={"paused": {"Asha is on leave": 1}},
)
PERSONAL = ("asha", "ev-1", "emp-", "@", "1 more", "disk full", "HTTP", "r-1", "req-")


def scraped(logger: PrometheusLogger) -> str:
    return logger.exposition()[1].decode()


def test_attempts_are_counted_by_verdict_with_their_durations_and_waits() -> None:
    logger = PrometheusLogger()
    logger.log(AttemptStarted(KEY, 2, 5, 4.0))
    logger.log(ENDED)
    text = scraped(logger)
    attempts = 'attempts_total{provider="sprinto",reason="server_error",verdict="deferred"} 1.0'
    assert f"evidence_courier_{attempts}" in text
    took = 'evidence_courier_attempt_seconds_sum{provider="sprinto",verdict="deferred"} 1.5'
    assert took in text
    assert 'evidence_courier_gate_wait_seconds_sum{provider="sprinto"} 0.25' in text
    assert 'evidence_courier_start_wait_seconds_sum{provider="sprinto"} 4.0' in text


def test_every_event_is_counted_by_its_name() -> None:
    logger = PrometheusLogger()
    for event in one_of_each():
        logger.log(event)
    text = scraped(logger)
    for name in ("attempt_recovered", "integration_blocked", "upload_held", "upload_settled"):
        assert f'evidence_courier_events_total{{event="{name}"' in text
    settled = 'settled_total{provider="sprinto",reason="server_error",status="failed"} 1.0'
    assert f"evidence_courier_uploads_{settled}" in text


def test_the_gauges_are_those_of_the_last_health() -> None:
    logger = PrometheusLogger()
    logger.tell(HEALTH, NOW)
    text = scraped(logger)
    assert 'evidence_courier_uploads{reason="server_error",status="retrying"} 2.0' in text
    assert 'evidence_courier_uploads{reason="",status="succeeded"} 9.0' in text
    assert 'evidence_courier_stops{reason="other",state="paused"} 1.0' in text
    assert "evidence_courier_uploads_parked 1.0" in text
    logger.tell(evolve(HEALTH, stops=[], stopped={}, reasons={}), NOW)
    assert 'state="paused"' not in scraped(logger)
    assert 'reason="server_error"' not in scraped(logger)


def test_the_gauges_are_of_all_tenants_and_stops_however_many() -> None:
    many = range(MOST_LISTED + 5)
    about: dict[str, Any] = {"provider": "vanta", "reason": "unauthorized"}
    counts = [
        Count(tenant_id=f"t{n}", **about, status=Status.HELD, number=1, last_at=NOW) for n in many
    ]
    ended = Count(
        tenant_id="z", provider="", status=Status.SUCCEEDED, reason=None, number=1, last_at=NOW
    )
    stops = [Stop(state="blocked", tenant_id=f"t{n}", **about, since=NOW) for n in many]
    moments = dict.fromkeys((one.tenant_id for one in counts), NOW)
    registry = CollectorRegistry()
    PrometheusLogger(registry).tell(health_of([*counts, ended], moments, None, stops), NOW)
    value = registry.get_sample_value
    blocked = {"state": "blocked", "reason": "unauthorized"}
    assert value("evidence_courier_stops", blocked) == len(many)
    assert value("evidence_courier_last_success_timestamp_seconds") == NOW.timestamp()


def test_no_label_holds_what_a_person_or_a_platform_wrote(hostile_event: LogEvent) -> None:
    logger = PrometheusLogger()
    logger.log(hostile_event)
    logger.tell(HEALTH, NOW)
    values = re.findall(r'="(.*?)"[,}]', scraped(logger), re.DOTALL)
    assert [one for one in values if not re.fullmatch(r"[a-z_0-9.+Inf]*", one)] == []
    for word in (*PERSONAL, "acme"):
        assert word not in "\n".join(values).lower()


def test_a_tenant_is_a_label_by_setting_only_and_may_be_called_anything() -> None:
    for tenants in (False, True):
        logger = PrometheusLogger(tenants=tenants)
        for event in one_of_each(HOSTILE):
            logger.log(event)
        logger.tell(HEALTH, NOW)
        assert ('tenant="acme' in scraped(logger)) is tenants
        assert "ev-1" not in scraped(logger)


def test_a_host_may_have_them_among_its_own_metrics() -> None:
    registry = CollectorRegistry()
    PrometheusLogger(registry).log(ENDED)
    assert registry.get_sample_value(
        "evidence_courier_attempts_total",
        {"provider": "sprinto", "verdict": "deferred", "reason": "server_error"},
    )


# --- OpenTelemetry -------------------------------------------------------------------------------


class Seen:
    """What an OpenTelemetry SDK was given."""

    def __init__(self, *, tenants: bool = False) -> None:
        self._reader, self._spans = InMemoryMetricReader(), InMemorySpanExporter()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider([self._reader])
        self.logger = OpenTelemetryLogger(meters, tracers, tenants=tenants)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._spans.get_finished_spans()

    @property
    def points(self) -> dict[str, list[Any]]:
        found = self._reader.get_metrics_data()
        assert found is not None
        metrics = [
            metric
            for resource in found.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        return {metric.name: list(metric.data.data_points) for metric in metrics}


def test_an_attempt_is_a_span_with_the_request_id_of_the_provider() -> None:
    seen = Seen()
    seen.logger.log(ENDED)
    [span] = seen.spans
    assert span.start_time is not None and span.end_time is not None
    assert span.end_time - span.start_time == 1_500_000_000
    assert dict(span.attributes or {}) == {
        "evidence_courier.provider": "sprinto",
        "evidence_courier.attempt": 2,
        "evidence_courier.verdict": "deferred",
        "evidence_courier.request_id": "req-7",
        "evidence_courier.gate_wait_seconds": 0.25,
        "error.type": "server_error",
        "http.response.status_code": 503,
    }


def test_a_recovered_attempt_is_a_span_and_counted_as_such() -> None:
    seen = Seen()
    seen.logger.log(AttemptRecovered(KEY, 2, NOW, NOW, 61.5))
    [span] = seen.spans
    assert span.start_time is not None and span.end_time is not None
    assert span.end_time - span.start_time == 61_500_000_000
    assert dict(span.attributes or {}) == {
        "evidence_courier.provider": "sprinto",
        "evidence_courier.attempt": 2,
        "evidence_courier.verdict": "recovered",
        "error.type": "interrupted",
    }
    [attempts] = seen.points["evidence_courier_attempts"]
    assert dict(attempts.attributes or {}) == {
        "provider": "sprinto",
        "verdict": "recovered",
        "reason": "interrupted",
    }


def test_no_attribute_holds_what_a_person_or_a_platform_wrote(hostile_event: LogEvent) -> None:
    for tenants in (False, True):
        seen = Seen(tenants=tenants)
        seen.logger.log(hostile_event)
        points = [point.attributes for some in seen.points.values() for point in some]
        for attributes in (*points, *(span.attributes for span in seen.spans)):
            found = dict(attributes or {})
            tenant = found.pop("tenant", found.pop("evidence_courier.tenant", None))
            assert tenants or tenant is None
            for value in found.values():
                assert re.fullmatch(r"[a-z_0-9.]*", str(value)), found
            str(tenant).encode()  # else no exporter could write it


@pytest.mark.parametrize("given", ["jane@acme.example", "Jane Doe", "j\udcff", "r" * 201, ""])
def test_a_request_id_that_may_name_a_person_is_no_attribute(given: str) -> None:
    seen = Seen()
    seen.logger.log(evolve(ENDED, request_id=given))
    [span] = seen.spans
    assert "evidence_courier.request_id" not in dict(span.attributes or {})


def test_a_meter_gets_what_prometheus_gets() -> None:
    seen, other = Seen(), PrometheusLogger()
    for logger in (seen.logger, other):
        logger.log(AttemptStarted(KEY, 2, 5, 4.0))
        logger.log(ENDED)
        logger.tell(HEALTH, NOW)
    points = seen.points
    [attempts] = points["evidence_courier_attempts"]
    assert (attempts.value, attempts.attributes["verdict"]) == (1, "deferred")
    [took] = points["evidence_courier_attempt_seconds"]
    assert (took.sum, tuple(took.explicit_bounds)) == (1.5, SECONDS_UP_TO)
    stopped = points["evidence_courier_stops"]
    assert [point.value for point in stopped] == [1]
    seen.logger.tell(evolve(HEALTH, stops=[], stopped={}), NOW)
    assert [point.value for point in seen.points["evidence_courier_stops"]] == [0]


def test_no_attribute_holds_what_a_person_wrote() -> None:
    for tenants in (False, True):
        seen = Seen(tenants=tenants)
        seen.logger.log(ENDED)
        seen.logger.tell(HEALTH, NOW)
        text = f"{seen.points} {[span.to_json() for span in seen.spans]}".lower()
        assert ("acme" in text) is tenants
        for word in ("asha", "@", "refused", "on leave"):
            assert word not in text


# --- beside the log ------------------------------------------------------------------------------


class Raising:
    def log(self, event: LogEvent) -> None:
        raise RuntimeError("the exporter is down")


def test_a_logger_that_fails_does_not_silence_the_others() -> None:
    before, after = RecordingLogger(), RecordingLogger()
    with pytest.raises(RuntimeError, match="the exporter is down"):
        FanOut(before, Raising(), after).log(ENDED)
    assert (before.events, after.events) == ([ENDED], [ENDED])


def test_an_interruption_of_one_logger_is_raised_after_all_have_logged() -> None:
    class Interrupted:
        def log(self, event: LogEvent) -> None:
            raise KeyboardInterrupt

    after = RecordingLogger()
    with pytest.raises(KeyboardInterrupt):
        FanOut(Raising(), Interrupted(), after).log(ENDED)
    assert after.events == [ENDED]


def test_what_one_logger_does_not_want_another_one_gets(caplog: pytest.LogCaptureFixture) -> None:
    class Choosy(RecordingLogger):
        def wants(self, event: LogEvent) -> bool:
            return False

    choosy, other = Choosy(), RecordingLogger()
    both = FanOut(choosy, other)
    assert both.wants(ENDED)
    both.log(ENDED)
    assert (choosy.events, other.events) == ([], [ENDED])
    assert not FanOut(choosy).wants(ENDED)


@pytest.mark.parametrize("first", [True, False])
def test_a_logger_that_cannot_choose_does_not_silence_the_others(first: bool) -> None:
    class Undecided(RecordingLogger):
        def wants(self, event: LogEvent) -> bool:
            raise SystemExit("the exporter is down")

    other = RecordingLogger()
    both = FanOut(Undecided(), other) if first else FanOut(other, Undecided())
    notifier = Notifier(both)
    assert both.wants(ENDED)
    notifier.log(ENDED)
    assert (other.events, notifier.failures) == ([ENDED], 1)


def test_a_courier_counts_what_it_delivers_and_survives_an_exporter(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    house.server.answer = lambda _id, nth: 503 if nth < 2 else 200

    async def story() -> str:
        logger = FanOut(house.logger, Raising(), PrometheusLogger())
        async with house.courier(logger=logger) as courier:
            await until_settled(courier, house.clock, courier.submit(evidence()))
            async with asyncio.timeout(10):  # it is told in a thread
                while (await courier.health()).listener_failures < 6:
                    await asyncio.sleep(0.001)
            found = await exposition(courier)
        assert found is not None
        return found[1].decode()

    text = asyncio.run(story())
    assert re.search(r'attempts_total\{.*verdict="delivered"\} 1.0', text)
    assert re.search(r'attempt_seconds_count\{.*verdict="delivered"\} 1.0', text)
    assert 'evidence_courier_uploads{reason="",status="succeeded"} 1.0' in text
    assert "evidence_courier_oldest_open_age_seconds 0.0" in text


def test_the_logger_of_a_worker_counts_too() -> None:
    logger = RecordingLogger()
    both = observed(logger)
    assert isinstance(both, FanOut)
    assert both.loggers[0] is logger


def test_labels_are_few_and_known() -> None:
    names = {"event", "severity", "provider", "status", "reason", "verdict", "state", "tenant"}
    for metric in METRICS:
        assert {*labels_of(metric, tenants=True)} <= names
        assert re.fullmatch(r"evidence_courier_[a-z_]+", metric.name)
    assert timedelta(seconds=SECONDS_UP_TO[-1]) == timedelta(minutes=30)
