"""The process that parser processes are forked from: libraries imported once, no file ever opened.

Started by `nursery` with the control socket as its standard input; knows nothing else of the product. For each
request it forks a child that takes the request's descriptors, gives up its rights (`isolation`) and reads one file
(`child`). Starting an interpreter and its imports for every file would cost a small file fifty times its reading.

Each child still is a process of its own with its own limits, folder and namespaces; what it shares with its siblings
is memory that was never written by a file. (The layout of addresses is the same for all children of one zygote, as on
Android, whose word this is: https://source.android.com/docs/core/runtime/zygote.)

One thread, so that forking is safe: nothing imported here may start threads (OCR's runtime is imported in the child).
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module

DESCRIPTORS = 5  # request, file, answers, last words, status: in this order with every request
_PRELOADED = (
    "sandbox.child", "plain", "markdown", "html", "delimited", "docx", "pptx", "xlsx", "opendocument", "epub", "rtf",
    "mail", "pdf",
)  # fmt: skip


def main() -> None:
    """Serve until the control socket closes: then this process ends, and its children with it."""
    control = socket.socket(fileno=os.dup(0))
    for name in _PRELOADED:
        import_module(f"retrieval.parsing.{name}")
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner; its end closes the control socket
    _Zygote(control).serve()


class _Zygote:
    """Forks, watches who hangs up, and collects who has ended. `_children` are by process id."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, socket.socket] = {}
        self._watch = selectors.DefaultSelector()
        self._woken, waker = socket.socketpair()
        self._woken.setblocking(False)
        waker.setblocking(False)
        self._waker = waker
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._watch.register(control, selectors.EVENT_READ)
        self._watch.register(self._woken, selectors.EVENT_READ)

    def serve(self) -> None:
        while True:
            for key, _events in self._watch.select():
                if key.fileobj is self._control:
                    if not self._request():
                        return
                elif key.fileobj is self._woken:
                    with suppress(BlockingIOError):
                        self._woken.recv(4096)
                    self._collect()
                else:
                    self._hung_up(key.data)

    def _request(self) -> bool:
        try:
            word, descriptors, _flags, _address = socket.recv_fds(self._control, 1, DESCRIPTORS)
        except OSError:
            return False
        if not word:
            return False
        if len(descriptors) == DESCRIPTORS:
            pid = os.fork()
            if pid == 0:
                _become(descriptors[:4])
            status = socket.socket(fileno=descriptors.pop())
            self._children[pid] = status
            self._watch.register(status, selectors.EVENT_READ, pid)
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _hung_up(self, pid: int) -> None:
        """Whoever asked wants no more of this child (or is gone): end it, with all it may have started."""
        status = self._children.get(pid)
        if status is None:
            return
        self._watch.unregister(status)
        for end in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                end(pid, signal.SIGKILL)

    def _collect(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            told = self._children.pop(pid)
            with suppress(KeyError):
                self._watch.unregister(told)
            with suppress(OSError):
                told.send(str(os.waitstatus_to_exitcode(status)).encode())
            told.close()


def _become(descriptors: list[int]) -> None:
    """The rest of a forked child's life; never returns."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        request_file, stdin, stdout, stderr = descriptors
        for source, target in ((stdin, 0), (stdout, 1), (stderr, 2)):
            os.dup2(source, target)
        with os.fdopen(os.dup(request_file), "rb") as stream:
            request = json.loads(stream.read())
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.chdir(request["folder"])
        os.environ["HOME"] = os.environ["TMPDIR"] = request["folder"]
        from retrieval.parsing.sandbox import child

        child.main(request)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)
