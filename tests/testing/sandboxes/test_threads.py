"""The sandbox for code that is not asynchronous."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.error import URLError

import pytest

from evidence_courier.testing.sandboxes import FaultPlan, SprintoSandbox, sandbox_in_thread

Upload = Callable[..., Coroutine[Any, Any, tuple[int, Mapping[str, str], bytes]]]


def health(sandbox: SprintoSandbox) -> str:
    with urllib.request.urlopen(sandbox.control_url + "/health") as response:
        status: str = json.load(response)["status"]
        return status


def test_a_sandbox_in_a_thread_serves_while_the_block_runs(upload: Upload) -> None:
    with sandbox_in_thread(SprintoSandbox()) as sandbox:
        assert health(sandbox) == "ok"
        assert asyncio.run(upload(sandbox.url))[0] == 200
        sandbox.use_faults(FaultPlan.script(["status:503"]))
        assert asyncio.run(upload(sandbox.url))[0] == 503
        assert len(sandbox.received) == 1
    with pytest.raises(URLError, match="refused"):
        health(sandbox)
    assert not [thread for thread in threading.enumerate() if thread.name == "sprinto sandbox"]


def test_a_sandbox_that_cannot_start_says_so_to_its_caller() -> None:
    with sandbox_in_thread(SprintoSandbox()) as first:
        port = int(first.url.split(":")[2].split("/")[0])
        with (
            pytest.raises(OSError, match="address already in use"),
            sandbox_in_thread(SprintoSandbox(port=port)),
        ):
            pass
        assert health(first) == "ok"


def test_an_error_in_the_block_stops_the_sandbox_too() -> None:
    with pytest.raises(LookupError), sandbox_in_thread(SprintoSandbox()) as sandbox:
        raise LookupError
    with pytest.raises(URLError, match="refused"):
        health(sandbox)
