"""`evidence-courier run`: a courier that delivers until it is stopped."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from functools import partial
from typing import Any

from ...adapters.engines.asyncio_engine import do_duties
from ...adapters.loggers.standard import NAME, JsonFormatter
from ...domain.errors import ConfigError, CourierError, MisuseError
from ...domain.secrets.redaction import words_of
from ...domain.upload.failure import FailureKind
from ...ports.logger import AttemptEnded, LogEvent, UploadSettled
from ..courier import AsyncCourier
from ..fan_out import FanOut
from ..metrics import observed
from ..notices import MAIL, WEBHOOK, named_in, options_in
from ..workers import Workers
from .changes import Changes
from .output import first_of, number_of
from .place import Files, Place
from .probes import Probes, listening
from .signals import SIGNALLED, reloads, remember
from .supervisor import tell
from .variables import unknown_among

LOOK_EVERY = timedelta(seconds=2)
"""How often `--watch` looks at the files."""
LAST_LOOK = 3.0
"""How many seconds the database has to say what is left, when it ends."""
LAST_STEPS = 3
"""How often `--drain` does each duty in the end: with the first look for notices it is noted what
has failed, with the second one that no more has, and then it is told."""
RETENTION = "EVIDENCE_COURIER_RETENTION"
_log = logging.getLogger(f"{NAME}.run")


def run(
    *,
    place: Place,
    drain: bool,
    watch: bool,
    listen: str | None,
    grace: float,
    as_json: bool,
) -> None:
    """Deliver until a signal comes, or all is settled or held."""
    if hasattr(signal, "SIGHUP"):  # also where it was ignored, as by nohup
        signal.signal(signal.SIGHUP, remember)
    log_to_standard_error(as_json)
    for sentence in unknown_among(os.environ):
        _log.warning("%s", sentence)
    if watch and place.folder is None:
        raise MisuseError(
            "--watch looks at a folder of tenant files, and this app's tenants are in none: leave "
            "it out, and send SIGHUP to have them read anew"
        )
    changes = Changes(place.folder) if watch and place.folder else None
    sinks = options_in(os.environ) if isinstance(place, Files) else {}  # an app has its own
    courier = place.courier(on_invalid="skip", **sinks)
    rules = [RETENTION] if os.environ.get(RETENTION) else []
    if not isinstance(place, Files) and (unused := [*rules, *named_in(os.environ)]):
        _log.warning(
            "not used: %s; the courier of --app has what its own code gives it", ", ".join(unused)
        )
    if place.folder is not None and not courier._tenants.loaded.named:
        raise MisuseError(
            f"{place.folder} holds no tenant file, and what is open would be held for that: look "
            "whether the folder is mounted, or name another with --config"
        )
    worker = Worker(place, courier, grace)
    waits = [worker.drained] if drain else []
    if changes is not None:
        waits.append(partial(worker.watch, changes))
    sys.exit(asyncio.run(worker.main(listen, waits)))


class Worker:
    """One courier from its start to its end."""

    def __init__(self, place: Place, courier: AsyncCourier, grace: float) -> None:
        self._place = place
        self._courier = courier
        self._grace = grace
        self._counted = Counted()
        logger = observed(FanOut(courier._wiring.logger, self._counted))
        courier._wiring.logger = courier._tenants.logger = logger
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._signals = 0
        self._code = 0
        self._main: asyncio.Task[Any] | None = None
        self._cutting_short: asyncio.Task[None] | None = None
        self._probes = Probes(courier)
        self._started = False

    async def main(self, listen: str | None, waits: list[Any]) -> int:
        """Start, work, and end in order. The exit code."""
        self._main = asyncio.current_task()
        self._take_signals()
        if reloads:
            self._on_reload_signal()
        async with AsyncExitStack() as stack:
            try:
                if listen is not None:
                    url = await stack.enter_async_context(listening(listen, self._probes))
                    _log.info("listening on %s for /healthz, /readyz and /metrics", url)
                await self._courier.start()
                gc.collect()
                gc.freeze()  # what stays for good would be looked at again while the loop waits
                self._started, self._probes.state = True, ""
                tell("READY=1")
                _log.info("started on %s, process %s", self._place.name, os.getpid())
                self._log_sinks()
                await self._first_of(
                    self._stop.wait(), self._reload_when_asked(), *(one() for one in waits)
                )
            except asyncio.CancelledError:  # by a second signal, before it has started
                if not self._code:
                    raise
            finally:
                await self._end()
                if hasattr(signal, "SIGHUP"):  # or it would end what is ending anyway, as a fault
                    asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
                    signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return self._code

    def _log_sinks(self) -> None:
        if sinks := self._courier._wiring.sinks:
            _log.info("notices go to %s", ", ".join(one.name for one in sinks))
            return
        of_app = "give the courier of --app `notices=`"
        how = f"set {WEBHOOK} or {MAIL}" if isinstance(self._place, Files) else of_app
        _log.info("notices go to no one: %s to have them sent", how)

    async def _first_of(self, *work: Coroutine[Any, Any, object]) -> None:
        """Return when one of them has ended, and end the others."""
        tasks = [asyncio.create_task(one) for one in work]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self) -> None:
        self._probes.state = "it is stopping"
        tell("STOPPING=1")
        if self._started:
            await self._courier.close(self._grace)
            done = f"{number_of(self._counted.settled, 'upload')} settled since the start"
            if self._counted.interrupted:
                done += f", {self._counted.interrupted} cut off while under way"
            _log.info("stopped: %s; %s", done, await self._left())
        if self._cutting_short is not None:
            await self._cutting_short

    async def _left(self) -> str:
        """What is left to the next courier. A database that hangs does not keep it from ending."""
        reading = Workers(1, "evidence-courier-last-look")
        try:
            read = asyncio.get_running_loop().run_in_executor(reading, self._counts)
            counts = await asyncio.wait_for(read, LAST_LOOK)
        except (CourierError, TimeoutError) as error:
            return f"what is left was not read: {str(error) or 'the database did not answer'}"
        finally:
            reading.shutdown(wait=False)
        left = counts["pending"] + counts["retrying"]
        held = f", {counts['held']} held for a person" if counts["held"] else ""
        go_on = "; the next courier goes on with them" if left else ""
        return f"{left} open in {self._place.name}{held}{go_on}"

    def _counts(self) -> Mapping[str, int]:
        with self._place.records() as records:
            return records.counts()

    # --- signals ---------------------------------------------------------------------------------

    def _take_signals(self) -> None:
        """From now on. Windows has none: a Ctrl-C there ends it in order."""
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError):
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._on_stop_signal, number)
            loop.add_signal_handler(signal.SIGHUP, self._on_reload_signal)

    def _on_stop_signal(self, number: int) -> None:
        self._signals += 1
        if self._signals == 1:
            self._stop.set()
            self._say_that_it_stops(number)
            return
        _log.warning("%s, the second signal: ending at once", signal.Signals(number).name)
        self._code = SIGNALLED + number
        for one in (signal.SIGINT, signal.SIGTERM):  # a third ends the process as it is
            asyncio.get_running_loop().remove_signal_handler(one)
        if self._started:
            self._cutting_short = asyncio.create_task(self._courier.close(0))
        elif self._main is not None:
            self._main.cancel()

    def _say_that_it_stops(self, number: int) -> None:
        name, more = signal.Signals(number).name, "a second signal ends at once"
        running = self._courier._running
        if running is None:
            _log.info("%s: stopping; %s", name, more)
            return
        under_way = running.engine.workload.under_way
        _log.info(
            "%s: stopping; nothing new is sent, %s under way may take %g s more; %s",
            *(name, number_of(under_way, "upload"), self._grace, more),
        )

    def _on_reload_signal(self) -> None:
        if self._stop.is_set():
            _log.info("SIGHUP: it is stopping, and reads nothing any more")
            return
        _log.info("SIGHUP: reading the tenants anew")
        self._reload.set()

    # --- what is waited for ----------------------------------------------------------------------

    async def drained(self) -> None:
        """Until all is settled or held, linked, and told of: the next run may be long after."""
        await self._courier.drain()
        _log.info("all is settled or held")
        for _ in range(LAST_STEPS):
            await do_duties(self._courier._on_its_loop().engine)

    async def _reload_when_asked(self) -> None:
        while await self._reload.wait():
            self._reload.clear()
            try:
                await self._courier.reload()
            except ConfigError:
                pass  # it is logged with every problem, and that the old one stays in force
            except Exception as error:
                _log.error(
                    "the tenants were not read, and what was in force stays: %s", words_of(error)
                )

    async def watch(self, changes: Changes) -> None:
        """Ask for a reload whenever what the tenants were read from has changed."""
        while True:
            changed = await self._changed(changes)
            if not changed:
                continue
            for _ in range(5):  # until they stand still: one may be half written
                more = await self._changed(changes)
                if not more:
                    break
                changed = sorted({*changed, *more})
            _log.info("%s changed: reading the tenants anew", first_of(changed, most=3))
            self._reload.set()

    async def _changed(self, changes: Changes) -> list[str]:
        clock, tenants = self._courier._clock, self._courier._tenants
        await clock.sleep_until(clock.now() + LOOK_EVERY)
        return await asyncio.to_thread(changes.look, tenants.files)


class Counted:
    """A `Logger` that counts what was settled and what was cut off."""

    def __init__(self) -> None:
        self.settled = 0
        self.interrupted = 0

    def wants(self, event: LogEvent) -> bool:
        """Only what it counts."""
        return isinstance(event, AttemptEnded | UploadSettled)

    def log(self, event: LogEvent) -> None:
        """Count it."""
        self.settled += isinstance(event, UploadSettled)
        if isinstance(event, AttemptEnded) and event.failure is not None:
            self.interrupted += event.failure.kind is FailureKind.INTERRUPTED


class PlainFormatter(logging.Formatter):
    """One line an event, with its time in UTC; a traceback has lines of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:
        """As ever, and without the line breaks of what a library says."""
        return " ".join(line.strip() for line in super().formatMessage(record).splitlines())


def log_to_standard_error(as_json: bool) -> None:
    """Set logging up, unless the host's own code has."""
    root, ours = logging.getLogger(), logging.getLogger(NAME)
    if root.handlers or ours.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if as_json else PlainFormatter())
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
