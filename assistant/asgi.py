"""The ASGI entry point of the web process. Refuses to start with a dangerous setting."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.handlers.asgi import ASGIHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")

MOST = 16  # threads that wait for requests; what a burst needs beyond that ends with it


class Threads:
    """Executors of one thread each, for one request at a time; who asks gets the one that rested last, else a new one.

    To start a thread, and another one that waits for its end, is a good part of the way of a short request.
    """

    def __init__(self) -> None:
        self._resting: deque[ThreadPoolExecutor] = deque()

    def take(self) -> ThreadPoolExecutor:
        try:
            return self._resting.pop()
        except IndexError:
            return ThreadPoolExecutor(max_workers=1, thread_name_prefix="request")

    def give(self, thread: ThreadPoolExecutor) -> None:
        """It rests once everything asked of it is done: a view whose client went away may still be at work."""
        thread.submit(self._rest, thread)

    def _rest(self, thread: ThreadPoolExecutor) -> None:
        if len(self._resting) < MOST:
            self._resting.append(thread)
        else:
            thread.shutdown(wait=False)


class Handler(ASGIHandler):
    """Django's, but a request goes to its thread once and comes back with the response, and the thread to the next one.

    Django's own walks the middleware in the event loop and goes to that thread and back for what each of them does
    before and after the view: more than twenty times a request. Nothing is gained by it where views are synchronous;
    one that is not is awaited from the thread, which waits with it, and what it streams is sent from the loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.threads = Threads()

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        thread = self.threads.take()
        try:
            async with ThreadSensitiveContext(executor=thread):
                await super().__call__(scope, receive, send)
        finally:
            self.threads.give(thread)

    async def get_response_async(self, request: Any) -> Any:
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


django.setup(set_prefix=False)
application = Handler()

from assistant.checks import refuse_unsafe_start  # noqa: E402 - needs the loaded settings

refuse_unsafe_start()
