"""One tenant's block: from the plain values in it to an `Integration`, or to all its problems."""

from __future__ import annotations

import os
import ssl
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from datetime import date, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, TypeAlias, TypeVar

import attrs
from attrs import define, evolve, field
from cattrs import BaseValidationError, Converter

from ...domain.evidence.evidence import Outcome
from ...domain.integration import (
    PARK_LIMIT,
    Integration,
    OnUnclear,
    Pace,
    RetryPolicy,
    Route,
    Timeouts,
)
from ...domain.retention import Retention
from ...domain.secrets.redaction import SHORTEST_RUN
from ...domain.secrets.secret import Secret
from ...domain.written import Size, shown_duration, shown_size
from ...ports.provider import Provider
from ..plugins import BrokenProvider, default_outcomes, fault_of
from . import schema as schemas
from .references import NOT_SECRET, References, Resolved, SecretText, Unresolved, resolved_in
from .report import Path, Report
from .sources import Node
from .stamps import stamp_at
from .tenant_file import read_tenant
from .urls import passwords_in

T = TypeVar("T")
Providers = Mapping[str, Provider | BrokenProvider]
Texts: TypeAlias = Sequence[tuple[Path, Resolved]]
"""The texts of a block that references were resolved to, and where they stand."""


@define
class BlockReader:
    """Reads the blocks of one load; its schemas and resolved secrets serve all tenants."""

    providers: Providers
    references: References
    known: dict[str, schemas.BlockSchema | str] = field(factory=dict)
    _values: dict[Any, Any] = field(factory=dict, init=False, repr=False)

    def shared(self, value: T, form: Hashable = None) -> T:
        """The first equal value of this load, so that what most tenants have in common is there
        once: a collection of garbage looks at each object. `form` says what is equal if the value
        cannot be hashed."""
        found: T = self._values.setdefault(value if form is None else form, value)
        return found

    def read(self, root: Node, report: Report) -> None:
        """Read one tenant's data; the report gets its integration if nothing is wrong with it."""
        settings = read_tenant(root, report)
        if settings is None:
            return
        provider, schema = self.provider(settings, report)
        report.rules = schema.as_rules
        report.provider = None if provider is None else provider.name
        resolved = {
            key: self.references.resolve(value, (*report.block, key), report)
            if key in schema.rules or not schema.strict  # an unknown key is wrong already
            else value
            for key, value in settings.items()
        }
        document = self.checked(resolved, schema, report)
        texts = tuple(resolved_in(document)) if report.answers else ()
        for path, fault in _faults_of_the_whole(document, texts, provider, report):
            report.note((*report.block, *path), fault)
        if provider is not None:  # else no field is known to be secret
            self.remember_references(resolved, document, texts, report)
        if provider is not None and report.tenant_id is not None and not report.notes:
            report.integration = self.built(report.tenant_id, document, texts, provider, report)

    def remember_references(
        self,
        resolved: Mapping[str, object],
        document: Mapping[str, Any],
        texts: Texts,
        report: Report,
    ) -> None:
        """Take down which references fill secrets, and which stand in fields that are shown."""
        secret: set[Path] = {path for path, text in texts if isinstance(text, SecretText)}
        proxy = document.get("proxy", "")
        if isinstance(proxy, Unresolved) or passwords_in(str(proxy)):
            secret.add(("proxy",))
        for path, text in resolved_in(resolved) if report.answers else ():
            if path in secret:
                report.secret += (text.reference,)
                if len(text) < SHORTEST_RUN and not isinstance(text, Unresolved):
                    report.warn(
                        f"{path[0]}: the value of {text.reference} has fewer than {SHORTEST_RUN} "
                        "characters: is it whole? Where so short a text stands in words, its mask "
                        "shows what it is",
                        report.line_of((*report.block, *path)),
                    )
            elif text.is_file:  # a proxy without a password
                report.note((*report.block, *path), f"is {text.reference}, {NOT_SECRET}")
            else:
                report.shown += (((*report.block, *path), text.reference),)

    def provider(
        self, settings: Mapping[str, object], report: Report
    ) -> tuple[Provider | None, schemas.BlockSchema]:
        """The provider that the block names, None if unusable, and the schema to check by."""
        path = (*report.block, "provider")
        name = self.references.resolve(settings.get("provider"), path, report)
        if not isinstance(name, str) or path in report.around():
            return None, schemas.UNKNOWN_PROVIDER
        provider = self.providers.get(name)
        if provider is None:
            installed = ", ".join(sorted(self.providers)) or "none"
            message = f"is no provider that is installed (installed: {installed})"
            report.note(path, message, suggestion=schemas.closest(name, self.providers))
            return None, schemas.UNKNOWN_PROVIDER
        if name not in self.known:
            self.known[str(name)] = schema_for(name, provider)
        schema = self.known[name]
        if isinstance(provider, BrokenProvider) or isinstance(schema, str):
            report.note(path, f"the provider {provider.name} cannot be used: {schema}")
            return None, schemas.UNKNOWN_PROVIDER
        return provider, schema

    def checked(
        self, settings: dict[str, object], schema: schemas.BlockSchema, report: Report
    ) -> dict[str, Any]:
        """The settings as the schema reads them; what it refuses is noted."""
        settings = _without_nulls(settings, schema.rules)
        try:
            document, found = schema.check(settings)
        except Exception as error:  # a provider's own rule that fails, with a secret in its words
            name = str(settings.get("provider")) if schema.strict else "unknown"
            why = type(error).__name__
            report.note(report.block, f"the provider {name} failed to check its settings ({why})")
            return {}
        if found:
            given = dict(resolved_in(settings))
            unresolved = {path for path, text in given.items() if isinstance(text, Unresolved)}
            schemas.complain(found, report, tuple(map(str.__str__, given.values())), unresolved)
        return document

    def built(
        self,
        tenant: str,
        document: dict[str, Any],
        texts: Texts,
        provider: Provider,
        report: Report,
    ) -> Integration | None:
        """The frozen classes, unless the provider's own refuses its values or lacks some."""
        own = {key: value for key, value in document.items() if key not in schemas.CORE}
        unknown = {path[0] for path, text in texts if isinstance(text, Unresolved)}
        if unknown:
            known = {key: value for key, value in own.items() if key not in unknown}
            self.refused(_faults_of_fields(provider.settings_class, known), provider, own, report)
            return None
        try:
            settings: object = _settings_converter().structure(own, provider.settings_class)
            its = [text for path, text in texts if path[0] in own and isinstance(text, SecretText)]
            references = {str.__str__(text): text.reference for text in its}
            stored = _json(_settings_converter().unstructure(settings), references)
            outcomes = tuple(map(Outcome, dict.fromkeys(document.get("outcomes", ()))))
            outcomes = outcomes or default_outcomes(provider, settings)
        except Exception as error:
            faults = _faults_of_settings(error, provider.settings_class, own)
            self.refused(faults, provider, own, report)
            return None
        passwords = passwords_in(document.get("proxy", ""))
        return Integration(
            tenant_id=tenant,
            name=report.name,
            provider=provider.name,
            settings=settings,
            retry=self.shared(_section("retry", document.get("retry", {}))),
            on_unclear=OnUnclear(document.get("on_unclear", OnUnclear.RETRY.value)),
            outcomes=self.shared(outcomes),
            park_limit=document.get("park_limit", PARK_LIMIT),
            pace=self.shared(document.get("pace")),
            route=self.shared(_route(document, report)),
            max_bytes=int(document["max_bytes"]) if "max_bytes" in document else None,
            retention=self.shared(Retention(**document.get("retention", {}))),
            secrets=(*dict.fromkeys(text.secret for text in its), *map(Secret, passwords)),
            stored=stored if isinstance(stored, dict) else {},
        )

    def refused(
        self,
        faults: Iterable[tuple[Path, str]],
        provider: Provider,
        own: dict[str, Any],
        report: Report,
    ) -> None:
        """Note what a settings class has against its values, in its own words unless they quote
        a credential or the value."""
        secrets, instead = _secrets_in(own), f"the provider {provider.name} does not take this"
        for path, words in faults:
            value = own.get(str(path[0])) if path else None
            if self.references.are_open and (not path or isinstance(value, SecretText)):
                continue
            message = schemas.plugin_words(words, instead, secrets=secrets, value=value)
            if not path and message != instead:  # without a key, say whose words these are
                message = f"{instead}: {message}"
            report.note((*report.block, *path), message)


