"""Engines: one protocol (``base``), one module per way of answering."""
