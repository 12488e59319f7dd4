"""Drata's provider in a real courier, against the sandbox: one copy, whatever happens on the
way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from courier_fixtures import DIGEST, JANE, CourierHouse, Keys, killed_at_request, of_jane
from hostile import leaks

from evidence_courier import UploadStatus
from evidence_courier.adapters.providers.drata.provider import DrataProvider
from evidence_courier.adapters.providers.drata.settings import DrataSettings
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.verdict import NotReady, Ready
from evidence_courier.ports.logger import LookUpEnded
from evidence_courier.testing import FakeClock
from evidence_courier.testing.sandboxes import DrataSandbox, FaultPlan, sandbox_in_thread

KEY = "drata-4eC39HqL-yjWDarjt"
PERSON: dict[str, object] = {"provider": "drata", "api_key": "${KEY}", "user_by": "address"}
LIBRARY = PERSON | {"to": "library", "workspace": 1, "owner": 7, "controls": [2, 3]}
TARGETS = pytest.mark.parametrize(
    ("block", "target"), [(PERSON, "user 7"), (LIBRARY, "workspace 1")], ids=["person", "library"]
)


def story(
    tell: Callable[[CourierHouse], Awaitable[None]],
    tmp_path: Path,
    block: dict[str, object],
    *,
    key: str = KEY,
    **options: Any,
) -> None:
    """Run a story in a house with a fresh sandbox."""

    async def scene() -> None:
        clock = FakeClock()
        async with DrataSandbox(key=KEY, now=clock.now, **options) as sandbox:
            await tell(
                CourierHouse(sandbox, tmp_path / "courier.db", block, Keys({"KEY": key}), clock)
            )

    asyncio.run(scene())


@TARGETS
def test_an_evidence_arrives_under_its_name_and_date(
    tmp_path: Path, block: dict[str, object], target: str
) -> None:
    async def tell(house: CourierHouse) -> None:
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert (status.status, status.attempts, status.possible_duplicate) == (
            "succeeded",
            1,
            False,
        )
        assert status.receipt is not None
        assert status.receipt.reference == "1"
        [upload] = house.sandbox.received
        assert upload.file_name == f"ev-1-{DIGEST[:12]}.pdf"
        assert (upload.target, upload.media_type, upload.sha256) == (
            target,
            "application/pdf",
            DIGEST,
        )
        assert upload.evidence_date.startswith("2026-02-20")
        assert house.sandbox.requests == 1

    story(tell, tmp_path, block)


def test_a_person_may_be_looked_up_by_address_first(tmp_path: Path) -> None:
    async def tell(house: CourierHouse) -> None:
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert status.status == "succeeded"
        assert [upload.target for upload in house.sandbox.received] == ["user 7"]
        assert house.sandbox.requests == 2

    story(tell, tmp_path, PERSON | {"user_by": "number"})


@pytest.mark.parametrize("controls_as", ["repeated", "brackets", "commas"])
def test_the_controls_arrive_in_the_form_that_the_server_takes(
    tmp_path: Path, controls_as: str
) -> None:
    async def tell(house: CourierHouse) -> None:
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert status.status == "succeeded"

    story(tell, tmp_path, LIBRARY | {"controls_as": controls_as}, controls_as=controls_as)


def test_a_person_may_be_named_by_dratas_number(tmp_path: Path) -> None:
    async def tell(house: CourierHouse) -> None:
        async with house.courier() as courier:
            [status] = await house.deliver(courier, of_jane(subject="7", subject_email=None))
        assert status.status == "succeeded"
        assert [upload.target for upload in house.sandbox.received] == ["user 7"]

    story(tell, tmp_path, PERSON | {"person": "subject"})


@TARGETS
@pytest.mark.parametrize(
    "loss", ["reset-after", "status-after:504", "status-after:503", "cut", "huge"]
)
def test_an_upload_whose_reply_was_lost_is_found_and_not_sent_again(
    tmp_path: Path, block: dict[str, object], target: str, loss: str
) -> None:
    async def tell(house: CourierHouse) -> None:
        house.sandbox.use_faults(FaultPlan.script([loss]))
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert (status.status, status.attempts, status.possible_duplicate) == (
            "succeeded",
            1,
            False,
        )
        assert house.sandbox.copies(DIGEST) == 1
        assert [event.finding for event in house.logger.of(LookUpEnded)] == ["found"]

    story(tell, tmp_path, block)


@TARGETS
def test_an_upload_is_found_behind_a_page_of_others(
    tmp_path: Path, block: dict[str, object], target: str
) -> None:
    async def tell(house: CourierHouse) -> None:
        async with house.courier() as courier:
            await house.deliver(courier, *(of_jane(f"ev-{number}") for number in range(60)))
            house.sandbox.use_faults(FaultPlan.script(["reset-after"]))
            [status] = await house.deliver(courier, of_jane("ev-last"))
        assert (status.status, status.attempts) == ("succeeded", 1)
        assert house.sandbox.copies(DIGEST) == 61

    story(tell, tmp_path, block)


@TARGETS
@pytest.mark.parametrize("loss", ["status:500", "html", "not-json"])
def test_an_upload_that_was_not_taken_is_looked_for_and_sent_again(
    tmp_path: Path, block: dict[str, object], target: str, loss: str
) -> None:
    async def tell(house: CourierHouse) -> None:
        house.sandbox.use_faults(FaultPlan.script([loss]))
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert (status.status, status.attempts, status.possible_duplicate) == ("succeeded", 2, True)
        assert house.sandbox.copies(DIGEST) == 1
        assert [event.finding for event in house.logger.of(LookUpEnded)] == ["absent"] * 3

    story(tell, tmp_path, block)


def test_a_success_without_an_id_leaves_a_doubt_that_a_retry_looks_up(tmp_path: Path) -> None:
    async def tell(house: CourierHouse) -> None:
        house.sandbox.use_faults(FaultPlan.script(["unknown-status"]))
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
            assert status.error is not None
            assert (status.status, status.error.kind) == ("failed", "unrecognised_reply")
            assert house.sandbox.copies(DIGEST) == 1

    story(tell, tmp_path, PERSON)


def test_an_evidence_without_an_address_fails_and_nothing_is_sent(tmp_path: Path) -> None:
    async def tell(house: CourierHouse) -> None:
        async with house.courier() as courier:
            [status] = await house.deliver(courier, of_jane(subject_email=None))
            assert status.error is not None
            assert (status.status, status.error.kind) == ("failed", "bad_request")
            assert "nothing was sent" in status.error.message
            # it speaks of this one evidence only
            [after] = await house.deliver(courier, of_jane("ev-2"))
            assert after.status == "succeeded"
        assert house.sandbox.requests == 1

    story(tell, tmp_path, PERSON)


def test_an_unknown_person_fails_alone(tmp_path: Path) -> None:
    async def tell(house: CourierHouse) -> None:
        async with house.courier() as courier:
            [status] = await house.deliver(courier, of_jane(subject_email="john@acme.example"))
            assert status.error is not None
            assert (status.status, status.error.kind) == ("failed", "not_found")
            [after] = await house.deliver(courier, of_jane("ev-2"))
            assert after.status == "succeeded"

    story(tell, tmp_path, PERSON)


@pytest.mark.parametrize(
    ("block", "key", "kind"),
    [
        (PERSON, "another-key", "unauthorized"),
        (LIBRARY | {"workspace": 5}, KEY, "target_not_found"),
        (LIBRARY | {"owner": 5}, KEY, "target_not_found"),
    ],
)
def test_a_broken_integration_fails_one_upload_and_holds_the_others(
    tmp_path: Path, block: dict[str, object], key: str, kind: str
) -> None:
    async def tell(house: CourierHouse) -> None:
        async with house.courier() as courier:
            [failed] = await house.deliver(courier)
            assert failed.error is not None
            assert (failed.status, failed.attempts, failed.error.kind) == ("failed", 1, kind)
            [held] = await house.deliver(courier, of_jane("ev-2"))
            assert held.status == "held"
        assert house.sandbox.received == ()
        assert house.sandbox.requests == 1

    story(tell, tmp_path, block, key=key)


@pytest.mark.parametrize("code", [200, 201, 400, 500])
def test_an_echo_of_the_requests_headers_is_shown_nowhere(tmp_path: Path, code: int) -> None:
    async def tell(house: CourierHouse) -> None:
        house.sandbox.use_faults([f"echo:{code}=1"])
        async with house.courier() as courier:
            await house.deliver(courier)
            shown = repr(await courier.show("acme", "ev-1"))
        assert not leaks(shown + repr(house.logger.events), KEY)

    story(tell, tmp_path, PERSON)
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert KEY.encode() not in stored


def test_the_dry_run_tries_the_key_and_the_target_and_uploads_nothing(tmp_path: Path) -> None:
    async def tell(house: CourierHouse) -> None:
        def settings(key: str = KEY, **said: Any) -> DrataSettings:
            return DrataSettings(api_key=Secret(key), endpoint=house.sandbox.url, **said)

        provider = DrataProvider()
        assert isinstance(await house.check(provider, settings()), Ready)
        library = settings(to="library", workspace=1, owner=7)
        assert await house.check(provider, library) == Ready(
            "Drata knows the key and workspace 1 (Acme); it was not asked for owner 7"
        )
        for wrong, kind in (
            (settings("wrong"), FailureKind.UNAUTHORIZED),
            (settings(to="library", workspace=2, owner=7), FailureKind.TARGET_NOT_FOUND),
        ):
            dry_run = await house.check(provider, wrong)
            assert isinstance(dry_run, NotReady)
            assert dry_run.failure.kind is kind
        assert house.sandbox.received == ()

    story(tell, tmp_path, PERSON)


def test_a_process_killed_after_the_upload_leaves_a_copy_the_next_finds(
    tmp_path: Path,
) -> None:
    with sandbox_in_thread(
        DrataSandbox(key=KEY, faults=FaultPlan.script(["silence-after"]))
    ) as sandbox:
        house = CourierHouse(sandbox, tmp_path / "courier.db", PERSON, Keys({"KEY": KEY}))
        killed_at_request(house, 1)

        async def next_one() -> UploadStatus:
            async with house.courier() as courier:
                [status] = await house.deliver(courier)
                return status

        status = asyncio.run(next_one())
        assert (status.status, status.possible_duplicate) == ("succeeded", False)
        assert sandbox.copies(DIGEST) == 1
        assert JANE not in repr(sandbox.received)