def refuse_shown_secrets(reports: Sequence[Report]) -> None:
    """Once all are read: refuse a reference that is shown and fills a secret of any tenant."""
    secret = {reference for report in reports for reference in report.secret}
    for report in reports:
        for path, reference in report.shown:
            if reference in secret:
                why = "which fills a secret elsewhere, and this field is not secret"
                report.note(path, f"is {reference}, {why}")


def schema_for(name: str, provider: Provider | BrokenProvider) -> schemas.BlockSchema | str:
    """The schema for a provider's blocks, or why the provider cannot be used."""
    if isinstance(provider, BrokenProvider):
        return provider.reason
    fault = fault_of(provider, name)
    if fault is not None:
        return f"what is given for it {fault}"
    try:
        return schemas.schema_with(provider.schema)
    except schemas.FragmentError as error:
        return f"{error}; ask its authors for a version that works here"


_BOUNDS: Mapping[str, tuple[Any, str, tuple[str, ...]]] = {
    "retry": (RetryPolicy(), "max_delay", ("initial_delay",)),
    "timeout": (Timeouts(), "total", ("connect", "idle")),
}
"""Of each section the defaults, and the key whose duration no other one of these may exceed."""


def _section(name: str, written: Mapping[str, Any]) -> Any:
    """A default yields to what is written: a short `max_delay` makes the first delay short too."""
    defaults, bound, keys = _BOUNDS[name]
    if not written:
        return defaults
    values = evolve(defaults, **written)
    most = getattr(values, bound)
    return evolve(values, **{key: min(getattr(values, key), most) for key in keys})


