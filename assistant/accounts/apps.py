"""The app of people, teams and tokens."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "assistant.accounts"
    label = "accounts"

    def ready(self) -> None:
        from . import signals  # noqa: F401  (registers its receivers)
