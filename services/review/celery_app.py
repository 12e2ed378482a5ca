"""The Celery application: settings under which a killed worker or broker loses no message."""

from __future__ import annotations

from functools import partial

from celery import Celery

from services.core.config import HouseSettings
from services.core.store.outbox import ROUTE_ITEM, SETTLE_ITEM, WITHDRAW_IMAGE
from services.review import broker
from services.review.settings import ReviewSettings
from services.review.tasks import Books, route_pending, settle_decided
from services.review.withdrawing import withdraw_waiting

QUEUE = "portcullis_review"


def make_app(house: HouseSettings, settings: ReviewSettings, *, listens: bool) -> Celery:
    """The application for the configured broker, with our tasks; makes pgmq's tables where pgmq is the broker.

    Raises ConfigurationError or Unavailable where that is not possible.
    """
    dsn = house.database()
    chosen = broker.choose(house.broker_url, dsn, settings.visibility_seconds, listens=listens)
    if not house.broker_url:
        broker.install_pgmq(dsn)
    app = Celery("portcullis-review", broker=chosen.url, set_as_current=False)
    app.conf.update(
        broker_transport_options=chosen.options,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_default_queue=QUEUE,
        task_default_queue_type=chosen.queue_type,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=chosen.prefetch,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        enable_utc=True,
    )
    books = Books(dsn)
    app.task(name=ROUTE_ITEM)(books.task(ROUTE_ITEM, route_pending))
    app.task(name=SETTLE_ITEM)(books.task(SETTLE_ITEM, settle_decided))
    app.task(name=WITHDRAW_IMAGE)(books.task(WITHDRAW_IMAGE, partial(withdraw_waiting, house)))
    return app
