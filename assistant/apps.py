"""The product's own Django app: system checks and commands that belong to no single room."""

from django.apps import AppConfig


class AssistantConfig(AppConfig):
    name = "assistant"
    label = "assistant"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - registers them
