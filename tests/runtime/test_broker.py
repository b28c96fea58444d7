"""A worker that loses its broker with tasks in flight lives on: what it held is a row, and comes again."""

import subprocess
import tempfile
from pathlib import Path

import pytest
from kombu import Connection, Consumer, Producer, Queue
from kombu.common import ignore_errors

from assistant import celery  # noqa: F401  (it prepares the transport)
from assistant.runtime import private_redis


@pytest.fixture
def server():
    with tempfile.TemporaryDirectory() as folder:  # a socket's path must be short
        socket = Path(folder) / "r.sock"
        command = private_redis.arguments(directory=Path(folder), socket=socket)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        private_redis.wait_until_ready(socket)
        yield process, f"redis+socket://{socket}"
        process.kill()
        process.wait()


def test_a_broker_killed_with_a_task_in_flight_does_not_end_the_worker(server):
    process, url = server
    connection = Connection(url)
    queue = Queue("work")
    held = []
    Producer(connection.channel()).publish({"id": 1}, routing_key="work", declare=[queue])
    consumer = Consumer(connection.default_channel, [queue], callbacks=[lambda body, message: held.append(message)])
    consumer.consume()
    connection.drain_events(timeout=60)
    other = connection.channel()  # a worker has one for remote control
    Consumer(other, [Queue("other")]).consume()
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.2)
    for channel in (connection.default_channel, other):
        if not channel._in_poll:
            channel._brpop_start()  # as a worker's loop waits for what comes next
    assert len(held) == 1  # not acknowledged
    process.kill()
    process.wait()
    # what Celery 5.7 does when the broker is lost (worker.consumer.on_connection_error_after_connected)
    connection.collect(socket_timeout=1)
    ignore_errors(connection, connection.close)


def test_what_was_not_acknowledged_goes_back_where_the_broker_lives(server):
    _, url = server
    queue = Queue("work")
    with Connection(url) as connection:
        Producer(connection.channel()).publish({"id": 1}, routing_key="work", declare=[queue])
        with Consumer(connection.channel(), [queue], callbacks=[lambda body, message: None]):
            connection.drain_events(timeout=60)
    again = []
    with Connection(url) as connection, Consumer(connection.channel(), [queue], accept=["json"]) as consumer:
        consumer.register_callback(lambda body, message: again.append(body) or message.ack())
        connection.drain_events(timeout=60)
    assert again == [{"id": 1}]
