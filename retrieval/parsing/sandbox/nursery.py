"""Where parser processes come from: one zygote for each of our processes, started with the first file.

Knows the zygote's protocol and life; does not know what a child is asked or what it answers (`parent`). A zygote that
has died is replaced with the next request. A fork of our process (a prefork worker) starts its own.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Any

from retrieval.errors import ParserCrashed

_BOOT = (
    "import sys,json;sys.path[:]=json.loads(sys.argv.pop(1));from retrieval.parsing.sandbox.zygote import main;main()"
)
_ENVIRONMENT = {  # nothing of ours: only what keeps libraries single-threaded and quiet
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_LONGEST_END = 10.0


def anonymous_file() -> IO[bytes]:
    """A file without a name, in memory where the system can: requests and last words may hold a document's text."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("parser", os.MFD_CLOEXEC), "w+b")
    return tempfile.TemporaryFile()


class Child:
    """One parser process. `answers` is the descriptor its output comes from, until `end`."""

    def __init__(self, answers: int, status: socket.socket) -> None:
        self.answers = answers
        self._status = status

    def wait(self, seconds: float) -> int | None:
        """Its exit status, negative for a signal; None when it runs on or its zygote is gone."""
        self._status.settimeout(max(0.01, seconds))
        try:
            word = self._status.recv(16)
        except OSError:  # the time is over, or the zygote died
            return None
        return int(word) if word else None

    def end(self) -> None:
        """Kill it if it still runs, with all it started, and wait until it is gone."""
        os.close(self.answers)
        with self._status, contextlib.suppress(OSError):
            self._status.shutdown(socket.SHUT_WR)
            self._status.settimeout(_LONGEST_END)
            while self._status.recv(16):
                pass


class Nursery:
    """The zygote of this process. Safe to share between threads."""

    def __init__(self, paths: Sequence[str]) -> None:
        """`paths` is the zygote's `sys.path`."""
        self._paths = list(paths)
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._forget)

    def start(self, request: Mapping[str, Any], *, stdin: int, stderr: int) -> Child:
        """A child with this request, reading from `stdin`, its last words going to `stderr`."""
        answers, output = os.pipe()
        ours, theirs = socket.socketpair()
        try:
            with anonymous_file() as message, theirs:
                message.write(json.dumps(request).encode())
                message.flush()
                message.seek(0)
                self._send([message.fileno(), stdin, output, stderr, theirs.fileno()])
        except BaseException:
            os.close(answers)
            ours.close()
            raise
        finally:
            os.close(output)
        return Child(answers, ours)

    def close(self) -> None:
        """End the zygote, and with it whatever it still runs."""
        with self._lock:
            self._drop()

    def _send(self, descriptors: list[int]) -> None:
        with self._lock:
            for _ in range(2):
                if self._control is None:
                    self._open()
                assert self._control is not None
                try:
                    socket.send_fds(self._control, [b"1"], descriptors)
                    return
                except OSError:  # it died: another one
                    self._drop()
        raise ParserCrashed("no parser process could be started")

    def _open(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", _BOOT, json.dumps(self._paths)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd="/",
                env=_ENVIRONMENT,
                start_new_session=True,
            )

    def _drop(self) -> None:
        control, self._control = self._control, None
        process, self._process = self._process, None
        if control is not None:
            control.close()
        if process is not None:
            try:
                process.wait(_LONGEST_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _forget(self) -> None:
        """After a fork, in the child: the zygote is the parent's."""
        self._lock = threading.Lock()
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.returncode = 0  # not ours to wait for
        self._control = self._process = None
