"""Which compiler renders next: this process's own, a worker when a queue forms, none after the
close."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evidence_courier.adapters.renderers.pool import CompilerPool, Worker, WorkerDied
from evidence_courier.domain.errors import MisuseError

# A whole small worker: answers with its own number, dies at "die", starts with other words at
# "--odd".
WORKER = """
import sys
pipe_in, pipe_out = sys.stdin.buffer, sys.stdout.buffer
def put(content):
    pipe_out.write(len(content).to_bytes(4, "big") + content); pipe_out.flush()
put(b"odd" if "--odd" in sys.argv else b"ready")
while head := pipe_in.read(4):
    job = pipe_in.read(int.from_bytes(head, "big"))
    if job == b"die":
        sys.exit(1)
    put(b"worker:" + job)
"""


class Here:
    """The compiler in this process; it replies when it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.let.set()

    def compile(self, page: bytes) -> bytes:
        assert self.let.wait(10)
        return b"here:" + page


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Worker]:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    return lambda *arguments: Worker(arguments, (sys.executable, str(script)))


def test_a_lone_caller_never_starts_a_worker() -> None:
    def never() -> Worker:
        raise AssertionError("a worker was started")

    pool = CompilerPool(Here(), never, max_workers=2)
    assert [pool.compile(b"1"), pool.compile(b"2")] == [b"here:1", b"here:2"]
    pool.close()


def test_a_queue_starts_workers_and_every_job_is_answered(start: Callable[..., Worker]) -> None:
    here = Here()
    here.let.clear()
    pool = CompilerPool(here, start, max_workers=2)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(pool.compile, b"%d" % number) for number in range(24)]
        while (
            sum(future.done() for future in waiting) < 22
        ):  # the workers answer while the compiler here is held
            threading.Event().wait(0.005)
        here.let.set()
        answers = [future.result(10) for future in waiting]
    pool.close()
    assert sorted(answer.split(b":")[1] for answer in answers) == sorted(
        b"%d" % number for number in range(24)
    )
    assert {answer.split(b":")[0] for answer in answers} == {b"here", b"worker"}


@pytest.mark.parametrize("most", [0, 2])
def test_without_workers_the_compiler_here_does_all(most: int) -> None:
    def none_to_be_had() -> Worker:
        raise WorkerDied("no processes on this machine")

    pool = CompilerPool(Here(), none_to_be_had, most)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: pool.compile(b"%d" % number), range(40)))
    pool.close()
    assert answers == [b"here:%d" % number for number in range(40)]


def test_a_job_that_kills_its_worker_is_tried_once_more_and_harms_no_other(
    start: Callable[..., Worker],
) -> None:
    started: list[Worker] = []

    def counted() -> Worker:
        started.append(start())
        return started[-1]

    here = Here()
    here.let.clear()
    pool = CompilerPool(here, counted, max_workers=1)
    with ThreadPoolExecutor(4) as threads:
        held = threads.submit(pool.compile, b"held")
        dying = [threads.submit(pool.compile, b"die") for _ in range(3)]
        while not (started and started[0].exit_code == 1):
            threading.Event().wait(0.005)
        here.let.set()
        assert held.result(10) == b"here:held"
        for future in dying:  # in a worker it dies twice, in this process it does not
            assert isinstance(future.exception(10), WorkerDied) or future.result() == b"here:die"
        assert sorted(threads.map(pool.compile, [b"%d" % number for number in range(6)]))
    pool.close()
    assert {worker.exit_code for worker in started} <= {0, 1}


def test_a_job_that_kills_two_in_a_row_is_given_up() -> None:
    deaths: list[bytes] = []

    class Dying:
        def compile(self, page: bytes) -> bytes:
            deaths.append(page)
            raise WorkerDied("gone")

    pool = CompilerPool(Dying(), lambda: pytest.fail("none is wanted"), max_workers=0)
    with pytest.raises(WorkerDied, match="gone"):
        pool.compile(b"x")
    assert deaths == [b"x", b"x"]


def test_after_the_close_nothing_is_lent_and_no_process_is_left(
    start: Callable[..., Worker],
) -> None:
    workers: list[Worker] = []

    def kept() -> Worker:
        workers.append(start())
        return workers[-1]

    pool = CompilerPool(Here(), kept, max_workers=1)
    with pool.lent(), ThreadPoolExecutor(3) as threads:
        for future in [threads.submit(pool.compile, b"x") for _ in range(3)]:
            future.result(10)
        pool.close()
        pool.close()
        with pytest.raises(MisuseError, match="closed"):
            pool.compile(b"x")
    assert [worker.exit_code for worker in workers] == [0]


def test_who_waits_at_the_close_is_told() -> None:
    here = Here()
    pool = CompilerPool(here, lambda: pytest.fail("none is wanted"), max_workers=0)
    with ThreadPoolExecutor(1) as threads, pool.lent():
        waiting = threads.submit(pool.compile, b"x")
        pool.close()
        with pytest.raises(MisuseError):
            waiting.result(10)


def test_a_worker_with_other_first_words_is_no_worker(start: Callable[..., Worker]) -> None:
    with pytest.raises(WorkerDied, match="not those of a compiler"):
        start("--odd")


def test_a_worker_that_cannot_be_started_is_no_worker() -> None:
    with pytest.raises(WorkerDied):
        Worker((), ("/no/such/program",))
    with pytest.raises(WorkerDied):
        Worker((), (sys.executable, "-c", "pass"))


def test_a_worker_ends_when_its_pipe_does(start: Callable[..., Worker]) -> None:
    worker = start()
    assert worker.compile(b"1") == b"worker:1"
    worker.close()
    assert worker.exit_code == 0
    worker.close()
