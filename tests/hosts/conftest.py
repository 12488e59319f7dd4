"""What every host is driven with: a sandbox that takes its evidence, and a folder of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import django
import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connections
from django.test.utils import override_settings
from host_home import EXAMPLES, Home

from evidence_courier.testing.sandboxes import SprintoSandbox, sandbox_in_thread

# its folder is on the path, and its models can be imported, once Django is set up
if TYPE_CHECKING:
    from trainings.apps import TrainingsConfig


@pytest.fixture
def sandbox() -> Iterator[SprintoSandbox]:
    with sandbox_in_thread(SprintoSandbox()) as sandbox:
        yield sandbox


@pytest.fixture
def home(tmp_path: Path, sandbox: SprintoSandbox) -> Home:
    return Home(tmp_path, sandbox)


@pytest.fixture
def at_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home for a host in this process."""
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    return home


@pytest.fixture(scope="session")
def django_project() -> None:
    """Django can be set up once in a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_SETTINGS_MODULE", "service.settings")
        sys.path.append(str(EXAMPLES / "django_host"))
        django.setup()


@pytest.fixture
def django_host(at_home: Home, django_project: None) -> Iterator[TrainingsConfig]:
    """The Django host in this process, with empty databases; its courier is built when it is
    first asked for."""
    from trainings.apps import TrainingsConfig

    database = connections["default"]
    database.settings_dict["NAME"] = at_home.environment["HOST_DATABASE"]
    app = apps.get_app_config("trainings")
    assert isinstance(app, TrainingsConfig)
    with override_settings(
        COURIER_TENANTS=at_home.environment["TENANTS"], COURIER_DATABASE=str(at_home.database)
    ):
        call_command("migrate", verbosity=0)
        app.ready()  # as at the start of a process
        yield app
        if app.built is not None:
            app.built.close()
    connections.close_all()
