"""Takes away everything a parser does not need, inside the child, before it sees a byte of the file.

Layers, each reported by `apply`: resource limits, user and network namespaces (unshare(2)), no-new-privileges,
a Landlock ruleset (read the libraries, write the own temporary folder, nothing else; no TCP; kernel 5.13 and
later), a seccomp filter (no sockets, programs, new processes, mounts, tracing; x86-64 and AArch64) and a Python
audit hook that refuses the same by name. Layers the host does not offer are left out and reported as absent.
Knows Linux; elsewhere only the resource limits and the hook are in force.

Sources: landlock(7), seccomp(2), prctl(2), unshare(2), and the kernel's syscall tables.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_DIRECTORY_ONLY = _READ_DIR | (1 << 4) | (1 << 5) | sum(1 << bit for bit in range(6, 14))
_SYSTEM_READS = (
    "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/null", "/dev/zero",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/self", "/sys/devices/system/cpu",
)  # fmt: skip

_X86_64 = (
    0xC000003E, 56, 435,
    (41, 42, 43, 44, 46, 49, 50, 53, 57, 58, 59, 62, 101, 155, 161, 165, 166, 167, 169, 175, 246, 248, 249, 250,
     272, 288, 298, 304, 307, 308, 310, 311, 313, 321, 322, 323, 425, 428, 429, 430, 431, 432, 434, 438, 442),
)  # fmt: skip
_AARCH64 = (
    0xC00000B7, 220, 435,
    (198, 199, 200, 201, 202, 203, 206, 211, 221, 281, 117, 129, 40, 39, 41, 51, 270, 271, 280, 282, 241, 219,
     217, 218, 97, 268, 265, 105, 273, 104, 142, 242, 269, 224, 425, 428, 429, 430, 431, 432, 434, 438, 442),
)  # fmt: skip
_FORBIDDEN_EVENTS = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.startfile", "os.kill",
    "pty.", "ftplib.", "http.client.", "imaplib.", "smtplib.", "urllib.Request", "webbrowser.",
)  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)


def apply(*, memory: int, cpu: int, output: int, folder: str, readable: Iterable[str]) -> dict[str, bool]:
    """Give up rights for the rest of this process's life; returns which layers are in force.

    `memory` and `output` in bytes, `cpu` in seconds; `folder` is the one place that stays writable and
    `readable` names the directories that the interpreter and its libraries are loaded from.
    """
    layers = {"rlimits": _rlimits(memory, cpu, output)}
    linux = sys.platform == "linux"
    layers["namespaces"] = linux and _namespaces()
    layers["no_new_privileges"] = linux and _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    layers["landlock"] = linux and layers["no_new_privileges"] and _landlock(folder, readable)
    layers["seccomp"] = linux and layers["no_new_privileges"] and _seccomp()
    sys.addaudithook(_refuse)
    layers["audit_hook"] = True
    return layers


def _rlimits(memory: int, cpu: int, output: int) -> bool:
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    wanted = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_FSIZE: output,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    done = True
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (ceiling, ceiling))
        except (ValueError, OSError):
            done = False
    return done


def _namespaces() -> bool:
    """A network namespace without any interface; needs a user namespace when the caller is not root."""
    for flags in (_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC, _CLONE_NEWNET | _CLONE_NEWIPC):
        if _libc.unshare(flags) == 0:
            return True
    return False


def _landlock(folder: str, readable: Iterable[str]) -> bool:
    abi = _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if abi < 1:
        return False
    handled = (1 << (13 if abi < 2 else 14 if abi < 3 else 15 if abi < 5 else 16)) - 1
    fields = [handled] + ([3] if abi >= 4 else []) + ([3] if abi >= 6 else [])
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = _libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        for path in {*_SYSTEM_READS, *readable}:
            _allow(ruleset, path, _READ_FILE | _READ_DIR)
        _allow(ruleset, folder, handled & ~1)
        return bool(_libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        if not os.path.isdir(path):
            access &= ~_DIRECTORY_ONLY
        _libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", access, handle), 0)
        os.close(handle)


def _seccomp() -> bool:
    table = {"x86_64": _X86_64, "aarch64": _AARCH64}.get(platform.machine())
    if table is None or struct.calcsize("P") != 8:
        return False
    architecture, clone, clone3, denied = table

    def step(code: int, k: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, jump_true, jump_false, k)

    load, equal, any_bit, at_least, end = 0x20, 0x15, 0x45, 0x35, 0x06
    refuse, no_such_call, allow, kill = 0x00050001, 0x00050026, 0x7FFF0000, 0x80000000
    program = [step(load, 4), step(equal, architecture, 1, 0), step(end, kill), step(load, 0)]
    if architecture == _X86_64[0]:
        program += [step(at_least, 0x40000000, 0, 1), step(end, no_such_call)]
    for number in denied:
        program += [step(equal, number, 0, 1), step(end, refuse)]
    # glibc falls back from clone3, whose flags a filter cannot see, to clone; threads stay possible.
    program += [step(equal, clone3, 0, 1), step(end, no_such_call)]
    program += [step(equal, clone, 0, 3), step(load, 16), step(any_bit, 0x00010000, 1, 0), step(end, refuse)]
    program.append(step(end, allow))
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("=H6xQ", len(program), ctypes.addressof(code))
    return bool(_libc.prctl(_PR_SET_SECCOMP, 2, header, 0, 0) == 0)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith(_FORBIDDEN_EVENTS):
        raise PermissionError(f"{event} is not allowed in the parser's process")
