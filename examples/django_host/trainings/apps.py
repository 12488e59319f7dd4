"""The app, and the courier of the process it runs in."""

from __future__ import annotations

import threading

from django.apps import AppConfig, apps
from django.conf import settings

from evidence_courier import Courier


class TrainingsConfig(AppConfig):
    name = "trainings"

    def ready(self) -> None:
        self.built: Courier | None = None
        self._building = threading.Lock()

    @property
    def courier(self) -> Courier:
        """The courier of this process, built where it is first asked for.

        Not earlier: importing the app, `migrate` or a gunicorn master that preloads it need none,
        and a courier does not outlive a fork. It closes itself when the process ends.
        """
        with self._building:
            if self.built is None:
                courier = Courier.from_config(
                    settings.COURIER_TENANTS, database=settings.COURIER_DATABASE
                )
                courier.start()
                self.built = courier
            return self.built


def courier() -> Courier:
    """The courier of this process."""
    app = apps.get_app_config("trainings")
    assert isinstance(app, TrainingsConfig)
    return app.courier
