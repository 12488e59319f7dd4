"""What a provider says of itself, and its settings."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

import attrs

from ....adapters.plugins import fault_of
from ....domain.evidence.evidence import media_type_of
from ....ports.provider import Bundling, CanLookUp, Checkable, Provider, Recognising, Selecting
from ..assertions import must
from ..conversation import Reply
from .harness import answered
from .rehearsal import PERHAPS_TAKEN, SURELY_NOT_TAKEN, Canaries, ProviderRules, load

_TELLING: Final[list[Reply]] = [
    *(answered(status) for status in (200, 302, 400, 401, 403, 404, 409, 413, 415, 422, 429, 500)),
    answered(200, b"{}"),
    *SURELY_NOT_TAKEN,
    *PERHAPS_TAKEN,
]


class DeclarationRules(ProviderRules):
    """The rules for the attributes of a provider."""

    def test_it_says_what_a_provider_says_of_itself(self) -> None:
        """The courier can use `name`, `limits`, `pace` and `cost`."""
        provider = self.harness().provider
        fault = fault_of(provider, provider.name)
        must(fault is None, f"it {fault}")
        must(
            re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", provider.name),
            f"its name {provider.name!r} is no plain word",
        )
        must(provider.limits.media_types, "it takes no media type")
        for media_type, extension in provider.limits.media_types.items():
            must(
                media_type == media_type_of(media_type)
                and re.fullmatch(r"[^/\s]+/[^/\s]+", media_type),
                f"{media_type!r} is no media type in lower case by its registered name: a document "
                f"of it bears {media_type_of(media_type)!r}",
            )
            must(
                re.fullmatch(r"[a-z0-9]{1,10}", extension),
                f"{extension!r} is no extension: letters and digits, without a dot",
            )

    def test_a_capability_is_whole_or_absent(self) -> None:
        """A provider with one member of `CanLookUp`, `Checkable` or `Bundling` has all of them, in
        the form that the courier uses."""
        provider = self.harness().provider
        for capability, members in (
            (CanLookUp, ("look_up", "look_up_delays")),
            (Checkable, ("check",)),
            (Bundling, ("bundle", "upload_together")),
            (Recognising, ("is_success",)),
            (Selecting, ("default_outcomes",)),
        ):
            present = [name for name in members if hasattr(provider, name)]
            must(
                not present or isinstance(provider, capability),
                f"it has {' and '.join(present)}, and is not {capability.__name__} all the same: "
                f"it lacks {' and '.join(sorted({*members} - {*present}))}",
            )
            for name in present:
                must(
                    name == "look_up_delays" or callable(getattr(provider, name)),
                    f"its {name} cannot be called",
                )


class SettingsRules(ProviderRules):
    """The rules for the settings of a provider."""

    def test_its_settings_come_out_of_a_tenant_file(self) -> None:
        """Schema and settings class know the same keys, and the sample loads."""
        of_class = self.harness().provider.settings_class
        settings = self._tried.settings
        must(
            isinstance(settings, of_class),
            f"the sample gives {type(settings).__name__}, not the settings class",
        )
        known = {one.name for one in attrs.fields(of_class) if one.init}
        schema = set(self.harness().provider.schema)
        must(
            schema <= known,
            f"the schema has keys that the settings class has not: {sorted(schema - known)}",
        )
        must(known <= schema, f"no tenant file can say {sorted(known - schema)}: not in the schema")

    def test_a_credential_is_taken_as_a_reference_only(self) -> None:
        """A literal secret in a tenant file is refused."""
        harness = self.harness()
        references = [key for key, value in harness.settings.items() if str(value).startswith("${")]
        must(
            references or not self._tried.secrets,
            "write the sample's credentials as ${NAME} references",
        )
        for key in references:
            literal = {**harness.settings, key: "a-literal-secret-0123456789"}
            must(
                load(harness.provider, literal, Canaries(harness.secrets, "a"))[1],
                f"a tenant file may hold the credential {key} itself: its type must be `secret`",
            )

    def test_a_credential_shows_itself_nowhere(self) -> None:
        """Not in a URL, a repr, the target, a message or a detail."""
        provider, settings, secrets = (
            self.harness().provider,
            self._tried.settings,
            self._tried.secrets,
        )
        must(
            secrets or "secret" not in repr(dict(provider.schema)),
            "name the credentials in the harness's sample: nothing can be looked for",
        )
        shown = [
            ("repr of the settings", repr(settings)),
            ("target", str(provider.target(settings))),
            *(("advice", sentence) for sentence in _advice_of(provider, settings)),
        ]
        for fault in (None, *(fault for _, _, fault in self._faults(_TELLING))):
            talk = self._tried.upload(fault)
            shown += [("its outcome", talk.outcome)]
            shown += [("bookmark", progress) for _, progress in talk.bookmarks]
            for request in (*talk.requests, *talk.mint_requests):
                shown += [("URL", request.url), ("repr of a request", repr(request))]
            for token in talk.tokens:
                must(not _holds(f"{talk.outcome} {talk.requests!r}", token), "a token shows itself")
        for where, text in shown:
            for secret in secrets:
                must(not _holds(text, secret), f"a credential stands in the {where}")


def _advice_of(provider: Provider, settings: object) -> Iterator[str]:
    advice: Any = getattr(provider, "advice", None)
    if callable(advice):
        sentences: Any = advice(settings)
        yield from map(str, sentences)


def _holds(text: str, secret: str) -> bool:
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    forms = (secret, encoded, secret.encode().hex())
    return any(form in view for view in (text, unquote(text)) for form in forms)
