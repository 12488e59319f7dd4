"""Asks of the domain's tests whether they would notice a mistake: `python tests/mutation/mutate.py
[MODULE...]`.

mutmut makes small mistakes in the domain's functions, one at a time, and runs the tests that come
by them. A mistake that no test notices is a survivor. Each must be explained in `survivors.toml`
(it changes nothing that anybody can see), or a test is missing, and the exit code is 1. It is also
1 where an explanation explains nothing any more.

mutmut wants a plain tree, so one is made of the domain, the walk and their tests, in
`build/mutation`. Without arguments the whole domain is mutated; with some, only these modules:
`mutate.py transitions backoff`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from attrs import frozen

REPOSITORY = Path(__file__).parents[2]
TREE = REPOSITORY / "build" / "mutation"
EXPLANATIONS = Path(__file__).with_name("survivors.toml")
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
addopts = --import-mode=importlib -p no:randomly
pythonpath = tests/support
"""
PROFILE = """\
from hypothesis import settings

# Every mutant meets the same examples, so that one run answers as another would.
settings.register_profile("mutation", derandomize=True, deadline=None, max_examples=50, database=None)
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


def plant(modules: Iterable[str]) -> None:
    """Make the tree that mutmut works in."""
    shutil.rmtree(TREE, ignore_errors=True)
    package = TREE / "src" / "evidence_courier"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "domain", package / "domain", ignore=ignore)
    for name in ("domain", "support"):
        shutil.copytree(REPOSITORY / "tests" / name, TREE / "tests" / name, ignore=ignore)
    (package / "testing").mkdir()
    shutil.copy(REPOSITORY / "testing" / "walk.py", package / "testing")
    for folder in (package, package / "testing"):
        (folder / "__init__.py").touch()
    (TREE / "pytest.ini").write_text(PYTEST, encoding="utf-8")
    (TREE / "tests" / "conftest.py").write_text(PROFILE, encoding="utf-8")
    patterns = "\n".join(f"    */domain/{module}.py" for module in modules)
    (TREE / "setup.cfg").write_text(SETTINGS.format(modules=patterns), encoding="utf-8")


def mutmut(*arguments: str) -> str:
    """What mutmut answers."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=TREE, check=True, capture_output=True, text=True).stdout


def survivors() -> list[Mistake]:
    """The mistakes that no test has noticed."""
    lines = [line.split(": ") for line in mutmut("results").splitlines() if ": " in line]
    return [mistake(name.strip()) for name, outcome in lines if outcome not in NOTICED]


def mistake(name: str) -> Mistake:
    """The mistake of that name, which is a function's and a number."""
    diff = [
        line for line in mutmut("show", name).splitlines() if not line.startswith(("---", "+++"))
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
    """Why a mistake is none: in every function that `function` matches, these lines may become
    those."""

    mistake: Mistake
    reason: str

    def explains(self, other: Mistake) -> bool:
        """Whether this is what is wrong with nobody noticing the other."""
        same = (self.mistake.was, self.mistake.becomes) == (other.was, other.becomes)
        return same and fnmatchcase(other.function, self.mistake.function)


def explanations(modules: Iterable[str]) -> list[Explanation]:
    """What is understood of the survivors in these modules."""
    with EXPLANATIONS.open("rb") as file:
        entries = tomllib.load(file)["survivor"]
    known = [Explanation(Mistake(e["function"], e["was"], e["becomes"]), e["why"]) for e in entries]
    return [
        explanation
        for explanation in known
        if explanation.mistake.function.split(".")[0] in set(modules)
    ]


def main(arguments: list[str]) -> int:
    """Run it and say what came of it; the exit code."""
    modules = arguments or sorted(file.stem for file in (REPOSITORY / "domain").glob("*.py"))
    plant(modules)
    run = subprocess.run([sys.executable, "-m", "mutmut", "run"], cwd=TREE, check=False)
    if run.returncode != 0:
        print(f"mutmut could not run; its tree is {TREE}")
        return run.returncode
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
