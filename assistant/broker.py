"""Celery's way to Redis, so that a worker outlives a broker that dies while tasks are under way.

When a channel closes, kombu puts what was not acknowledged back into Redis. With the broker gone there is nothing to
put it into; kombu 5.7.0 asks the closed connection for its address, and the AttributeError ends Celery's worker. What
is not put back is not lost: the job is a row, and the sweeper sends it again. Knows kombu. Does not know tasks.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis


class QoS(redis.QoS):
    def restore_unacked_once(self, stderr: Any = None) -> None:
        connection = self.channel.connection
        if self._delivered and (connection is None or connection.client is None):
            self._delivered.clear()
        super().restore_unacked_once(stderr)


def install() -> None:
    """Let every channel to Redis of this process use it."""
    redis.Channel.QoS = QoS
