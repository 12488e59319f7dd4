"""Secureframe's provider in a real courier, against the sandbox: one copy, whatever happens
between the steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from courier_fixtures import DIGEST, CourierHouse, Keys, killed_at_request, of_jane
from hostile import leaks

from evidence_courier import UploadStatus
from evidence_courier.adapters.providers.secureframe.provider import SecureframeProvider
from evidence_courier.adapters.providers.secureframe.settings import SecureframeSettings
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.verdict import NotReady, Ready
from evidence_courier.ports.logger import LookUpEnded
from evidence_courier.testing import FakeClock
from evidence_courier.testing.sandboxes import FaultPlan, SecureframeSandbox, sandbox_in_thread

KEY, SECRET = "sfk-4eC39HqL-yjWDarjt", "sfs-q83hTzpW_b2LmXk"
USER = "5b1f6a0e-3c7d-4c0a-9e55-0d6c1f2a7b10"
TEST = "0c9b7f3e-58a1-4d2b-8f66-7e1d2c3b4a50"
WHOLE = {"provider": "secureframe", "api_key": "${KEY}", "api_secret": "${SECRET}"}
PERSON: dict[str, object] = {**WHOLE}
AT_TEST: dict[str, object] = {**WHOLE, "test": TEST}
KEYS = Keys({"KEY": KEY, "SECRET": SECRET})
SEARCH = STAGE = STORE = None  # a request served well, in a script of faults


def story(
    tell: Callable[[CourierHouse], Awaitable[None]],
    tmp_path: Path,
    block: dict[str, object],
    *,
    keys: Keys = KEYS,
    **options: Any,
) -> None:
    """Run a story in a house with a fresh sandbox."""

    async def scene() -> None:
        clock = FakeClock()
        async with SecureframeSandbox(key=KEY, secret=SECRET, now=clock.now, **options) as sandbox:
            await tell(CourierHouse(sandbox, tmp_path / "courier.db", block, keys, clock))

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("block", "target", "requests"),
    [
        (PERSON, f"user {USER}", 4),
        (AT_TEST, f"test {TEST}", 3),
        (PERSON | {"send": "direct"}, f"user {USER}", 2),
        (AT_TEST | {"send": "direct"}, f"test {TEST}", 1),
    ],
)
def test_an_evidence_arrives_under_its_name_and_date(
    tmp_path: Path, block: dict[str, object], target: str, requests: int
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
        assert status.receipt.reference
        [upload] = house.sandbox.received
        assert upload.file_name == f"ev-1-{DIGEST[:12]}.pdf"
        assert (upload.target, upload.media_type, upload.sha256) == (
            target,
            "application/pdf",
            DIGEST,
        )
        assert upload.evidence_date == "2026-02-20"
        assert house.sandbox.requests == requests

    story(tell, tmp_path, block)


def test_a_person_may_be_named_by_secureframes_id(tmp_path: Path) -> None:
    async def tell(house: CourierHouse) -> None:
        async with house.courier() as courier:
            [status] = await house.deliver(courier, of_jane(subject=USER, subject_email=None))
        assert status.status == "succeeded"
        assert house.sandbox.requests == 3

    story(tell, tmp_path, PERSON | {"person": "subject"})


@pytest.mark.parametrize("on_unclear", ["retry", "hold"])
@pytest.mark.parametrize("lists_evidence", [True, False])
@pytest.mark.parametrize("block", [PERSON, AT_TEST], ids=["person", "test"])
@pytest.mark.parametrize("loss", ["reset-after", "status-after:504", "cut", "huge"])
def test_a_staged_upload_whose_reply_was_lost_makes_no_silent_copy(
    tmp_path: Path, loss: str, block: dict[str, object], lists_evidence: bool, on_unclear: str
) -> None:
    async def tell(house: CourierHouse) -> None:
        before = [SEARCH, STAGE, STORE] if block is PERSON else [STAGE, STORE]
        house.sandbox.use_faults(FaultPlan.script([*before, loss]))
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        if lists_evidence and block is PERSON:
            assert (status.status, status.attempts, status.possible_duplicate) == (
                "succeeded",
                2,
                False,
            )
            assert house.sandbox.copies(DIGEST) == 1
        elif on_unclear == "hold":  # nothing says whose evidence is listed
            assert (status.status, house.sandbox.copies(DIGEST)) == ("held", 1)
        else:
            assert (status.status, status.possible_duplicate) == ("succeeded", True)
            assert house.sandbox.copies(DIGEST) == 2

    story(tell, tmp_path, block | {"on_unclear": on_unclear}, lists_evidence=lists_evidence)


@pytest.mark.parametrize("lists_evidence", [True, False])
@pytest.mark.parametrize("loss", ["status:503", "html", "silence"])
def test_a_staged_upload_that_was_not_taken_is_attached_by_the_same_id(
    tmp_path: Path, loss: str, lists_evidence: bool
) -> None:
    async def tell(house: CourierHouse) -> None:
        house.sandbox.use_faults(FaultPlan.script([STAGE, STORE, loss]))
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert (status.status, status.attempts, status.possible_duplicate) == (
            "succeeded",
            2,
            False,
        )
        assert house.sandbox.copies(DIGEST) == 1
        assert isinstance(house.sandbox, SecureframeSandbox)
        assert house.sandbox.staged == 1

    short = {"connect": 1, "idle": 0.2, "total": 1}
    story(tell, tmp_path, AT_TEST | {"timeout": short}, lists_evidence=lists_evidence)


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("loss", ["reset-after", "status:503", "status:429", "cut", "silence"])
def test_trouble_before_the_attach_costs_an_attempt_and_no_doubt(
    tmp_path: Path, nth: int, loss: str
) -> None:
    async def tell(house: CourierHouse) -> None:
        house.sandbox.use_faults(FaultPlan.script([*[None] * (nth - 1), loss]))
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        # The storage took the bytes whatever it says of it; and what is PUT may be sent again by
        # the transport.
        tolerated = nth == 2 and loss in ("cut", "reset-after")
        assert status.status == "succeeded"
        assert status.attempts in ((1, 2) if tolerated else (2,))
        assert (status.possible_duplicate, house.sandbox.copies(DIGEST)) == (False, 1)
        assert house.logger.of(LookUpEnded) == []

    story(tell, tmp_path, AT_TEST | {"timeout": {"connect": 1, "idle": 0.2, "total": 1}})


def test_a_person_who_has_another_evidence_of_that_day_gets_this_one_too(tmp_path: Path) -> None:
    async def tell(house: CourierHouse) -> None:
        async with house.courier() as courier:
            await house.deliver(courier, of_jane("ev-1"))
            house.sandbox.use_faults(FaultPlan.script([None, STAGE, STORE, "status:503"]))
            [status] = await house.deliver(
                courier, of_jane("ev-2")
            )  # not taken, though one like it is listed
        assert (status.status, status.attempts, status.possible_duplicate) == (
            "succeeded",
            2,
            False,
        )
        assert [event.finding for event in house.logger.of(LookUpEnded)] == ["partly"]
        assert [upload.file_name[:4] for upload in house.sandbox.received] == ["ev-1", "ev-2"]

    story(tell, tmp_path, PERSON)


@pytest.mark.parametrize(("shows_names", "outcome"), [(True, "succeeded"), (False, "held")])
def test_a_lost_reply_to_a_direct_upload_needs_a_person_without_file_names(
    tmp_path: Path, shows_names: bool, outcome: str
) -> None:
    """If the list names files, the upload is looked up."""

    async def tell(house: CourierHouse) -> None:
        house.sandbox.use_faults(FaultPlan.script(["reset-after"]))
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert (status.status, house.sandbox.copies(DIGEST)) == (outcome, 1)

    story(
        tell, tmp_path, AT_TEST | {"send": "direct", "on_unclear": "hold"}, shows_names=shows_names
    )


def test_sent_directly_what_is_not_listed_is_sent_again(tmp_path: Path) -> None:
    async def tell(house: CourierHouse) -> None:
        house.sandbox.use_faults(FaultPlan.script(["status:503"]))
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert (status.status, status.attempts, status.possible_duplicate) == ("succeeded", 2, True)
        assert house.sandbox.copies(DIGEST) == 1

    story(tell, tmp_path, AT_TEST | {"send": "direct", "on_unclear": "hold"})


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"subject_email": None}, "bad_request"),
        ({"subject_email": "john@acme.example"}, "not_found"),
    ],
)
def test_an_upload_whose_person_cannot_be_identified_fails_alone(
    tmp_path: Path, said: dict[str, Any], kind: str
) -> None:
    async def tell(house: CourierHouse) -> None:
        async with house.courier() as courier:
            [status] = await house.deliver(courier, of_jane(**said))
            assert status.error is not None
            assert (status.status, status.error.kind) == ("failed", kind)
            [after] = await house.deliver(courier, of_jane("ev-2"))
            assert after.status == "succeeded"

    story(tell, tmp_path, PERSON, users={USER: "jane@acme.example", "other": "joe@acme.example"})


@pytest.mark.parametrize(
    ("block", "keys", "kind"),
    [
        (PERSON, Keys({"KEY": KEY, "SECRET": "wrong"}), "unauthorized"),
        (AT_TEST, Keys({"KEY": "wrong", "SECRET": SECRET}), "unauthorized"),
        (AT_TEST | {"test": USER}, KEYS, "target_not_found"),
    ],
)
def test_a_broken_integration_fails_one_upload_and_holds_the_others(
    tmp_path: Path, block: dict[str, object], keys: Keys, kind: str
) -> None:
    async def tell(house: CourierHouse) -> None:
        async with house.courier() as courier:
            [failed] = await house.deliver(courier)
            assert failed.error is not None
            assert (failed.status, failed.error.kind) == ("failed", kind)
            [held] = await house.deliver(courier, of_jane("ev-2"))
            assert held.status == "held"
        assert house.sandbox.received == ()

    story(tell, tmp_path, block, keys=keys)


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("code", [200, 400, 500])
def test_an_echo_of_the_requests_headers_is_shown_nowhere(
    tmp_path: Path, nth: int, code: int
) -> None:
    async def tell(house: CourierHouse) -> None:
        house.sandbox.use_faults(FaultPlan.script([*[None] * (nth - 1), *[f"echo:{code}"] * 30]))
        async with house.courier() as courier:
            await house.deliver(courier)
            shown = repr(await courier.show("acme", "ev-1"))
        for secret in (KEY, SECRET):
            assert not leaks(shown + repr(house.logger.events), secret)

    story(tell, tmp_path, AT_TEST)
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert not any(secret.encode() in stored for secret in (KEY, SECRET))


def test_the_dry_run_tries_the_key_and_the_test_and_uploads_nothing(tmp_path: Path) -> None:
    async def tell(house: CourierHouse) -> None:
        def settings(secret: str = SECRET, **said: Any) -> SecureframeSettings:
            return SecureframeSettings(
                api_key=Secret(KEY), api_secret=Secret(secret), endpoint=house.sandbox.url, **said
            )

        provider = SecureframeProvider()
        assert await house.check(provider, settings()) == Ready(
            "Secureframe knows the key, and shows it 2 users"
        )
        assert await house.check(provider, settings(test=TEST)) == Ready(
            "Secureframe knows the key and the test 'Security awareness training' (upload)"
        )
        for wrong, kind in (
            (settings("wrong"), FailureKind.UNAUTHORIZED),
            (settings(test=USER), FailureKind.TARGET_NOT_FOUND),
        ):
            dry_run = await house.check(provider, wrong)
            assert isinstance(dry_run, NotReady)
            assert dry_run.failure.kind is kind
        assert house.sandbox.received == ()

    story(tell, tmp_path, PERSON)


@pytest.mark.parametrize("fault", ["silence", "silence-after"])
def test_a_process_killed_at_the_attach_leaves_one_copy(tmp_path: Path, fault: str) -> None:
    faults = FaultPlan.script([SEARCH, STAGE, STORE, fault])
    with sandbox_in_thread(SecureframeSandbox(key=KEY, secret=SECRET, faults=faults)) as sandbox:
        house = CourierHouse(
            sandbox, tmp_path / "courier.db", PERSON, KEYS, FakeClock(datetime.now(UTC))
        )
        killed_at_request(house, 4)

        async def next_one() -> UploadStatus:
            async with house.courier() as courier:
                [status] = await house.deliver(courier)
                return status

        status = asyncio.run(next_one())
        assert (status.status, status.attempts, status.possible_duplicate) == (
            "succeeded",
            2,
            False,
        )
        assert sandbox.copies(DIGEST) == 1
        assert sandbox.staged == 1
