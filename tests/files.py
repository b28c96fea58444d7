"""What files hold, read without harm to a database that is open."""

import subprocess
from pathlib import Path


def content(path: Path) -> bytes:
    """The bytes of a file, read by another process: who closes a file lets go of all the locks that its process has on
    it (POSIX), and those of SQLite are such locks. Without them the next process that opens the database cuts its
    shared memory to nothing under ours. https://www.sqlite.org/howtocorrupt.html
    """
    return subprocess.run(["cat", "--", str(path)], capture_output=True, check=True).stdout
