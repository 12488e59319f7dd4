"""How gunicorn serves the service: gunicorn --config gunicorn_conf.py

A courier has a thread, and threads do not outlive a fork. So it is built in each worker, and not
where the application is made: with --preload that is the master. It is built when the worker starts
and not at the first request, so that what a former worker has left is gone on with at once.
"""

from flask import Flask
from gunicorn.workers.base import Worker

from evidence_courier import Courier

wsgi_app = "app:create_app()"
workers = 3


def post_worker_init(worker: Worker) -> None:
    app: object = worker.wsgi
    assert isinstance(app, Flask)
    courier = Courier.from_config(app.config["TENANTS"], database=app.config["COURIER_DATABASE"])
    courier.start()  # it closes itself when the worker ends
    app.extensions["courier"] = courier
