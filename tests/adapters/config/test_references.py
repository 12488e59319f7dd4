"""References to secrets: where they are resolved, and that no secret is ever shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from attrs import Attribute, field, frozen
from tenant_files import (
    ENVIRON,
    KEY,
    PROVIDERS,
    ArchiveProvider,
    ArchiveSettings,
    block,
    load,
    not_attic,
    problem_lines,
)

from evidence_courier.adapters.config import Loaded, ReportCache, load_folder
from evidence_courier.adapters.plugins import BrokenProvider
from evidence_courier.adapters.secrets import EnvironSecrets, FileSecrets
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.ports.provider import Provider
from evidence_courier.ports.secrets import SecretError

IN = "integrations.compliance"
LITERAL = "sk-live-4242-never-shown"


def test_a_reference_is_the_whole_value_of_any_text_in_the_block(tmp_path: Path) -> None:
    integration = load(tmp_path, {"a.yaml": block("extra: {a: '${SHELF}'}")}).integrations["a"]
    assert isinstance(integration.settings, ArchiveSettings)
    assert integration.settings.key == Secret(KEY)
    assert integration.settings.extra == {"a": "from-outside"}
    assert type(integration.settings.extra["a"]) is str


def test_the_provider_itself_may_be_a_reference(tmp_path: Path) -> None:
    text = block().replace("provider: archive", "provider: ${WHICH}")
    assert (
        load(tmp_path, {"a.yaml": text}, environ={**ENVIRON, "WHICH": "archive"})
        .integrations["a"]
        .provider
        == "archive"
    )


def test_a_reference_in_a_comment_or_outside_the_block_is_none(tmp_path: Path) -> None:
    text = "oidc: ${NOT_SET}\n" + block("# ${NOT_SET}", "wing: west # ${NOT_SET}")
    assert load(tmp_path, {"a.yaml": text}).problems == ()


def test_a_variable_that_is_not_set_is_named_with_its_tenant(tmp_path: Path) -> None:
    loaded = load(tmp_path, {"a.yaml": "tenant: acme\n" + block(), "b.yaml": block()}, environ={})
    assert problem_lines(loaded, tmp_path) == [
        f"a.yaml:5: {IN}.key: ${{ACME_KEY}} is not set: tenant acme needs the variable ACME_KEY",
        f"b.yaml:4: {IN}.key: ${{ACME_KEY}} is not set: tenant b needs the variable ACME_KEY",
    ]


@pytest.mark.parametrize(
    "written",
    [
        "a-${ACME_KEY}",
        "${ACME_KEY}-b",
        "${ACME_KEY}${ACME_KEY}",
        "${}",
        "${A B}",
        "${A:-b}",
        "${ACME_KEY",
        "${file:}",
        "${file:run/secrets/key}",
        "${file:/run/secrets/{key}}",
        "${File:/run/secrets/key}",
    ],
)
def test_half_a_reference_is_refused(tmp_path: Path, written: str) -> None:
    loaded = load(tmp_path, {"a.yaml": block(f"extra: {{a: '{written}'}}")})
    assert problem_lines(loaded, tmp_path) == [
        f"a.yaml:6: {IN}.extra.a: holds ${{ but is not a reference: a reference is ${{NAME}} or "
        "${file:/PATH}, and the whole of the value"
    ]


def test_a_near_reference_is_reported_with_how_to_write_one(tmp_path: Path) -> None:
    [message] = problem_lines(load(tmp_path, {"a.yaml": block("second_key: $ACME_KEY")}), tmp_path)
    assert message.startswith(
        f"a.yaml:6: {IN}.second_key: is not quite a reference: write ${{NAME}}"
    )


@pytest.mark.parametrize(
    "value", ["", " k", "k ", "k\n", "k\r\nX-Evil: 1", "k\x00", "clé", "k\ud800", "a\tb"]
)
def test_a_secret_that_fits_no_header_is_refused_without_being_shown(
    tmp_path: Path, value: str
) -> None:
    loaded = load(tmp_path, {"a.yaml": block()}, environ={"ACME_KEY": value})
    [message] = problem_lines(loaded, tmp_path)
    assert message.startswith(f"a.yaml:4: {IN}.key: the value of ${{ACME_KEY}} ")
    assert len(value) < 3 or value not in message


@pytest.mark.parametrize(("value", "number"), [("o", 1), ("1234567", 1), ("12345678", 0)])
def test_a_secret_that_is_too_short_to_be_one_is_warned_of(
    tmp_path: Path, value: str, number: int
) -> None:
    """Its mask within words would show what it is."""
    loaded = load(tmp_path, {"a.yaml": block()}, environ={"ACME_KEY": value})
    assert (list(loaded.integrations), len(loaded.warnings)) == (["a"], number)
    words = "key: the value of ${ACME_KEY} has fewer than 8 characters: is it whole? "
    for warning in loaded.warnings:
        assert warning.message.startswith(words)
        assert (warning.line, "1234567" in warning.message) == (4, False)
    assert not load_folder(tmp_path, providers=PROVIDERS, secrets=None).warnings


def test_each_variable_is_asked_for_once_and_only_those_in_use(tmp_path: Path) -> None:
    asked: list[str] = []

    class Vault:
        def resolve(self, name: str) -> Secret | None:
            asked.append(name)
            return Secret("value")

    off = block("enabled: false").replace("ACME_KEY", "OFF_KEY")
    for name, text in {
        "a.yaml": block(),
        "b.yaml": block(),
        "c.yaml": off,
        "d.yaml": block("nokey: ${TYPO}"),
    }.items():
        (tmp_path / name).write_text(text)
    load_folder(tmp_path, providers=PROVIDERS, secrets=Vault())
    assert asked == ["ACME_KEY"]


def test_a_vault_that_fails_is_reported_without_its_message(tmp_path: Path) -> None:
    class Vault:
        def resolve(self, name: str) -> Secret | None:
            raise ConnectionError(f"the token {LITERAL} has expired")

    (tmp_path / "a.yaml").write_text(block())
    loaded = load_folder(tmp_path, providers=PROVIDERS, secrets=Vault())
    assert problem_lines(loaded, tmp_path) == [
        f"a.yaml:4: {IN}.key: ${{ACME_KEY}} could not be looked up for tenant a: ConnectionError"
    ]


@pytest.mark.parametrize(
    "written",
    [
        "second_key: {0}",
        "second_key: [{0}]",
        "second_key: {{{0}: 1, {0}: 2}}",
        "second_key: {{a: {{{0}: '${{'}}}}",
        "second_key: !{0} x",
        "second_key: *{0}",
        "second_key: !x!{0} a",
        'second_key: "{0}\\q"',
        "second_key: @{0}",
        "second_key: a: {0}",
        "second_key: '{0}",
        "second_key: [{0}",
        "second_key: ${{{0}}}",
        "second_key: ${{SHELF}}{0}",
        "wing: {0}",
        "on_unclear: {0}",
        "pace: {0}",
        "max_bytes: {0}",
        "keep: {0}",
        "endpoint: https://u:{0}@h/",
        "endpoint: http://{0}.example/",
        "proxy: https://u:{0}@h/",
        "ca_bundle: {0}",
        "enabled: {0}",
        "part: {0}",
        "retry: {0}",
        "retry: {{max_attempts: {0}}}",
        "labels: {0}",
        "unknown: {0}",
        "unknown: {{a: ['${{', {{{0}: 1, {0}: 1}}]}}",
        "? {0} something: that is no word\n    : x",
        "? [{0}]\n    : x",
        "provider: {0}",
    ],
)
def test_a_literal_secret_is_never_shown_wherever_it_stands(tmp_path: Path, written: str) -> None:
    loaded = load(tmp_path, {"a.yaml": block(written.format(LITERAL))})
    assert loaded.problems != ()
    assert LITERAL not in repr(loaded) + "".join(problem_lines(loaded, tmp_path))


def test_a_resolved_secret_is_in_no_repr_and_not_in_what_is_stored(tmp_path: Path) -> None:
    text = block("second_key: ${PROXY}", "proxy: ${PROXY}")
    loaded = load(
        tmp_path,
        {"a.yaml": text},
        environ={**ENVIRON, "PROXY": "http://user:pass%21word@proxy:8080"},
    )
    integration = loaded.integrations["a"]
    shown = repr(loaded) + repr(integration.settings) + repr(integration.stored)
    assert KEY not in shown and "pass%21word" not in repr(integration.stored) + repr(
        integration.settings
    )
    assert integration.stored["key"] == "${ACME_KEY}"


@pytest.mark.parametrize(
    ("line", "path"),
    [("extra: {a: '${ACME_KEY}'}", "extra.a"), ("labels: [x, '${SAME}']", "labels[1]")],
)
def test_a_secret_is_refused_in_a_field_that_is_none(tmp_path: Path, line: str, path: str) -> None:
    loaded = load(tmp_path, {"a.yaml": block(line)}, environ={**ENVIRON, "SAME": KEY})
    [message] = problem_lines(loaded, tmp_path)
    reference = "${ACME_KEY}" if "ACME" in line else "${SAME}"
    assert message == (
        f"a.yaml:6: {IN}.{path}: is {reference}, a secret of this block, and this field is not "
        "secret"
    )


def test_the_password_of_a_proxy_is_among_the_secrets_in_both_spellings(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        {"a.yaml": block("proxy: ${PROXY}")},
        environ={**ENVIRON, "PROXY": "http://u:a%21b@proxy:1"},
    )
    integration = loaded.integrations["a"]
    assert integration.route.proxy == "http://u:a%21b@proxy:1"
    assert set(integration.secrets) == {Secret(KEY), Secret("a%21b"), Secret("a!b")}


def test_a_secret_of_another_tenant_is_refused_in_a_field_that_is_none(tmp_path: Path) -> None:
    """Also the variable of a proxy with a password; one without a password is no secret."""
    proxies = {"WITH": "http://u:pass-word-12@proxy.example:80", "WITHOUT": "http://proxy.example"}
    environ = ENVIRON | proxies | {"BETA_KEY": "the-key-of-beta", "OTHER": "some-shelf"}
    beta = block().replace("ACME_KEY", "BETA_KEY")
    files = {
        "a.yaml": block("proxy: ${WITH}", "labels: [x, '${BETA_KEY}']"),
        "b.yaml": beta.replace("s-1", "${ACME_KEY}"),
        "c.yaml": beta.replace("s-1", "${WITH}"),
        "d.yaml": beta.replace("s-1", "${OTHER}") + "    proxy: ${WITHOUT}\n",
        "e.yaml": beta.replace("s-1", "${WITHOUT}"),
    }
    loaded = load(tmp_path, files, environ=environ)
    assert list(loaded.integrations) == ["d", "e"]
    why = "which fills a secret elsewhere, and this field is not secret"
    words = [str(problem).split(": ", 1)[1] for problem in loaded.problems]
    assert words == [
        f"{IN}.labels[1]: is ${{BETA_KEY}}, {why}",
        f"{IN}.shelf: is ${{ACME_KEY}}, {why}",
        f"{IN}.shelf: is ${{WITH}}, {why}",
    ]


def test_of_an_unknown_provider_no_field_is_known_to_be_secret(tmp_path: Path) -> None:
    files = {"a.yaml": block(), "b.yaml": block().replace("archive", "archiv")}
    (problem,) = load(tmp_path, files).problems
    assert "is no provider that is installed" in str(problem)


# In files


def in_file(name: str, tmp_path: Path) -> str:
    return f"${{file:{tmp_path}/secrets/{name}}}"


def load_with_files(folder: Path, text: str, kept: ReportCache | None = None) -> Loaded:
    """One tenant's file, whose secrets may be in the folder `secrets` beside its own."""
    tenants, secrets = folder / "tenants", folder / "secrets"
    for each in (tenants, secrets):
        each.mkdir(exist_ok=True)
    (tenants / "acme.yaml").write_text(text)
    sources = FileSecrets(EnvironSecrets(ENVIRON), [secrets])
    return load_folder(tenants, providers=PROVIDERS, secrets=sources, cache=kept)


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "api key").write_text("from-a-file\n")
    text = block().replace("${ACME_KEY}", in_file("api key", tmp_path))
    integration = load_with_files(tmp_path, text).integrations["acme"]
    assert isinstance(integration.settings, ArchiveSettings)
    assert integration.settings.key == Secret("from-a-file")
    assert integration.stored["key"] == in_file("api key", tmp_path)


