"""Plug-ins that are broken in every way there is, installed beside one that works: each fails
its own tenants, by name, and nobody else's."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from attrs import define, field
from plug_ins import install, shelf
from store_fixtures import Keys, evidence

from evidence_courier import AsyncCourier, ConfigError, NotReady
from evidence_courier.domain.upload.status import UploadDetails
from evidence_courier.testing import FakeClock, RecordingLogger, until_settled

AUTHORS = "; ask its authors for a version that works here"


@define
class Site:
    """A folder that packages are installed into, a folder of tenants, and a courier for them.
    The tenant acme has a plug-in that works."""

    folder: Path
    clock: FakeClock = field(factory=FakeClock)
    keys: Keys = field(factory=Keys)

    def __attrs_post_init__(self) -> None:
        for name in ("packages", "tenants"):
            (self.folder / name).mkdir()
        self.install("shelf", shelf("shelf"))
        self.tenant("acme", "shelf")

    @property
    def packages(self) -> Path:
        return self.folder / "packages"

    def install(self, word: str, code: str, package: str | None = None) -> None:
        install(self.packages, word, code, package=package)

    def tenant(self, tenant_id: str, provider: str) -> None:
        (self.folder / "tenants" / f"{tenant_id}.yaml").write_text(
            f"integrations:\n  compliance:\n    provider: {provider}\n    key: ${{KEY}}\n    "
            f"endpoint: https://{provider}.test/\n"
            "    retry: {max_attempts: 2, initial_delay: 5s}\n"
        )

    def courier(self, on_invalid: str = "raise") -> AsyncCourier:
        return AsyncCourier.from_config(
            self.folder / "tenants",
            self.folder / "courier.db",
            on_invalid=on_invalid,  # type: ignore[arg-type]
            secrets=self.keys,
            clock=self.clock,
            logger=RecordingLogger(),
        )

    def problems(self) -> list[str]:
        """What is wrong with the tenants, as an administrator reads it, without the folder."""
        with pytest.raises(ConfigError) as refused:
            self.courier()
        return [
            str(problem).replace(f"{self.folder}/tenants/", "")
            for problem in refused.value.problems
        ]

    def deliver(self, *tenant_ids: str) -> list[UploadDetails]:
        """What becomes of one evidence of each tenant, all in one courier."""
        return asyncio.run(self._deliver(tenant_ids))

    async def _deliver(self, tenant_ids: tuple[str, ...]) -> list[UploadDetails]:
        async with self.courier(on_invalid="skip") as courier:
            tickets = [courier.submit(evidence(tenant_id=tenant_id)) for tenant_id in tenant_ids]
            await until_settled(courier, self.clock, *tickets)
            shown = [await courier.show(tenant_id, "ev-1") for tenant_id in tenant_ids]
            return [details for details in shown if details is not None]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path)
    monkeypatch.syspath_prepend(made.packages)
    return made


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of these packages are not remembered from one test to the next."""
    for name in [name for name in sys.modules if name.endswith("_plug")]:
        monkeypatch.delitem(sys.modules, name)


WITHOUT_UPLOAD = shelf("odd").replace("def upload", "def uplaod")
AT_IMPORT = "raise OSError('no licence file')\n"
NO_SCHEMA = shelf("odd", "schema = {'key': {'type': 'secert'}}")
CLAIMS = shelf("odd", "schema = {'retry': {'type': 'dict'}}")
RAISING_SETTINGS = shelf("odd").replace(
    "endpoint: str",
    "endpoint: str\n\n    def __attrs_post_init__(self):\n        raise RuntimeError('out of "
    "luck')",
)
ASYNC_UPLOAD = shelf(
    "odd", "async def upload(self, parcel, settings, progress):", "    return None"
)
NO_DELAYS = shelf(
    "odd",
    "look_up_delays = ()",
    "def look_up(self, parcel, settings, progress):",
    "    return None",
)
ANOTHER_NAME = shelf("even")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            AT_IMPORT,
            "odd.yaml:3: integrations.compliance.provider: the provider odd cannot be used: "
            "odd_plug:Plugin of odd-plug could not be loaded (OSError: no licence file)" + AUTHORS,
        ),
        (
            "",
            "odd.yaml:3: integrations.compliance.provider: the provider odd cannot be used: "
            "odd_plug:Plugin of odd-plug could not be loaded (AttributeError: module 'odd_plug' "
            "has "
            "no attribute 'Plugin')" + AUTHORS,
        ),
        (
            "Plugin = 7\n",
            "odd.yaml:3: integrations.compliance.provider: the provider odd cannot be used: "
            "odd_plug:Plugin of odd-plug is not a provider: it has no name, no settings_class",
        ),
        (
            WITHOUT_UPLOAD,
            "odd.yaml:3: integrations.compliance.provider: the provider odd cannot be used: "
            "odd_plug:Plugin of odd-plug is not a provider: it has no upload" + AUTHORS,
        ),
        (
            ASYNC_UPLOAD,
            "odd.yaml:3: integrations.compliance.provider: the provider odd cannot be used: "
            "odd_plug:Plugin of odd-plug is not a provider: its upload is not a plain function "
            "that "
            "gives a dialogue" + AUTHORS,
        ),
        (
            NO_DELAYS,
            "odd.yaml:3: integrations.compliance.provider: the provider odd cannot be used: "
            "odd_plug:Plugin of odd-plug is not a provider: its look_up needs look_up_delays",
        ),
        (
            ANOTHER_NAME,
            "odd.yaml:3: integrations.compliance.provider: the provider odd cannot be used: "
            "odd_plug:Plugin of odd-plug calls itself 'even', not 'odd'" + AUTHORS,
        ),
        (
            NO_SCHEMA,
            "odd.yaml:3: integrations.compliance.provider: the provider odd cannot be used: its "
            "schema is not one that Cerberus takes (SchemaError: ",
        ),
        (
            CLAIMS,
            "odd.yaml:3: integrations.compliance.provider: the provider odd cannot be used: its "
            "schema claims keys that every block has: retry" + AUTHORS,
        ),
        (
            RAISING_SETTINGS,
            "odd.yaml:2: integrations.compliance: the provider odd does not take this: out of luck",
        ),
    ],
)
def test_an_unusable_plug_in_is_reported_and_the_others_deliver(
    site: Site, code: str, says: str
) -> None:
    site.install("odd", code)
    site.tenant("odd", "odd")
    problems = site.problems()
    assert problems[0].startswith(says), problems
    assert all(problem.startswith("odd.yaml:") for problem in problems)
    [acme, odd] = site.deliver("acme", "odd")
    assert (acme.tenant_id, acme.status) == ("acme", "succeeded")
    assert (odd.tenant_id, odd.status) == ("odd", "held")


