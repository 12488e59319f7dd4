"""The web hosts under their own servers: whatever the framework and however many workers,
evidence arrives once and the host's list says so."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from attrs import frozen
from host_home import Client, Home
from host_process import HostProcess, free_port, wait_until

SLOWLY = ["slow:0.004=1"]
"""Every upload is taken at once, and answered within a second or two: time enough to look, or to
end the host."""


@frozen
class WebHost:
    """An example and the command that serves it on a port.

    `at_start`: how many couriers there are once it is up, where each worker builds its own when it
    starts. `before`: a command that is run once.
    """

    name: str
    folder: str
    command: str
    at_start: int = 0
    before: str = ""

    @contextmanager
    def serve(self, home: Home) -> Iterator[tuple[HostProcess, Client]]:
        """Serve it while the block runs."""
        if self.before:
            with home.start(self.folder, *self.before.split()) as process:
                assert process.ended() == 0
        port = free_port()
        client = Client(f"http://127.0.0.1:{port}")
        with home.start(self.folder, *self.command.format(port=port).split()) as process:
            wait_until("the host is well", lambda: process.answers(f"{client.url}/health"))
            wait_until("every worker is there", lambda: len(home.rows("couriers")) >= self.at_start)
            yield process, client


GUNICORN = "gunicorn --bind 127.0.0.1:{port}"
HOSTS = [
    WebHost(
        "fastapi, 2 workers",
        "fastapi_host",
        "uvicorn app:app --port {port} --workers 2",
        at_start=2,
    ),
    WebHost("flask, 3 workers", "flask_host", f"{GUNICORN} --config gunicorn_conf.py", at_start=3),
    WebHost(
        "flask, 2 workers with threads, preloaded",
        "flask_host",
        f"{GUNICORN} --config gunicorn_conf.py --workers 2 --threads 4 --preload",
        at_start=2,
    ),
    WebHost(
        "django, 2 workers with threads, preloaded",
        "django_host",
        f"{GUNICORN} service.wsgi --workers 2 --threads 4 --preload",
        before="python manage.py migrate --verbosity 0",
    ),
]


@pytest.fixture(params=HOSTS, ids=lambda host: host.name)
def host(request: pytest.FixtureRequest) -> WebHost:
    found: WebHost = request.param
    return found


def test_a_day_of_a_host(host: WebHost, home: Home) -> None:
    """One story instead of three, because servers take their time to start."""
    with host.serve(home) as (process, client):
        a_tenant_without_an_integration_leaves_no_trace(home, client)
        a_completed_training_arrives_and_the_list_says_so(home, client)
        what_several_workers_submit_arrives_once_each(home, client)
        process.tell_to_end()
        assert process.ended() == 0
    home.check_left_in_order()


def a_tenant_without_an_integration_leaves_no_trace(home: Home, client: Client) -> None:
    for number in range(5):
        client.complete("initech", f"s-{number}")
    assert client.evidence("initech") == {f"training-s-{number}": None for number in range(5)}
    for table in ("uploads", "attempts", "documents", "gates"):
        assert home.rows(table) == []
    assert home.sandbox.requests == 0


def a_completed_training_arrives_and_the_list_says_so(home: Home, client: Client) -> None:
    home.sandbox.use_faults(SLOWLY)
    client.complete("globex", "s-1")
    wait_until("it is pending", lambda: client.evidence("globex") == {"training-s-1": "pending"})
    wait_until(
        "it has succeeded", lambda: client.evidence("globex") == {"training-s-1": "succeeded"}
    )
    assert home.copies("globex") == {"training-s-1": 1}
    home.sandbox.use_faults([])
    home.sandbox.reset()


def what_several_workers_submit_arrives_once_each(home: Home, client: Client) -> None:
    sessions = [f"s-{number}" for number in range(30)]
    with ThreadPoolExecutor(6) as pool:
        # Each session is completed twice, as by an impatient click: two workers may have it at
        # once.
        list(pool.map(lambda session: client.complete("acme", session), [*sessions, *sessions]))
    succeeded = {f"training-{session}": "succeeded" for session in sessions}
    wait_until("all have succeeded", lambda: client.evidence("acme") == succeeded)
    assert home.copies("acme") == dict.fromkeys(succeeded, 1)
    assert len(home.sandbox.received) == 30


def test_a_host_that_ends_finishes_what_is_in_flight_and_leaves_the_rest(
    host: WebHost, home: Home
) -> None:
    """The next host does the rest."""
    home.sandbox.use_faults(["slow:0.015=x1", "status:429:retry-after=5=1"])
    with host.serve(home) as (process, client):
        client.complete("globex", "s-2")
        wait_until("it is in flight", lambda: home.sandbox.requests == 1)
        client.complete("acme", "s-1")
        wait_until("it waits", lambda: home.states() == {"globex": "sending", "acme": "waiting"})
        process.tell_to_end()
        assert process.ended() == 0
    assert home.states() == {"acme": "waiting", "globex": "succeeded"}
    home.check_left_in_order()
    home.sandbox.use_faults([])
    with host.serve(home):
        wait_until("both have succeeded", lambda: set(home.states().values()) == {"succeeded"})
    assert home.copies("acme") == {"training-s-1": 1}
    assert home.copies("globex") == {"training-s-2": 1}
