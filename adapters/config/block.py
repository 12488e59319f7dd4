"""One tenant's block: from the plain values in it to an `Integration`, or to everything that is
wrong with it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from attrs import define, evolve, field
from cattrs import Converter

from ...domain.integration import Integration, OnUnclear, RetryPolicy, Route, Timeouts
from ...domain.secrets.secret import Secret
from ...ports.provider import Provider
from ...ports.secrets import Secrets
from ..plugins import BrokenProvider, fault_of
from .complaints import closest, complain, plugin_words
from .references import References, resolved_in
from .report import Path, Report, Rules
from .schema import CORE, BlockSchema, FragmentError, core_schema, schema_with
from .structure import faults, secrets_in, settings_converter, stored_settings
from .tenant_data import TenantData
from .urls import passwords_in
from .values import Size, shown_duration, shown_size

Providers = Mapping[str, Provider | BrokenProvider]


@define
class BlockReader:
    """Reads the blocks of one load; the schemas and the secrets that were looked up serve all of
    its tenants."""

    providers: Providers
    secrets: Secrets
    block: Path
    schemas: dict[str, BlockSchema | str] = field(factory=dict)
    converter: Converter = field(factory=settings_converter, repr=False)
    references: References = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.references = References(self.secrets)

    def integration(
        self, data: TenantData, folder: str | None, report: Report
    ) -> tuple[Integration | None, Rules]:
        """The integration, if nothing is wrong with it; and the rules of its block, for the report
        to be shown by.

        `folder` is what a relative path in the block is relative to, None where there is no such
        folder.
        """
        assert data.settings is not None
        tenant = data.tenant or "of this file"
        provider, schema = self.provider(data.settings, tenant, report)
        resolved = self.resolved(data.settings, schema, tenant, report)
        document = self.checked(resolved, schema, provider, report)
        self.contradictions(document, provider, folder, report)
        made = None
        if provider is not None and data.tenant is not None and not report.notes:
            made = self.built(data.tenant, data.name, document, provider, folder, report)
        return made, schema.as_rules()

    def provider(
        self, settings: Mapping[str, object], tenant: str, report: Report
    ) -> tuple[Provider | None, BlockSchema]:
        """The provider that the block names, None if it cannot be used, and the schema to check
        the block by."""
        path = (*self.block, "provider")
        name = self.references.resolve(settings.get("provider"), path, tenant, report)
        if not isinstance(name, str) or report.noted(path):
            return None, core_schema()
        provider = self.providers.get(name)
        if provider is None:
            told = f"is no provider that is installed (installed: {', '.join(sorted(self.providers)) or 'none'})"
            report.note(path, told, suggestion=closest(name, self.providers))
            return None, core_schema()
        schema = self.schema(str(name), provider)
        if isinstance(provider, BrokenProvider) or isinstance(schema, str):
            report.note(path, f"the provider {provider.name} cannot be used: {schema}")
            return None, core_schema()
        return provider, schema

    def schema(self, name: str, provider: Provider | BrokenProvider) -> BlockSchema | str:
        """The schema for a provider's blocks, or why the provider cannot be used."""
        if name not in self.schemas:
            self.schemas[name] = _schema(name, provider)
        return self.schemas[name]

    def resolved(
        self, settings: dict[str, object], schema: BlockSchema, tenant: str, report: Report
    ) -> dict[str, object]:
        """The settings with their references resolved; under a key that nobody knows there is
        nothing to resolve."""
        return {
            key: self.references.resolve(value, (*self.block, key), tenant, report)
            if key in schema.rules or not schema.strict
            else value
            for key, value in settings.items()
        }

    def checked(
        self,
        settings: dict[str, object],
        schema: BlockSchema,
        provider: Provider | None,
        report: Report,
    ) -> dict[str, Any]:
        """The settings as the schema reads them; whatever it refuses is noted."""
        for path in _empty(settings, schema.as_rules()):
            report.note((*self.block, *path), "has no value: write one, or leave the key out")
        try:
            document, found = schema.check(settings)
        except (
            Exception
        ) as error:  # a rule of the provider's own that fails; its words may hold anything
            name = provider.name if provider is not None else "unknown"
            report.note(
                self.block,
                f"the provider {name} failed to check its settings ({type(error).__name__})",
            )
            return {}
        complain(found, self.block, schema.as_rules(), report, tuple(resolved_in(settings)))
        return document

    def contradictions(
        self,
        document: Mapping[str, Any],
        provider: Provider | None,
        folder: str | None,
        report: Report,
    ) -> None:
        """What each value for itself allows, and all together do not."""
        retry, default = _durations(document, "retry"), RetryPolicy()
        first, most = retry.get("initial_delay"), retry.get("max_delay", default.max_delay)
        if first is not None and most < first:
            key = "max_delay" if "max_delay" in retry else "initial_delay"
            told = shown_duration(most) + ("" if "max_delay" in retry else ", its default")
            report.note(
                (*self.block, "retry", key),
                f"max_delay ({told}) must not be shorter than initial_delay ({shown_duration(first)})",
            )
        timeout = _durations(document, "timeout")
        total = timeout.get("total", Timeouts().total)
        told = shown_duration(total) + ("" if "total" in timeout else ", its default")
        for key in ("connect", "idle"):
            if key in timeout and timeout[key] > total:
                report.note(
                    (*self.block, "timeout", key),
                    f"must not be longer than the timeout in total ({told})",
                )
        limit, size = (
            provider.limits.max_bytes if provider is not None else None,
            document.get("max_bytes"),
        )
        if limit is not None and provider is not None and isinstance(size, Size) and size > limit:
            report.note(
                (*self.block, "max_bytes"),
                f"must be at most {shown_size(limit)}, which is all that {provider.name} takes",
            )
        bundle = document.get("ca_bundle")
        if isinstance(bundle, str) and not report.noted((*self.block, "ca_bundle")):
            fault = _fault_of_bundle(bundle, folder)
            if fault is not None:
                report.note((*self.block, "ca_bundle"), fault)

    def built(
        self,
        tenant: str,
        name: str | None,
        document: dict[str, Any],
        provider: Provider,
        folder: str | None,
        report: Report,
    ) -> Integration | None:
        """The frozen classes, unless the provider's own refuses its values."""
        own = {key: value for key, value in document.items() if key not in CORE}
        try:
            settings: object = self.converter.structure(own, provider.settings_class)
            references = {Secret(str.__str__(text)): text.reference for _, text in secrets_in(own)}
            stored = stored_settings(settings, references, self.converter)
        except Exception as error:
            self.refused(error, provider, own, report)
            return None
        proxy = document.get("proxy")
        secrets = [*references, *map(Secret, passwords_in(proxy) if isinstance(proxy, str) else ())]
        bundle = document.get("ca_bundle")
        return Integration(
            tenant_id=tenant,
            name=name,
            provider=provider.name,
            settings=settings,
            retry=_retry(document.get("retry", {})),
            on_unclear=OnUnclear(document.get("on_unclear", OnUnclear.RETRY.value)),
            pace=document.get("pace"),
            route=Route(
                timeouts=_timeouts(document.get("timeout", {})),
                proxy=str.__str__(proxy) if proxy is not None else None,
                ca_bundle=str.__str__(os.path.join(folder or "", bundle))
                if bundle is not None
                else None,
            ),
            max_bytes=int(document["max_bytes"]) if "max_bytes" in document else None,
            secrets=tuple(secrets),
            stored=stored,
        )

    def refused(
        self, error: Exception, provider: Provider, own: dict[str, Any], report: Report
    ) -> None:
        """Note what a settings class has against its values, in its own words unless they quote
        a credential or the value."""
        secrets = [text for _, text in secrets_in(own)]
        for path, words in faults(error, provider.settings_class, own, self.converter):
            value = own.get(str(path[0])) if path else None
            instead = f"the provider {provider.name} does not take this"
            told = plugin_words(words, instead, secrets=secrets, value=value)
            if not path and told != instead:  # no key says whose words these are
                told = f"{instead}: {told}"
            report.note((*self.block, *path), told)


