"""What beat sends is void when nobody took it before its next turn."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from celery.beat import Scheduler

from assistant.celery import app
from assistant.transport import redis_client


def test_every_periodic_task_expires_before_its_next_turn_is_over(redis_server):
    """As a worker finds it in Redis after an absence: Celery discards what has expired instead of running it."""
    app.loader.import_default_modules()
    scheduler = Scheduler(app, lazy=True)
    scheduler.setup_schedule()
    entries = [entry for name, entry in scheduler.schedule.items() if not name.startswith("celery.")]
    assert {entry.task for entry in entries} <= set(app.tasks)
    assert len(entries) == len(app.conf.beat_schedule)
    for entry in entries:
        queue = app.amqp.router.route({}, entry.task)["queue"].name
        redis_client().delete(queue)
        before = datetime.now(UTC)
        scheduler.apply_async(entry, advance=False)
        after = datetime.now(UTC)
        (message,) = redis_client().lrange(queue, 0, -1)
        headers = json.loads(message)["headers"]
        assert headers["task"] == entry.task
        every = entry.schedule.run_every
        assert before + every <= datetime.fromisoformat(headers["expires"]) <= after + every
