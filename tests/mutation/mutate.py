"""Checks that the domain's tests notice mistakes: `python tests/mutation/mutate.py [MODULE...]`.

mutmut makes small mistakes in the domain's functions, one at a time, and runs the tests that reach
them. A mistake that no test notices is a survivor. Each survivor must be explained in
`survivors.toml` (it changes nothing that can be seen), or a test is missing and the exit code is 1.
It is also 1 if an explanation explains nothing any more.

mutmut needs a plain tree, which is made in `build/mutation` of the package and the domain's tests.
Without arguments the whole domain is mutated, else only the named modules:
`mutate.py transitions backoff`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Collection
from contextlib import chdir
from fnmatch import fnmatchcase
from pathlib import Path
from subprocess import CompletedProcess
from typing import TextIO

from attrs import frozen
from mutmut.mutation.diff_apply import get_diff_for_mutant

REPOSITORY = Path(__file__).parents[2]
TREE = REPOSITORY / "build" / "mutation"
LOG = TREE / "run.log"
EXPLANATIONS = Path(__file__).with_name("survivors.toml")
ROOMS = ("adapters", "bootstrap", "delivery", "domain", "ports", "testing")
# The modules of the domain, and where each is.
MODULES = {
    file.stem: file.relative_to(REPOSITORY).as_posix()
    for file in sorted((REPOSITORY / "domain").rglob("*.py"))
    if file.stem != "__init__"
}
# Local time is not UTC, so that a moment shows which of both it is written in.
ELSEWHERE = {"TZ": "IST-5:30"}
# What a mistake came to that a test has noticed: it failed, or it never ended.
NOTICED = ("killed", "timeout")

SETTINGS = """\
[mutmut]
source_paths = src/evidence_courier/domain
also_copy =
    src
    pytest.ini
only_mutate =
{modules}
pytest_add_cli_args_test_selection = tests/domain
"""
# With a file of its own pytest takes the tree for its root, and not the package in which the tree
# lies.
PYTEST = """\
[pytest]
addopts = --import-mode=importlib -p no:randomly -k "not less_than_a_second"
pythonpath = tests/support
"""
PROFILE = """\
from hypothesis import settings

# Every mutant meets the same examples, so that one run answers as another would.
settings.register_profile(
    "mutation", derandomize=True, deadline=None, max_examples=50, database=None
)
settings.load_profile("mutation")
"""


@frozen
class Mistake:
    """A small change of the code: in a function, some lines became others."""

    function: str
    was: str
    becomes: str

    def __str__(self) -> str:
        return f"{self.function}\n    - {self.was}\n    + {self.becomes}"


def plant(modules: Collection[str]) -> None:
    """Make the tree that mutmut works in."""
    shutil.rmtree(TREE, ignore_errors=True)
    package = TREE / "src" / "evidence_courier"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ROOMS:
        shutil.copytree(REPOSITORY / name, package / name, ignore=ignore)
    shutil.copy(REPOSITORY / "__init__.py", package)
    for name in ("domain", "support"):
        shutil.copytree(REPOSITORY / "tests" / name, TREE / "tests" / name, ignore=ignore)
    (TREE / "pytest.ini").write_text(PYTEST, encoding="utf-8")
    (TREE / "tests" / "conftest.py").write_text(PROFILE, encoding="utf-8")
    patterns = "\n".join(f"    */{path}" for name, path in MODULES.items() if name in modules)
    (TREE / "setup.cfg").write_text(SETTINGS.format(modules=patterns), encoding="utf-8")


def mutmut(*arguments: str, stdout: TextIO | int | None = None) -> CompletedProcess[str]:
    """What mutmut does with these arguments."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    environment = os.environ | ELSEWHERE
    return subprocess.run(command, cwd=TREE, env=environment, check=False, stdout=stdout, text=True)


def try_mistakes() -> int:
    """Run the tests on each mistake; the exit code. A terminal shows how far it has come."""
    if sys.stdout.isatty():
        return mutmut("run").returncode
    with LOG.open("w", encoding="utf-8") as log:
        return mutmut("run", stdout=log).returncode


def survivors() -> list[Mistake]:
    """The mistakes that no test has noticed."""
    results = mutmut("results", stdout=subprocess.PIPE).stdout
    lines = [line.split(": ") for line in results.splitlines() if ": " in line]
    with chdir(TREE):  # where mutmut looks for what it has made
        return [mistake(name.strip()) for name, outcome in lines if outcome not in NOTICED]


def mistake(name: str) -> Mistake:
    """The mistake of that name, which is a function's and a number."""
    diff = [
        line
        for line in get_diff_for_mutant(name).splitlines()
        if not line.startswith(("---", "+++"))
    ]
    was, becomes = (
        " ".join(line[1:].strip() for line in diff if line.startswith(sign)) for sign in "-+"
    )
    module, _, mangled = name.rpartition(".")
    function = (
        mangled.partition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    )
    return Mistake(f"{module.rpartition('.')[2]}.{function}", was, becomes)


@frozen
class Explanation:
    """Why these lines may become those, in every function that the mistake's pattern matches."""

    mistake: Mistake
    reason: str

    def explains(self, other: Mistake) -> bool:
        """Whether this explains why no test notices the other."""
        same = (self.mistake.was, self.mistake.becomes) == (other.was, other.becomes)
        return same and fnmatchcase(other.function, self.mistake.function)


def explanations(modules: Collection[str]) -> list[Explanation]:
    """What is understood of the survivors in these modules."""
    with EXPLANATIONS.open("rb") as file:
        entries = tomllib.load(file)["survivor"]
    known = [Explanation(Mistake(e["function"], e["was"], e["becomes"]), e["why"]) for e in entries]
    return [
        explanation
        for explanation in known
        if explanation.mistake.function.split(".")[0] in modules
    ]


def main(arguments: list[str]) -> int:
    """Run mutmut and report the survivors; the exit code."""
    modules = arguments or sorted(MODULES)
    if unknown := sorted(set(modules) - set(MODULES)):
        print(f"the domain has no module {', '.join(unknown)}; it has {', '.join(MODULES)}")
        return 2
    plant(modules)
    if (code := try_mistakes()) != 0:
        print(f"mutmut could not run; its tree is {TREE}, and {LOG.name} in it may tell why")
        return code
    alive, known = survivors(), explanations(modules)
    missed = [mistake for mistake in alive if not any(each.explains(mistake) for each in known)]
    obsolete = [
        each.mistake for each in known if not any(each.explains(mistake) for mistake in alive)
    ]
    for unnoticed in missed:
        print(f"no test notices: {unnoticed}")
    for gone in obsolete:
        print(f"explained in {EXPLANATIONS.name}, yet it did not survive: {gone}")
    print(f"{len(alive)} survived, {len(alive) - len(missed)} of them explained, {len(missed)} not")
    return 1 if missed or obsolete else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