def _route(document: Mapping[str, Any], report: Report) -> Route:
    proxy, bundle = document.get("proxy"), document.get("ca_bundle")
    return Route(
        timeouts=_section("timeout", document.get("timeout", {})),
        proxy=str.__str__(proxy) if proxy is not None else None,
        ca_bundle=_bundle_path(bundle, report) if bundle is not None else None,
    )


def _faults_of_the_whole(
    document: Mapping[str, Any], texts: Texts, provider: Provider | None, report: Report
) -> Iterator[tuple[Path, str]]:
    """The values that hold by themselves, but not beside the others, the provider or the disk."""
    for name, (defaults, bound, keys) in _BOUNDS.items():
        section = document.get(name)
        if not isinstance(section, dict):
            continue
        members = section.items()
        written = {key: value for key, value in members if isinstance(value, timedelta)}
        most: timedelta = written[bound] if bound in written else getattr(defaults, bound)
        for key in keys:
            if written.get(key, most) > most:
                shown = shown_duration(most) + ("" if bound in written else ", its default")
                yield (name, key), f"must not be longer than {name}.{bound} ({shown})"
    limit, size = provider.limits.max_bytes if provider else None, document.get("max_bytes")
    if provider and limit is not None and isinstance(size, Size) and size > limit:
        message = f"must be at most {shown_size(limit)}, which is all that {provider.name} takes"
        yield ("max_bytes",), message
    secrets = {text for _, text in texts if isinstance(text, SecretText)}
    for path, text in texts:
        if text in secrets and not isinstance(text, SecretText):
            yield path, f"is {text.reference}, a secret of this block, and this field is not secret"
    bundle = document.get("ca_bundle")
    is_known = isinstance(bundle, str) and not isinstance(bundle, Unresolved)
    fault = _fault_of_bundle(str(bundle), report) if is_known else None
    if fault is not None:
        yield ("ca_bundle",), fault


def _secrets_in(document: Mapping[str, Any]) -> list[SecretText]:
    return [text for _, text in resolved_in(document) if isinstance(text, SecretText)]