def test_a_proxy_with_a_password_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "proxy").write_text("http://me:pass-word@proxy.example:3128")
    loaded = load_with_files(tmp_path, block(f"proxy: {in_file('proxy', tmp_path)}"))
    assert loaded.integrations["acme"].route.proxy == "http://me:pass-word@proxy.example:3128"
    (tmp_path / "secrets" / "proxy").write_text("http://proxy.example:3128")
    [problem] = load_with_files(tmp_path, block(f"proxy: {in_file('proxy', tmp_path)}")).problems
    assert "and this field is not secret" in problem.message


@pytest.mark.parametrize("content", ["canary", "east", "5"])
@pytest.mark.parametrize("line", ["wing: {0}", "part: {0}", "extra: {{a: '{0}'}}", "keep: {0}"])
def test_a_file_is_for_secrets_alone(tmp_path: Path, line: str, content: str) -> None:
    """It is not read, so nothing that is said can depend on its content."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "other").write_text(content)
    reference = in_file("other", tmp_path)
    loaded = load_with_files(tmp_path, block(line.format(reference)))
    [problem] = loaded.problems
    assert f"is {reference}, and this field is not secret: write its value here" in str(problem)
    assert "canary" not in f"{loaded!r} {problem!r}"


class Asked:
    def __init__(self) -> None:
        self.names: list[str] = []

    def resolve(self, name: str) -> Secret | None:
        self.names.append(name)
        return Secret(f"the-{name}")


def test_a_file_is_not_asked_for_what_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(block("wing: ${file:/run/secrets/x}", "extra: {a: '${B}'}"))
    unknown = block("second: ${file:/run/secrets/y}").replace("archive", "arkive")
    (tmp_path / "globex.yaml").write_text(unknown)
    asked = Asked()
    loaded = load_folder(tmp_path, providers=PROVIDERS, secrets=asked)
    assert asked.names == ["ACME_KEY", "B"]
    assert [problem.line for problem in loaded.problems] == [6, 3]


def test_a_missing_secret_file_is_reported_with_its_tenant(tmp_path: Path) -> None:
    text = block().replace("${ACME_KEY}", in_file("gone", tmp_path))
    [problem] = load_with_files(tmp_path, text).problems
    assert problem.message == (
        f"{in_file('gone', tmp_path)} could not be looked up for tenant acme: there is no such "
        "file: mount the secret there, or correct the path"
    )


def test_a_secret_that_has_changed_in_its_file_is_seen_at_the_next_load(tmp_path: Path) -> None:
    """Although the tenant's file has not changed and is not read again."""
    (tmp_path / "secrets").mkdir()
    text, kept = block().replace("${ACME_KEY}", in_file("key", tmp_path)), ReportCache()
    for value in ("first", "second"):
        (tmp_path / "secrets" / "key").write_text(value)
        settings = load_with_files(tmp_path, text, kept).integrations["acme"].settings
        assert isinstance(settings, ArchiveSettings)
        assert settings.key == Secret(value)


