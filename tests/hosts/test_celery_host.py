"""The Celery host: its workers make one attempt at a time and are told when to come again, and
evidence arrives once all the same."""

from __future__ import annotations

from contextlib import AbstractContextManager

from host_home import Home
from host_process import HostProcess, wait_until

QUIETLY = "--without-gossip --without-mingle --without-heartbeat".split()  # nobody else is there


def worker(home: Home, name: str) -> AbstractContextManager[HostProcess]:
    command = ["celery", "-A", "service", "worker", "-n", name, "--concurrency", "2", *QUIETLY]
    return home.start("celery_host", *command, BROKER_URL=f"sqla+sqlite:///{home.folder}/broker.db")


def service(home: Home, *arguments: str) -> list[str]:
    """What the service prints."""
    command = ["python", "service.py", *arguments]
    with home.start(
        "celery_host", *command, BROKER_URL=f"sqla+sqlite:///{home.folder}/broker.db"
    ) as process:
        assert process.ended() == 0
        return process.said().splitlines()


def statuses(home: Home) -> list[str]:
    return [row["status"] for row in home.rows()]


def test_what_is_tried_again_arrives_and_the_list_says_so(home: Home) -> None:
    home.sandbox.use_faults(["status:503=x2"])
    service(home, "complete", "acme", "s-1")
    service(home, "complete", "initech", "s-1")
    assert service(home, "evidence", "acme") == ["training-s-1 no upload"]
    with worker(home, "one"):
        wait_until("it is tried again", lambda: statuses(home) == ["retrying"])
        assert service(home, "evidence", "acme") != ["training-s-1 no upload"]
        wait_until("it has succeeded", lambda: statuses(home) == ["succeeded"])
    assert service(home, "evidence", "acme") == ["training-s-1 succeeded"]
    assert service(home, "evidence", "initech") == ["training-s-1 no upload"]
    assert [(row["tenant_id"], row["attempts"]) for row in home.rows()] == [("acme", 3)]
    assert home.copies("acme") == {"training-s-1": 1}


def test_what_two_workers_deliver_arrives_once_each(home: Home) -> None:
    sessions = [f"s-{number}" for number in range(30)]
    with worker(home, "one") as one, worker(home, "two") as two:
        # Each session is completed twice, as by an impatient click: two workers may have it at
        # once.
        service(home, "complete", "acme", *sessions, *sessions)
        wait_until("all have succeeded", lambda: statuses(home) == ["succeeded"] * 30)
        one.tell_to_end()
        two.tell_to_end()
        assert one.ended() == two.ended() == 0
    assert home.copies("acme") == {f"training-{session}": 1 for session in sessions}
    assert len(home.sandbox.received) == 30
    home.check_left_in_order()


def test_a_stopped_worker_finishes_and_another_does_the_rest(home: Home) -> None:
    home.sandbox.use_faults(["slow:0.004=1"])
    service(home, "complete", "acme", *[f"s-{number}" for number in range(6)])
    with worker(home, "one") as process:
        wait_until(
            "something is in flight", lambda: "sending" in [row["state"] for row in home.rows()]
        )
        process.tell_to_end()
        assert process.ended() == 0
    home.check_left_in_order()
    home.sandbox.use_faults([])
    with worker(home, "two"):
        wait_until("all have succeeded", lambda: statuses(home) == ["succeeded"] * 6)
    assert home.copies("acme") == {f"training-s-{number}": 1 for number in range(6)}
