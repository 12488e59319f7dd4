"""What every logger owes: the kit for the `Logger` port.

class TestMyLogger(LoggerContract):
    def harness(self) -> LoggerHarness:
        lines: list[str] = []
        return LoggerHarness(MyLogger(lines.append), output=lambda: lines)
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from attrs import frozen

from ...ports.logger import Logger
from .assertions import must
from .events import HOSTILE, one_of_each


@frozen
class LoggerHarness:
    """A new logger, and how to read what it has logged.

    Args:
        logger: The logger.
        told: Out-of-band, what it has logged so far: one text for each entry that a reader sees,
            such as a line of a file.
    """

    logger: Logger
    output: Callable[[], Sequence[str]]


class LoggerContract(ABC):
    """The rules for a logger. Give it a `harness`."""

    @abstractmethod
    def harness(self) -> LoggerHarness:
        """The logger, and where its reader looks."""

    def test_every_event_is_logged(self) -> None:
        for event in one_of_each():
            harness = self.harness()
            harness.logger.log(event)
            must(harness.output(), f"of {type(event).__name__} nothing is written")

    def test_who_reads_it_sees_which_evidence_of_which_tenant(self) -> None:
        for event in one_of_each():
            key = getattr(event, "key", None)
            if key is None:
                continue
            harness = self.harness()
            harness.logger.log(event)
            text = "\n".join(harness.output())
            for word in (key.tenant_id, key.evidence_id):
                must(word in text, f"{type(event).__name__} is written without {word}")

    def test_one_event_is_one_thing_to_its_reader(self) -> None:
        for odd in ("", HOSTILE):
            harness = self.harness()
            events = one_of_each(odd)
            for event in events:
                harness.logger.log(event)
            number = len(harness.output())
            must(
                number == len(events),
                f"of {len(events)} events {number} things are written: a text forges or hides one",
            )

    def test_no_text_makes_it_raise(self) -> None:
        harness = self.harness()
        for event in one_of_each(HOSTILE):
            try:
                harness.logger.log(event)
            except Exception as error:
                raise AssertionError(
                    f"{type(event).__name__} with hostile texts makes it raise {error!r}"
                ) from error

    def test_no_text_moves_a_terminal(self) -> None:
        harness = self.harness()
        for event in one_of_each(HOSTILE):
            harness.logger.log(event)
        for text in harness.output():
            must(
                "\x1b" not in text and "\x9b" not in text,
                f"an escape of a terminal is written as it is: {text[:80]!r}",
            )

    def test_it_may_be_called_from_several_threads(self) -> None:
        harness, events = self.harness(), one_of_each()
        errors: list[Exception] = []

        def tell() -> None:
            try:
                for event in events:
                    harness.logger.log(event)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=tell) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        must(not errors, f"it raised {errors!r}")
        must(
            len(harness.output()) == 4 * len(events),
            f"of {4 * len(events)} events {len(harness.output())} are written",
        )
