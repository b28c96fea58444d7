"""The product: web, workers and commands over the libraries `retrieval` and `inference`."""

from .celery import app as celery_app

__all__ = ["celery_app"]
