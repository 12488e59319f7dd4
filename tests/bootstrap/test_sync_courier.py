"""The sync face: the same verbs without `await`, from any thread, and no way to hang in it."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import inspect
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from attrs import define
from store_fixtures import House, evidence

from evidence_courier import (
    AsyncCourier,
    ConfigError,
    Courier,
    Filter,
    MisuseError,
    StoreError,
    SyncTicket,
    Ticket,
    UploadStatus,
)
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.adapters.stores.sqlite.inspection import inspect as inspect_database
from evidence_courier.testing.sandboxes import SprintoSandbox, sandbox_in_thread

MILLISECOND = 0.001


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


def status_in(database: Path, evidence_id: str = "ev-1", tenant_id: str = "acme") -> str | None:
    """What the database says, looked at from outside."""
    with closing(SqliteStore(str(database))) as store:
        found = store.statuses(tenant_id, [evidence_id], datetime.now(UTC)).get(evidence_id)
    return None if found is None else found.status


def nothing_is_in_flight(database: Path) -> bool:
    """Nor is any courier listed that would have it, nor anything else amiss."""
    with closing(sqlite3.connect(database)) as connection:
        sending = connection.execute(
            "SELECT COUNT(*) FROM uploads WHERE state = 'sending'"
        ).fetchone()
        couriers = connection.execute("SELECT COUNT(*) FROM couriers").fetchone()
    return (sending, couriers, inspect_database(str(database)).breaches) == ((0,), (0,), ())


def our_threads() -> set[str]:
    return {
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("evidence-courier")
    }


def no_thread_is_left() -> bool:
    """What resolves names is not waited for, so it may end a moment later."""
    deadline = time.monotonic() + 30
    while our_threads() and time.monotonic() < deadline:
        time.sleep(MILLISECOND)
    if our_threads():
        faulthandler.dump_traceback()  # of all threads: where the one stands that is left
    return not our_threads()


# --- the same face -------------------------------------------------------------------------------


def public(kind: type) -> list[str]:
    return sorted(name for name in dir(kind) if not name.startswith("_"))


def test_both_couriers_have_the_same_names() -> None:
    assert public(Courier) == public(AsyncCourier)
    assert {"recorded", "settled", "tenant_id", "evidence_id"} == set(public(SyncTicket))


AWAITED = (" | AsyncConnection", " | Coroutine[Any, Any, Ticket]")
"""The one difference that is meant: a connection that is awaited is for an AsyncCourier."""


def shape(function: Callable[..., object] | property) -> tuple[object, object]:
    """Parameters and what comes back, annotations as they are written; mypy sees to it that the
    words mean the same."""
    getter = function.fget if isinstance(function, property) else function
    assert getter is not None
    signature = inspect.signature(getter)
    back = in_both(signature.return_annotation)
    told = [
        each.replace(annotation=in_both(each.annotation)) for each in signature.parameters.values()
    ]
    return told, "SyncTicket" if back == "Ticket" else back


def in_both(annotation: object) -> object:
    if isinstance(annotation, str):
        for awaited in AWAITED:
            annotation = annotation.replace(awaited, "")
    return annotation


@pytest.mark.parametrize("name", public(AsyncCourier))
def test_a_verb_of_both_couriers_has_one_signature(name: str) -> None:
    assert shape(getattr(Courier, name)) == shape(getattr(AsyncCourier, name))
    assert not inspect.iscoroutinefunction(getattr(Courier, name))


@pytest.mark.parametrize("name", ["recorded", "settled"])
def test_a_verb_of_both_tickets_has_one_signature(name: str) -> None:
    assert shape(getattr(SyncTicket, name)) == shape(getattr(Ticket, name))


# --- delivering and seeing -----------------------------------------------------------------------


def test_evidence_is_delivered_and_everything_seen_without_a_loop(house: House) -> None:
    with house.sync_courier() as courier:
        ticket = courier.submit(evidence())
        ticket.recorded()
        status = ticket.settled(timeout=30)
        assert isinstance(status, UploadStatus)
        assert (ticket.tenant_id, ticket.evidence_id) == ("acme", "ev-1")
        assert repr(ticket) == "<SyncTicket acme/ev-1 settled>"
        assert (status.status, status.attempts) == ("succeeded", 1)
        assert courier.statuses("acme", ["ev-1", "ev-2"]) == {"ev-1": status}
        assert courier.find(tenant_id="acme").uploads == (status,)
        details = courier.show("acme", "ev-1")
        assert details is not None
        assert [row.verdict for row in details.history] == ["delivered"]
        assert courier.doctor("initech") is None
        courier.drain()
        courier.quiet()
        assert courier.health().counts["succeeded"] == 1
    assert house.server.held == [("ev-1", b"%PDF-1.7 evidence")]
    assert no_thread_is_left()


def test_a_tenant_without_an_integration_is_left_alone(house: House) -> None:
    with house.sync_courier() as courier:
        assert courier.enabled("acme")
        assert not courier.enabled("initech")
        ticket = courier.submit(evidence(tenant_id="initech"))
        ticket.recorded()
        assert ticket.settled() is None


def test_what_people_do_is_done_at_once(house: House) -> None:
    house.server.answer = lambda _id, nth: 400 if nth == 1 else 200
    with house.sync_courier() as courier:
        for name in ("one", "two"):
            failed = courier.submit(evidence(name)).settled(timeout=30)
            assert failed is not None and failed.status == "failed"
        assert (
            len(courier.retry("acme", Filter(), by="ann", reason="mended", preview=True).done) == 2
        )
        [retried] = courier.retry("acme", "one", by="ann", reason="mended").done
        assert retried.status == "pending"
        [attested] = courier.attest("acme", "two", by="ann", reason="seen there").done
        assert attested.status == "succeeded"
        assert courier.abandon("acme", "two", by="ann", reason="no").skipped
        assert courier.release("acme", "two", by="ann", reason="no").skipped
        with pytest.raises(MisuseError, match="no upload"):
            courier.retry("acme", "three", by="ann", reason="mended")
        courier.drain()
        assert courier.find(status="succeeded").uploads != ()


def test_tenants_are_read_anew_and_a_broken_reload_is_raised_here(house: House) -> None:
    with house.sync_courier() as courier:
        house.tenants["initech"] = house.tenants["acme"]
        courier.reload()
        assert courier.enabled("initech")
        del house.keys.values["KEY"]
        with pytest.raises(ConfigError, match="KEY"):
            courier.reload()
        assert courier.enabled("initech")


def test_settled_waits_no_longer_than_asked_and_leaves_nothing_behind(house: House) -> None:
    house.server.answer = lambda _id, _nth: None
    courier = house.sync_courier()
    courier.start()
    ticket = courier.submit(evidence())
    ticket.recorded()
    for patience in (0, MILLISECOND, 10 * MILLISECOND):
        with pytest.raises(TimeoutError):
            ticket.settled(timeout=patience)
    courier.health()  # a call that comes after those that were cancelled
    assert ticket._settled._waiting == []  # pyright: ignore[reportPrivateUsage]
    courier.close(grace=0)


def test_sixteen_threads_submit_wait_and_look_at_once(house: House) -> None:
    together = threading.Barrier(16)

    def work(courier: Courier, worker: int) -> set[str]:
        together.wait(30)
        names = [f"ev-{worker}-{number}" for number in range(10)]
        tickets = [courier.submit(evidence(name)) for name in [*names, "shared"]]
        settled = [ticket.settled(timeout=60) for ticket in tickets]
        assert courier.statuses("acme", names).keys() == set(names)
        return {status.status for status in settled if status is not None}

    with house.sync_courier() as courier, ThreadPoolExecutor(16) as pool:
        for words in pool.map(lambda worker: work(courier, worker), range(16)):
            assert words == {"succeeded"}
        assert courier.health().counts["succeeded"] == 161
    assert len(house.server.held) == 161


def test_it_works_inside_somebodys_running_loop(house: House) -> None:
    async def main() -> None:
        with house.sync_courier() as courier:
            status = courier.submit(evidence()).settled(timeout=30)
            assert status is not None and status.status == "succeeded"
            assert courier.health().running
        with pytest.raises(MisuseError, match="closed"):
            courier.submit(evidence())

    asyncio.run(main())


def test_two_couriers_run_beside_each_other_on_one_database(house: House) -> None:
    with house.sync_courier() as one, house.sync_courier() as other:
        for courier, name in ((one, "one"), (other, "two")):
            status = courier.submit(evidence(name)).settled(timeout=30)
            assert status is not None and status.status == "succeeded"
        assert one.statuses("acme", ["two"]).keys() == {"two"}


# --- where it is refused -------------------------------------------------------------------------

VERBS: list[tuple[str, Callable[[Courier], object]]] = [
    ("submit", lambda courier: courier.submit(evidence())),
    ("retry", lambda courier: courier.retry("acme", "ev-1", by="ann", reason="because")),
    ("release", lambda courier: courier.release("acme", "ev-1", by="ann", reason="because")),
    ("abandon", lambda courier: courier.abandon("acme", "ev-1", by="ann", reason="because")),
    ("attest", lambda courier: courier.attest("acme", "ev-1", by="ann", reason="because")),
    ("statuses", lambda courier: courier.statuses("acme", ["ev-1"])),
    ("find", lambda courier: courier.find()),
    ("show", lambda courier: courier.show("acme", "ev-1")),
    ("doctor", lambda courier: courier.doctor("acme")),
    ("health", lambda courier: courier.health()),
    ("drain", lambda courier: courier.drain()),
    ("quiet", lambda courier: courier.quiet()),
    ("reload", lambda courier: courier.reload()),
]
WAITING = [(name, verb) for name, verb in VERBS if name != "submit"]


def raised_in_a_thread(call: Callable[[], object]) -> BaseException | None:
    """What the call raises; AssertionError if it takes long, and then it is left behind."""
    heard: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            heard.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it hangs"
    return heard[0] if heard else None


def test_a_wrong_argument_is_raised_and_never_waited_for(house: House) -> None:
    with house.sync_courier() as courier:
        for name, _ in WAITING:
            verb = getattr(courier, name)
            for call in (partial(verb, nonsense=1), partial(verb, *range(7))):
                assert isinstance(raised_in_a_thread(call), TypeError), name
        assert courier.health().running


@pytest.mark.parametrize(("name", "verb"), VERBS)
def test_before_the_start_every_verb_says_how_to_start(
    house: House, name: str, verb: Callable[[Courier], object]
) -> None:
    with pytest.raises(MisuseError, match="not been started: use `with Courier"):
        verb(house.sync_courier())


@pytest.mark.parametrize(("name", "verb"), [*VERBS, ("start", lambda courier: courier.start())])
def test_after_the_close_every_verb_says_to_build_a_new_one(
    house: House, name: str, verb: Callable[[Courier], object]
) -> None:
    with house.sync_courier() as courier:
        pass
    with pytest.raises(MisuseError, match="build a new one"):
        verb(courier)


def test_a_courier_is_started_once(house: House) -> None:
    with house.sync_courier() as courier, pytest.raises(MisuseError, match="started before"):
        courier.start()
    never = house.sync_courier()
    never.close()
    with pytest.raises(MisuseError, match="started before"):
        never.start()


def test_a_hook_may_submit_and_is_refused_whatever_would_wait(house: House) -> None:
    refused: dict[str, str] = {}
    tickets: list[SyncTicket] = []
    heard = threading.Event()

    async def hook(status: UploadStatus) -> None:
        if status.evidence_id != "ev-1":
            return
        assert courier.enabled("acme")
        tickets.append(courier.submit(evidence("ev-2")))
        others = [
            ("recorded", lambda _: tickets[0].recorded()),
            ("close", lambda _: courier.close()),
        ]
        for name, verb in [*WAITING, *others]:
            try:
                verb(courier)
            except MisuseError as error:
                refused[name] = str(error)
        heard.set()

    with house.sync_courier(on_settled=hook) as courier:
        courier.submit(evidence()).settled(timeout=30)
        assert heard.wait(30)
        assert refused.keys() == {name for name, _ in WAITING} | {"recorded", "close"}
        assert all("a thread of your own" in words for words in refused.values())
        second = tickets[0].settled(timeout=30)
        assert second is not None and second.status == "succeeded"
    assert not courier._closed or no_thread_is_left()  # pyright: ignore[reportPrivateUsage]


def test_an_interrupt_in_a_hook_closes_the_courier_without_hanging(house: House) -> None:
    """A hook raises KeyboardInterrupt."""

    def hook(status: UploadStatus) -> None:
        raise KeyboardInterrupt

    courier = house.sync_courier(on_settled=hook)
    courier.start()
    courier.submit(evidence()).settled(timeout=30)
    with pytest.raises(KeyboardInterrupt):
        courier.close()
    assert no_thread_is_left()
    assert status_in(house.database) == "succeeded"


def test_a_hook_that_would_end_the_program_does_not(house: House) -> None:
    with house.sync_courier(on_settled=lambda _status: sys.exit(7)) as courier:
        for name in ("ev-1", "ev-2"):
            status = courier.submit(evidence(name)).settled(timeout=30)
            assert status is not None and status.status == "succeeded"
    assert no_thread_is_left()


def test_what_starting_raises_is_raised_here_and_leaves_nothing_running(house: House) -> None:
    house.database = house.database.parent / "no such folder" / "courier.db"
    courier = house.sync_courier()
    with pytest.raises(StoreError, match=r"the folder .* does not exist"):
        courier.start()
    assert no_thread_is_left()
    courier.close()


def test_after_a_start_that_failed_it_can_be_started(house: House) -> None:
    house.database.mkdir()
    courier = house.sync_courier()
    with pytest.raises(StoreError, match="is a folder"):
        courier.start()
    house.database.rmdir()
    with courier:
        assert courier.health().running


def test_a_broken_configuration_is_refused_when_it_is_built(house: House) -> None:
    house.tenants["acme"] = {"integrations": {"compliance": {"provider": "papyrus"}}}
    before = our_threads()  # one of another test may still be ending
    with pytest.raises(ConfigError, match="is no provider that is installed"):
        house.sync_courier()
    assert our_threads() <= before


# --- closing -------------------------------------------------------------------------------------


def test_a_ticket_keeps_its_answer_when_the_courier_is_closed(house: House) -> None:
    house.server.answer = lambda name, _nth: 200 if name == "ev-1" else None
    courier = house.sync_courier()
    courier.start()
    done, cut_off = courier.submit(evidence()), courier.submit(evidence("ev-2"))
    done.settled(timeout=30)
    cut_off.recorded()
    courier.close(grace=0)
    courier.close()
    status = done.settled()
    assert status is not None and status.status == "succeeded"
    cut_off.recorded()
    with pytest.raises(MisuseError, match="closed before acme/ev-2 was settled"):
        cut_off.settled()


def test_many_threads_may_close_at_once_and_calls_that_wait_raise(house: House) -> None:
    house.server.answer = lambda _id, _nth: 503
    courier = house.sync_courier()
    courier.start()
    ticket = courier.submit(evidence())
    ticket.recorded()
    courier.quiet()
    with ThreadPoolExecutor(10) as pool:
        waiting: list[Future[Any]] = [pool.submit(courier.drain), pool.submit(ticket.settled)]
        closing_ = [pool.submit(courier.close, 0) for _ in range(8)]
        for call in closing_:
            call.result(60)
        for wait in waiting:
            with pytest.raises(MisuseError, match="closed"):
                wait.result(60)
    assert no_thread_is_left()
    assert status_in(house.database) == "retrying"


def test_a_later_close_with_a_shorter_grace_shortens_the_closing(house: House) -> None:
    house.server.answer = lambda _id, _nth: None
    courier = house.sync_courier()
    courier.start()
    courier.submit(evidence()).recorded()
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(courier.close, 3600)
        while not courier._courier._closed:  # pyright: ignore[reportPrivateUsage]
            time.sleep(MILLISECOND)
        courier.close(grace=0)
        patient.result(60)
    assert status_in(house.database) == "retrying"


def test_a_later_close_shortens_the_closing_on_asyncio_too(house: House) -> None:
    house.server.answer = lambda _id, _nth: None

    async def story() -> None:
        courier = house.courier()
        await courier.start()
        await courier.submit(evidence()).recorded()
        patient = asyncio.create_task(courier.close(grace=3600))
        await asyncio.sleep(10 * MILLISECOND)
        assert not patient.done()
        await asyncio.wait_for(courier.close(grace=0), 60)
        await patient

    asyncio.run(story())
    assert status_in(house.database) == "retrying"


# --- Ctrl-C --------------------------------------------------------------------------------------


def interrupt() -> None:
    """As the terminal does it: the signal is for the process, and Python has the main thread
    hear of it."""
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_gets_through_a_wait_and_leaves_the_courier_usable(
    house: House,
) -> None:
    def answer(name: str, _nth: int) -> int | None:
        if name == "silent":
            interrupt()
            return None
        return 200

    house.server.answer = answer
    courier = house.sync_courier()
    courier.start()
    with pytest.raises(KeyboardInterrupt):
        courier.submit(evidence("silent")).settled()
    status = courier.submit(evidence()).settled(timeout=30)
    assert status is not None and status.status == "succeeded"
    courier.close(grace=0)
    assert no_thread_is_left()


@define
class Program:
    """A program of its own, with a house to use a courier in."""

    running: subprocess.Popen[str]

    def wait_for(self, word: str) -> None:
        """Until it prints that."""
        assert self.running.stdout is not None
        line = self.running.stdout.readline().strip()
        assert line == word, (
            f"{line!r} instead of {word!r}; {self.end() if not line else 'it goes on'}"
        )

    def interrupt(self) -> None:
        """A Ctrl-C."""
        self.running.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str, str]:
        """Its exit code and what it said; it has to end by itself."""
        out, err = self.running.communicate(timeout=60)
        return self.running.returncode, out, err


@contextmanager
def program(body: str, *arguments: object) -> Iterator[Program]:
    head = """
        import os, signal, sys, threading, time
        from pathlib import Path
        from store_fixtures import House, evidence
        house = House(Path(sys.argv[1]))
        """
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", dedent(head) + dedent(body), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as running:
        try:
            yield Program(running)
        finally:
            running.kill()


def test_a_ctrl_c_leaves_the_block_closes_and_ends_the_program(house: House) -> None:
    with program(
        """
        with house.sync_courier() as courier:
            courier.submit(evidence()).settled()
            courier.submit(evidence("last"))
            print("ready", flush=True)
            time.sleep(60)
        """,
        house.database,
    ) as host:
        host.wait_for("ready")
        host.interrupt()
        code, _, said = host.end()
    assert code == -signal.SIGINT
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    assert said.count("Traceback") == 1
    assert status_in(house.database) == "succeeded"
    assert status_in(house.database, "last") == "succeeded"
    assert nothing_is_in_flight(house.database)


def test_a_second_ctrl_c_does_not_wait_for_the_close_and_harms_nothing(house: House) -> None:
    with program(
        """
        house.server.answer = lambda name, nth: None
        courier = house.sync_courier()
        courier.start()
        courier.submit(evidence("silent")).recorded()
        def watch():
            while not courier._closed:
                time.sleep(0.001)
            print("closing", flush=True)
        threading.Thread(target=watch, daemon=True).start()
        while not house.server.asked:
            time.sleep(0.001)
        try:
            print("ready", flush=True)
            threading.Event().wait()
        finally:
            courier.close(grace=3600)
        """,
        house.database,
    ) as host:
        host.wait_for("ready")
        host.interrupt()
        host.wait_for("closing")
        host.interrupt()
        code, _, said = host.end()
    assert code == -signal.SIGINT
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    assert "Thread" not in said and "ignored" not in said
    assert status_in(house.database, "silent") == "retrying"
    assert nothing_is_in_flight(house.database)


# --- a program that forgets to close -------------------------------------------------------------


def test_a_program_that_forgets_to_close_ends_and_keeps_what_it_submitted(house: House) -> None:
    with program(
        """
        courier = house.sync_courier()
        courier.start()
        for number in range(200):
            courier.submit(evidence(f"ev-{number}"))
        """,
        house.database,
    ) as host:
        assert host.end() == (0, "", "")
    assert {status_in(house.database, f"ev-{number}") for number in range(200)} <= {
        "succeeded",
        "pending",
    }
    assert nothing_is_in_flight(house.database)


def test_a_forgotten_courier_still_resolves_names_and_delivers(tmp_path: Path) -> None:
    database = tmp_path / "courier.db"
    with (
        sandbox_in_thread(SprintoSandbox(key="a-key-of-acme")) as sandbox,
        program(
            """
            from evidence_courier import Courier
            os.environ["KEY"] = "a-key-of-acme"
            block = dict(provider="sprinto", api_key="${KEY}", endpoint=sys.argv[2], workflow_check=sys.argv[3])
            courier = Courier.from_mapping({"acme": {"integrations": {"compliance": block}}}, sys.argv[1])
            courier.start()
            # At the very end: no name is resolved and no line is open before the main thread is gone.
            def submit():
                threading.main_thread().join()
                courier.submit(evidence())
            threading.Thread(target=submit).start()
            """,
            database,
            sandbox.url.replace("127.0.0.1", "localhost"),
            "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77",
        ) as host,
    ):
        code, _, said = host.end()
    assert (code, said) == (0, "")
    assert status_in(database) == "succeeded"
    assert nothing_is_in_flight(database)


def test_submit_on_a_loop_that_is_closed_says_so(house: House) -> None:
    with program(
        """
        import asyncio
        from evidence_courier import MisuseError
        courier = house.courier()
        asyncio.run(courier.start())
        try:
            courier.submit(evidence())
        except MisuseError as error:
            print(error)
        """,
        house.database,
    ) as host:
        code, printed, said = host.end()
    assert (code, said) == (0, "")
    assert printed.startswith("the event loop of the courier is closed: acme/ev-1 was not recorded")


def test_a_source_that_hangs_does_not_keep_a_program_from_ending(house: House) -> None:
    with program(
        """
        from evidence_courier import Document, Evidence
        import attrs
        asked = threading.Event()
        class Hung:
            def read(self, tenant_id, key):
                asked.set()
                threading.Event().wait()
        there = Document(source="key", sha256="0" * 64, size=1, media_type="application/pdf")
        courier = house.sync_courier(source=Hung())
        courier.start()
        courier.submit(attrs.evolve(evidence(), document=there)).recorded()
        asked.wait()
        courier.close(grace=0)
        """,
        house.database,
    ) as host:
        assert host.end() == (0, "", "")
    assert status_in(house.database) == "retrying"


def test_a_courier_that_was_never_started_lets_the_program_end(house: House) -> None:
    with program("courier = house.sync_courier()", str(house.database)) as host:
        assert host.end() == (0, "", "")


# --- a forked child ------------------------------------------------------------------------------


def child_says(work: Callable[[], str]) -> str:
    """What `work` gives in a forked child; "hung" where it gives nothing."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # From 3.12 on Python warns of what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        said = "nothing"
        try:
            said = work()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said or "hung"


