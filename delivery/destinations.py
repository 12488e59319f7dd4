"""Where a tenant's evidence goes, and what follows from that: the rules, and what is shown at the
gate."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import timedelta
from functools import cache, cached_property, lru_cache
from typing import TypeAlias, TypeGuard, TypeVar, cast

from attrs import Factory, evolve, field, frozen

from ..domain.evidence.evidence import Outcome
from ..domain.integration import Integration, Pace, tenant_key
from ..domain.pacing.backfill import BEHIND
from ..domain.pacing.gate import Quota
from ..domain.upload.failure import Failure, FailureKind
from ..domain.upload.transitions import LOOK_UP_DELAYS, Rules
from ..domain.upload.upload import UNKNOWN_PROVIDER, UploadKey
from ..ports.provider import Bundle, Bundling, CanLookUp, Limits, Provider
from ..ports.records import Dossier, NamedProvider, StoredDocument
from .fair_share import Lane

C = TypeVar("C")
DEFAULT_PORTS = {"https": 443, "http": 80}
_ORIGIN = re.compile(r"(https?)://(\[[^\]]+\]|[^/?#:@\[]+)(?::(\d+))?(?=[/?#]|$)", re.IGNORECASE)

UNPACED = Pace(1_000, timedelta(seconds=1))
"""The pace of a credential that only one courier may use, where its provider names none."""

MAX_STORED = 100 * 1024 * 1024
"""How many bytes are kept of a document that is handed over in memory and is too large."""

_MAX_PROBLEMS = 500  # characters


def _lane_of(destination: Destination) -> Lane:
    quota = destination.quota
    lane = destination.origin, (destination.integration.tenant_id, quota.credential)
    return (*lane, BEHIND) if quota.backfill else lane


_rules = lru_cache(maxsize=256)(Rules)
"""The same object for all that have the same rules, as most tenants do."""


@frozen
class Destination:
    """Where a tenant's evidence goes: its integration and the provider that the integration names.

    `origin` is the scheme, host and port that it sends to, and `lane` who takes turns: at an
    origin, a tenant with a set of credentials, and behind it its old records. `bundle` is how much
    goes into one request, where several uploads may travel together. `invalid`: the tenant's
    configuration is, so that evidence is recorded under UNKNOWN_PROVIDER and held with this
    failure.
    """

    integration: Integration
    provider: Provider
    rules: Rules
    quota: Quota
    bundle: Bundle | None = None
    origin: str = ""
    invalid: Failure | None = None
    lane: Lane = field(init=False, eq=False, default=Factory(_lane_of, takes_self=True))

    def for_backfill(self, backfill: bool) -> Destination:
        """The same for old records, or for what is fresh."""
        return self if self.quota.backfill is backfill else self._other

    @cached_property
    def _other(self) -> Destination:
        return evolve(self, quota=evolve(self.quota, backfill=not self.quota.backfill))


Destinations: TypeAlias = Mapping[str, Destination]
"""Where tenants' evidence goes, by `tenant_key`."""


def home_of(destinations: Destinations, key: UploadKey) -> Destination | None:
    """Where an upload goes: its tenant's destination, if that is still with the upload's
    provider."""
    destination = destinations.get(tenant_key(key.tenant_id))
    fits = destination is not None and destination.integration.provider == key.provider
    return destination if fits else None


def destination_of(integration: Integration, provider: Provider, key: bytes) -> Destination:
    """The integration with its provider, and what follows from both: the rules, and what it shows
    at its gate.

    `key` is the store's: fingerprints under it are the same for all couriers on the store, and mean
    nothing elsewhere.
    """
    pace = integration.pace or provider.pace
    if pace is None and provider.exclusive_credential:
        # its requests must be counted all the same: whether one is under way decides who may send
        pace = UNPACED
    bundle = _bundle_of(integration, provider)
    looks_up = _look_up_of(provider)
    rules = _rules(
        retry=integration.retry,
        on_unclear=integration.on_unclear,
        can_look_up=looks_up is not None,
        look_up_delays=looks_up.look_up_delays if looks_up is not None else LOOK_UP_DELAYS,
        throttle_floor=pace.period if pace is not None else timedelta(0),
        park_limit=integration.park_limit,
    )
    credential = _fingerprint(
        key,
        [
            integration.provider,
            integration.stored.get("endpoint"),
            [secret.reveal() for secret in integration.secrets],
        ],
    )
    quota = Quota(
        credential=credential,
        address=_fingerprint(key, [integration.tenant_id, credential, dict(integration.stored)]),
        pace=pace,
        cost=provider.cost,
        timeout=integration.route.timeouts.total,
        together=bundle.most if bundle is not None else 1,
        exclusive=provider.exclusive_credential,
    )
    return Destination(integration, provider, rules, quota, bundle, origin_of(integration))


def _look_up_of(provider: Provider) -> CanLookUp | None:
    return provider if offers(provider, CanLookUp) else None


class _UnknownProvider:
    """In the place of a provider that is not known yet. Nothing is sent to it."""

    name, limits, pace, cost, exclusive_credential = (
        UNKNOWN_PROVIDER,
        Limits(None, {}),
        None,
        1,
        False,
    )


GOES_ON = "it goes on by itself (a BlockingCourier's at the next deliver)"
"""How an upload goes on that an integration held: only a courier with a background looks at it."""


