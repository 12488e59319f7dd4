"""What every source of secrets owes: the kit for the `Secrets` port.

class TestMyVault(SecretsContract):
    def secrets(self, known: Mapping[str, str]) -> Secrets:
        return MyVault(FakeServer(known))
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from ...domain.secrets.secret import Secret
from ...ports.secrets import Secrets
from .assertions import must, same

_VALUES = {
    "PLAIN": "canary-4f1c9a7e2b",
    "EMPTY": "",
    "SPACES": "  canary-4f1c9a7e2b\n",
    "REFERENCE": "${PLAIN}",
    "ASTRAL": "canary \U0001d49c é",
    "LONG": "canary" * 10_000,
    "lower": "another canary",
}


class SecretsContract(ABC):
    """The rules for a source of secrets. Give it `secrets`."""

    @abstractmethod
    def secrets(self, known: Mapping[str, str]) -> Secrets:
        """A source, new, that knows these and no others."""

    def test_a_secret_is_given_exactly_as_it_is(self) -> None:
        secrets = self.secrets(_VALUES)
        for name, value in _VALUES.items():
            secret = secrets.resolve(name)
            must(
                isinstance(secret, Secret),
                f"{name} is given as a {type(secret).__name__}, which shows itself",
            )
            must(
                secret == Secret(value),
                f"{name} is not given as it is: nothing is stripped, unpacked or resolved",
            )

    def test_what_is_not_known_is_none(self) -> None:
        secrets = self.secrets(_VALUES)
        for name in ("UNKNOWN", "PLAI", "PLAINER", "plain", "LOWER", "_", "N" * 255):
            found = secrets.resolve(name)
            must(found is None, f"{name}, which is not known, is given as {found!r}")

    def test_asking_twice_gives_the_same(self) -> None:
        secrets = self.secrets(_VALUES)
        same(secrets.resolve("PLAIN"), secrets.resolve("PLAIN"), "the second answer")

    def test_a_source_does_not_show_what_it_knows(self) -> None:
        secrets = self.secrets(_VALUES)
        secrets.resolve("PLAIN")
        for text in (repr(secrets), str(secrets), f"{secrets}"):
            must("canary" not in text, "the source shows a secret in its repr")

    def test_it_may_be_asked_from_several_threads(self) -> None:
        secrets = self.secrets(_VALUES)
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(secrets.resolve, list(_VALUES) * 10))
        same(answers, [Secret(value) for value in _VALUES.values()] * 10, "what threads get")
