"""Secrets out of the environment."""

from __future__ import annotations

import os

from evidence_courier.adapters.secrets import EnvironSecrets
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.ports.secrets import Secrets


def test_a_variable_that_is_set_is_given_as_a_secret() -> None:
    secrets: Secrets = EnvironSecrets({"A": "one", "B": ""})
    assert (secrets.resolve("A"), secrets.resolve("B")) == (Secret("one"), Secret(""))


def test_a_variable_that_is_not_set_is_none() -> None:
    assert EnvironSecrets({}).resolve("A") is None


def test_without_a_mapping_this_process_environment_is_asked() -> None:
    name = next(iter(os.environ))
    assert EnvironSecrets().resolve(name) == Secret(os.environ[name])


def test_a_change_is_seen_at_the_next_look() -> None:
    environ: dict[str, str] = {}
    secrets = EnvironSecrets(environ)
    environ["A"] = "later"
    assert secrets.resolve("A") == Secret("later")