def invalid_failure(tenant_id: str, problems: Iterable[object]) -> Failure:
    """Why the uploads of a tenant are held whose configuration is invalid."""
    listed = "; ".join(map(str, problems))[:_MAX_PROBLEMS]
    return Failure(
        FailureKind.INTEGRATION_INVALID,
        f"the configuration of tenant {tenant_id!r} is invalid ({listed}): mend it and reload, "
        f"then {GOES_ON}",
    )


def placeholder(tenant_id: str, problems: Iterable[object]) -> Destination:
    """Where the evidence of a tenant goes whose configuration is invalid: to be held."""
    integration = Integration(tenant_id, UNKNOWN_PROVIDER, None)
    quota = Quota(UNKNOWN_PROVIDER, UNKNOWN_PROVIDER)
    provider = cast(Provider, _UnknownProvider())
    return Destination(
        integration, provider, Rules(), quota, invalid=invalid_failure(tenant_id, problems)
    )


def named_provider(tenant_id: str, destination: Destination) -> NamedProvider:
    """What becomes of a tenant's uploads whose provider was not known."""
    integration = destination.integration
    credential = destination.quota.credential
    return NamedProvider(tenant_id, integration.provider, credential, integration.stored)


def offers(provider: object, capability: Callable[..., C]) -> TypeGuard[C]:
    """`isinstance` for a capability of providers, which takes a twentieth of its time."""
    return all(hasattr(provider, name) for name in _members(capability))


@cache
def _members(capability: Hashable) -> tuple[str, ...]:
    named = {*vars(capability), *capability.__annotations__}
    return tuple(name for name in named if not name.startswith("_"))


def origin_of(integration: Integration) -> str:
    """The scheme, host and port that an integration sends to, as far as its settings say: the
    address is their `base`, `url` or `endpoint`. Else the name of the provider."""
    for name in ("base", "url", "endpoint"):
        try:
            address: object = getattr(integration.settings, name, None)
        except Exception:  # a plug-in's settings: what they mean is not known
            continue
        if isinstance(address, str) and (found := _ORIGIN.match(address)):
            scheme, host, port = found.groups()
            return f"{scheme}://{host}:{port or DEFAULT_PORTS[scheme.lower()]}".lower()
    return integration.provider


def _bundle_of(integration: Integration, provider: Provider) -> Bundle | None:
    if not offers(provider, Bundling):
        return None
    try:
        bundle: object = provider.bundle(integration.settings)
    except Exception:
        # A plug-in's bug, while every tenant's settings are taken up: its uploads go one by one.
        return None
    # So they do where it names no numbers: every tenant's uploads pass by where these are counted
    # with.
    if not isinstance(bundle, Bundle) or not isinstance(bundle.most, int) or bundle.most <= 1:
        return None
    return bundle if isinstance(bundle.max_bytes, int | None) else None


_TEXT_OF = json.JSONEncoder(sort_keys=True, default=repr).encode


def _fingerprint(key: bytes, value: object) -> str:
    return hmac.digest(key, _TEXT_OF(value).encode("ascii"), "sha256").hex()[:32]


def excluded(outcome: Outcome, integration: Integration) -> Failure | None:
    """Why the settings exclude evidence of this outcome; None if they include it."""
    if outcome in integration.outcomes:
        return None
    included = " and ".join(one.value for one in integration.outcomes)
    return Failure(
        FailureKind.OUTCOME_EXCLUDED,
        f"the outcome is {outcome.value}, and tenant {integration.tenant_id!r} sends only "
        f"{included} to {integration.provider}: nothing was sent; to send it, add {outcome.value} "
        "to `outcomes` in the tenant file, then submit it again or retry it",
    )


def unsendable(dossier: Dossier, destination: Destination) -> Failure | None:
    """Why an upload must not begin; None if it may."""
    excluding = excluded(dossier.outcome, destination.integration)
    return excluding or unfit(dossier.document, destination)


def unfit(document: StoredDocument, destination: Destination) -> Failure | None:
    """Why the provider cannot take such a document; None where it can."""
    integration, limits = destination.integration, destination.provider.limits
    size, media_type = document.size, document.media_type
    own, most = integration.max_bytes, limits.max_bytes
    if size == 0:
        return Failure(
            FailureKind.UNFIT_SIZE,
            "the document has 0 bytes, so it is evidence of nothing: submit the document itself "
            "under a new evidence id",
        )
    if own is not None and size > own and (most is None or size <= most):
        advice = "raise `max_bytes` in the tenant's file, and retry the upload"
        if size > MAX_STORED and document.path is None and document.source is None:
            advice = (
                f"of a document in memory at most {MAX_STORED:,} bytes are stored: raise "
                "`max_bytes` in the tenant's file, and submit it under a new evidence id"
            )
        return Failure(
            FailureKind.UNFIT_SIZE,
            f"the document has {size:,} bytes, and tenant {integration.tenant_id!r} allows at most "
            f"{own:,}: {advice}",
        )
    if most is not None and size > most:
        return Failure(
            FailureKind.UNFIT_SIZE,
            f"the document has {size:,} bytes, and {integration.provider} takes at most {most:,} "
            f"for tenant {integration.tenant_id!r}: submit a smaller one under a new evidence id",
        )
    if limits.media_types and media_type.lower() not in limits.media_types:
        return Failure(
            FailureKind.UNFIT_TYPE,
            f"{integration.provider} does not take {media_type}: submit a document of one of its "
            f"types, such as {next(iter(limits.media_types))}, under a new evidence id",
        )
    return None
