"""The ASGI entry point of the web process. Refuses to start with a dangerous setting."""

import os
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")


class Handler(ASGIHandler):
    """Django's, but a request goes to its thread once and comes back with the response.

    Django's own walks the middleware in the event loop and goes to that thread and back for what each of them does
    before and after the view: more than twenty times a request. Nothing is gained by it where views are synchronous;
    one that is not is awaited from the thread, which waits with it, and what it streams is sent from the loop.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: Any) -> Any:
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


django.setup(set_prefix=False)
application = Handler()

from assistant.checks import refuse_unsafe_start  # noqa: E402 - needs the loaded settings

refuse_unsafe_start()
