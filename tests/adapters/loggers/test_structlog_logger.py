"""Events for structlog: the event's name, the facts as keywords, the sentence beside them."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture, capture_logs

from evidence_courier.adapters.loggers.structlog_logger import StructlogLogger
from evidence_courier.delivery.log_facts import account_of, severity_of
from evidence_courier.domain.errors import MisuseError
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.upload import UploadKey
from evidence_courier.ports.logger import (
    AttemptEnded,
    AttemptStarted,
    LogEvent,
    RecordingFailed,
    UploadRecorded,
)

KEY = UploadKey("acme", "ev-1", "sprinto")


@pytest.fixture(autouse=True)
def structlog_as_it_comes() -> Iterator[None]:
    """structlog's configuration is one for the process: whatever a test made of it is taken
    back."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def test_every_event_has_its_name_its_level_its_facts_and_its_sentence(
    any_event: LogEvent,
) -> None:
    with capture_logs() as output:
        StructlogLogger().log(any_event)
    account = account_of(any_event)
    assert output == [
        {
            **account.facts,
            "event": account.event,
            "sentence": account.sentence,
            "log_level": severity_of(any_event).value,
        }
    ]


def test_the_levels_are_structlogs_own() -> None:
    failure = Failure(FailureKind.SERVER_ERROR, "down")
    with capture_logs() as output:
        logger = StructlogLogger()
        for event in (
            AttemptStarted(KEY, 1, 5),
            AttemptEnded(KEY, 1, "deferred", failure, None),
            RecordingFailed(KEY, "why"),
        ):
            logger.log(event)
    assert [entry["log_level"] for entry in output] == ["debug", "info", "error"]


def test_a_logger_of_the_hosts_is_used_with_what_is_bound_to_it() -> None:
    capture = LogCapture()
    bound = structlog.wrap_logger(None, processors=[capture]).bind(service="training")
    StructlogLogger(bound).log(UploadRecorded(KEY))
    assert capture.entries[0]["service"] == "training"


def test_the_level_that_the_host_asks_for_is_respected() -> None:
    output = StringIO()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(output),
    )
    logger = StructlogLogger()
    logger.log(UploadRecorded(KEY))
    logger.log(RecordingFailed(KEY, "why"))
    assert [json.loads(line)["event"] for line in output.getvalue().splitlines()] == [
        "recording_failed"
    ]


def test_no_text_forges_a_line_where_structlog_writes_json(hostile_event: LogEvent) -> None:
    output = StringIO()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(output),
    )
    StructlogLogger().log(hostile_event)
    [line] = output.getvalue().splitlines()
    assert json.loads(line)["event"] == account_of(hostile_event).event


def test_an_event_reaches_the_standard_library_with_its_facts(
    any_event: LogEvent, caplog: pytest.LogCaptureFixture
) -> None:
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    with caplog.at_level(logging.DEBUG, logger="evidence_courier"):
        StructlogLogger().log(any_event)
    [record] = caplog.records
    account = account_of(any_event)
    assert (record.name, record.getMessage()) == ("evidence_courier", account.event)
    assert vars(record).items() >= {**account.facts, "sentence": account.sentence}.items()


def test_the_sentence_stays_where_the_host_renames_the_event_to_message() -> None:
    capture = LogCapture()
    structlog.configure(processors=[structlog.processors.EventRenamer("message"), capture])
    StructlogLogger().log(UploadRecorded(KEY))
    [entry] = capture.entries
    assert (entry["message"], entry["sentence"]) == (
        "upload_recorded",
        "tenant acme, evidence ev-1, sprinto: recorded",
    )


def test_without_structlog_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # Python says then that there is no such module
    monkeypatch.setitem(sys.modules, "structlog", None)
    with pytest.raises(MisuseError) as raised:
        StructlogLogger()
    assert 'pip install "evidence-courier[structlog]"' in str(raised.value)


def test_an_installed_but_broken_structlog_raises_its_own_error(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "structlog.py").write_text("import no_such_module_anywhere")
    for name in [name for name in sys.modules if name.partition(".")[0] == "structlog"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        StructlogLogger()


def test_a_logger_that_is_given_needs_no_structlog(monkeypatch: pytest.MonkeyPatch) -> None:
    class Heard:
        """As much of a structlog logger as is needed."""

        def __init__(self) -> None:
            self.names: list[str] = []

        def debug(self, event: str, **facts: object) -> None:
            self.names.append(event)

        info = warning = error = debug

    heard = Heard()
    monkeypatch.setitem(sys.modules, "structlog", None)
    StructlogLogger(heard).log(UploadRecorded(KEY))
    assert heard.names == ["upload_recorded"]
