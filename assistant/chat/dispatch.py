"""Tells the answers workers that a question waits. Knows the task's name and its queue; not what the task does, so that
the web process never imports it.

A message may be lost or sent twice: the row is the truth, the sweeper sends again, a second task finds nothing to do.
"""

from __future__ import annotations

import logging
from uuid import UUID

import redis
from celery import current_app
from kombu.exceptions import OperationalError

from assistant.transport import redis_client

logger = logging.getLogger(__name__)

TASK = "assistant.chat.tasks.answer"
REPLAY = "assistant.chat.tasks.replay"
RESEND_SECONDS = 10


def send(answer_id: UUID) -> None:
    """Queue the answer; quietly leaves it to the sweeper when the transport is away."""
    try:
        current_app.send_task(TASK, args=[str(answer_id)], queue="answers", retry=False)
        redis_client().set(_marker(answer_id), "1", ex=RESEND_SECONDS)
    except (OperationalError, redis.RedisError, OSError) as error:
        logger.warning("answer %s waits for the sweeper: %s", answer_id, error)


def sent_lately(answer_id: UUID) -> bool:
    """Whether a message for this answer went out within RESEND_SECONDS. Raises redis.RedisError."""
    return bool(redis_client().exists(_marker(answer_id)))


def _marker(answer_id: UUID) -> str:
    return f"answer:{answer_id}:sent"
