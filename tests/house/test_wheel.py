"""What users install is what lies in the repository: nothing forgotten, nothing too much."""

from configparser import ConfigParser
from importlib.metadata import Distribution, distribution, entry_points
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
ROOMS = ("domain", "ports", "delivery", "adapters", "testing", "bootstrap")


def files_on_disk() -> set[str]:
    """Return every file that belongs to the package, by its path from the root."""
    inside = (path for room in ROOMS for path in (HOUSE / room).rglob("*") if path.is_file())
    at_the_root = {Path(name) for name in ("__init__.py", "__main__.py", "py.typed")}
    paths = {path.relative_to(HOUSE) for path in inside} | at_the_root
    return {
        path.as_posix()
        for path in paths
        if "__pycache__" not in path.parts and not path.name.startswith(".")
    }


def packages_on_disk() -> set[str]:
    folders = {Path(name).parent for name in files_on_disk()}
    return {".".join(("evidence_courier", *folder.parts)) for folder in folders}


def packages_in_setup_cfg() -> list[str]:
    setup = ConfigParser()
    setup.read(HOUSE / "setup.cfg", encoding="utf-8")
    return setup["options"]["packages"].split()


def installed_wheel() -> Distribution:
    """Return the installed distribution, if it came from a wheel and not as a link to this
    checkout."""
    found = distribution("evidence-courier")
    if '"editable": true' in (found.read_text("direct_url.json") or ""):
        pytest.skip("this environment links to the checkout; `make test` installs the wheel")
    return found


def test_every_folder_of_the_package_is_named_in_setup_cfg() -> None:
    named = packages_in_setup_cfg()
    assert sorted(packages_on_disk() - set(named)) == [], "missing from `packages =` in setup.cfg"
    assert sorted(set(named) - packages_on_disk()) == [], (
        "in `packages =` of setup.cfg, but not on disk"
    )
    assert named == sorted(named), "`packages =` in setup.cfg is not in alphabetical order"


def test_every_folder_of_the_package_has_an_init_file() -> None:
    on_disk = files_on_disk()
    folders = {Path(name).parent for name in on_disk}
    without = sorted(
        str(folder) for folder in folders if (folder / "__init__.py").as_posix() not in on_disk
    )
    assert without == []


def test_the_wheel_holds_exactly_the_files_on_disk() -> None:
    prefix = "evidence_courier/"
    recorded = {file.as_posix() for file in installed_wheel().files or ()}
    in_wheel = {
        name.removeprefix(prefix)
        for name in recorded
        if name.startswith(prefix) and "__pycache__" not in name
    }
    assert sorted(files_on_disk() - in_wheel) == [], "on disk, but not in the wheel: see setup.cfg"
    assert sorted(in_wheel - files_on_disk()) == [], "in the wheel, but no file of the package"


def test_the_wheel_brings_no_other_top_level_name() -> None:
    tops = {file.parts[0] for file in installed_wheel().files or ()}
    strangers = {top for top in tops if top != ".." and not top.endswith(".dist-info")}
    assert strangers == {"evidence_courier"}


def test_what_the_metadata_points_to_exists() -> None:
    ours = distribution("evidence-courier").entry_points
    assert {(entry.group, entry.name) for entry in ours} >= {
        ("console_scripts", "evidence-courier"),
        ("evidence_courier.providers", "sprinto"),
        ("pytest11", "evidence_courier"),
        ("evidence_courier.providers", "vanta"),
    }
    for entry in ours:
        # A pytest plugin is a module; everything else is called.
        assert callable(entry.load()) is (entry.group != "pytest11"), entry


def test_a_provider_is_found_by_the_name_it_is_registered_under() -> None:
    for entry in entry_points(group="evidence_courier.providers"):
        assert entry.load().name == entry.name
