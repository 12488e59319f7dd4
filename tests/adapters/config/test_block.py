"""What may stand in a block: our own keys, the provider's, and what an administrator is told
about the rest."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tenant_files import KEY, ArchiveSettings, Wing, block, load, problem_lines

from evidence_courier.domain.integration import (
    Integration,
    OnUnclear,
    Pace,
    RetryPolicy,
    Route,
    Timeouts,
)
from evidence_courier.domain.secrets.secret import Secret

IN = "integrations.compliance"
TEXT = "or put it in quotes if it is text"
OCTAL = (
    "a number with a leading zero, which YAML 1.1 reads as octal: write it without the zero, "
    f"{TEXT}"
)
BASE_60 = (
    f"a number with a colon, which YAML 1.1 reads in base 60: write a duration such as 90s, {TEXT}"
)
OLD_DIGITS = (
    f"a number that only YAML 1.1 knows (0b or _ in it): write it in decimal digits alone, {TEXT}"
)
SECONDS = timedelta(seconds=1)


def loaded_one(folder: Path, text: str) -> Integration:
    loaded = load(folder, {"acme.yaml": text})
    assert loaded.problems == ()
    return loaded.integrations["acme"]


def test_a_block_with_everything_becomes_an_integration(tmp_path: Path) -> None:
    text = "name: ACME Corp\n" + block(
        "enabled: true",
        "wing: west",
        "labels: [one, two]",
        "part: 5MB",
        "endpoint: http://127.0.0.1:8080/x?y=1",
        "extra: {a: b}",
        "retry: {max_attempts: 3, initial_delay: 500ms, max_delay: 90, retry_after_limit: 1d,"
        " give_up_after: 24h}",
        "on_unclear: hold",
        "pace: 100/h",
        "timeout: {connect: 1.5, idle: 20s, total: 1m}",
        "max_bytes: 2MiB",
        "proxy: http://proxy.example:3128",
    )
    assert loaded_one(tmp_path, text) == Integration(
        tenant_id="acme",
        name="ACME Corp",
        provider="archive",
        settings=ArchiveSettings(
            key=Secret(KEY),
            shelf="s-1",
            wing=Wing.WEST,
            labels=("one", "two"),
            keep=timedelta(hours=2),
            part=5_000_000,
            endpoint="http://127.0.0.1:8080/x?y=1",
            extra={"a": "b"},
        ),
        retry=RetryPolicy(3, 0.5 * SECONDS, 90 * SECONDS, *2 * [timedelta(days=1)]),
        on_unclear=OnUnclear.HOLD,
        pace=Pace(100, timedelta(hours=1)),
        route=Route(
            timeouts=Timeouts(1.5 * SECONDS, 20 * SECONDS, 60 * SECONDS),
            proxy="http://proxy.example:3128",
        ),
        max_bytes=2 * 1024 * 1024,
        secrets=(Secret(KEY),),
        stored={
            "key": "${ACME_KEY}",
            "second_key": None,
            "shelf": "s-1",
            "wing": "west",
            "labels": ["one", "two"],
            "keep": 7200.0,
            "part": 5_000_000,
            "endpoint": "http://127.0.0.1:8080/x?y=1",
            "extra": {"a": "b"},
        },
    )


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    integration = loaded_one(tmp_path, block())
    assert (
        integration.retry,
        integration.route,
        integration.pace,
        integration.max_bytes,
        integration.on_unclear,
    ) == (
        RetryPolicy(),
        Route(),
        None,
        None,
        OnUnclear.RETRY,
    )


def test_a_default_gives_way_to_what_is_written(tmp_path: Path) -> None:
    integration = loaded_one(tmp_path, block("retry: {max_delay: 2s}", "timeout: {total: 5s}"))
    assert (integration.retry.initial_delay, integration.retry.max_delay) == (
        2 * SECONDS,
        2 * SECONDS,
    )
    assert integration.route.timeouts == Timeouts(5 * SECONDS, 5 * SECONDS, 5 * SECONDS)


@pytest.mark.parametrize(
    "line",
    ["enabled:", "retry:", "wing: null", "keep: ~", "retry: {max_delay: }", "pace:", "proxy:"],
)
def test_null_means_absent(tmp_path: Path, line: str) -> None:
    assert loaded_one(tmp_path, block(line)) == loaded_one(tmp_path, block())


def test_null_is_no_value_of_a_key_that_is_needed(tmp_path: Path) -> None:
    text = block().replace("s-1", "null")
    assert problem_lines(load(tmp_path, {"a.yaml": text}), tmp_path) == [
        f"a.yaml:5: {IN}.shelf: is missing"
    ]


@pytest.mark.parametrize("part", ["0x10", "16", "0o20"])
def test_other_spellings_of_numbers_are_as_yaml_has_them(tmp_path: Path, part: str) -> None:
    loaded = load(tmp_path, {"a.yaml": block(f"part: {part}")})
    if part == "0o20":  # text to YAML 1.1
        assert [problem.path for problem in loaded.problems] == [f"{IN}.part"]
    else:
        assert loaded.integrations["a"].settings.part == 16  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("regoin: east", "regoin: is not a known key"),
        ("wnig: east", "wnig: is not a known key (did you mean wing?)"),
        ("max_byte: 1", "max_byte: is not a known key (did you mean max_bytes?)"),
        ("retry: {max_attempt: 3}",
        "retry.max_attempt: is not a known key (did you mean max_attempts?)"),
        ("wing: Easy", "wing: must be east or west (did you mean east?)"),
        ("wing: north", "wing: must be east or west"),
        ("on_unknown: {a: b}", "on_unknown: is now called on_unclear"),
        ("on_unknown: hold", "on_unknown: is now called on_unclear"),
        ("retry: {on_unknown: hold}", "retry.on_unknown: is not a known key"),
        ("on_unclear: holt", "on_unclear: must be retry or hold (did you mean hold?)"),
        ("on_unclear: [hold]", "on_unclear: must be text, and this is a list"),
        ("enabled: 'false'",
        "enabled: must be true or false, and this is text: write it without quotes"),
        ("extra: {a: }", "extra.a: has no value: write one"),
        ("wnig:", "wnig: is not a known key (did you mean wing?)"),
        ("retry: {max_attempts: 010}", f"retry.max_attempts: is {OCTAL}"),
        ("max_bytes: 0100000", f"max_bytes: is {OCTAL}"),
        ("timeout: {total: 1:30}", f"timeout.total: is {BASE_60}"),
        ("timeout: {total: 1:30.5}", f"timeout.total: is {BASE_60}"),
        ("part: 0b11", f"part: is {OLD_DIGITS}"),
        ("part: 1_000", f"part: is {OLD_DIGITS}"),
        ("part: -0_1", f"part: is {OCTAL}"),
        ("extra: {010: a}", "extra: a key here must be text, and is a number: put it in quotes"),
        ("retry: 5", "retry: must be a mapping of keys to values, and this is a number"),
        ("retry: {max_attempts: 0}", "retry.max_attempts: must be at least 1"),
        ("retry: {max_attempts: 101}", "retry.max_attempts: must be at most 100"),
        ("retry: {give_up_after: 0}", "retry.give_up_after: must be at least 1ms"),
        *(
            (
                f"enabled: '{word}'",
                "enabled: must be true or false, and this is text: write true or false, without "
                "quotes",
            )
            for word in ("no", "yes", "on")
        ),
        (
            "retry: {max_attempts: '3'}",
            "retry.max_attempts: must be a whole number, and this is text: write it without quotes",
        ),
        *(
            (
                f"retry: {{max_attempts: {written}}}",
                "retry.max_attempts: must be a whole number, and this is text: write a number, "
                "such as 10",
            )
            for written in ("1e1", "0:30", "ten")
        ),
        *(
            (
                f"retry: {{max_attempts: {written}}}",
                "retry.max_attempts: must be a whole number, and this is text, as its leading zero "
                "makes it: write it in decimal, without the zero",
            )
            for written in ("08", "0o10", "-09", "'010'")
        ),
        ("on_unclear: 0123", f"on_unclear: is {OCTAL}"),
        ("on_unclear: 1:30", f"on_unclear: is {BASE_60}"),
        ("retry: {max_attempts: 2.5}",
        "retry.max_attempts: must be a whole number, and this is a number"),
        ("retry: {max_attempts: yes}",
        "retry.max_attempts: must be a whole number, and this is true or false"),
        (
            "retry: {initial_delay: soon}",
            "retry.initial_delay: must be a duration such as 500ms, 5s, 5m or 1h, or a number of "
             "seconds",
        ),
        ("retry: {max_delay: 31d}", "retry.max_delay: must be between 0 and 30 days"),
        ("retry: {max_delay: -1}", "retry.max_delay: must be between 0 and 30 days"),
        ("retry: {max_delay: .inf}", "retry.max_delay: is not a finite number"),
        (
            "retry: {initial_delay: 2m, max_delay: 1m}",
            "retry.initial_delay: must not be longer than retry.max_delay (1m)",
        ),
        (
            "retry: {initial_delay: 6m}",
            "retry.initial_delay: must not be longer than retry.max_delay (5m, its default)",
        ),
        ("timeout: {idle: 3m}",
        "timeout.idle: must not be longer than timeout.total (2m, its default)"),
        (
            "timeout: {connect: 11s, total: 10s}",
            "timeout.connect: must not be longer than timeout.total (10s)",
        ),
        ("timeout: {connect: 0}", "timeout.connect: must be at least 1ms"),
        ("pace: 0/s", "pace: must allow between 1 and 1,000,000 requests"),
        ("pace: 10 a minute", "pace: must be a pace such as 2/s, 10/min or 100/h"),
        ("pace: 10", "pace: must be a pace such as 2/s, 10/min or 100/h"),
        ("max_bytes: lots",
        "max_bytes: must be a size such as 25MB, 10MiB or 500kB, or a number of bytes"),
        ("max_bytes: 10000001", "max_bytes: must be at most 10MB, which is all that archive takes"),
        ("endpoint: http://archive.example/",
        "endpoint: must begin with https:// (http:// is for this machine only: localhost, "
         "127.0.0.1 or [::1])"),
        ("proxy: http://u:p@proxy:1",
        "proxy: must not hold a user name or password here: put the whole URL into a variable "
         "and write ${NAME}"),
        ("ca_bundle: gone.pem",
        "ca_bundle: names no file (a relative path starts at the tenant file's folder)"),
        ("ca_bundle: acme.yaml", "ca_bundle: names a file that holds no certificates in PEM form"),
        ("ca_bundle: ''", "ca_bundle: must not be empty"),
        ("retention: {personal: 90}",
        "retention.personal: must say how long it is kept, as 12h, 90d, 52w or 90d after "
        "success, at least 1h, or never (it is never removed)"),
        ("retention: {failed_documents: 90d after success}",
        "retention.failed_documents: is about what has failed: write it without `after success`, "
        "as 90d"),
        ("retention: {attemptz: 90d}",
        "retention.attemptz: is not a known key (did you mean attempts?)"),
        ("retention: 90d", "retention: must be a mapping of keys to values, and this is text"),
        ("labels: []", "labels: must have at least 1 entry"),
        ("labels: [a, '']", "labels[1]: must not be empty"),
        ("labels: [a, {b: c}]", "labels[1]: must be text, and this is a mapping"),
        ("labels: [a, 7]", "labels[1]: must be text, and this is a number: put it in quotes"),
        ("extra: {a: {b: c}}", "extra.a: must be text, and this is a mapping"),
        ("extra: {7: c}", "extra: a key here must be text, and is a number: put it in quotes"),
        ("part: !big 5",
        "part: is a value with a tag of its own (such as !name), which means nothing here"),
        ("extra: !own {a: b}",
        "extra: is a value with a tag of its own (such as !name), which means nothing here"),
        ("part: 99999999999999999999", "part: is too large a number"),
        ("part: !!int x", "part: is written like a number or a date, but is none"),
        ('extra: {a: "\\0"}', "extra.a: holds a control character or half a character"),
        ("extra: &x {a: *x}", "extra.a: holds itself: an anchor is referred to from within"),
        ("<<: 5", "can merge only mappings, none into itself, and at most 20 one into another"),
        ("second_key: literal",
        "second_key: is not a reference: write ${NAME} or ${file:/PATH} and put the secret into "
         "that variable or file; a secret is never written here itself"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_reported_in_a_sentence(
    tmp_path: Path, line: str, problem: str
) -> None:
    [message] = problem_lines(load(tmp_path, {"acme.yaml": block(line)}), tmp_path)
    place = "" if problem.startswith("can merge") else "."
    assert message == f"acme.yaml:6: {IN}{place if place else ': '}{problem}"


def test_lines_are_those_of_the_keys_and_of_the_members_of_lists(tmp_path: Path) -> None:
    text = block(
        "retry:", "  max_attempts:", "    500", "labels:", "  - fine", "  -", "    7", "wing: up"
    )
    assert problem_lines(load(tmp_path, {"acme.yaml": text}), tmp_path) == [
        f"acme.yaml:7: {IN}.retry.max_attempts: must be at most 100",
        f"acme.yaml:12: {IN}.labels[1]: must be text, and this is a number: put it in quotes",
        f"acme.yaml:13: {IN}.wing: must be east or west",
    ]


def test_lines_are_known_in_json_too(tmp_path: Path) -> None:
    text = """{"integrations":
{"compliance": {"provider": "archive", "key": "${ACME_KEY}",
\t"shelf": "a\\"b[{", "wing":
"x", "labels": [
"a",
7]}}}"""
    assert problem_lines(load(tmp_path, {"a.json": text}), tmp_path) == [
        f"a.json:3: {IN}.wing: must be east or west",
        f"a.json:6: {IN}.labels[1]: must be text, and this is a number: put it in quotes",
    ]


def test_a_missing_key_is_reported_at_the_line_of_its_block(tmp_path: Path) -> None:
    text = "x: 1\nintegrations:\n  compliance:\n    wing: east\n    provider: archive\n"
    assert problem_lines(load(tmp_path, {"a.yaml": text}), tmp_path) == [
        f"a.yaml:3: {IN}.key: is missing",
        f"a.yaml:3: {IN}.shelf: is missing",
    ]


def test_without_a_provider_our_own_keys_are_still_checked(
    tmp_path: Path,
) -> None:
    """A block without a provider is refused."""
    text = "integrations:\n  compliance:\n    pace: x\n    anything: goes\n"
    assert problem_lines(load(tmp_path, {"a.yaml": text}), tmp_path) == [
        f"a.yaml:2: {IN}.provider: is missing",
        f"a.yaml:3: {IN}.pace: must be a pace such as 2/s, 10/min or 100/h",
    ]


@pytest.mark.parametrize(
    ("provider", "problem"),
    [
        ("archiv", "is no provider that is installed (installed: archive) (did you mean archive?)"),
        (
            "Archive",
            "is no provider that is installed (installed: archive) (did you mean archive?)",
        ),
        ("xyz", "is no provider that is installed (installed: archive)"),
        ("7", "must be text, and this is a number: put it in quotes"),
        ("", "is missing"),
        ("[archive]", "must be text, and this is a list"),
    ],
)
def test_a_provider_that_is_not_known_is_refused_with_the_closest_one(
    tmp_path: Path, provider: str, problem: str
) -> None:
    text = f"integrations: {{compliance: {{pace: x,\n provider: {provider}}}}}"
    assert problem_lines(load(tmp_path, {"a.yaml": text}), tmp_path) == [
        f"a.yaml:1: {IN}.pace: must be a pace such as 2/s, 10/min or 100/h",
        f"a.yaml:2: {IN}.provider: {problem}",
    ]


def test_a_key_that_is_written_twice_is_refused_in_the_block(tmp_path: Path) -> None:
    text = block("extra:", "  a: b", "  a: c")
    assert problem_lines(load(tmp_path, {"a.yaml": text}), tmp_path) == [
        f"a.yaml:8: {IN}.extra.a: the key is written twice, first on line 7: keep one of them"
    ]


def test_json_keys_that_are_written_twice_are_refused_too(tmp_path: Path) -> None:
    text = '{"integrations": {"compliance": {"provider": "archive",\n"provider": "archive"}}}'
    assert (
        f"a.json:2: {IN}.provider: the key is written twice, first on line 1: keep one of them"
        in problem_lines(load(tmp_path, {"a.json": text}), tmp_path)
    )


def test_merge_keys_and_anchors_work_and_own_keys_win(tmp_path: Path) -> None:
    text = """
more: &more {wing: west, shelf: theirs}
base: &base {<<: *more, provider: archive, key: "${ACME_KEY}", labels: &labels [x]}
integrations:
  compliance:
    shelf: ours
    <<: [*base, {wing: east, extra: {a: b}}]
"""
    settings = loaded_one(tmp_path, text).settings
    assert isinstance(settings, ArchiveSettings)
    assert (settings.shelf, settings.wing, settings.labels, settings.extra) == (
        "ours",
        Wing.WEST,
        ("x",),
        {"a": "b"},
    )


def test_a_few_anchors_that_unfold_without_end_are_refused(tmp_path: Path) -> None:
    lists = ["a0: &a0 [x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)
    ]
    maps = ["m0: &m0 {x: y}"] + [
        f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 12)
    ]
    many = "holds more than 1,000 values (what an anchor holds counts wherever it is referred to)"
    merged = "merges more than 10,000 keys: anchors refer to anchors over and over"
    for text, value, words in (("\n".join(lists), "*a11", many), ("\n".join(maps), "*m11", merged)):
        loaded = load(
            tmp_path, {"a.yaml": f"{text}\nintegrations: {{compliance: {{extra: {value}}}}}\n"}
        )
        assert problem_lines(loaded, tmp_path) == [f"a.yaml:13: {IN}: {words}"]


def test_a_certificate_bundle_is_found_beside_the_tenant_file(tmp_path: Path) -> None:
    pem = Path(__file__).parents[1] / "transports" / "loopback.pem"
    (tmp_path / "own.pem").write_bytes(pem.read_bytes())
    assert loaded_one(tmp_path, block("ca_bundle: own.pem")).route.ca_bundle == str(
        tmp_path / "own.pem"
    )


def test_the_provider_settings_class_has_the_last_word(tmp_path: Path) -> None:
    text = block("wing: east").replace("s-1", "attic")
    assert problem_lines(load(tmp_path, {"a.yaml": text}), tmp_path) == [
        f"a.yaml:5: {IN}.shelf: must not be the attic, which leaks"
    ]
