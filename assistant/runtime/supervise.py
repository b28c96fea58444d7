"""supervisord that outlives a full disk: `python -P supervise.py -n -c FILE`.

supervisord 4 answers a line that it cannot write to a log with a traceback on its own standard error. When that is on
the full disk too, the second error closes the pipe of the process that spoke, or ends the supervisor, and then nobody
starts anything again. Here such a line is lost instead, and the next one is tried. Run as a file, so that the
supervisor does not carry the product's imports in its memory.
"""

from __future__ import annotations

import contextlib
from typing import Any

from supervisor import loggers, supervisord

_handle_error = loggers.Handler.handleError
_roll_over = loggers.RotatingFileHandler.doRollover


def handle_error(handler: Any) -> None:
    with contextlib.suppress(OSError):
        _handle_error(handler)


def roll_over(handler: Any) -> None:
    try:
        _roll_over(handler)
    except OSError:
        if handler.stream.closed:
            with contextlib.suppress(OSError):
                handler.stream = open(handler.baseFilename, "ab")  # noqa: SIM115 - the handler closes it


if __name__ == "__main__":
    loggers.Handler.handleError = handle_error
    loggers.RotatingFileHandler.doRollover = roll_over
    supervisord.main()
