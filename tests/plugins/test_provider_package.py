"""A provider of somebody else's, built, installed beside ours in a new environment, and used
without a change here."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import threading
import venv
from collections.abc import Iterator, Mapping
from contextlib import closing
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import pytest
from attrs import define, field, frozen
from ledgerly_platform import SECRET, Ledgerly
from loopback import on_loopback

from evidence_courier.adapters.providers import HttpRequest, HttpResponse

HOUSE = Path(__file__).parents[2]
EXAMPLE = HOUSE / "examples" / "provider_package"
HOST = HOUSE / "tests" / "support" / "plug_in_host.py"
OF_THE_PACKAGE = "__init__.py py.typed setup.cfg pyproject.toml README.md LICENSE".split()
ROOMS = "domain ports delivery adapters testing bootstrap".split()
PATIENCE = 60


@frozen
class Environment:
    """A virtual environment with the two packages in it."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        around = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "SECRET": SECRET,
            "COLUMNS": "200",
            **environ,
        }
        return subprocess.run(
            command,
            env=around,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


def sources(folder: Path) -> tuple[Path, Path]:
    """Copies of both packages' sources: what building leaves behind is not for the checkout, nor
    what lies there for the wheel."""
    ours, theirs = folder / "ours", folder / "theirs"
    ours.mkdir()
    for name in OF_THE_PACKAGE:
        shutil.copy(HOUSE / name, ours)
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for room in ROOMS:
        shutil.copytree(HOUSE / room, ours / room, ignore=unwanted)
    shutil.copytree(EXAMPLE, theirs, ignore=unwanted)
    return ours, theirs


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Built and installed by pip, without a network: setuptools comes from here, and so do the
    libraries that both stand on."""
    if find_spec("setuptools") is None or find_spec("pip") is None:
        pytest.skip("this environment has no setuptools or no pip to build wheels with")
    folder = tmp_path_factory.mktemp("plug-in")
    here, wheels = folder / "environment", folder / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq"]
    offline = ["--no-index", "--no-deps"]
    build = [*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(wheels)]
    subprocess.run([*build, *map(str, sources(folder))], check=True, timeout=PATIENCE)
    venv.create(here, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(here), "platbase": str(here)}))
    install = [*pip, "--python", str(here / "bin" / "python"), "install", *offline, "--no-compile"]
    subprocess.run([*install, *map(str, wheels.glob("*.whl"))], check=True, timeout=PATIENCE)
    # Behind the environment's own packages: what it has itself is never taken from there.
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "libraries.pth").write_text("\n".join(sorted(libraries)) + "\n")
    return Environment(here)


@define
class Served:
    """Ledgerly on loopback, whose second step can be made to wait until somebody has died."""

    platform: Ledgerly = field(factory=Ledgerly)
    requests: list[str] = field(factory=list)
    reached: threading.Event = field(factory=threading.Event)
    go_on: threading.Event = field(factory=threading.Event)
    revokes_once: bool = False
    door: threading.Lock = field(factory=threading.Lock)
    url: str = ""

    def __attrs_post_init__(self) -> None:
        self.go_on.set()

    def answer(self, request: HttpRequest) -> HttpResponse:
        if request.url.endswith("/file") and not self.go_on.is_set():
            self.reached.set()
            self.go_on.wait(PATIENCE)
            raise ConnectionAbortedError("whoever asked has died, and the request with it")
        with self.door:
            if self.revokes_once and request.url.endswith("/file"):
                self.revokes_once = False
                self.platform.revoke()
            self.requests.append(f"{request.method} {request.url.split('?')[0]}")
            return self.platform.answer(request)

    def copies(self, evidence_id: str) -> int:
        return self.platform.copies(sha256(b"%PDF-1.7 " + evidence_id.encode()).hexdigest())

    def states(self) -> list[str]:
        return [document.state for document in self.platform.documents.values()]


@pytest.fixture
def ledgerly() -> Iterator[Served]:
    served = Served()
    with on_loopback(served.answer) as served.url:
        yield served
        served.go_on.set()


@pytest.fixture
def tenants(tmp_path: Path, ledgerly: Served) -> Path:
    folder = tmp_path / "tenants"
    folder.mkdir()
    (folder / "acme.yaml").write_text(block(ledgerly.url))
    (folder / "initech.yaml").write_text("name: Initech\n")
    return folder


def block(url: str, **keys: str) -> str:
    said: Mapping[str, str] = {
        "provider": "ledgerly",
        "client_id": "courier",
        "client_secret": "${SECRET}",
        "ledger": "security-training",
        "endpoint": url,
        "retry": "{initial_delay: 10ms, max_delay: 50ms}",
    }
    lines = "".join(f"    {key}: {value}\n" for key, value in {**said, **keys}.items())
    return f"name: ACME Corp\nintegrations:\n  compliance:\n{lines}"


def host(environment: Environment, tenants: Path, *evidence_ids: str) -> list[str]:
    database = tenants.parent / "courier.db"
    came = environment.run(
        environment.python, "-I", str(HOST), str(tenants), str(database), *evidence_ids
    )
    assert came.returncode == 0, came.stdout + came.stderr
    return came.stdout.splitlines()


def test_what_is_installed_is_the_built_package_and_not_this_checkout(
    environment: Environment,
) -> None:
    code = (
        "import evidence_courier, evidence_courier_ledgerly; print(evidence_courier.__file__, "
        "evidence_courier_ledgerly.__file__)"
    )
    came = environment.run(environment.python, "-I", "-c", code)
    assert came.returncode == 0, came.stderr
    assert [Path(file).is_relative_to(environment.folder) for file in came.stdout.split()] == [
        True,
        True,
    ]


def test_it_delivers_with_nothing_changed_here(
    environment: Environment, tenants: Path, ledgerly: Served
) -> None:
    assert host(environment, tenants, "acme/ev-1", "initech/ev-1") == [
        "acme/ev-1 succeeded 1 doc-1",
        "initech/ev-1 none",
    ]
    assert (ledgerly.copies("acme/ev-1"), ledgerly.states(), ledgerly.platform.minted) == (
        1,
        ["filed"],
        1,
    )


def test_a_token_that_is_refused_is_replaced_within_the_attempt(
    environment: Environment, tenants: Path, ledgerly: Served
) -> None:
    ledgerly.revokes_once = True
    assert host(environment, tenants, "acme/ev-1") == ["acme/ev-1 succeeded 1 doc-1"]
    assert (ledgerly.platform.minted, ledgerly.states()) == (2, ["filed"])
    assert [request.split("/")[-1] for request in ledgerly.requests] == [
        "token",
        "documents",
        "file",
        "token",
        "file",
    ]


def test_a_host_killed_between_two_steps_goes_on_from_the_bookmark(
    environment: Environment, tenants: Path, ledgerly: Served
) -> None:
    ledgerly.go_on.clear()
    database = tenants.parent / "courier.db"
    first = subprocess.Popen(
        [environment.python, "-I", str(HOST), str(tenants), str(database), "acme/ev-1"],
        env={"SECRET": SECRET, "PATH": os.environ["PATH"]},
    )
    try:
        assert ledgerly.reached.wait(PATIENCE), "the host never came to the second step"
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait(PATIENCE)
    assert ledgerly.states() == ["draft"]
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT progress FROM uploads").fetchall() == [("doc-1",)]
    ledgerly.requests.clear()
    ledgerly.go_on.set()
    assert host(environment, tenants, "acme/ev-1") == ["acme/ev-1 succeeded 2 doc-1"]
    assert (ledgerly.copies("acme/ev-1"), ledgerly.states()) == (1, ["filed"])
    assert not [
        request
        for request in ledgerly.requests
        if request.startswith("POST") and request.endswith("/documents")
    ]


def test_check_and_doctor_know_it(
    environment: Environment, tenants: Path, ledgerly: Served
) -> None:
    checked = environment.run("evidence-courier", "check", str(tenants))
    assert checked.stdout.splitlines() == [
        "tenant\tname\tprovider\toutcomes\ttarget",
        "acme\tACME Corp\tledgerly\tpassed, exhausted\t"
        f"the ledger security-training at {ledgerly.url}",
        "initech\tInitech\tnone\t\t",
    ]
    asked = environment.run("evidence-courier", "doctor", str(tenants))
    assert asked.stdout.splitlines()[1:] == [
        "acme\tledgerly\tready\tthe ledger Security training is open to this client",
        "initech\t\tno integration\t",
    ]
    assert (checked.returncode, asked.returncode, ledgerly.states()) == (0, 0, [])


def test_a_wrong_key_is_reported_with_file_line_and_suggestion(
    environment: Environment, tenants: Path, ledgerly: Served
) -> None:
    (tenants / "acme.yaml").write_text(block(ledgerly.url, leger="security-training"))
    checked = environment.run("evidence-courier", "check", str(tenants))
    assert checked.returncode == 2
    assert checked.stderr.splitlines() == [
        f"{tenants}/acme.yaml:10: integrations.compliance.leger: is not a known key (did you mean "
        "ledger?)"
    ]


def test_its_own_tests_pass_where_it_is_installed(environment: Environment, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    came = environment.run(
        environment.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "tests")
    )
    assert came.returncode == 0, came.stdout + came.stderr
