"""Who renders next: the press in this process, workers when a queue forms, nobody after the close."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evidence_courier.adapters.renderers.bench import Bench
from evidence_courier.adapters.renderers.workers import Worker, WorkerDied
from evidence_courier.domain.errors import MisuseError

# A whole small worker: answers with its own number, dies at "die", starts with other words at "--odd".
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
    """The press in this process; it answers when it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.let.set()

    def answer(self, job: bytes) -> bytes:
        assert self.let.wait(10)
        return b"here:" + job


@pytest.fixture
def hire(tmp_path: Path) -> Callable[..., Worker]:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    return lambda *arguments: Worker(arguments, (sys.executable, str(script)))


def ask(bench: Bench, job: bytes) -> bytes:
    return bench.answer(job)


def test_a_lone_caller_never_starts_a_worker() -> None:
    def never() -> Worker:
        raise AssertionError("a worker was started")

    bench = Bench(Here(), never, most=2)
    assert [ask(bench, b"1"), ask(bench, b"2")] == [b"here:1", b"here:2"]
    bench.close()


def test_a_queue_starts_workers_and_every_job_is_answered(hire: Callable[..., Worker]) -> None:
    here = Here()
    here.let.clear()
    bench = Bench(here, hire, most=2)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(ask, bench, b"%d" % number) for number in range(24)]
        while (
            sum(future.done() for future in waiting) < 22
        ):  # the workers answer while the press here is held
            threading.Event().wait(0.005)
        here.let.set()
        answers = [future.result(10) for future in waiting]
    bench.close()
    assert sorted(answer.split(b":")[1] for answer in answers) == sorted(
        b"%d" % number for number in range(24)
    )
    assert {answer.split(b":")[0] for answer in answers} == {b"here", b"worker"}


def test_without_workers_the_press_here_does_all() -> None:
    def none_to_be_had() -> Worker:
        raise WorkerDied("no processes on this machine")

    for bench in (Bench(Here(), none_to_be_had, most=2), Bench(Here(), none_to_be_had, most=0)):
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda number: ask(bench, b"%d" % number), range(40)))
        assert answers == [b"here:%d" % number for number in range(40)]
        bench.close()


def test_a_job_that_kills_workers_is_tried_twice_and_harms_no_other(hire: Callable[..., Worker]) -> None:
    started: list[Worker] = []

    def counted() -> Worker:
        started.append(hire())
        return started[-1]

    here = Here()
    bench = Bench(here, counted, most=1)
    with (
        bench.lent(),
        ThreadPoolExecutor(3) as threads,
    ):  # the press here is taken: three callers make a queue
        first = [threads.submit(ask, bench, b"x") for _ in range(3)]
        assert {future.result(10) for future in first} == {b"worker:x"}
        dying = [threads.submit(ask, bench, b"die") for _ in range(3)]
        assert all(isinstance(future.exception(10), WorkerDied) for future in dying)
        again = [threads.submit(ask, bench, b"y") for _ in range(3)]
        assert {future.result(10) for future in again} == {b"worker:y"}
    bench.close()
    assert [worker.exit_code for worker in started] == [1] * (len(started) - 1) + [0]


def test_after_the_close_nothing_is_lent_and_no_process_is_left(hire: Callable[..., Worker]) -> None:
    workers: list[Worker] = []

    def kept() -> Worker:
        workers.append(hire())
        return workers[-1]

    bench = Bench(Here(), kept, most=1)
    with bench.lent(), ThreadPoolExecutor(3) as threads:
        for future in [threads.submit(ask, bench, b"x") for _ in range(3)]:
            future.result(10)
        bench.close()
        bench.close()
        with pytest.raises(MisuseError, match="closed"):
            ask(bench, b"x")
    assert [worker.exit_code for worker in workers] == [0]


def test_who_waits_at_the_close_is_told() -> None:
    here = Here()
    bench = Bench(here, lambda: pytest.fail("none is wanted"), most=0)
    with ThreadPoolExecutor(1) as threads, bench.lent():
        waiting = threads.submit(ask, bench, b"x")
        bench.close()
        with pytest.raises(MisuseError):
            waiting.result(10)


def test_a_worker_with_other_first_words_is_no_worker(hire: Callable[..., Worker]) -> None:
    with pytest.raises(WorkerDied, match="not those of a press"):
        hire("--odd")


def test_a_worker_that_cannot_be_started_is_no_worker() -> None:
    with pytest.raises(WorkerDied):
        Worker((), ("/no/such/program",))
    with pytest.raises(WorkerDied):
        Worker((), (sys.executable, "-c", "pass"))


def test_a_worker_ends_when_its_pipe_does(hire: Callable[..., Worker]) -> None:
    worker = hire()
    assert worker.answer(b"1") == b"worker:1"
    worker.close()
    assert worker.exit_code == 0
    worker.close()
