"""The names that hosts import: each is there, each is listed, and none costs anything before it
is used."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import evidence_courier
import evidence_courier.testing

FACES = [evidence_courier, evidence_courier.testing]


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_every_name_leads_to_its_home(face: ModuleType) -> None:
    for name in face.__all__:
        assert getattr(face, name).__name__ == name
    assert list(face.__all__) == sorted(face.__all__)
    assert set(face.__all__) <= set(dir(face))


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_what_is_listed_is_what_can_be_found(face: ModuleType) -> None:
    assert set(vars(face)["_HOMES"]) == set(face.__all__)


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_another_name_is_an_attribute_error(face: ModuleType) -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Nonsense'"):
        face.Nonsense  # noqa: B018


def test_a_name_that_is_nearly_right_is_named() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'AsyncCourrier': did you mean AsyncC"):
        evidence_courier.AsyncCourrier  # type: ignore[attr-defined]  # noqa: B018


def test_the_face_alone_imports_no_library() -> None:
    program = (
        "import sys; before = set(sys.modules); import evidence_courier.testing\n"
        "print(sorted(name for name in set(sys.modules) - before if not "
        "name.startswith('evidence_courier')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    imported = eval(done.stdout)
    assert not {"aiohttp", "asyncio", "attrs", "sqlite3", "yaml"} & set(imported), imported
