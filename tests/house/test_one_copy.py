"""The repository's root is the package, so a careless path imports it twice. It must never be."""

import importlib
import os
import pkgutil
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

import evidence_courier

HOUSE = Path(__file__).parents[2]
PACKAGE = Path(evidence_courier.__path__[0])
ROOMS = ("domain", "ports", "delivery", "adapters", "testing", "bootstrap", "__init__.py")


def import_everything() -> None:
    for module in pkgutil.walk_packages(evidence_courier.__path__, "evidence_courier."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)


def loaded() -> dict[str, Path]:
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.copy().items()}
    return {name: Path(os.path.abspath(file)) for name, file in files.items() if file}


def is_ours(name: str) -> bool:
    return name == "evidence_courier" or name.startswith("evidence_courier.")


def test_every_module_comes_from_one_folder() -> None:
    import_everything()
    elsewhere = {n: f for n, f in loaded().items() if is_ours(n) and not f.is_relative_to(PACKAGE)}
    assert elsewhere == {}


def test_no_file_of_the_package_is_imported_under_another_name() -> None:
    import_everything()
    rooms = [base.resolve() / room for base in (HOUSE, PACKAGE) for room in ROOMS]
    twice = {
        name: file
        for name, file in loaded().items()
        if not is_ours(name) and any(file.resolve().is_relative_to(room) for room in rooms)
    }
    assert twice == {}


def test_an_installed_wheel_is_not_shadowed_by_the_checkout() -> None:
    installed = distribution("evidence-courier")
    if '"editable": true' in (installed.read_text("direct_url.json") or ""):
        # The links lie in the checkout, in a folder that setuptools keeps for them.
        assert PACKAGE.is_relative_to(HOUSE / "build")
    else:
        site_packages = Path(sysconfig.get_path("purelib"))
        assert site_packages / "evidence_courier" == PACKAGE
