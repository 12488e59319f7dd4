"""Our clocks, loggers, renderer and sources, and the fakes that stand in for them, keep the
contracts of their ports."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from io import StringIO

import structlog

from evidence_courier.adapters.clocks.system import SystemClock
from evidence_courier.adapters.loggers.standard import JsonFormatter, StandardLogger
from evidence_courier.adapters.loggers.structlog_logger import StructlogLogger
from evidence_courier.adapters.renderers.typst_renderer import TypstRenderer
from evidence_courier.adapters.secrets import EnvironSecrets, FileSecrets
from evidence_courier.ports.clock import Clock
from evidence_courier.ports.renderer import Renderer
from evidence_courier.ports.secrets import Secrets
from evidence_courier.ports.source import DocumentSource
from evidence_courier.testing import FakeClock, RecordingLogger
from evidence_courier.testing.contracts import (
    ClockContract,
    DocumentSourceContract,
    LoggerContract,
    LoggerHarness,
    RendererContract,
    SecretsContract,
)


class TestSystemClock(ClockContract):
    def clock(self) -> Clock:
        return SystemClock()


class TestFakeClock(ClockContract):
    def clock(self) -> Clock:
        return FakeClock()

    async def let_pass(self, clock: Clock, seconds: float) -> None:
        assert isinstance(clock, FakeClock)
        clock.advance(seconds)

    def set_back(self, clock: Clock, seconds: float) -> bool:
        assert isinstance(clock, FakeClock)
        clock.jump(-seconds)
        return True


class TestStandardLogger(LoggerContract):
    def harness(self) -> LoggerHarness:
        return written_by(logging.Formatter())


class TestStandardLoggerInJson(LoggerContract):
    def harness(self) -> LoggerHarness:
        return written_by(JsonFormatter())


def written_by(formatter: logging.Formatter) -> LoggerHarness:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.Logger("evidence_courier")  # noqa: LOG001 - a logger that no other test sees
    logger.addHandler(handler)
    return LoggerHarness(StandardLogger(logger), lambda: stream.getvalue().splitlines())


class TestStructlogLogger(LoggerContract):
    def harness(self) -> LoggerHarness:
        stream = StringIO()
        logger = structlog.wrap_logger(
            structlog.WriteLogger(stream), processors=[structlog.processors.JSONRenderer()]
        )
        return LoggerHarness(StructlogLogger(logger), lambda: stream.getvalue().splitlines())


class TestRecordingLogger(LoggerContract):
    def harness(self) -> LoggerHarness:
        logger = RecordingLogger()
        return LoggerHarness(logger, lambda: [ascii(event) for event in logger.events])


class TestTypstRenderer(RendererContract):
    def renderer(self) -> Renderer:
        return TypstRenderer()


class TestEnvironSecrets(SecretsContract):
    def secrets(self, known: Mapping[str, str]) -> Secrets:
        return EnvironSecrets(known)


class TestFileSecrets(SecretsContract):
    """For the names that it passes on."""

    def secrets(self, known: Mapping[str, str]) -> Secrets:
        return FileSecrets(EnvironSecrets(known))


class DocumentsInADictionary:
    def __init__(self, documents: Mapping[tuple[str, str], bytes]) -> None:
        self._documents = documents

    def read(self, tenant_id: str, key: str) -> bytes:
        return self._documents[tenant_id, key]


class TestDocumentsInADictionary(DocumentSourceContract):
    def source(self, documents: Mapping[tuple[str, str], bytes]) -> DocumentSource:
        return DocumentsInADictionary(documents)
