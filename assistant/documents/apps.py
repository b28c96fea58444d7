from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    name = "assistant.documents"
    label = "documents"

    def ready(self) -> None:
        from assistant.audit import retention

        from .held_events import keeper_of

        retention.ask_before_pruning(keeper_of)
