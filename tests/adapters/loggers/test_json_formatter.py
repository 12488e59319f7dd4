"""Log lines as JSON: one object a line whatever is in it, for our records and for those of other
libraries."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
from datetime import UTC, date, datetime
from enum import IntEnum
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.adapters.loggers.standard import JsonFormatter, StandardLogger
from evidence_courier.delivery.log_facts import account_of
from evidence_courier.domain.upload.upload import UploadKey
from evidence_courier.ports.logger import LogEvent, RecordingFailed


def written(event: LogEvent) -> str:
    """What a host that writes JSON finds in its file."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("evidence_courier")  # noqa: LOG001 - a logger that no other test sees
    logger.addHandler(handler)
    StandardLogger(logger).log(event)
    return stream.getvalue()


def record(message: object = "a message", *args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("urllib3.pool", logging.WARNING, "pool.py", 7, message, args, None)
    vars(made).update(extra)
    return made


def read(made: logging.LogRecord) -> Any:
    text = JsonFormatter().format(made)
    assert len(text.splitlines()) == 1 and text.isascii() and text.isprintable()
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_every_event_is_one_line_with_its_name_its_sentence_and_its_facts(
    any_event: LogEvent,
) -> None:
    account = account_of(any_event)
    line = json.loads(written(any_event))
    assert (line["event"], line["message"], line["facts"]) == (
        account.event,
        account.sentence,
        account.facts,
    )
    assert list(line) == ["time", "level", "logger", "event", "message", "facts"]


def test_no_text_forges_a_line_or_reaches_the_terminal(hostile_event: LogEvent) -> None:
    text = written(hostile_event)
    assert text.endswith("\n") and text.isascii() and text[:-1].isprintable()
    assert json.loads(text)["facts"] == account_of(hostile_event).facts


def test_a_line_says_when_in_utc_how_bad_and_who_says_it() -> None:
    made = record()
    made.created = datetime(2026, 2, 21, 10, 0, 0, 250_000, tzinfo=UTC).timestamp()
    assert read(made) == {
        "time": "2026-02-21T10:00:00.250Z",
        "level": "WARNING",
        "logger": "urllib3.pool",
        "message": "a message",
    }


def test_a_record_of_another_library_keeps_its_arguments_and_its_extras() -> None:
    line = read(record("%s of %d", "one", 2, host="example.org", _private="not shown"))
    assert (line["message"], line["facts"]) == ("one of 2", {"host": "example.org"})
    assert "event" not in line


def test_an_exception_stands_in_the_line_with_its_traceback() -> None:
    made = record()
    try:
        raise ValueError("two\nlines")
    except ValueError:
        made.exc_info = sys.exc_info()
    exception = read(made)["exception"]
    assert exception.startswith("Traceback") and exception.endswith("ValueError: two\nlines")


def test_an_exception_that_another_process_formatted_is_in_the_line() -> None:
    made = record()
    made.exc_text = "Traceback ..."
    assert read(made)["exception"] == "Traceback ..."


def test_no_exception_is_none() -> None:
    made = record()
    made.exc_info = (None, None, None)  # what exc_info=True comes to outside of an except block
    assert "exception" not in read(made)


def test_a_stack_that_was_asked_for_stands_in_the_line() -> None:
    assert "exception" not in read(record(stack_info="Stack (most recent call last):"))
    assert read(record(stack_info="Stack ..."))["stack"] == "Stack ..."


class Unspeakable:
    """Raises when it is asked what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Colour(IntEnum):
    RED = 1


LOOP: list[object] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (Colour.RED, 1),
        (1.5, 1.5),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (2**70, 2**70),
        (datetime(2026, 2, 21, tzinfo=UTC), "2026-02-21T00:00:00+00:00"),
        (date(2026, 2, 21), "2026-02-21"),
        (Path("a/b"), "a/b"),
        (b"\xff", "b'\\xff'"),
        ("\ud800", "\ud800"),
        ({1: ("a", {"b"})}, {"1": ["a", ["b"]]}),
        (Unspeakable(), "<a Unspeakable that cannot be shown>"),
        (
            {Unspeakable(): [Unspeakable()]},
            {"<a Unspeakable that cannot be shown>": ["<a Unspeakable that cannot be shown>"]},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_json_does_not_know_is_written_as_text(value: object, shown: object) -> None:
    assert read(record(value=value))["facts"] == {"value": shown}


def test_a_value_that_holds_itself_comes_to_an_end() -> None:
    assert '"..."' in JsonFormatter().format(record(value=LOOP))


def test_an_integer_too_long_for_python_to_write_is_written_in_hexadecimal() -> None:
    assert read(record(value=1 << 20_000))["facts"]["value"].startswith("0x1000")


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (record("%d tenants", "no number"), "%d tenants ['no number']"),
        (record("%s", Unspeakable()), "%s ['<a Unspeakable that cannot be shown>']"),
        (record(Unspeakable()), "<a Unspeakable that cannot be shown> []"),
        (record({"a": 1}), "{'a': 1}"),
    ],
    ids=[
        "arguments that do not fit",
        "an argument that raises",
        "a message that raises",
        "no text",
    ],
)
def test_a_message_that_cannot_be_made_does_not_lose_the_line(
    made: logging.LogRecord, says: str
) -> None:
    assert read(made)["message"] == says


class BrokenError(Exception):
    """Even its traceback cannot be written."""

    @property
    def __cause__(self) -> None:  # type: ignore[override]
        raise RuntimeError("no")

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_exception_that_cannot_be_shown_does_not_lose_the_line() -> None:
    made = record()
    try:
        raise BrokenError
    except BrokenError:
        made.exc_info = sys.exc_info()
    assert "BrokenError" in read(made)["exception"]


@pytest.mark.parametrize("created", [float("nan"), 1e300])
def test_an_impossible_time_does_not_lose_the_line(created: float) -> None:
    made = record()
    made.created = created
    assert read(made)["message"] == "a message"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner)
    ),
    max_leaves=20,
)


@given(st.text(), st.dictionaries(st.text(), VALUES))
def test_any_record_is_one_line_of_json(message: str, extra: dict[str, Any]) -> None:
    line = read(record(message, **{f"fact_{name}": value for name, value in extra.items()}))
    assert line["message"] == message
    assert len(line.get("facts", {})) == len(extra)


@pytest.mark.parametrize(
    "formatter",
    [
        {"()": "evidence_courier.adapters.loggers.standard.JsonFormatter"},
        {
            "class": "evidence_courier.adapters.loggers.standard.JsonFormatter",
            "format": "%(message)s",
            "datefmt": "%H",
        },
    ],
    ids=["by ()", "by class"],
)
def test_it_can_be_named_in_a_configuration_of_logging(formatter: dict[str, str]) -> None:
    configurator = logging.config.DictConfigurator({"version": 1})
    made = configurator.configure_formatter(formatter)
    assert isinstance(made, JsonFormatter)
    assert json.loads(made.format(record()))["message"] == "a message"


def test_a_record_is_the_same_for_the_next_handler() -> None:
    made = record("%s of %d", "one", 2, host="example.org")
    before = dict(vars(made))
    JsonFormatter().format(made)
    assert vars(made) == before


def test_a_line_is_written_where_only_latin_letters_can_be() -> None:
    line = written(RecordingFailed(UploadKey("acme", "प्रमाण-1", "sprinto"), "why"))
    assert json.loads(line.encode("latin-1"))["facts"]["evidence_id"] == "प्रमाण-1"
