"""The figures of a courier: which metrics there are, and what an event and the health add to them.

An exporter (`adapters/loggers/`) writes them in its own way. Their labels hold words of this
package, names of providers and, only if the host asks for it, tenant ids: nothing that a person or
a platform has written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from attrs import frozen

from ..domain.health import RecordsHealth
from ..domain.upload.failure import Failure, FailureKind
from ..ports import logger as events
from .log_facts import name_of, severity_of

Kind: TypeAlias = Literal["counter", "histogram", "gauge"]


@frozen
class Metric:
    """One metric: its labels, and what it says."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    unit: str = ""


@frozen
class Sample:
    """What is added to a metric, or what a gauge is now."""

    metric: Metric
    value: float
    labels: Mapping[str, str]


SECONDS_UP_TO = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""The bounds of a histogram's buckets."""

# Counted as it happens, since this process has started.
EVENTS = Metric(
    "evidence_courier_events",
    "counter",
    ("event", "severity", "provider"),
    "What was logged, by the event's name: attempt_recovered, upload_held and so on.",
)
SETTLED = Metric(
    "evidence_courier_uploads_settled",
    "counter",
    ("provider", "status", "reason"),
    "Settled uploads, by status and kind of error.",
)
ATTEMPTS = Metric(
    "evidence_courier_attempts",
    "counter",
    ("provider", "verdict", "reason"),
    "Attempts that ended, by verdict and kind of error.",
)
ATTEMPT_SECONDS = Metric(
    "evidence_courier_attempt_seconds",
    "histogram",
    ("provider", "verdict"),
    "How long attempts took.",
    "s",
)
GATE_WAIT_SECONDS = Metric(
    "evidence_courier_gate_wait_seconds",
    "histogram",
    ("provider",),
    "How long an attempt's requests waited at the gate: for the pace, a cool-down or a lease.",
    "s",
)
START_WAIT_SECONDS = Metric(
    "evidence_courier_start_wait_seconds",
    "histogram",
    ("provider",),
    "How long an upload had been due when its attempt began: for the gate, or for a place.",
    "s",
)
# What the records and the courier say when they are asked.
UPLOADS = Metric(
    "evidence_courier_uploads",
    "gauge",
    ("status", "reason"),
    "Uploads in the database, by status and kind of error.",
)
PARKED = Metric("evidence_courier_uploads_parked", "gauge", (), "Uploads whose target is parked.")
OLDEST_OPEN_AGE = Metric(
    "evidence_courier_oldest_open_age_seconds",
    "gauge",
    (),
    "The age of the oldest open upload that is neither parked nor paused, or 0.",
    "s",
)
STOPS = Metric(
    "evidence_courier_stops",
    "gauge",
    ("state", "reason"),
    "Integrations, targets and tenants that are blocked, parked, paused or skipped.",
)
LAST_SUCCESS = Metric(
    "evidence_courier_last_success_timestamp_seconds",
    "gauge",
    (),
    "When an upload last succeeded; with tenant labels, of each tenant that the health lists.",
    "s",
)
OLDEST_NOTICE_AGE = Metric(
    "evidence_courier_oldest_notice_age_seconds",
    "gauge",
    (),
    "The age of the oldest notice that a sink has not taken, or 0.",
    "s",
)
OF_COURIER: Mapping[str, Metric] = {
    name: Metric(f"evidence_courier_{name}", "gauge", (), help)
    for name, help in {
        "submitted": "Evidences that are not recorded yet.",
        "planned": "Uploads that wait for their time in this courier.",
        "under_way": "Attempts and look-ups under way in this courier.",
        "listener_failures": "How often the logger or on_settled raised, or was left out.",
        "lost_readers": "Threads that read for the host and have not returned in time.",
        "duty_failures": "How often what is done now and then beside the uploads has failed.",
    }.items()
}
SKIPPED_TENANTS = Metric(
    "evidence_courier_skipped_tenants",
    "gauge",
    (),
    "Tenants of this courier's configuration that are invalid and not in force.",
)
METRICS: tuple[Metric, ...] = (
    *(EVENTS, SETTLED, ATTEMPTS, ATTEMPT_SECONDS, GATE_WAIT_SECONDS, START_WAIT_SECONDS),
    *(UPLOADS, PARKED, OLDEST_OPEN_AGE, STOPS, LAST_SUCCESS, OLDEST_NOTICE_AGE),
    *OF_COURIER.values(),
    SKIPPED_TENANTS,
)
OF_TENANTS = (SETTLED, ATTEMPTS, LAST_SUCCESS)
"""What has the label `tenant` as well, if the host asks for it."""

