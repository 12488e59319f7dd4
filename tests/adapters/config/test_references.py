"""References to secrets: where they are resolved, and that no secret is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from tenant_files import ENVIRON, KEY, PROVIDERS, ArchiveSettings, block, load, told

from evidence_courier.adapters.config import load_folder
from evidence_courier.domain.secrets.secret import Secret

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
    assert told(loaded, tmp_path) == [
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
    ],
)
def test_half_a_reference_is_refused(tmp_path: Path, written: str) -> None:
    loaded = load(tmp_path, {"a.yaml": block(f"extra: {{a: '{written}'}}")})
    assert told(loaded, tmp_path) == [
        f"a.yaml:6: {IN}.extra.a: holds ${{ but is not a reference: a reference is ${{NAME}}, and "
        "the whole of the value"
    ]


def test_a_secret_that_is_nearly_a_reference_is_told_how_to_write_one(tmp_path: Path) -> None:
    [message] = told(load(tmp_path, {"a.yaml": block("second_key: $ACME_KEY")}), tmp_path)
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
    [message] = told(loaded, tmp_path)
    assert message.startswith(f"a.yaml:4: {IN}.key: the value of ${{ACME_KEY}} ")
    assert len(value) < 3 or value not in message


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


def test_a_vault_that_fails_is_told_without_its_words(tmp_path: Path) -> None:
    class Vault:
        def resolve(self, name: str) -> Secret | None:
            raise ConnectionError(f"the token {LITERAL} has expired")

    (tmp_path / "a.yaml").write_text(block())
    loaded = load_folder(tmp_path, providers=PROVIDERS, secrets=Vault())
    assert told(loaded, tmp_path) == [
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
    assert LITERAL not in repr(loaded) + "".join(told(loaded, tmp_path))


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
    [message] = told(loaded, tmp_path)
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
