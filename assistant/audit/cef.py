"""One event as a line of ArcSight's Common Event Format, for collectors that know nothing of us.

Knows: CEF version 0 (Micro Focus, "Common Event Format", revision 25: header and extension escapes, key names).
Does not know: how lines travel (`syslog`). Texts are never in an event, so none leaves; whatever is in one cannot end
its field: backslash, pipe or equals sign and line ends are escaped, other control characters become spaces.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime

from . import catalogue
from .chain import Record
from .verification import Link

_UNKNOWN_SEVERITY = 5


def severity(action: str) -> int:
    """0 to 10."""
    known = catalogue.ACTIONS.get(action)
    return known.severity if known else _UNKNOWN_SEVERITY


def line(link: Link) -> str:
    """The event without a line end."""
    record = link.record
    action = record["action"]
    known = catalogue.ACTIONS.get(action)
    head = "|".join(
        _header(part)
        for part in (
            *("CEF:0", "Assistant", "assistant", str(record["schema"]), action),
            *(known.words if known else action, str(severity(action))),
        )
    )
    tail = " ".join(f"{key}={_value(value)}" for key, value in _extension(record, link.digest).items())
    return f"{head}|{tail}"


def _extension(record: Record, digest: str) -> dict[str, str]:
    detail = record["detail"] if isinstance(record["detail"], dict) else {}
    rule = detail.get("rule", detail.get("reason", ""))
    found = {
        "rt": str(int(datetime.fromisoformat(record["at"]).timestamp() * 1000)),
        "externalId": str(record["seq"]),
        "suser": record["actor"],
        "spriv": record["role"],
        **_source(record["origin"]),
        "act": record["action"],
        "outcome": record["outcome"],
        "reason": rule if isinstance(rule, str) else "",
        "cnt": str(detail["count"]) if isinstance(detail.get("count"), int) else "",
    }
    for number, (label, value) in enumerate(
        {
            "target": f"{record['target_type']}:{record['target_id']}" if record["target_type"] else "",
            "requestId": record["request_id"],
            "digest": digest,
            "session": record["session"],
        }.items(),
        1,
    ):
        if value:
            found |= {f"cs{number}Label": label, f"cs{number}": value}
    return {key: value for key, value in found.items() if value}


def _source(origin: str) -> dict[str, str]:
    """Where it came from: an address under the key of its family, else the name of a task or command."""
    try:
        address = ipaddress.ip_address(origin)
    except ValueError:
        return {"sproc": origin}
    return {"src": origin} if address.version == 4 else {"c6a2Label": "Source IPv6 Address", "c6a2": origin}


def _header(text: str) -> str:
    return _plain(" ".join(text.splitlines())).replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=").replace("\r\n", "\n")
    return _plain(escaped.replace("\r", "\\r").replace("\n", "\\n"))


def _plain(text: str) -> str:
    """No character that a reader of lines could take for an end: C0, C1, and Unicode's own line ends."""
    return "".join(" " if ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u2028\u2029" else char for char in text)
