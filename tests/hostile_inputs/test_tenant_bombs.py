"""Tenant files that are made to use up memory or time, or to run something."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from tenant_files import block, load, problem_lines

VALID = block()

IN = "integrations.compliance"
MIB = 1024 * 1024


@pytest.mark.parametrize("name", ["huge.yaml", "huge.yml", "huge.json"])
def test_of_a_file_of_100_mb_no_more_than_its_limit_is_read(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        os.truncate(file.fileno(), 100_000_000)
    tracemalloc.start()
    try:
        loaded = load(tmp_path, {"fine.yaml": VALID})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert problem_lines(loaded, tmp_path) == [
        f"{name}: is larger than 1 MiB, which no tenant file should be"
    ]
    assert list(loaded.integrations) == ["fine"]
    assert peak < 8 * MIB


def laughs(levels: int, opened: str, closed: str, first: str) -> str:
    """Anchors each of which holds nine of the one before: a few lines that unfold to 9 ** levels
    values."""
    lines = [f"l0: &l0 {first}"]
    lines += [
        f"l{n}: &l{n} {opened}{', '.join([f'*l{n - 1}'] * 9)}{closed}" for n in range(1, levels + 1)
    ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "bomb",
    [
        laughs(40, "[", "]", "[ha]"),
        laughs(40, "{a: [", "]}", "{}"),
        laughs(40, "{<<: [", "]}", "{a: b}"),
    ],
    ids=["lists", "mappings", "merges"],
)
@pytest.mark.parametrize("place", ["labels: *l40", "extra: *l40", "retry: *l40", "wing: *l40"])
def test_a_bomb_in_the_block_is_refused_in_a_sentence(
    tmp_path: Path, bomb: str, place: str
) -> None:
    problems = problem_lines(
        load(tmp_path, {"bomb.yaml": bomb + block(place), "fine.yaml": VALID}), tmp_path
    )
    assert all(problem.startswith("bomb.yaml:") for problem in problems)
    assert any(
        "holds more than 1,000" in problem or "merges more than" in problem for problem in problems
    )


@pytest.mark.parametrize(
    "bomb",
    [laughs(40, "[", "]", "[ha]"), laughs(40, "{<<: [", "]}", "{a: b}")],
    ids=["lists", "merges"],
)
def test_a_bomb_among_the_hosts_own_keys_is_no_business_of_ours(tmp_path: Path, bomb: str) -> None:
    loaded = load(tmp_path, {"acme.yaml": bomb + block()})
    assert (list(loaded.integrations), loaded.problems) == (["acme"], ())


@pytest.mark.parametrize("key", ["tenant", "name", "integrations"])
def test_a_bomb_where_a_plain_value_belongs_is_refused(tmp_path: Path, key: str) -> None:
    text = (
        laughs(40, "[", "]", "[ha]") + f"{key}: *l40\n" + (VALID if key != "integrations" else "")
    )
    (problem,) = problem_lines(load(tmp_path, {"bomb.yaml": text}), tmp_path)
    assert problem.startswith("bomb.yaml:42: ") and "must be" in problem


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system",
        "!!python/object/new:os.system",
        "!!python/object/apply:subprocess.check_output",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/tuple",
        "!<tag:yaml.org,2002:python/object/apply:os.system>",
        "!include",
    ],
)
@pytest.mark.parametrize("place", ["extra", "shelf", "wing"])
def test_a_tag_runs_nothing_and_is_refused_in_the_block(
    tmp_path: Path, tag: str, place: str
) -> None:
    told_by = tmp_path / "ran"
    text = f'host: {tag} ["touch {told_by}"]\n' + block(f'{place}: {tag} ["touch {told_by}"]')
    problems = problem_lines(load(tmp_path, {"evil.yaml": text}), tmp_path)
    assert problems
    assert not any(str(told_by) in problem for problem in problems)
    assert not told_by.exists()


def test_a_tag_among_the_hosts_own_keys_runs_nothing_either(tmp_path: Path) -> None:
    text = f'host: !!python/object/apply:os.system ["touch {tmp_path / "ran"}"]\n' + block()
    loaded = load(tmp_path, {"acme.yaml": text})
    assert (list(loaded.integrations), loaded.problems) == (["acme"], ())
    assert not (tmp_path / "ran").exists()


WRONG = {
    "keys that nobody knows": "".join(f"    shelff{n}: 1\n" for n in range(20_000)),
    "values that are none": "    labels:\n" + "    - 7\n" * 50_000,
    "references that are none": "    labels:\n"
    + "".join(f"    - ${{V{n}\n" for n in range(20_000)),
    "keys below a key": "    retry:\n"
    + "".join(f"      max_attemptss{n}: 1\n" for n in range(20_000)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_thousands_of_mistakes_are_one_problem(tmp_path: Path, wrong: str) -> None:
    """Each for itself would take minutes to tell; this test is over at once, or something takes
    its time again."""
    problems = problem_lines(load(tmp_path, {"acme.yaml": block() + wrong}), tmp_path)
    assert len(problems) == 1
    assert problems[0].startswith(f"acme.yaml:2: {IN}: holds more than 1,000 values")


def test_hundreds_of_mistakes_are_all_reported(tmp_path: Path) -> None:
    wrong = "".join(f"    shelff{n}: 1\n" for n in range(300))
    problems = problem_lines(load(tmp_path, {"acme.yaml": block() + wrong}), tmp_path)
    assert [problem.split(": ")[0] for problem in problems] == [
        f"acme.yaml:{n}" for n in range(6, 306)
    ]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "&a [", "!x ["])
def test_a_mebibyte_of_brackets_is_refused(tmp_path: Path, opening: str) -> None:
    text = opening * (MIB // len(opening) - 10)
    (problem,) = problem_lines(
        load(tmp_path, {"deep.yaml": f"x: {text}" if opening in "[{" else text}), tmp_path
    )
    assert "nested deeper than 100 levels" in problem or "is not valid YAML" in problem


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":['])
def test_a_mebibyte_of_json_brackets_is_refused(tmp_path: Path, opening: str) -> None:
    (problem,) = problem_lines(
        load(tmp_path, {"deep.json": opening * (MIB // len(opening) - 10)}), tmp_path
    )
    assert "nested deeper than 100 levels" in problem
