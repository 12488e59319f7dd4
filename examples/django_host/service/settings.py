"""The settings of the service. What Evidence Courier needs are the last two."""

import os

SECRET_KEY = os.environ.get("SECRET_KEY", "only-for-trying-it-out")
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
INSTALLED_APPS = ["trainings"]
ROOT_URLCONF = "service.urls"
WSGI_APPLICATION = "service.wsgi.application"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("HOST_DATABASE", "host.db"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

COURIER_TENANTS = os.environ.get("TENANTS", "tenants")
COURIER_DATABASE = os.environ.get("COURIER_DATABASE", "courier.db")
