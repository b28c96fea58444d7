from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "assistant.chat"
    label = "chat"

    def ready(self) -> None:
        from assistant.documents.erasure import register_eraser

        from .services import withhold

        register_eraser(withhold)
