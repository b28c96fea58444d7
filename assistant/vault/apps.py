from django.apps import AppConfig


class VaultConfig(AppConfig):
    name = "assistant.vault"
    label = "vault"
