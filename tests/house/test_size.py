"""The house keeps its limits, and `benchmarks/size.py` notices what breaks one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

HOUSE = Path(__file__).parents[2]
KNOWN = Path(__file__).parent / "known_breaches.txt"


def check(root: Path) -> dict[str, str]:
    """Return what breaks a limit below `root`: kind and place, and why."""
    run = subprocess.run(
        [sys.executable, HOUSE / "benchmarks" / "size.py", "--check", "--root", root],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""
    assert run.returncode == (1 if run.stdout else 0)
    return dict(line.split(": ", 1) for line in run.stdout.splitlines())


def made_of(root: Path, files: dict[str, str]) -> dict[str, str]:
    """Check a house with these files, and with enough in each room that no room is too large."""
    for room in ("domain", "ports", "delivery", "adapters", "testing", "bootstrap"):
        files = {f"{room}/padding.py": "# padding\n" * 400, **files}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    return check(root)


def test_no_limit_is_broken_but_the_known_ones() -> None:
    known = KNOWN.read_text(encoding="utf-8").splitlines() if KNOWN.exists() else []
    found = check(HOUSE)
    new = {where: why for where, why in found.items() if where not in known}
    assert new == {}, "a limit of benchmarks/size.py is broken"
    assert [where for where in known if where not in found] == [], f"mended: remove from {KNOWN}"


def test_a_house_within_its_limits_has_no_breach(tmp_path: Path) -> None:
    assert made_of(tmp_path, {"domain/a.py": '"""Short."""\n'}) == {}


def test_a_room_that_holds_most_of_the_house_is_named(tmp_path: Path) -> None:
    found = made_of(tmp_path, {f"adapters/a{n}.py": "# more\n" * 499 for n in range(3)})
    assert found == {"room adapters": "48.7% of the house (limit 38%)"}


def lines_of(count: int) -> str:
    return "".join(f"    line_{number} = {number}\n" for number in range(count))


@pytest.mark.parametrize(
    ("most", "head", "breach"),
    [
        (500, "if True:\n", "file domain/a.py"),
        (300, "class Large:\n", "class domain/a.py:Large"),
        (50, "def large():\n", "function domain/a.py:large"),
        (50, "async def large():\n", "function domain/a.py:large"),
    ],
)
def test_what_has_one_line_too_many_is_named(
    tmp_path: Path, most: int, head: str, breach: str
) -> None:
    assert made_of(tmp_path, {"domain/a.py": head + lines_of(most - 1)}) == {}
    found = made_of(tmp_path, {"domain/a.py": head + lines_of(most)})
    assert found == {breach: f"{most + 1} lines (limit {most})"}


def test_a_contract_kit_may_be_long(tmp_path: Path) -> None:
    text = "class Rules:\n    def rule():\n" + lines_of(600).replace("    ", "        ")
    assert made_of(tmp_path, {"testing/contracts/a.py": text}) == {}


EIGHT = "".join(f"    field_{number}: int\n" for number in range(8))


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("def __init__(self, a, b, c, d, e, f, g, h): ...", 8),
        ("def __init__(self, a, b, /, c, d, *, e, f, g): ...", 7),
        ("def __init__(self, a, b, c, d, e, f, *rest, **named): ...", 8),
    ],
)
def test_the_parameters_of_a_constructor_are_counted(tmp_path: Path, body: str, count: int) -> None:
    found = made_of(tmp_path, {"adapters/a.py": f"class Asker:\n    {body}\n"})
    assert found == (
        {"constructor adapters/a.py:Asker": f"{count} parameters (limit 7)"} if count > 7 else {}
    )


@pytest.mark.parametrize(
    ("head", "last", "counted"),
    [
        ("@define", "", True),
        ("@define(eq=False)", "", True),
        ("@frozen", "", False),
        ("@frozen(kw_only=True)", "    clock: Clock\n", True),
        ("@frozen", "    clocks: tuple[Clock | None, ...]\n", True),
    ],
)
def test_an_attrs_class_is_limited_unless_it_is_a_value(
    tmp_path: Path, head: str, last: str, counted: bool
) -> None:
    port = "class Clock(Protocol):\n    def now(self): ...\n"
    files = {"ports/clock.py": port, "adapters/a.py": f"{head}\nclass Asker:\n{EIGHT}{last}"}
    found = made_of(tmp_path, files)
    assert list(found) == (["constructor adapters/a.py:Asker"] if counted else [])


def test_what_an_attrs_class_makes_itself_is_no_parameter(tmp_path: Path) -> None:
    own = "    cache: dict = field(init=False, factory=dict)\n    NAME: ClassVar[str] = 'x'\n"
    seven = EIGHT.replace("    field_7: int\n", "")
    assert made_of(tmp_path, {"adapters/a.py": f"@define\nclass Asker:\n{seven}{own}"}) == {}


def test_a_circle_of_imports_is_named(tmp_path: Path) -> None:
    files = {
        "ports/__init__.py": "",
        "ports/a.py": "from .b import B\n",
        "ports/b.py": "try:\n    from ..ports import c\nexcept ImportError: ...\n",
        "ports/c.py": "class C:\n    from .a import A\n",
    }
    assert made_of(tmp_path, files) == {"circle ports.a": "ports.b, ports.c"}


@pytest.mark.parametrize(
    "last",
    [
        "def late():\n    from .a import A\n",
        "class C:\n    def late(self):\n        match self:\n            case _:\n"
        "                from .a import A\n",
        "try: ...\nexcept ImportError:\n    from .a import A\n",
    ],
)
def test_an_import_that_runs_late_makes_a_circle_too(tmp_path: Path, last: str) -> None:
    found = made_of(tmp_path, {"ports/a.py": "from .b import B\n", "ports/b.py": last})
    assert found == {"circle ports.a": "ports.b"}


@pytest.mark.parametrize("test", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_an_import_for_type_checkers_makes_no_circle(tmp_path: Path, test: str) -> None:
    last = f"if {test}:\n    from .a import A\n"
    assert made_of(tmp_path, {"ports/a.py": "from .b import B\n", "ports/b.py": last}) == {}


def test_a_line_over_a_hundred_columns_is_named_wherever_it_is(tmp_path: Path) -> None:
    wide, fits = f"# {'x' * 99}\n", f"# {'x' * 98}\n"
    found = made_of(tmp_path, {"domain/a.py": fits + wide, "tests/test_a.py": fits + wide + wide})
    assert found == {
        "columns domain/a.py": "1 lines over 100: 2",
        "columns tests/test_a.py": "2 lines over 100: 2, 3",
    }


def test_a_table_in_a_text_may_be_wide_and_a_docstring_may_not(tmp_path: Path) -> None:
    wide = "x" * 101
    text = f'''"""One line.\n\n{wide}\n"""\n\nTABLE = """\n{wide}\n"""\n'''
    joined = f'JOINED = (\n    "{wide}"\n    "b"\n)\n'
    found = made_of(tmp_path, {"domain/a.py": text, "domain/b.py": joined})
    assert found == {
        "columns domain/a.py": "1 lines over 100: 3",
        "columns domain/b.py": "1 lines over 100: 2",
    }


def test_the_figures_tell_code_from_docstrings_comments_and_blanks(tmp_path: Path) -> None:
    module = '''\
        """A docstring
        of two lines."""

        import os  # a line of code with a comment

        # a comment

        LIMIT = 7
        """What the attribute is."""

        TEXT = """
        a text, and below it a blank line

        is code"""
    '''
    assert made_of(tmp_path, {"domain/a.py": module, "domain/padding.py": ""}) == {}
    run = subprocess.run(
        [sys.executable, HOUSE / "benchmarks" / "size.py", "--root", tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    (row,) = (line.split() for line in run.stdout.splitlines() if line.startswith("domain "))
    assert row == ["domain", "2", "14", "5", "0", "0", "0.7%"]
