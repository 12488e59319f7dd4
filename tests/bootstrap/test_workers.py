"""Worker threads of our own: as many as are needed, no more than allowed, and no program waits
for one that hangs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from evidence_courier.bootstrap.workers import Workers

NAME = "workers-of-the-tests"


def threads() -> int:
    return sum(thread.name.startswith(NAME) for thread in threading.enumerate())


def test_an_idle_thread_is_used_before_another_is_begun() -> None:
    workers = Workers(8, NAME)
    for number in range(20):
        assert workers.submit(pow, number, 2).result(30) == number**2
    # A thread gives its answer a moment before it is idle again.
    assert threads() <= 2
    workers.shutdown()
    assert threads() == 0


def test_threads_start_as_they_are_needed_and_never_beyond_the_limit() -> None:
    workers = Workers(3, NAME)
    together = threading.Barrier(4)
    jobs = [workers.submit(together.wait, 30) for _ in range(3)]
    waiting = workers.submit(threads)
    assert not waiting.done()
    together.wait(30)
    assert len({job.result(30) for job in jobs}) == 3
    assert waiting.result(30) == 3
    workers.shutdown()


def test_whatever_is_raised_is_the_answer() -> None:
    workers = Workers(1, NAME)
    with pytest.raises(ZeroDivisionError):
        workers.submit(divmod, 1, 0).result(30)
    with pytest.raises(SystemExit):
        workers.submit(sys.exit).result(30)
    assert workers.submit(str, 1).result(30) == "1"
    workers.shutdown()


def test_stopping_does_what_was_asked_for_and_takes_no_more() -> None:
    workers = Workers(1, NAME)
    go_on = threading.Event()
    jobs: list[Future[Any]] = [workers.submit(go_on.wait, 30), workers.submit(str, 2)]
    workers.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="are stopping"):
        workers.submit(str, 3)
    go_on.set()
    workers.shutdown()
    assert [job.result(0) for job in jobs] == [True, "2"]
    assert threads() == 0


def test_what_has_not_begun_can_be_called_off() -> None:
    workers = Workers(1, NAME)
    begun, go_on = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return go_on.wait(30)

    first, second = workers.submit(work), workers.submit(str, 2)
    assert begun.wait(30)
    workers.shutdown(wait=False, cancel_futures=True)
    go_on.set()
    assert first.result(30) is True
    with pytest.raises(CancelledError):
        second.result(30)
    workers.shutdown()


def test_a_thread_that_hangs_does_not_keep_the_program_from_ending() -> None:
    program = (
        "import threading\n"
        "from evidence_courier.bootstrap.workers import Workers\n"
        "Workers(1, 'hung').submit(threading.Event().wait)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
