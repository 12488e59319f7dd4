"""A secret shows itself to whoever asks for it by name, and to nobody else."""

import copy
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable

import pytest
from attrs import evolve, frozen

from evidence_courier.domain.integration import Integration
from evidence_courier.domain.secrets.secret import Secret

TEXT = "sk-very-secret-7f3a"
SECRET = Secret(TEXT)


def test_reveal_returns_the_text_of_a_secret() -> None:
    assert SECRET.reveal() == TEXT


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        "{}".format,
        "{!r}".format,
        "{:>40}".format,
        "{:s}".format,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!s:.20}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
        pprint.pformat,
        lambda secret: str([secret]),
        lambda secret: str({secret: secret}),
        lambda secret: logging.LogRecord("", 0, "", 0, "key %s", (secret,), None).getMessage(),
        lambda secret: json.dumps(secret, default=str),
    ],
)
def test_a_secret_is_three_stars_wherever_it_is_shown(show: Callable[[Secret], str]) -> None:
    shown = show(SECRET)
    assert TEXT not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "attempt",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        lambda secret: copy.deepcopy({"key": secret}),
        json.dumps,
        lambda secret: "Bearer " + secret,
        ", ".join,
        len,
        vars,
    ],
)
def test_no_error_on_the_way_shows_a_secret(attempt: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError) as caught:
        attempt(SECRET)
    assert TEXT not in "".join(traceback.format_exception(caught.value))


def test_a_refused_pickle_says_what_to_do_instead() -> None:
    with pytest.raises(
        TypeError,
        match="^a Secret is not pickled: pass the reference to it and resolve it where it is used$",
    ):
        pickle.dumps(SECRET)


def test_secrets_with_the_same_text_are_one() -> None:
    assert Secret(TEXT) == SECRET
    assert hash(Secret(TEXT)) == hash(SECRET)
    assert Secret("another") != SECRET
    assert hash(Secret("another")) != hash(SECRET)
    assert SECRET != TEXT
    assert TEXT != SECRET


def test_a_secret_takes_no_further_attributes_that_might_show_it() -> None:
    with pytest.raises(AttributeError):
        SECRET.note = TEXT  # type: ignore[attr-defined]


@frozen
class Settings:
    """A provider's settings, as one that holds a key has them."""

    api_key: Secret


def test_settings_that_hold_a_secret_may_be_shown_and_changed() -> None:
    settings = Settings(SECRET)
    assert repr(settings) == "Settings(api_key=Secret(***))"
    assert evolve(settings, api_key=Secret("another")).api_key.reveal() == "another"


def test_an_integration_shows_neither_its_secrets_nor_their_derivatives() -> None:
    integration = Integration(
        tenant_id="acme",
        provider="sprinto",
        settings={"api_key": TEXT},
        secrets=(SECRET,),
        stored={"workflow_check": "7d1c"},
    )
    assert TEXT not in repr(integration)
    assert "5ba3" not in repr(integration)
    assert "acme" in repr(integration)
