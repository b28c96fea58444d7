"""CEF over syslog to real receivers: every event arrives in its frame, whatever is in it; nothing goes outside."""

from __future__ import annotations

import re
import socket
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from assistant import checks
from assistant.audit import cef, chain, forwarding, services, syslog, tasks
from assistant.audit.models import AuditEvent, AuditForwarding
from assistant.audit.verification import Link
from assistant.errors import Invalid, Unavailable
from assistant.runtime.diagnosis import diagnose

FRAME = re.compile(r"<(\d{1,3})>1 (\S+) (\S+) assistant - (\S+) - (CEF:0\|[^\n\r]*)")


class Collector(threading.Thread):
    """Takes octet-counted messages (RFC 6587, section 3.4.1), one TCP connection after another."""

    def __init__(self, port=0):
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", port))
        self.port = self.server.getsockname()[1]
        self.messages, self.news = [], threading.Condition()
        self.lines = []
        self.start()

    def run(self):
        while True:
            try:
                line, _ = self.server.accept()
            except OSError:
                return
            self.lines.append(line)
            with line, line.makefile("rb") as stream:
                while size := self._size(stream):
                    message = stream.read(size).decode()
                    with self.news:
                        self.messages.append(message)
                        self.news.notify_all()

    @staticmethod
    def _size(stream):
        digits = b""
        while (byte := stream.read(1)) not in (b" ", b""):
            digits += byte
        return int(digits or 0)

    def until(self, count):
        with self.news:
            assert self.news.wait_for(lambda: len(self.messages) >= count, timeout=60), self.messages
            return list(self.messages)

    def stop(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.join(60)


@pytest.fixture
def collector():
    server = Collector()
    yield server
    if server.is_alive():
        server.stop()


@contextmanager
def datagrams(family, where):
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind(where)
        server.settimeout(60)
        yield server


def parsed(line):
    """(header fields, extension) as a collector reads them."""
    *head, tail = re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)
    keys = list(re.finditer(r"(?:^| )([A-Za-z0-9]+)=", tail))
    ends = [match.start() for match in keys[1:]] + [len(tail)]
    found = {
        match[1]: tail[match.end() : end].replace(r"\n", "\n").replace(r"\r", "\r").replace(r"\=", "=")
        for match, end in zip(keys, ends, strict=True)
    }
    return head, found


# --- the line ---


def link(**changes):
    record = {
        "schema": 3, "seq": 7, "at": "2026-11-24T20:00:00.123456Z", "request_id": "r1", "actor": "user:3",
        "role": "employee", "session": "token:9", "origin": "10.1.2.3", "action": "access.denied",
        "target_type": "document", "target_id": "d1", "outcome": "refused",
        "detail": {"rule": "not_found", "count": 4}, "commitment": "", "previous": "0" * 64,
    }  # fmt: skip
    return Link({**record, **changes}, "a" * 64, "b" * 64)


def test_a_line_says_who_what_from_where_how_often_and_when():
    head, found = parsed(cef.line(link()))
    assert head == ["CEF:0", "Assistant", "assistant", "3", "access.denied", "Access denied", "6"]
    assert found == {
        "rt": "1795550400123", "externalId": "7", "suser": "user:3", "spriv": "employee", "src": "10.1.2.3",
        "act": "access.denied", "outcome": "refused", "reason": "not_found", "cnt": "4",
        "cs1Label": "target", "cs1": "document:d1", "cs2Label": "requestId", "cs2": "r1",
        "cs3Label": "digest", "cs3": "a" * 64, "cs4Label": "session", "cs4": "token:9",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("origin", "key"), [("10.0.0.1", "src"), ("fd00::1", "c6a2"), ("task:chat.answer", "sproc"), ("999.1.1.1", "sproc")]
)
def test_an_address_stands_under_the_key_of_its_family(origin, key):
    assert parsed(cef.line(link(origin=origin)))[1][key] == origin


HOSTILE = [
    "x|10|Nothing happened|0|act=auth.sign_in",
    "user:1 outcome=success suser=admin",
    "user:1\nCEF:0|Evil|evil|1|auth.sign_in|Signed in|0|suser=admin",
    "user:1\r\n<104>1 2026-01-01T00:00:00Z host assistant - - - CEF:0|",
    "back\\slash\\|pipe\\=equals",
    "nul\x00bell\x07next\x85line\u2028para\u2029",
    "\\",
    "ends with backslash\\ act=x",
]


@pytest.mark.parametrize("field", ["actor", "role", "origin", "target_id", "request_id", "session", "outcome"])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_in_its_field(field, text):
    line = cef.line(link(**{field: text}))
    assert len(line.splitlines()) == 1
    head, found = parsed(line)
    assert head == ["CEF:0", "Assistant", "assistant", "3", "access.denied", "Access denied", "6"]
    assert set(found) <= set(parsed(cef.line(link()))[1]) | {"sproc"}
    assert found["act"] == "access.denied"
    if field != "outcome":
        assert found["outcome"] == "refused"
    if field != "actor":
        assert found["suser"] == "user:3"


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=40))
def test_no_text_whatever_forges_a_field_or_a_line(actor, target, action):
    line = cef.line(link(actor=actor, target_id=target, action=action))
    assert len(line.splitlines()) == 1
    found = parsed(line)[1]
    assert found["outcome"] == "refused"
    assert found["cs3"] == "a" * 64
    message = syslog.frame(link(action=action), host="a host ünd more").decode()
    assert FRAME.fullmatch(message)


