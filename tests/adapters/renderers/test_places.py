"""Places for threads that render: one tenant's records keep none of another's waiting."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from evidence_courier.adapters.renderers.places import Places


def test_a_tenant_leaves_a_place_to_the_next() -> None:
    places, go_on = Places(2), threading.Event()
    inside: list[str] = []

    def render(tenant_id: str, waits: bool) -> None:
        with places.taken(tenant_id):
            inside.append(tenant_id)
            assert not waits or go_on.wait(30)

    with ThreadPoolExecutor(8) as threads:
        large: list[Future[None]] = [threads.submit(render, "large", True) for _ in range(4)]
        threads.submit(render, "small", False).result(timeout=20)
        threads.submit(render, "small", False).result(timeout=20)
        assert inside.count("large") <= 1
        go_on.set()
        for one in large:
            one.result(timeout=20)
    assert inside.count("large") == 4


def test_a_thread_that_is_interrupted_in_line_keeps_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(event: threading.Event, timeout: float | None = None) -> bool:
        if event.is_set():
            return True
        raise KeyboardInterrupt

    places = Places(2)
    with places.taken("a"):
        with monkeypatch.context() as patched:
            patched.setattr(threading.Event, "wait", interrupted)
            with pytest.raises(KeyboardInterrupt), places.taken("a"):
                pass
        with places.taken("b"):
            pass
    with places.taken("a"), places.taken("b"):
        pass
