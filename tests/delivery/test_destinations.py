"""What follows from an integration: where it sends to."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen

from evidence_courier.adapters.providers.sprinto.settings import SprintoSettings
from evidence_courier.adapters.providers.vanta.settings import VantaSettings
from evidence_courier.delivery.destinations import origin_of
from evidence_courier.domain.integration import Integration
from evidence_courier.domain.secrets.secret import Secret

SECRET = Secret("a secret")


@frozen
class Settings:
    endpoint: object = None

    @property
    def base(self) -> str:
        raise KeyError("a plug-in's bug")


def origin(settings: Any) -> str:
    return origin_of(Integration("acme", "ledgerly", settings))


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://API.example.com/v1", "https://api.example.com:443"),
        ("http://127.0.0.1:8080/graphql", "http://127.0.0.1:8080"),
        ("HTTPS://[2001:db8::1]?a", "https://[2001:db8::1]:443"),
        ("https://api.example.com:99999x", "ledgerly"),
        ("ftp://api.example.com", "ledgerly"),
        ("", "ledgerly"),
        (None, "ledgerly"),
        (7, "ledgerly"),
    ],
)
def test_an_origin_is_scheme_host_and_port_or_else_the_provider(
    endpoint: object, expected: str
) -> None:
    assert origin(Settings(endpoint)) == expected


def test_regions_of_a_platform_are_different_origins() -> None:
    regions = {
        origin(SprintoSettings(api_key=SECRET, workflow_check="1", region=region))
        for region in ("us", "eu")
    }
    assert len(regions) == 2
    settings = VantaSettings(client_id="a", client_secret=SECRET, document="d")
    assert origin(settings) == "https://api.vanta.com:443"
