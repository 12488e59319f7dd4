"""Every way to go wrong, whether a later attempt may mend it, and whom it speaks of."""

import pytest

from evidence_courier.domain.upload.failure import Concern, Failure, FailureKind, sentence

# kind, whether a later attempt may mend it, whether the provider asked for patience, what it speaks
# of
TABLE = """
no_connection       retryable  -          upload
not_sent            retryable  -          upload
rate_limited        retryable  throttling upload
told_to_wait        retryable  throttling upload
token_revoked       retryable  -          upload
source_unavailable  retryable  -          upload
timeout             retryable  -          upload
connection_lost     retryable  -          upload
server_error        retryable  -          upload
broken_reply        retryable  -          upload
interrupted         retryable  -          upload
unrecognised_reply  final      -          upload
bad_request         final      -          upload
forbidden           final      -          upload
not_found           final      -          upload
too_large           final      -          upload
unsupported_type    final      -          upload
refused             final      -          upload
redirected          final      -          upload
document_gone       final      -          upload
unfit_render        final      -          upload
unfit_size          final      -          upload
unfit_type          final      -          upload
provider_broken     final      -          upload
abandoned           final      -          upload
still_processing    final      -          upload
outcome_excluded    final      -          upload
check_in_review     final      -          target
unauthorized        final      -          integration
target_not_found    final      -          integration
account_locked      final      -          integration
integration_gone    final      -          integration
integration_invalid final      -          integration
paused              final      -          integration
unknown_status      final      -          integration
"""


def test_every_kind_is_what_the_table_says_and_the_table_has_every_kind() -> None:
    assert [tuple(line.split()) for line in TABLE.strip().splitlines()] == [
        (
            kind.value,
            "retryable" if kind.retryable else "final",
            "throttling" if kind.throttling else "-",
            kind.concern.value,
        )
        for kind in FailureKind
    ]


@pytest.mark.parametrize("kind", FailureKind)
def test_what_speaks_of_the_integration_is_not_mended_by_trying_again(kind: FailureKind) -> None:
    assert not (kind.retryable and kind.concern is Concern.INTEGRATION)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_kind_is_called_by_its_value(kind: FailureKind) -> None:
    assert kind.name.lower() == kind.value
    assert FailureKind(kind.value) is kind


def test_a_failure_says_no_more_than_what_was_seen() -> None:
    failure = Failure(FailureKind.TIMEOUT, "no reply within 30 s")
    assert (failure.http_status, failure.retry_after, failure.detail) == (None, None, None)


@pytest.mark.parametrize(
    ("kind", "message", "status", "said"),
    [
        ("server_error", "Sprinto is down", 503, "server_error (HTTP 503): Sprinto is down"),
        ("server_error", "it is down (HTTP 503)", 503, "server_error: it is down (HTTP 503)"),
        ("refused", "the review said no", 200, "refused: the review said no"),
        ("timeout", "no reply", None, "timeout: no reply"),
        (None, "one of 3", 204, "one of 3"),
        (None, None, None, ""),
    ],
)
def test_a_failure_in_one_line_says_its_status_once(
    kind: str | None, message: str | None, status: int | None, said: str
) -> None:
    assert sentence(kind, message, status) == said
