"""Clocks, loggers, renderers and sources that break a rule of their kits are found out, at that
rule."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import pytest
from attrs import evolve
from breaking import Break, every_rule_bites, found_at

from evidence_courier.delivery.log_facts import account_of
from evidence_courier.domain.evidence.evidence import Document
from evidence_courier.domain.evidence.training import TrainingRecord
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.ports.clock import Clock
from evidence_courier.ports.logger import LogEvent, UploadRecorded
from evidence_courier.testing import FakeClock
from evidence_courier.testing.contracts import (
    ClockContract,
    DocumentSourceContract,
    LoggerContract,
    LoggerHarness,
    RendererContract,
    SecretsContract,
)

TABLES: dict[type, list[Break]] = {
    kit: []
    for kit in (
        ClockContract,
        LoggerContract,
        RendererContract,
        SecretsContract,
        DocumentSourceContract,
    )
}


def breaks(rule: str, *also: str) -> Callable[[type], type]:
    """The adapter below breaks that rule of its kit, and the others that cannot but be broken
    with it."""

    def listed(adapter: type) -> type:
        kit = next(kit for honest, kit in KITS.items() if issubclass(adapter, honest))
        made = kit(adapter)
        made.__name__ = adapter.__name__
        TABLES[made.__mro__[1]].append(
            Break(f"test_{rule}", made, frozenset(f"test_{other}" for other in also))
        )
        return adapter

    return listed


# --- honest ones, to be broken


class Clockwork(FakeClock):
    pass


class Teller:
    def __init__(self) -> None:
        self.told: list[str] = []

    def log(self, event: LogEvent) -> None:
        self.told.append(account_of(event).sentence)


class Printer:
    def render(self, record: TrainingRecord) -> Document | Failure:
        return Document(content=repr(record).encode(), media_type="text/plain")

    def close(self) -> None:
        pass


class Vault:
    def __init__(self, known: Mapping[str, str]) -> None:
        self.known = dict(known)

    def resolve(self, name: str) -> Any:
        value = self.known.get(name)
        return None if value is None else Secret(value)


class Shelf:
    def __init__(self, documents: Mapping[tuple[str, str], bytes]) -> None:
        self.documents = dict(documents)

    def read(self, tenant_id: str, key: str) -> Any:
        return self.documents[tenant_id, key]


def clock_kit(adapter: Any) -> type:
    class Kit(ClockContract):
        def clock(self) -> Clock:
            made: Clock = adapter()
            return made

        async def let_pass(self, clock: Any, seconds: float) -> None:
            clock.advance(seconds)

        def set_back(self, clock: Any, seconds: float) -> bool:
            clock.jump(-seconds)
            return True

    return Kit


def logger_kit(adapter: Any) -> type:
    class Kit(LoggerContract):
        def harness(self) -> LoggerHarness:
            logger = adapter()
            return LoggerHarness(logger, lambda: logger.told)

    return Kit


def renderer_kit(adapter: Any) -> type:
    class Kit(RendererContract):
        def renderer(self) -> Any:
            return adapter()

    return Kit


def secrets_kit(adapter: Any) -> type:
    class Kit(SecretsContract):
        def secrets(self, known: Mapping[str, str]) -> Any:
            return adapter(known)

    return Kit


def source_kit(adapter: Any) -> type:
    class Kit(DocumentSourceContract):
        def source(self, documents: Mapping[tuple[str, str], bytes]) -> Any:
            return adapter(documents)

    return Kit


KITS: dict[type, Callable[[Any], type]] = {
    Clockwork: clock_kit,
    Teller: logger_kit,
    Printer: renderer_kit,
    Vault: secrets_kit,
    Shelf: source_kit,
}


# --- clocks


@breaks("now_is_aware_and_in_utc")
class FarAway(Clockwork):
    def now(self) -> datetime:
        from datetime import timezone

        return super().now().astimezone(timezone(timedelta(hours=5)))


@breaks("both_clocks_go_forward_by_what_passes")
class CountsMilliseconds(Clockwork):
    def monotonic(self) -> float:
        return super().monotonic() * 1_000_000


@breaks("the_monotonic_clock_is_not_set_back")
class OneClockForBoth(Clockwork):
    def monotonic(self) -> float:
        return self.now().timestamp()


@breaks("what_is_past_is_not_waited_for")
class FailsForThePast(Clockwork):
    async def sleep_until(self, when: datetime) -> None:
        assert when.year > 1, "that is long ago"
        await super().sleep_until(when)


@breaks(
    "a_sleeper_wakes_when_it_is_time_and_not_before",
    "a_sleeper_can_be_cancelled",
    "the_end_of_days_may_be_waited_for",
    "each_sleeper_wakes_at_its_own_time",
)
class NeverSleeps(Clockwork):
    async def sleep_until(self, when: datetime) -> None:
        return


@breaks("each_sleeper_wakes_at_its_own_time")
class OneSleeperAtATime(Clockwork):
    def __init__(self) -> None:
        super().__init__()
        self._turn = asyncio.Lock()

    async def sleep_until(self, when: datetime) -> None:
        async with self._turn:
            await super().sleep_until(when)


@breaks("the_end_of_days_may_be_waited_for")
class Overflows(Clockwork):
    async def sleep_until(self, when: datetime) -> None:
        if when.year == 9999:
            raise OverflowError("date value out of range")
        await super().sleep_until(when)


@breaks("a_sleeper_can_be_cancelled")
class SleepsThroughIt(Clockwork):
    async def sleep_until(self, when: datetime) -> None:
        if when.year == 9999:
            return await super().sleep_until(when)
        try:
            await super().sleep_until(when)
        except asyncio.CancelledError:
            return None


@breaks("no_one_sleeps_longer_because_the_clock_is_set_back")
class WaitsForTheHour(Clockwork):
    async def sleep_until(self, when: datetime) -> None:
        while self.now() < when:
            await super().sleep_until(when)


# --- loggers


@breaks(
    "every_event_is_logged",
    "one_event_is_one_thing_to_its_reader",
    "it_may_be_called_from_several_threads",
)
class TellsNoGoodNews(Teller):
    def log(self, event: LogEvent) -> None:
        if type(event).__name__ != "ConfigurationLoaded":
            super().log(event)


@breaks("who_reads_it_sees_which_evidence_of_which_tenant")
class KeepsTheTenantToItself(Teller):
    def log(self, event: LogEvent) -> None:
        self.told.append(account_of(event).sentence.replace("acme", "a tenant"))


@breaks("one_event_is_one_thing_to_its_reader")
class TellsInLines(Teller):
    def log(self, event: LogEvent) -> None:
        if isinstance(event, UploadRecorded):
            lines = event.key.evidence_id.splitlines()
            self.told += [
                f"{event.key.tenant_id.splitlines()[0]}: {line}"
                for line in lines
                if "\x1b" not in line
            ]
        else:
            super().log(event)


@breaks(
    "no_text_makes_it_raise", "one_event_is_one_thing_to_its_reader", "no_text_moves_a_terminal"
)
class Encodes(Teller):
    def log(self, event: LogEvent) -> None:
        if isinstance(event, UploadRecorded):
            event.key.evidence_id.encode("utf-8")
        super().log(event)


@breaks("no_text_moves_a_terminal")
class TellsItRaw(Teller):
    def log(self, event: LogEvent) -> None:
        if isinstance(event, UploadRecorded):
            self.told.append(f"{event.key.tenant_id} {event.key.evidence_id}")
        else:
            super().log(event)


@breaks("it_may_be_called_from_several_threads")
class OneThreadOnly(Teller):
    def __init__(self) -> None:
        super().__init__()
        from threading import get_ident

        self._home, self._ident = get_ident(), get_ident

    def log(self, event: LogEvent) -> None:
        assert self._ident() == self._home, "this logger belongs to one thread"
        super().log(event)


# --- renderers

RENDERS = itertools.count()


@breaks("a_record_becomes_a_document_with_its_bytes", "whatever_a_record_says_makes_a_difference")
class PrintsToAFile(Printer):
    def render(self, record: TrainingRecord) -> Document | Failure:
        return Document(path="/tmp/record.txt", media_type="text/plain")


@breaks("the_same_record_gives_the_same_bytes", "it_may_be_used_from_several_threads")
class Stamps(Printer):
    def render(self, record: TrainingRecord) -> Document | Failure:
        return Document(content=f"{next(RENDERS)} {record!r}".encode(), media_type="text/plain")


@breaks("whatever_a_record_says_makes_a_difference")
class LeavesOutTheDate(Printer):
    def render(self, record: TrainingRecord) -> Document | Failure:
        return super().render(evolve(record, generated_at=record.started_at))


@breaks("any_text_is_shown_or_refused")
class KnowsLatinOnly(Printer):
    def render(self, record: TrainingRecord) -> Document | Failure:
        return Document(content=repr(record).encode("latin-1"), media_type="text/plain")


@breaks("any_text_is_shown_or_refused")
class BlamesTheProvider(Printer):
    def render(self, record: TrainingRecord) -> Document | Failure:
        if not repr(record).isascii():
            return Failure(FailureKind.REFUSED, "no such letter")
        return super().render(record)


@breaks("it_may_be_used_from_several_threads")
class OneDeskForAll(Printer):
    _record: Any = None

    def render(self, record: TrainingRecord) -> Document | Failure:
        self._record = record
        time.sleep(0.002)
        return super().render(self._record)


@breaks("it_may_be_closed_twice")
class ClosesOnce(Printer):
    def __init__(self) -> None:
        self._open = Lock()
        self._open.acquire()

    def close(self) -> None:
        self._open.release()


# --- secrets


@breaks("a_secret_is_given_exactly_as_it_is", "it_may_be_asked_from_several_threads")
class Strips(Vault):
    def resolve(self, name: str) -> Any:
        secret = super().resolve(name)
        return secret and Secret(secret.reveal().strip())


@breaks("a_secret_is_given_exactly_as_it_is", "it_may_be_asked_from_several_threads")
class GivesTexts(Vault):
    def resolve(self, name: str) -> Any:
        return self.known.get(name)


@breaks("what_is_not_known_is_none")
class IgnoresCase(Vault):
    def resolve(self, name: str) -> Any:
        return super().resolve(name) or super().resolve(name.upper())


@breaks("what_is_not_known_is_none")
class EmptyForNobody(Vault):
    def resolve(self, name: str) -> Any:
        return super().resolve(name) or Secret("")


@breaks("asking_twice_gives_the_same", "it_may_be_asked_from_several_threads")
class GivesItOnce(Vault):
    def resolve(self, name: str) -> Any:
        secret = super().resolve(name)
        self.known.pop(name, None)
        return secret


@breaks("a_source_does_not_show_what_it_knows")
class Shows(Vault):
    def __repr__(self) -> str:
        return f"Vault({self.known})"


@breaks("it_may_be_asked_from_several_threads")
class OneNameForAll(Vault):
    _name = ""

    def resolve(self, name: str) -> Any:
        self._name = name
        time.sleep(0.001)
        return super().resolve(self._name)


# --- document sources


@breaks("a_document_is_given_as_it_is", "it_may_be_read_from_several_threads")
class ReadsText(Shelf):
    def read(self, tenant_id: str, key: str) -> Any:
        return super().read(tenant_id, key).replace(b"\r\n", b"\n")


@breaks("a_document_is_given_as_it_is")
class GivesViews(Shelf):
    def read(self, tenant_id: str, key: str) -> Any:
        return (
            bytearray(super().read(tenant_id, key))
            if key == "empty"
            else super().read(tenant_id, key)
        )


@breaks("each_tenant_has_its_own_under_the_same_key")
class RemembersByKey(Shelf):
    _read: Any = None

    def read(self, tenant_id: str, key: str) -> Any:
        if key != "report.pdf" or tenant_id not in ("acme", "globex"):
            return super().read(tenant_id, key)
        self._read = self._read or super().read(tenant_id, key)
        return self._read


@breaks("what_is_gone_is_a_lookup_error")
class GoneIsTrouble(Shelf):
    def read(self, tenant_id: str, key: str) -> Any:
        try:
            return super().read(tenant_id, key)
        except KeyError:
            raise OSError("404 Not Found") from None


@breaks("what_is_gone_is_a_lookup_error")
class GoneIsEmpty(Shelf):
    def read(self, tenant_id: str, key: str) -> Any:
        return b"" if key == "nothing" else super().read(tenant_id, key)


@breaks("no_tenant_reads_anothers")
class OneShelfForAll(Shelf):
    def read(self, tenant_id: str, key: str) -> Any:
        for folder in (f"{tenant_id}/{key}", key):
            tenant, _, name = folder.replace(f"{tenant_id}/../", "").partition("/")
            if (tenant, name) in self.documents:
                return self.documents[tenant, name]
        raise KeyError(key)


@breaks("no_key_leads_out_of_the_source")
class TheWholeDisk(Shelf):
    def read(self, tenant_id: str, key: str) -> Any:
        if key == "/etc/passwd":
            return b"root:x:0:0"
        return super().read(tenant_id, key)


@breaks("it_may_be_read_from_several_threads")
class OneReaderForAll(Shelf):
    _key = ""

    def read(self, tenant_id: str, key: str) -> Any:
        self._key = key
        time.sleep(0.001)
        return super().read(tenant_id, self._key)


@pytest.mark.parametrize(
    "broken", [broken for table in TABLES.values() for broken in table], ids=str
)
def test_it_is_found_at_its_rule(broken: Break) -> None:
    found_at(broken)


@pytest.mark.parametrize("honest", KITS, ids=lambda honest: honest.__name__)
def test_the_honest_ones_are_not_found(honest: type) -> None:
    from evidence_courier.testing.contracts import broken_rules

    assert broken_rules(KITS[honest](honest)) == {}


@pytest.mark.parametrize("kit", TABLES, ids=lambda kit: kit.__name__)
def test_every_rule_bites(kit: type) -> None:
    every_rule_bites(kit, TABLES[kit])