class Locked:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def resolve(self, name: str) -> Secret | None:
        raise self._error


def test_a_vault_that_says_why_is_quoted_and_another_error_is_not(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(block())
    messages = [
        load_folder(tmp_path, providers=PROVIDERS, secrets=Locked(error)).problems[0].message
        for error in (SecretError("the vault is sealed:\nunseal it"), ValueError("canary"))
    ]
    begins = "${ACME_KEY} could not be looked up for tenant acme: "
    assert messages == [f"{begins}the vault is sealed: unseal it", f"{begins}ValueError"]


def _long(settings: object, attribute: Attribute[Secret], value: Secret) -> None:
    if len(value.reveal()) < 60:
        raise ValueError(f"{attribute.name} is too short")


@frozen(kw_only=True)
class PickySettings:
    key: Secret = field(validator=_long)
    shelf: str = field(validator=not_attic)
    wing: str = "west"


class PickyProvider(ArchiveProvider):
    """Has rules of its own for its secret."""

    settings_class: ClassVar[type] = PickySettings
    schema: ClassVar[Mapping[str, object]] = {
        "key": {"type": "secret", "required": True, "minlength": 50, "regex": "sk-.*"},
        "shelf": {"type": "string", "minlength": 3},
        "wing": {"type": "string"},
    }


@pytest.mark.parametrize(
    ("shelf", "said"),
    [
        ("s-1", ()),
        ("${SHELF}", ()),
        ("s", ("must have at least 3 characters",)),
        ("attic", ("must not be the attic, which leaks",)),
        ("attic\n    pace: ${PACE}\n    wing: ${WING}", ("must not be the attic, which leaks",)),
    ],
)
def test_without_secrets_no_rule_for_a_secret_is_checked(
    tmp_path: Path, shelf: str, said: tuple[str, ...]
) -> None:
    (tmp_path / "acme.yaml").write_text(block().replace("s-1", shelf))
    providers: dict[str, Provider | BrokenProvider] = {"archive": PickyProvider()}
    loaded = load_folder(tmp_path, providers=providers, secrets=None)
    assert tuple(problem.message for problem in loaded.problems) == said
    (tmp_path / "acme.yaml").write_text(block())
    with_one = load_folder(tmp_path, providers=providers, secrets=EnvironSecrets(ENVIRON))
    assert [problem.message for problem in with_one.problems] != []