def test_a_frame_is_rfc_5424_and_grave_things_are_alerts():
    priority, at, host, kind, line = FRAME.fullmatch(syslog.frame(link(), host="web-1").decode()).groups()
    assert (priority, at, host, kind) == ("109", "2026-11-24T20:00:00.123456Z", "web-1", "access.denied")
    assert line == cef.line(link())
    weights = {action: syslog.frame(link(action=action), host="h")[:5] for action in ("egress.refused", "auth.sign_in")}
    assert weights == {"egress.refused": b"<105>", "auth.sign_in": b"<110>"}


# --- where to ---


@pytest.mark.parametrize(
    "text",
    [
        *(
            "8.8.8.8",
            "http://10.0.0.1",
            "udp://",
            "tcp://10.0.0.1:99999",
            "udp://u:p@10.0.0.1",
            "unix://name",
            "udp://[1",
        ),
        *("udp://8.8.8.8:514", "tcp://[2001:4860:4860::8888]:601", "udp://[::ffff:8.8.8.8]:514", "udp://172.32.0.1"),
        *("udp://10.0.0.1/path", "udp://10.0.0.1?x=1", ""),
    ],
)
def test_what_is_no_address_inside_the_network_is_told(text):
    with pytest.raises(Invalid):
        syslog.parse(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("udp://10.0.0.1", "udp://10.0.0.1:514"),
        ("tcp://log.company.example", "tcp://log.company.example:601"),
        ("tcp://[fd00::5]:6514", "tcp://[fd00::5]:6514"),
        ("unix:///run/log.sock", "unix:///run/log.sock"),
    ],
)
def test_addresses_have_the_ports_of_their_standards(text, told):
    assert str(syslog.parse(text)) == told


def test_the_egress_guard_refuses_a_collector_that_no_setting_names():
    for address in ("udp://10.255.255.1:514", "tcp://log.company.example:601"):
        with pytest.raises(Unavailable, match="EGRESS_ALLOW"):
            syslog.Collector(syslog.parse(address))


def test_a_name_that_leads_outside_is_not_followed(monkeypatch):
    outside = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("93.184.216.34", 514))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: outside)
    with pytest.raises(Invalid, match="outside the network"):
        syslog.Collector(syslog.parse("udp://log.company.example"))


def test_a_wrong_setting_does_not_start(settings):
    assert "assistant.E017" not in {message.id for message in checks.check_settings()}
    settings.AUDIT_SYSLOG = "udp://8.8.8.8"
    assert "assistant.E017" in {message.id for message in checks.check_settings()}


# --- the command ---


@pytest.mark.django_db
def test_the_command_sends_what_is_selected_to_each_kind_of_collector(people, collector, capsys):
    for at in range(5):
        services.record(action="document.uploaded", target=("document", f"d{at}"))
    services.record(action="auth.sign_in")
    asked = {"email": people.auditor.email, "format": "cef", "action": "document."}
    with (
        datagrams(socket.AF_INET, ("127.0.0.1", 0)) as udp,
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        datagrams(socket.AF_UNIX, str(Path(folder) / "log")) as unix,
    ):
        call_command("audit_export", syslog=f"udp://127.0.0.1:{udp.getsockname()[1]}", **asked)
        call_command("audit_export", syslog=f"unix://{folder}/log", **asked)
        call_command("audit_export", syslog=f"tcp://127.0.0.1:{collector.port}", **asked)
        each = [[server.recv(65_536).decode() for _ in range(5)] for server in (udp, unix)]
    for messages in (*each, collector.until(5)):
        found = [parsed(FRAME.fullmatch(message)[5])[1] for message in messages]
        assert [fields["cs1"] for fields in found] == [f"document:d{at}" for at in range(5)]
        assert [fields["cs3"] for fields in found] == list(
            AuditEvent.objects.filter(action="document.uploaded").order_by("seq").values_list("digest", flat=True)
        )
    assert "5 events sent" in capsys.readouterr().out
    kept = AuditEvent.objects.filter(action="audit.exported").order_by("seq")
    assert [event.outcome for event in kept] == ["intent", "success"] * 3
    assert kept.last().detail["events"] == 5
    assert kept.last().actor == f"user:{people.auditor.pk}"