def refusal_of(verb: Callable[[], object]) -> str:
    try:
        verb()
    except MisuseError as error:
        return str(error)
    return "not refused"


def open_files_of(database: Path) -> int:
    """How many descriptors of this process lead to the database or what lies beside it."""
    links = Path("/proc/self/fd")
    if not links.exists():
        pytest.skip("this system does not show what is open")
    return sum(
        os.path.exists(link) and os.readlink(link).startswith(str(database))
        for link in links.iterdir()
    )


def test_in_a_forked_child_every_verb_is_refused_and_the_parent_goes_on(house: House) -> None:
    house.server.answer = lambda name, _nth: None if name == "silent" else 200
    courier = house.sync_courier()
    courier.start()
    settled, silent = courier.submit(evidence()), courier.submit(evidence("silent"))
    settled.settled(timeout=30)
    silent.recorded()

    def work() -> str:
        verbs: list[Callable[[], object]] = [partial(verb, courier) for _, verb in VERBS]
        verbs += [courier.start, lambda: courier.enabled("acme")]
        verbs += [settled.settled, silent.settled, silent.recorded]
        refusals = {refusal_of(verb) for verb in verbs}
        courier.close()
        courier.close(grace=0)
        return "|".join(refusals)

    said = child_says(work)
    assert f"started in process {os.getpid()}" in said
    assert "build a new courier in each worker process, after the fork" in said
    assert "|" not in said
    status = courier.submit(evidence("ev-2")).settled(timeout=30)
    assert status is not None and status.status == "succeeded"
    courier.close(grace=0)
    assert nothing_is_in_flight(house.database)


