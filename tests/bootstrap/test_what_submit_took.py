"""What a host submits is recorded, whatever stands in the way; and once that is mended, a retry
delivers it. Both engines."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen
from store_fixtures import Desk, House, evidence, tenant
from training_records import record_as_json

from evidence_courier import Document, Evidence, MisuseError, UploadStatus, load_record
from evidence_courier.adapters.engines import preparing
from evidence_courier.delivery import destinations
from evidence_courier.domain.evidence.evidence import sha256_of
from evidence_courier.domain.evidence.record_json import record_json
from evidence_courier.domain.evidence.training import TrainingRecord
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.testing import until_settled

PDF = "application/pdf"


Deliver = Callable[..., UploadStatus]


def by_loop(house: House, given: Evidence, retry: bool = False, **options: Any) -> UploadStatus:
    async def story() -> UploadStatus:
        async with house.courier(**options) as courier:
            if retry:
                await courier.retry("acme", given.evidence_id, by="ann", reason="mended")
            (status,) = await until_settled(courier, house.clock, courier.submit(given))
            assert status is not None
            return status

    return asyncio.run(story())


def by_step(house: House, given: Evidence, retry: bool = False, **options: Any) -> UploadStatus:
    with house.blocking_courier(transport=Desk(house), **options) as courier:
        if retry:
            courier.retry("acme", given.evidence_id, by="ann", reason="mended")
        delivery = courier.deliver(given)
        assert delivery.status is not None
        assert delivery.again_at is None
        return delivery.status


@pytest.fixture(params=[by_loop, by_step])
def deliver(request: pytest.FixtureRequest) -> Deliver:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


def kind_of(status: UploadStatus) -> str | None:
    return None if status.error is None else status.error.kind


def from_file(path: Path) -> Evidence:
    return evolve(evidence(), document=Document(path=str(path), media_type=PDF))


RECORD = load_record(record_as_json(tenant_id="acme", evidence_id="ev-1"))


@frozen
class Renderer:
    """Gives what `answer` gives, or raises it."""

    answer: object

    def render(self, record: TrainingRecord) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def close(self) -> None:
        pass


PAGE = Renderer(Document(content=b"%PDF a page", media_type=PDF))
UNFIT = Renderer(Failure(FailureKind.UNFIT_RENDER, "no font has it"))
BROKEN = [
    pytest.param(UNFIT, "no font has it", id="unfit"),
    pytest.param(Renderer(ZeroDivisionError("oh")), "ZeroDivisionError: oh", id="raises"),
    pytest.param(Renderer(MisuseError("Typst is missing")), "Typst is missing", id="missing"),
    pytest.param(Renderer(b"bytes"), "gave bytes", id="gives something else"),
]


@pytest.mark.parametrize(("renderer", "words"), BROKEN)
def test_a_record_that_was_not_rendered_is_stored_and_rendered_at_a_retry(
    house: House, deliver: Deliver, renderer: Renderer, words: str
) -> None:
    given = Evidence.from_record(RECORD)
    first = deliver(house, given, renderer=renderer)
    assert (first.status, first.attempts, kind_of(first)) == ("failed", 0, "unfit_render")
    assert first.error is not None
    assert words in first.error.message
    assert first.digest == sha256_of(record_json(RECORD))
    still = deliver(house, given, retry=True, renderer=UNFIT)
    assert (still.status, still.attempts, kind_of(still)) == ("failed", 0, "unfit_render")
    mended = deliver(house, given, retry=True, renderer=PAGE)
    assert (mended.status, mended.attempts) == ("succeeded", 1)
    assert mended.digest == sha256_of(b"%PDF a page")
    assert house.server.held == [("ev-1", b"%PDF a page")]
    assert deliver(house, given, renderer=PAGE) == mended  # the same record is no conflict
    assert not [event for event in house.logger.events if "Conflict" in type(event).__name__]


def test_a_thread_that_a_renderer_would_end_records_its_failure(house: House) -> None:
    status = by_loop(house, Evidence.from_record(RECORD), renderer=Renderer(SystemExit("out")))
    assert (status.status, kind_of(status)) == ("failed", "unfit_render")


def test_a_file_that_was_missing_is_read_at_the_retry(
    house: House, deliver: Deliver, tmp_path: Path
) -> None:
    file = tmp_path / "bés é%20.pdf"
    first = deliver(house, from_file(file))
    assert (first.status, first.attempts, kind_of(first)) == ("failed", 0, "document_gone")
    assert first.digest == ""
    assert kind_of(deliver(house, from_file(file), retry=True)) == "document_gone"
    file.write_bytes(b"%PDF late")
    mended = deliver(house, from_file(file), retry=True)
    assert (mended.status, mended.digest) == ("succeeded", sha256_of(b"%PDF late"))
    assert house.server.held == [("ev-1", b"%PDF late")]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "is not a regular file"),
        (os.mkdir, "is not a regular file"),
        (lambda path: None, "No such file or directory"),
    ],
)
def test_what_is_no_file_is_named_once_and_never_waited_for(
    house: House, deliver: Deliver, tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    """Nor when the same evidence is submitted again."""
    file = tmp_path / "thing"
    make(file)
    for _ in range(2):
        error = deliver(house, from_file(file)).error
        assert error is not None
        told = f"the document {file} cannot be read: {words}; mend that, then retry the upload"
        assert (error.kind, error.message) == ("document_gone", told)


def test_a_relative_path_is_that_of_the_moment_it_was_submitted(
    house: House, deliver: Deliver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert deliver(house, from_file(Path("late.pdf"))).status == "failed"
    (tmp_path / "late.pdf").write_bytes(b"%PDF late")
    monkeypatch.chdir("/")
    given = from_file(tmp_path / "late.pdf")
    assert deliver(house, given, retry=True).status == "succeeded"


def test_a_file_that_was_too_large_is_read_once_max_bytes_is_raised(
    house: House, deliver: Deliver, tmp_path: Path
) -> None:
    house.tenants["acme"] = tenant(max_bytes=10)
    file = tmp_path / "large.pdf"
    file.write_bytes(b"%PDF larger than that")
    first = deliver(house, from_file(file))
    assert (first.status, kind_of(first), first.digest) == ("failed", "unfit_size", "")
    assert first.error is not None
    assert "raise `max_bytes` in the tenant's file, and retry" in first.error.message
    assert kind_of(deliver(house, from_file(file), retry=True)) == "unfit_size"
    house.tenants["acme"] = tenant(max_bytes=100)
    mended = deliver(house, from_file(file), retry=True)
    assert (mended.status, mended.digest) == ("succeeded", sha256_of(file.read_bytes()))


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_file_that_has_changed_meanwhile_is_not_sent(
    house: House, deliver: Deliver, tmp_path: Path, change: str
) -> None:
    house.tenants["acme"] = tenant(max_bytes=10)
    file = tmp_path / "large.pdf"
    file.write_bytes(b"%PDF larger than that")
    deliver(house, from_file(file))
    at = file.stat().st_mtime_ns
    file.write_bytes(b"%PDF another as large" if change == "time" else b"%PDF another one, larger")
    os.utime(file, ns=(at, at + (change == "time")))
    house.tenants["acme"] = tenant(max_bytes=100)
    status = deliver(house, from_file(file), retry=True)
    assert (status.status, status.attempts, kind_of(status)) == ("failed", 0, "document_gone")
    assert status.error is not None
    assert "has changed since it was submitted" in status.error.message
    assert house.server.held == []


def test_bytes_that_were_too_large_are_sent_once_max_bytes_is_raised(
    house: House, deliver: Deliver
) -> None:
    house.tenants["acme"] = tenant(max_bytes=3)
    assert kind_of(deliver(house, evidence())) == "unfit_size"
    house.tenants["acme"] = tenant()
    assert deliver(house, evidence(), retry=True).status == "succeeded"


def test_bytes_beyond_what_the_database_takes_are_not_stored(
    house: House, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (destinations, preparing):
        monkeypatch.setattr(module, "MAX_STORED", 10)
    house.tenants["acme"] = tenant(max_bytes=3)
    first = deliver(house, evidence())
    assert first.error is not None
    assert "at most 10 bytes are stored" in first.error.message
    assert "under a new evidence id" in first.error.message
    house.tenants["acme"] = tenant()
    assert kind_of(deliver(house, evidence(), retry=True)) == "unfit_size"  # nothing to retry


def test_what_settings_exclude_is_skipped_whatever_its_document_is(
    house: House, deliver: Deliver, tmp_path: Path
) -> None:
    house.tenants["acme"] = tenant(outcomes=["exhausted"])
    assert deliver(house, from_file(tmp_path / "late.pdf")).status == "skipped"
    (tmp_path / "late.pdf").write_bytes(b"%PDF late")
    house.tenants["acme"] = tenant()
    assert deliver(house, from_file(tmp_path / "late.pdf")).status == "succeeded"


def test_a_plug_in_whose_limits_cannot_be_read_fails_its_own_uploads(
    house: House, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*given: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(preparing, "unfit", odd)
    status = deliver(house, evidence())
    assert (status.status, status.attempts, kind_of(status)) == ("failed", 0, "provider_broken")


@pytest.mark.parametrize("given", [evidence(), Evidence.from_record(RECORD)], ids=["pdf", "record"])
def test_what_no_one_foresaw_is_recorded_and_a_retry_delivers_it(
    house: House, deliver: Deliver, given: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*given: object) -> None:
        raise MemoryError("oh")

    with monkeypatch.context() as broken:
        broken.setattr(preparing, "excluded", odd)
        first = deliver(house, given, renderer=PAGE)
    kind = "document_gone" if isinstance(given.document, Document) else "unfit_render"
    assert (first.status, first.attempts, kind_of(first)) == ("failed", 0, kind)
    assert first.error is not None
    assert first.error.message == (
        "the document of acme/ev-1 could not be prepared: MemoryError: oh; mend that, then retry "
        "the upload"
    )
    mended = deliver(house, given, retry=True, renderer=PAGE)
    assert (mended.status, mended.attempts) == ("succeeded", 1)


def test_no_password_is_recorded_that_a_hosts_renderer_tells(
    house: House, deliver: Deliver
) -> None:
    fails = Renderer(OSError("no font at https://app:hunter2@fonts/x"))
    error = deliver(house, Evidence.from_record(RECORD), renderer=fails).error
    assert error is not None
    assert ": OSError: no font at https://***@fonts/x; mend that" in error.message