def _schema(name: str, provider: Provider | BrokenProvider) -> BlockSchema | str:
    if isinstance(provider, BrokenProvider):
        return provider.reason
    fault = fault_of(provider, name)
    if fault is not None:
        return f"what is given for it {fault}"
    try:
        return schema_with(provider.schema)
    except FragmentError as error:
        return f"{error}; ask its authors for a version that works here"


def _retry(written: Mapping[str, Any]) -> RetryPolicy:
    """A default gives way to what was written: a short `max_delay` makes the first delay short
    too."""
    policy = evolve(RetryPolicy(), **written)
    return evolve(policy, initial_delay=min(policy.initial_delay, policy.max_delay))


def _timeouts(written: Mapping[str, Any]) -> Timeouts:
    timeouts = evolve(Timeouts(), **written)
    return evolve(
        timeouts,
        connect=min(timeouts.connect, timeouts.total),
        idle=min(timeouts.idle, timeouts.total),
    )


def _durations(document: Mapping[str, Any], key: str) -> dict[str, timedelta]:
    written = document.get(key)
    members = written.items() if isinstance(written, dict) else ()
    return {name: value for name, value in members if isinstance(value, timedelta)}


def _empty(value: object, rules: Rules) -> list[Path]:
    """Keys that are there with nothing after them; Cerberus would quietly put a default in their
    place."""
    below = rules.get("schema")
    if not isinstance(value, dict) or not isinstance(below, Mapping):
        return []
    found: list[Path] = []
    for key, member in value.items():
        own = below.get(key)
        if not isinstance(own, Mapping):
            continue
        if member is None and not own.get("nullable"):
            found.append((key,))
        found.extend((key, *path) for path in _empty(member, own))
    return found


def _fault_of_bundle(bundle: str, folder: str | None) -> str | None:
    if folder is None and not os.path.isabs(bundle):
        return (
            "must be an absolute path, since there is no tenant file that it could be relative to"
        )
    path = os.path.join(folder or "", bundle)
    try:
        if not os.path.isfile(path):
            return "names no file (a relative path starts at the tenant file's folder)"
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        return "names a file that holds no certificates in PEM form"
    except (OSError, ValueError):
        return "names a file that cannot be read"
    return None