def test_a_child_closes_nothing_that_its_parent_has_open(house: House) -> None:
    """A connection to SQLite that is closed in a child can harm its parent's."""
    couriers = [house.sync_courier()]
    couriers[0].start()
    couriers[0].statuses("acme", ["ev-1"])  # so that there is a connection that reads
    couriers[0].submit(evidence()).settled(timeout=30)

    def work() -> str:
        # The lock of the parent's courier is let go of; see `roll`.
        before = open_files_of(house.database)
        couriers.pop().close()
        gc.collect()
        return f"{before > 2} {before - open_files_of(house.database)}"

    assert child_says(work) == "True 0"
    assert couriers[0].health().running
    couriers[0].close()


def test_a_child_that_leaves_the_block_ends_without_harm(
    house: House,
) -> None:
    """It ends in order and does not hang."""
    with program(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        with house.sync_courier() as courier:
            courier.submit(evidence()).settled()
            pid = os.fork()
            if pid == 0:
                signal.alarm(30)
                sys.exit(3)
            _, code = os.waitpid(pid, 0)
            print(os.waitstatus_to_exitcode(code), flush=True)
            print(courier.submit(evidence("ev-2")).settled().status)
        """,
        house.database,
    ) as host:
        assert host.end() == (0, "3\nsucceeded\n", "")
    assert nothing_is_in_flight(house.database)


def test_a_child_builds_a_courier_of_its_own_on_another_database(
    house: House, tmp_path: Path
) -> None:
    with house.sync_courier() as courier:
        courier.submit(evidence()).settled(timeout=30)

        def work() -> str:
            with House(tmp_path / "child.db").sync_courier() as own:
                status = own.submit(evidence("of-the-child")).settled(timeout=20)
                return "nothing" if status is None else status.status

        assert child_says(work) == "succeeded"
    assert status_in(tmp_path / "child.db", "of-the-child") == "succeeded"


def test_a_child_may_not_open_the_database_that_its_parent_has_open(house: House) -> None:
    """It would take no locks, and what it writes would be lost when the parent closes."""

    def work() -> str:
        return refusal_of(lambda: house.sync_courier().start())

    with house.sync_courier() as courier:
        courier.submit(evidence()).settled(timeout=30)
        said = child_says(work)
        assert f"process {os.getpid()} had it open" in said
        assert "fork before a courier is started" in said
    # Once it is closed, a fork is a fork.
    assert child_says(work) == "not refused"


def test_a_courier_that_is_built_before_the_fork_can_be_started_after_it(house: House) -> None:
    courier = house.sync_courier()

    def work() -> str:
        with courier:
            status = courier.submit(evidence()).settled(timeout=20)
            return "nothing" if status is None else status.status

    assert child_says(work) == "succeeded"
    assert status_in(house.database) == "succeeded"


def test_in_a_forked_child_the_asyncio_courier_is_refused_too(house: House) -> None:
    async def story() -> str:
        async with house.courier() as courier:
            await courier.submit(evidence()).settled(timeout=30)

            async def use() -> set[str]:
                calls = [
                    courier.find(),
                    courier.show("acme", "ev-1"),
                    courier.health(),
                    courier.drain(),
                ]
                refusals = {refusal_of(lambda: courier.submit(evidence()))}
                refusals.add(refusal_of(lambda: courier.enabled("acme")))
                for call in [*calls, courier.start()]:
                    try:
                        await call
                    except MisuseError as error:
                        refusals.add(str(error))
                await courier.close()
                return refusals

            said = child_says(lambda: "|".join(asyncio.run(use())))
            await courier.submit(evidence("ev-2")).settled(timeout=30)
            return said

    said = asyncio.run(story())
    assert f"started in process {os.getpid()}" in said
    assert "|" not in said
    assert status_in(house.database, "ev-2") == "succeeded"


def test_a_ticket_that_is_awaited_on_the_wrong_face_says_which_is_right(house: House) -> None:
    async def awaited(ticket: Any) -> None:
        await ticket

    words = "without `await`, or use an AsyncCourier"
    with house.sync_courier() as courier, pytest.raises(MisuseError, match=words):
        asyncio.run(awaited(courier.submit(evidence())))

    async def each_method() -> None:
        ticket: Any = courier.submit(evidence())
        with pytest.raises(MisuseError, match=words):
            await ticket.recorded()
        with pytest.raises(MisuseError, match=words):
            await ticket.settled()
        with pytest.raises(MisuseError, match=words):
            await ticket.settled(timeout=30)
        assert ticket.recorded() is None  # it holds up the loop, and works
        assert ticket.settled(timeout=30).status == "succeeded"

    with house.sync_courier() as courier:
        asyncio.run(each_method())

    async def story() -> None:
        async with house.courier() as courier:
            with pytest.raises(MisuseError, match=r"await ticket.settled\(\)"):
                await awaited(courier.submit(evidence()))

    asyncio.run(story())


@pytest.mark.parametrize("verb", ["close", "drain", "quiet"])
def test_what_waits_for_a_loop_that_is_closed_says_so(house: House, verb: str) -> None:
    with program(
        f"""
        import asyncio
        from evidence_courier import MisuseError
        courier = house.courier()
        asyncio.run(courier.start())
        try:
            asyncio.run(asyncio.wait_for(courier.{verb}(), 10))
        except MisuseError as error:
            print(error)
        """,
        house.database,
    ) as host:
        code, printed, said = host.end()
    assert (code, said) == (0, "")
    assert printed.startswith("the event loop of the courier is closed: build a new one")
