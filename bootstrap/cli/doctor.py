"""`evidence-courier doctor`: would uploads work? A dry run at the providers, and a notice for
each sink if that is asked for."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any, TypeAlias

import click
from click.core import ParameterSource

from ...adapters.config import Loaded
from ...adapters.notices.webhook import NotTakenError
from ...adapters.stores.databases import is_made
from ...domain.notices import notice_of
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.verdict import NotReady, Ready
from ...ports.notices import Sink
from ..doctor import Examined, examine
from ..notices import MAIL, WEBHOOK
from ..wiring import rendering_fault
from .exits import UNDELIVERED, USAGE
from .output import Columns, moment, number_of, print_columns, print_json, without_repeats
from .place import Place
from .saying import say
from .tenant_files import end_with_problems, tenants_in, tenants_of

_WORTH_TELLING = 2.0  # seconds of waiting
Row: TypeAlias = dict[str, Any]
_BAD = ("not_ready", "broken", "blocked")
_COLUMNS: Columns = {
    "tenant": lambda row: row["tenant_id"],
    "provider": lambda row: row["provider"],
    "verdict": lambda row: row["verdict"].replace("_", " "),
    "what was seen": lambda row: row["message"],
}


_OF_SINKS: Columns = {
    "notices go to": lambda row: row["target"],
    "verdict": lambda row: row["verdict"].replace("_", " "),
    "what was seen": lambda row: row["message"],
}
_NO_SINK = (
    f"no notice was sent, as no sink is configured: set {WEBHOOK} or {MAIL}, or with --app give the"
    " courier there `notices=`"
)
_TEST = "this is a test that `evidence-courier doctor` has sent: nothing is to be done"


def run(place: Place, test_notice: bool, as_json: bool) -> None:
    """Ask every tenant's provider and print a line for each tenant, and one for each sink."""
    sinks = place.sinks
    loaded, providers = tenants_of(place)
    found = asyncio.run(examine(loaded, providers, _database(place), _tell_of_waiting))
    rows = [_row(tenant_id, loaded, found.get(tenant_id)) for tenant_id in tenants_in(loaded)]
    of_sinks = [_row_of_sink(sink, test_notice) for sink in sinks]
    if as_json:
        print_json([*rows, *of_sinks])
    else:
        seen = without_repeats([(row["tenant_id"] or "", row["message"] or "") for row in rows])
        shown = [{**row, "message": words} for row, words in zip(rows, seen, strict=True)]
        print_columns(_COLUMNS, shown)
        if of_sinks:
            click.echo()
            print_columns(_OF_SINKS, of_sinks)
    if fault := rendering_fault():
        say(f"note: training records cannot be rendered here: {fault}")
    if untold := test_notice and not sinks:
        say(f"evidence-courier: {_NO_SINK}")
    end_with_problems(loaded)
    if untold:
        sys.exit(USAGE)
    if any(row["verdict"] in _BAD for row in [*rows, *of_sinks]):
        sys.exit(UNDELIVERED)


def _database(place: Place) -> str | None:
    """The database whose paces and blocks count. One that is typed must exist; one that is set for
    all commands may not be made yet."""
    if not place.has_database:
        return None
    source = click.get_current_context().get_parameter_source("database")
    if source is ParameterSource.COMMANDLINE or is_made(place.database):
        return place.database
    say(f"note: {place.name} is not made yet: nothing is known of paces, blocks and pauses")
    return None


def _row(tenant_id: str, loaded: Loaded, examined: Examined | None) -> Row:
    """What `doctor` says of one tenant. `kind`, `http_status` and `detail`, a piece of the reply,
    are those of the failure."""
    integration = loaded.integrations.get(tenant_id)
    verdict, message, failure = _verdict_on(tenant_id, loaded, examined)
    return {
        "tenant_id": tenant_id,
        "name": loaded.names.get(tenant_id),
        "provider": integration.provider if integration else None,
        "target": examined.target if examined else None,
        "verdict": verdict,
        "kind": failure.kind.value if failure else None,
        "message": message,
        "http_status": failure.http_status if failure else None,
        "detail": failure.detail if failure else None,
    }


def _row_of_sink(sink: Sink, test_notice: bool) -> Row:
    """What `doctor` says of a sink of notices: a row without a tenant. It has no dry run."""
    verdict, message = "not_tried", "--test-notice sends it a notice, which people see"
    if test_notice:
        refusal = _refusal_of(sink)
        verdict = "ready" if refusal is None else "not_ready"
        message = "it has taken a notice" if refusal is None else refusal
    empty = dict.fromkeys(("tenant_id", "name", "provider", "target", "verdict", "kind", "message"))
    more = {"http_status": None, "detail": None}
    return {**empty, "target": sink.name, "verdict": verdict, "message": message, **more}


def _refusal_of(sink: Sink) -> str | None:
    try:
        sink.take(notice_of("test", datetime.now(UTC), _TEST))
    except NotTakenError as error:
        return str(error)
    except Exception as error:  # a host's callable; what it says may have a secret in it
        return type(error).__name__
    return None


def _verdict_on(
    tenant_id: str, loaded: Loaded, examined: Examined | None
) -> tuple[str, str | None, Failure | None]:
    if examined is None:
        if tenant_id in loaded.without:
            return "no_integration", None, None
        problems = number_of(len(loaded.broken.get(tenant_id, ())), "problem")
        return "invalid", f"{problems} in its file, which `check` lists as well", None
    paused = f"; but {examined.pause.failure.message}" if examined.pause else ""
    match examined.dry_run:
        case None:
            provider = loaded.integrations[tenant_id].provider
            message = f"{provider} has no dry run; evidence goes to {examined.target}{paused}"
            return "cannot_be_checked", message, None
        case Ready(message=message) if (block := examined.block) is not None:
            parked = block.until is not None
            how = f"parked until {moment(block.until)}," if parked else "blocked"
            since = f"since {moment(block.since)}, as an upload showed"
            text = f"{message}{paused}; but {how} {since}: {block.failure.message}"
            return "parked" if parked else "blocked", text, block.failure
        case Ready(message=message):
            return "ready", f"{message}{paused}", None
        case NotReady(failure=failure) if failure.kind is FailureKind.RATE_LIMITED:
            wait = failure.retry_after
            then = "" if wait is None else f"; ask again in {wait:g} s"
            return "cannot_be_checked", f"{failure.message}{then}", failure
        case NotReady(failure=failure):
            broken = failure.kind is FailureKind.PROVIDER_BROKEN
            return "broken" if broken else "not_ready", failure.message, failure


def _tell_of_waiting(tenant_id: str, until: datetime) -> None:
    if (until - datetime.now(UTC)).total_seconds() >= _WORTH_TELLING:
        say(f"{tenant_id}: waits for its turn at the provider, until {moment(until)}")
