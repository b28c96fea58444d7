from django.apps import AppConfig


class QualityConfig(AppConfig):
    name = "assistant.quality"
    label = "quality"
