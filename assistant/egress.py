"""Nothing leaves: every connection our Python code opens to anywhere but this machine and the named services is
refused.

An interpreter audit hook (PEP 578) that cannot be removed once installed. Covers libraries too, since they go through
the same sockets; native code with sockets of its own (libpq, say) is covered by the deployment's network instead
(deploy/compose.yml: a network without a way out; deploy/systemd: IPAddressDeny). Knows addresses only.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_RESOLVE_SECONDS = 60.0
_allowed_hosts: frozenset[str] = frozenset()
_installed = False
_record: Path | None = None
_resolved: dict[str, tuple[float, frozenset[str]]] = {}
_resolving = threading.local()
_refused: deque[str] = deque(maxlen=100)


class EgressRefused(PermissionError):
    """A connection outside was tried. The message names the address and how to allow one that is meant."""


def install(hosts: Iterable[str | None], *, record: Path | None = None) -> None:
    """Put the guard in force for the rest of the process; `hosts` are the services it may reach besides loopback. What
    is refused is also written to the file `record`, for `audit.refusals`."""
    global _allowed_hosts, _installed, _record
    _record = record or _record
    _allowed_hosts = frozenset(host.lower() for host in hosts if host)
    if not _installed:
        _installed = True
        sys.addaudithook(_hook)


def allow_also(host: str) -> None:
    """One more host for the rest of this process. Only `models pull` and `models install` do so, for themselves."""
    global _allowed_hosts
    if host.lower() not in _allowed_hosts:
        logger.warning("connections to %s are allowed in this process from now on", host)
        _allowed_hosts |= {host.lower()}


def in_force() -> bool:
    return _installed


def allowed_hosts() -> list[str]:
    return sorted(_allowed_hosts)


def refused() -> list[str]:
    """Addresses refused in this process, oldest first (the last hundred)."""
    return list(_refused)


def record_path() -> Path | None:
    """The file in which processes of this installation leave what they refused."""
    return _record


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event in {"socket.connect", "socket.sendto"}:
        connection, address = arguments[0], arguments[1]
        if connection.family in {socket.AF_INET, socket.AF_INET6} and not _address_allowed(str(address[0])):
            _refuse(f"{address[0]}:{address[1]}")
    elif event in {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}:
        host = arguments[0]
        name = host.decode() if isinstance(host, bytes) else host
        if name and not _name_allowed(str(name)):
            _refuse(str(name))


def _refuse(target: str) -> None:
    _refused.append(target)
    _write_down(target)
    logger.error("refused a connection to %s", target)
    raise EgressRefused(f"Connections outside are refused: {target}. Services of your own are named in EGRESS_ALLOW.")


def _write_down(target: str) -> None:
    """One line for other processes; a disk that is full must not let the connection through, so nothing is raised."""
    if _record is None:
        return
    line = json.dumps({"at": time.time(), "pid": os.getpid(), "process": " ".join(sys.argv)[:200], "target": target})
    try:
        _record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(_record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, line.encode() + b"\n")
        finally:
            os.close(handle)
    except OSError:
        logger.exception("the refused connection could not be written down")


def _name_allowed(name: str) -> bool:
    if name.lower() in _allowed_hosts or name.lower() in {"localhost", socket.gethostname().lower()}:
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return _address_allowed(name)


def _address_allowed(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return _name_allowed(address)
    if parsed.is_loopback or parsed.is_unspecified or str(parsed) in _allowed_hosts:
        return True
    return any(str(parsed) in _addresses(host) for host in _allowed_hosts)


def _addresses(host: str) -> frozenset[str]:
    """What an allowed name resolves to now, remembered for a minute."""
    known = _resolved.get(host)
    if known and known[0] > time.monotonic():
        return known[1]
    if getattr(_resolving, "active", False):
        return frozenset()
    _resolving.active = True
    try:
        found = frozenset(str(entry[4][0]) for entry in socket.getaddrinfo(host, None))
    except OSError:
        found = frozenset()
    finally:
        _resolving.active = False
    _resolved[host] = (time.monotonic() + _RESOLVE_SECONDS, found)
    return found