@pytest.mark.django_db
def test_the_command_writes_files_and_refuses_what_makes_no_sense(people, capsys):
    services.record(action="auth.sign_in")
    call_command("audit_export", "--as", people.auditor.email, "--format", "csv", "--action", "auth.sign_in")
    assert "auth.sign_in" in capsys.readouterr().out
    nothing = socket.socket()
    nothing.bind(("127.0.0.1", 0))  # nobody listens
    for options, words in (
        (["--format", "csv", "--syslog", "udp://127.0.0.1"], "Only --format cef"),
        (["--format", "cef", "--syslog", "udp://8.8.8.8"], "not inside the network"),
        (["--format", "cef", "--syslog", f"tcp://127.0.0.1:{nothing.getsockname()[1]}"], "cannot be reached"),
    ):
        with pytest.raises(CommandError, match=words):
            call_command("audit_export", "--as", people.auditor.email, *options)
    nothing.close()
    with pytest.raises(CommandError, match="duty"):
        call_command("audit_export", "--as", people.employee.email)
    assert AuditEvent.objects.filter(action="audit.exported", outcome="failed").count() == 1


# --- as they are written ---


@pytest.mark.django_db
def test_without_a_setting_nothing_is_forwarded(settings):
    services.record(action="auth.sign_in")
    assert settings.AUDIT_SYSLOG == ""
    tasks.forward()
    assert AuditForwarding.objects.count() == 0
    assert forwarding.standing() is None
    assert looked_at() == ("good", "Audit events are not sent on: AUDIT_SYSLOG names no collector.")


def looked_at():
    """What doctor says of the collector."""
    (found,) = [finding for finding in diagnose()["Privacy"] if finding.id == "privacy.forwarding"]
    return found.level, found.words


@pytest.mark.django_db
def test_doctor_and_the_page_of_health_say_how_the_collector_is_served(settings, collector, people):
    """Backlog, last success, last error; and a beat that does not run shows by what waits too long."""
    settings.AUDIT_SYSLOG = address = f"tcp://127.0.0.1:{collector.port}"
    boss = Client()
    boss.force_login(people.administrator)
    services.record(action="auth.sign_in")
    tasks.forward()
    level, words = looked_at()
    assert level == "good"
    assert words.startswith(f"The collector at {address} gets every audit event: 0 wait, last served 20")
    assert f"The collector at {address} gets every event; 0 wait" in boss.get("/health/").content.decode()
    collector.stop()
    services.record(action="auth.sign_out")
    tasks.forward()
    level, words = looked_at()
    assert level == "warning"
    assert words.startswith(f"2 audit events wait for the collector at {address}; last served 20")
    assert "Last error: The collector at" in words
    assert f"2 events wait for the collector at {address}" in boss.get("/health/").content.decode()
    standing = forwarding.standing()
    assert not standing.ok
    late = replace(standing, problem="", since=timezone.now() - forwarding.LATE)
    assert not late.ok
    assert replace(late, since=timezone.now()).ok


@pytest.mark.django_db
def test_events_go_on_once_each_across_runs_and_a_collector_that_was_away(settings, collector, monkeypatch):
    monkeypatch.setattr(forwarding, "BATCH", 3)
    settings.AUDIT_SYSLOG = f"tcp://127.0.0.1:{collector.port}"
    for _ in range(7):
        services.record(action="auth.sign_in")
    tasks.forward()  # begins with the oldest event; that it begins is the eighth
    tasks.forward()
    assert seqs(collector.until(8)) == list(range(1, 9))
    collector.stop()
    for _ in range(3):
        services.record(action="auth.sign_out")
        tasks.forward()
    lost = AuditEvent.objects.filter(action="audit.forwarding", outcome="failed")
    assert lost.count() == 1
    away = forwarding.standing()
    assert (away.waiting, away.ok) == (4, False)
    assert "cannot be reached" in away.problem
    assert away.served_at is not None
    again = Collector(port=collector.port)
    try:
        tasks.forward()
        assert seqs(again.until(5)) == [9, 10, 11, 12, 13]
    finally:
        again.stop()
    served = forwarding.standing()
    assert (served.waiting, served.since, served.problem, served.ok) == (0, None, "", True)
    told = AuditEvent.objects.filter(action="audit.forwarding").order_by("seq").values_list("outcome", flat=True)
    assert list(told) == ["success", "failed", "success"]


def seqs(messages):
    return [int(parsed(FRAME.fullmatch(message)[5])[1]["externalId"]) for message in messages]


@pytest.mark.django_db
def test_a_process_that_dies_under_way_sends_again_and_never_leaves_out(settings, collector, monkeypatch):
    settings.AUDIT_SYSLOG = f"tcp://127.0.0.1:{collector.port}"
    for _ in range(4):
        services.record(action="auth.sign_in")

    class Killed(BaseException):
        pass

    send = syslog.Collector.send

    def sent_and_killed(self, links):
        send(self, links)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(syslog.Collector, "send", sent_and_killed)
        with pytest.raises(Killed):
            forwarding.forward()
    forwarding.forward()
    assert seqs(collector.until(10)) == [1, 2, 3, 4, 5] * 2


def test_an_event_cannot_be_longer_than_a_datagram():
    """Every field is bounded when it is recorded; the longest of each together fit into one."""
    longest = link(
        actor="é" * 64, role="é" * 20, session="é" * 64, origin="é" * 128, request_id="é" * 64, target_type="é" * 32,
        target_id="é" * 64, detail={"rule": "=" * 500},
    )  # fmt: skip
    assert len(syslog.frame(longest, host="h" * 255)) < 8192
    assert chain.timestamp  # the frame's time is the event's own