def _without_nulls(settings: Mapping[str, Any], rules: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without the known keys whose value is null: they count as absent."""
    present: dict[str, Any] = {}
    for key, value in settings.items():
        known = rules.get(key)
        own = known if isinstance(known, Mapping) else {}
        below = own.get("schema")
        if isinstance(value, dict) and own.get("type") == "dict" and isinstance(below, Mapping):
            present[key] = _without_nulls(value, below)
        elif value is not None or key not in rules or own.get("nullable"):
            present[key] = value
    return present


def _bundle_path(bundle: str, report: Report) -> str:
    return str.__str__(os.path.join(report.folder or "", bundle))


def _fault_of_bundle(bundle: str, report: Report) -> str | None:
    if report.folder is None and not os.path.isabs(bundle):
        return (
            "must be an absolute path, since there is no tenant file that it could be relative to"
        )
    path = _bundle_path(bundle, report)
    report.files[path] = stamp_at(path)
    try:
        if not os.path.isfile(path):
            return "names no file (a relative path starts at the tenant file's folder)"
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        return "names a file that holds no certificates in PEM form"
    except (OSError, ValueError):
        return "names a file that cannot be read"
    return None


# The provider's own settings class


@cache
def _settings_converter() -> Converter:
    """Structures a provider's settings class from values that its schema has accepted."""
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(Secret, _secret)
    for kind in (str, timedelta, date, Pace):
        converter.register_structure_hook(kind, _as_it_is)
    for left in (Secret, Pace):  # for `_json`
        converter.register_unstructure_hook(left, lambda value: value)
    return converter


def _secret(value: object, _: object) -> Secret:
    if not isinstance(value, SecretText):
        message = "yet its schema does not give it the type `secret`"
        raise ValueError(f"is a secret in the provider's settings, {message}")
    return value.secret


def _as_it_is(value: object, kind: type) -> object:
    if not isinstance(value, kind):
        raise ValueError("must be text" if kind is str else f"must be a {kind.__name__}")
    return str.__str__(value) if isinstance(value, str) else value


def _faults_of_settings(
    error: Exception, settings_class: type, values: Mapping[str, object]
) -> list[tuple[Path, str]]:
    """Where a settings class refused its values, below the block, and its message."""
    found = list(_error_leaves(error, ()))
    placed = [fault for fault in found if fault[0]]
    if len(placed) == len(found) or not attrs.has(settings_class):
        return found
    asked_again = list(_faults_of_fields(settings_class, values))
    return placed + (asked_again or [fault for fault in found if not fault[0]])


def _error_leaves(error: BaseException, path: Path) -> Iterator[tuple[Path, str]]:
    if not isinstance(error, BaseValidationError):
        yield path, _words(error)
        return
    for member in error.exceptions:
        notes = getattr(member, "__notes__", ())
        steps = [getattr(note, "name", getattr(note, "index", None)) for note in notes]
        below = [step for step in steps if step is not None][:1]
        yield from _error_leaves(member, (*path, *below))


def _faults_of_fields(
    settings_class: type, values: Mapping[str, object]
) -> Iterator[tuple[Path, str]]:
    """The words of each field's own validator, asked alone: so they get a place and none hides
    another."""
    fields = attrs.fields(attrs.resolve_types(settings_class))
    given = [one for one in fields if one.name in values]
    try:
        structure = _settings_converter().structure
        parts = {one.name: structure(values[one.name], one.type) for one in given}
    except Exception:  # what cannot be built by parts has its words from the whole already
        return
    for one in given:
        try:
            if one.validator is not None:
                one.validator(SimpleNamespace(**parts), one, parts[one.name])
        except (ValueError, TypeError) as error:
            yield (one.name,), _words(error).removeprefix(f"{one.name} ")
        except Exception:  # a validator that needs more of its instance than there is
            continue


def _words(error: BaseException) -> str:
    return error.args[0] if error.args and isinstance(error.args[0], str) else ""


def _json(value: object, references: Mapping[str, str]) -> object:
    """A value of the settings as JSON; references stand for the secrets."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            # A key that also stands in a field that is no secret is still one.
            text = str.__str__(value)
            return references.get(text, text)
        case Secret():
            return references.get(value.reveal(), "***")
        case timedelta():
            return value.total_seconds()
        case date():
            return value.isoformat()
        case Pace():
            return str(value)
        case Mapping():
            return {str(key): _json(member, references) for key, member in value.items()}
        case Set():
            return sorted((_json(member, references) for member in value), key=repr)
        case Sequence():
            return [_json(member, references) for member in value]
    return f"<{type(value).__name__}>"
