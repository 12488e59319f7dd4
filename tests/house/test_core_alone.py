"""A host that installs no extra must be able to import the face of the package."""

import subprocess
import sys
from importlib.metadata import distribution, packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DECLARED = {"attrs", "cattrs", "aiohttp", "pyyaml", "cerberus", "sqlite-utils"}


def requirements_of(name: str) -> set[str]:
    """Return what a distribution needs on this interpreter when none of its extras is asked for."""
    requirements = [Requirement(line) for line in distribution(name).requires or ()]
    return {
        canonicalize_name(requirement.name)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }


def core() -> set[str]:
    """Return every distribution that an installation without extras brings along."""
    found: set[str] = set()
    waiting = {"evidence-courier"}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= requirements_of(name) - found
    return found


def test_the_core_depends_on_six_libraries() -> None:
    assert requirements_of("evidence-courier") == DECLARED


def test_the_face_is_importable_without_any_extra() -> None:
    alone = core()
    absent = [
        module
        for module, owners in packages_distributions().items()
        if module != "evidence_courier"
        and not alone & {canonicalize_name(owner) for owner in owners}
    ]
    assert {"typst", "graphql", "rich", "httpcore"} <= set(absent)
    # None in sys.modules makes Python say that there is no such module.
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent!r})); from evidence_courier import *"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
