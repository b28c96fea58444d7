"""The ASGI entry point of the web process. Refuses to start with a dangerous setting."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")
application = get_asgi_application()

from assistant.checks import refuse_unsafe_start  # noqa: E402 - needs the loaded settings

refuse_unsafe_start()
