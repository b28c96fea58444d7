"""Sends audit events to a log collector inside the network: CEF in syslog frames.

Knows: RFC 5424 (the frame), RFC 6587 section 3.4.1 (octet counting on TCP), RFC 5426 (one datagram a frame on UDP), and
which addresses are inside. Does not know: who asked, where the last run ended (`forwarding`). What the egress guard
does not allow is not reached in any case; a Unix socket is this machine's.

Addresses: udp://HOST:PORT, tcp://HOST:PORT, unix:///PATH (datagrams, as /dev/log).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

from assistant.errors import Invalid, Unavailable

from . import cef
from .verification import Link

PORTS = {"udp": 514, "tcp": 601}  # RFC 5426, RFC 3195's neighbour as registered for syslog-conn
SECONDS = 5.0
_FACILITY = 13  # "log audit"
_INSIDE = tuple(
    map(
        ipaddress.ip_network,
        ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
    )
) + tuple(map(ipaddress.ip_network, ("::1/128", "fc00::/7", "fe80::/10")))


@dataclass(frozen=True, slots=True)
class Address:
    """Where a collector listens. For "unix", `host` is the path and `port` 0."""

    kind: str
    host: str
    port: int

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix://{self.host}"
        return f"{self.kind}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse(text: str) -> Address:
    """Raises Invalid, also for a literal address outside the network."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _wrong(text) from None
    if parts.query or parts.fragment or parts.username or parts.password:
        raise _wrong(text)
    if parts.scheme == "unix" and not host and parts.path.startswith("/"):
        return Address("unix", parts.path, 0)
    if parts.scheme not in PORTS or not host or parts.path not in ("", "/"):
        raise _wrong(text)
    address = Address(parts.scheme, host, port or PORTS[parts.scheme])
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return address
    if not inside(str(literal)):
        raise Invalid(f"{host} is not inside the network: events go to private addresses only.")
    return address


def _wrong(text: str) -> Invalid:
    return Invalid(f"“{text[:100]}” is no address of a collector: udp://HOST:PORT, tcp://HOST:PORT or unix:///PATH.")


def inside(address: str) -> bool:
    """Whether a literal address is this machine's or a private network's (RFC 1918, 4193, 3927, 4291, 6598)."""
    literal = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(literal, ipaddress.IPv6Address) and literal.ipv4_mapped:
        literal = literal.ipv4_mapped
    return any(literal.version == network.version and literal in network for network in _INSIDE)


def frame(link: Link, *, host: str) -> bytes:
    """One event as an RFC 5424 message, UTF-8."""
    record = link.record
    priority = _FACILITY * 8 + _urgency(cef.severity(record["action"]))
    message_id = re.sub(r"[^!-~]", "", record["action"])[:32] or "-"
    head = f"<{priority}>1 {record['at']} {host_name(host)} assistant - {message_id} -"
    return f"{head} {cef.line(link)}".encode()


def host_name(host: str) -> str:
    """As RFC 5424 wants it: printable ASCII without spaces, at most 255; "-" for none."""
    return re.sub(r"[^!-~]", "", host)[:255] or "-"


def _urgency(severity: int) -> int:
    """CEF's weight, 0 to 10, as syslog's severity: information, notice, warning, alert."""
    return 6 if severity <= 3 else 5 if severity <= 6 else 4 if severity <= 8 else 1


class Collector(AbstractContextManager["Collector"]):
    """A connection to a collector. Raises Unavailable when it cannot be reached or hangs up, Invalid when its name
    leads outside."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._host = socket.gethostname()
        try:
            self._socket = self._connected()
        except OSError as error:
            raise self._lost(error) from error

    def send(self, links: Iterable[Link]) -> int:
        """How many were handed over, in order. On a network nobody acknowledges; a lost connection is noticed at the
        latest by the next call."""
        count = 0
        try:
            for link in links:
                message = frame(link, host=self._host)
                if self._address.kind == "tcp":
                    self._socket.sendall(b"%d %s" % (len(message), message))
                else:
                    self._socket.send(message)
                count += 1
        except OSError as error:
            raise self._lost(error) from error
        return count

    def _connected(self) -> socket.socket:
        address = self._address
        if address.kind == "unix":
            return self._opened(socket.AF_UNIX, socket.SOCK_DGRAM, address.host)
        kind = socket.SOCK_DGRAM if address.kind == "udp" else socket.SOCK_STREAM
        found = socket.getaddrinfo(address.host, address.port, type=kind)
        if outside := [str(entry[4][0]) for entry in found if not inside(str(entry[4][0]))]:
            raise Invalid(f"{address.host} leads outside the network ({outside[0]}): nothing was sent.")
        family, _, _, _, where = found[0]
        return self._opened(family, kind, where)

    @staticmethod
    def _opened(family: int, kind: int, where: str | tuple[object, ...]) -> socket.socket:
        opened = socket.socket(family, kind)
        try:
            opened.settimeout(SECONDS)
            opened.connect(where)
        except BaseException:
            opened.close()
            raise
        return opened

    def _lost(self, error: OSError) -> Unavailable:
        reason = error.strerror or str(error)
        words = f"The collector at {self._address} cannot be reached: {reason}"
        return Unavailable(words, code="collector", retry_after=30)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
