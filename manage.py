#!/usr/bin/env python3
"""Django's command line for the assistant."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # what to set otherwise is said; where in the code, to those who ask
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"Not started: {error}")