def test_two_packages_that_offer_the_same_name_are_both_out(site: Site) -> None:
    site.install("odd", shelf("odd"), package="first-plug")
    site.install("odd", shelf("odd"), package="second-plug")
    site.tenant("odd", "odd")
    assert site.problems()[0] == (
        "odd.yaml:3: integrations.compliance.provider: the provider odd cannot be used: several "
        "installed packages offer one of that name, "
        "first-plug (first_plug:Plugin) and second-plug (second_plug:Plugin); uninstall all but one"
    )
    assert [one.status for one in site.deliver("acme", "odd")] == ["succeeded", "held"]


def test_a_plug_in_that_fails_fails_its_upload_and_the_others_deliver(
    site: Site,
) -> None:
    """The failure names it."""
    bodies = {
        "nothing": (["pass"], "'NoneType' object"),
        "plain": (["return Delivered(Receipt())"], "'Delivered' object"),
        "raises": (
            ["yield from bookmark('half')", "raise RuntimeError('halfway')"],
            "RuntimeError: halfway",
        ),
        "yields": (["yield 'an upload'"], "HttpRequest, Bookmark, Access, Now or Mask, not str"),
        "returns": (["yield from ()", "return 200"], "its dialogue returned int"),
        "exits": (["yield from ()", "raise KeyError('oh')"], "KeyError: 'oh'"),
    }
    for word, (lines, _) in bodies.items():
        upload = [
            "def upload(self, parcel, settings, progress):",
            *(f"    {line}" for line in lines),
        ]
        site.install(word, shelf(word, *upload))
        site.tenant(f"of-{word}", word)
    acme, *others = site.deliver("acme", *(f"of-{word}" for word in bodies))
    assert (acme.status, acme.attempts) == ("succeeded", 1)
    for (word, (_, says)), status in zip(bodies.items(), others, strict=True):
        assert status.error is not None
        assert (status.status, status.error.kind) == ("failed", "provider_broken")
        assert status.error.message.startswith(f"the adapter for {word} raised "), (
            status.error.message
        )
        assert says in status.error.message
        assert status.error.message.endswith("report it to its authors, then retry the upload")


def test_one_that_fails_in_a_look_up_is_no_answer_and_says_so(site: Site) -> None:
    silent = [
        "def upload(self, parcel, settings, progress):",
        "    yield from ()",
        "    return Unclear(Failure(FailureKind.TIMEOUT, 'silence'))",
    ]
    deaf = [
        "from datetime import timedelta",
        "look_up_delays = (timedelta(0),)",
        "def look_up(self, parcel, settings, progress):",
        "    raise RuntimeError('no ears')",
    ]
    site.install("deaf", shelf("deaf", *silent, *deaf))
    site.tenant("odd", "deaf")
    acme, odd = site.deliver("acme", "odd")
    assert acme.status == "succeeded"
    assert (odd.status, odd.attempts, odd.possible_duplicate) == ("failed", 2, True)
    assert {(row.finding, row.message) for row in odd.look_ups} == {
        (
            "unreadable",
            "the adapter for deaf raised RuntimeError: no ears; this is a bug in it: report it to "
            "its authors, then retry the upload",
        )
    }


def test_one_that_fails_in_a_dry_run_says_so_and_can_still_upload(site: Site) -> None:
    site.install(
        "dizzy",
        shelf("dizzy", "def check(self, settings):", "    raise RuntimeError('round and round')"),
    )
    site.tenant("odd", "dizzy")

    async def ask() -> None:
        async with site.courier() as courier:
            came = await courier.doctor("odd")
            assert isinstance(came, NotReady)
            assert came.failure.message.startswith(
                "the adapter for dizzy raised RuntimeError in its dry run: round and round"
            )

    asyncio.run(ask())
    [odd] = site.deliver("odd")
    assert odd.status == "succeeded"