_PLUG_IN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_KINDS = frozenset(kind.value for kind in FailureKind)


def labels_of(metric: Metric, tenants: bool) -> tuple[str, ...]:
    """The labels of a metric, with tenant ids or without."""
    return (*metric.labels, "tenant") if tenants and metric in OF_TENANTS else metric.labels


def samples_of(event: events.LogEvent, tenants: bool = False) -> Iterator[Sample]:
    """What an event adds to the metrics."""
    key = getattr(event, "key", getattr(event, "status", event))
    about = {"provider": provider_label(getattr(key, "provider", None) or "")}
    name, severity = name_of(event), severity_of(event).value
    yield Sample(EVENTS, 1, {"event": name, "severity": severity, **about})
    match event:
        case events.AttemptStarted(waited=float() as waited):
            yield Sample(START_WAIT_SECONDS, waited, about)
        case events.AttemptEnded():
            of_verdict = {**about, "verdict": event.verdict}
            reason = {"reason": _reason(event.failure)}
            of_tenant = {"tenant": tenant_label(event.key.tenant_id)} if tenants else {}
            yield Sample(ATTEMPTS, 1, {**of_verdict, **reason, **of_tenant})
            if event.seconds is not None:
                yield Sample(ATTEMPT_SECONDS, event.seconds, of_verdict)
            if event.waited is not None:
                yield Sample(GATE_WAIT_SECONDS, event.waited, about)
        case events.AttemptRecovered():
            ended = {"verdict": "recovered", "reason": FailureKind.INTERRUPTED.value}
            of_tenant = {"tenant": tenant_label(event.key.tenant_id)} if tenants else {}
            yield Sample(ATTEMPTS, 1, {**about, **ended, **of_tenant})
        case events.UploadSettled(status=status):
            labels = {**about, "status": status.status}
            labels["reason"] = "" if status.error is None else _known(status.error.kind)
            of_tenant = {"tenant": tenant_label(status.tenant_id)} if tenants else {}
            yield Sample(SETTLED, 1, {**labels, **of_tenant})


def samples_of_health(
    health: RecordsHealth, now: datetime, tenants: bool = False
) -> Iterator[Sample]:
    """What the gauges are now: of the records, and of the courier if it is a courier's health."""
    for word, number in health.counts.items():
        reasons = {kind: n for kind, n in health.reasons.get(word, {}).items() if n}
        for reason, n in ({"": number - sum(reasons.values())} | reasons).items():
            if n or not reason:
                yield Sample(UPLOADS, n, {"status": word, "reason": reason})
    yield Sample(PARKED, health.parked, {})
    yield Sample(OLDEST_OPEN_AGE, _age(health.oldest_open_at, now), {})
    untold = min((one.since for one in health.notices), default=None)
    yield Sample(OLDEST_NOTICE_AGE, _age(untold, now), {})
    for state, by_reason in health.stopped.items():
        stops: Counter[str] = Counter()
        for reason, n in by_reason.items():
            stops[_known(reason)] += n
        for reason, n in stops.items():
            yield Sample(STOPS, n, {"state": state, "reason": reason})
    if tenants:
        for one in health.by_tenant:
            if one.last_success_at is not None:
                labels = {"tenant": tenant_label(one.tenant_id)}
                yield Sample(LAST_SUCCESS, one.last_success_at.timestamp(), labels)
    elif health.last_success_at is not None:
        yield Sample(LAST_SUCCESS, health.last_success_at.timestamp(), {})
    own: Any = health
    for name, metric in OF_COURIER.items():
        if hasattr(own, name):
            yield Sample(metric, getattr(own, name), {})
    if hasattr(own, "skipped_tenants"):
        yield Sample(SKIPPED_TENANTS, len(own.skipped_tenants), {})


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)


def _reason(failure: Failure | None) -> str:
    return "" if failure is None else failure.kind.value


def provider_label(provider: str) -> str:
    """The name of a provider; of one that is called like nothing else, `other`."""
    return provider if not provider or _PLUG_IN.fullmatch(provider) else "other"


def tenant_label(tenant_id: str) -> str:
    """The id without halves of characters, which no exporter can write."""
    return tenant_id.encode("utf-8", "replace").decode()


def _known(reason: str) -> str:
    """The kind of an error; a person's own words are none."""
    return reason if reason in _KINDS else "other"
