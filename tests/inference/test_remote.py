"""The remote engine against a real HTTP server on loopback that speaks the OpenAI protocol."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from inference.config import GenerationOptions
from inference.engines.base import Delta, Engine, GenerationRequest, Message, collect
from inference.engines.remote import RemoteEngine, RemoteOptions
from inference.errors import EngineUnavailable, PromptTooLong

ASK = GenerationRequest(
    "q", (), (Message("system", "s"), Message("user", "How long?")), options=GenerationOptions(seed=3, stop=("END",))
)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[dict] = []
        self.requests = 0
        self.pieces: list[dict] = []
        self.status = 200
        self.words = "{}"
        self.location = ""
        self.silent_before: tuple[str, ...] = ()  # "headers", "end": until the connection is gone, or a minute is over
        self.broken = threading.Event()

    def fall_silent(self, place: str, connection: socket.socket) -> None:
        if place in self.silent_before:
            connection.settimeout(60)
            if connection.recv(1) == b"":  # the other side hung up
                self.broken.set()

    def process_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:
        self.requests += 1
        super().process_request(request, client_address)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append({"path": self.path, "key": self.headers.get("Authorization"), **body})
        self.server.fall_silent("headers", self.connection)
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.end_headers()
        if self.server.status != 200:
            self.wfile.write(self.server.words.encode())
            return
        try:
            for piece in self.server.pieces:
                self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
                self.wfile.flush()
            self.server.fall_silent("end", self.connection)
            self.wfile.write(b"data: [DONE]\n\n")
        except (BrokenPipeError, ConnectionResetError):
            self.server.broken.set()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def other():
    """A server that nobody named."""
    with serving() as running:
        yield running


@pytest.fixture
def engine(server):
    made = RemoteEngine(RemoteOptions(server.url, "r1", key="secret"))
    yield made
    made.close()


def says(*texts: str, field: str = "content") -> list[dict]:
    return [{"choices": [{"delta": {field: text}}]} for text in texts]


def never() -> bool:
    return False


def learn(server, engine):
    """The server's first answer, from which the engine learns that its model does not think."""
    server.pieces = says("No.")
    collect(engine.stream(ASK, cancelled=never))
    server.seen.clear()


def test_answer_is_streamed_with_usage(server, engine):
    learn(server, engine)
    server.pieces = [
        *says("Ten ", "days [1]."),
        {"choices": [{"delta": {}, "finish_reason": "length"}]},
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 4}},
    ]
    assert isinstance(engine, Engine)
    text, thinking, finish = collect(engine.stream(ASK, cancelled=never))
    assert (text, thinking) == ("Ten days [1].", "")
    assert (finish.reason, finish.prompt_tokens, finish.completion_tokens) == ("length", 7, 4)
    (seen,) = server.seen
    assert seen["path"] == "/v1/chat/completions"
    assert seen["key"] == "Bearer secret"
    assert (seen["model"], seen["seed"], seen["stop"]) == ("r1", 3, ["END"])
    assert [message["role"] for message in seen["messages"]] == ["system", "user"]


THINKS = {
    "tags": says("<think>hm", "m</thi", "nk>\n\nTen."),
    "tags in pieces": says("\n", "<", "thi", "nk>hm", "m</", "think>", "\nTen", "."),
    "closing tag alone": says("hm", "m</thi", "nk>", "\n\nTen."),
    "separate field": [*says("hmm", field="reasoning_content"), *says("Ten.")],
    "newer field": [*says("hmm", field="reasoning"), *says("Ten.")],
}


@pytest.mark.parametrize("before", [(), ("No thought.",), ("closing tag alone",), ("tags", "separate field")])
@pytest.mark.parametrize("kind", THINKS)
def test_thinking_is_kept_apart(server, engine, kind, before):
    """Of the first answer, and whatever the answers before were like."""
    for each in before:
        server.pieces = THINKS.get(each) or says(each)
        collect(engine.stream(ASK, cancelled=never))
    server.pieces = THINKS[kind]
    if kind == "closing tag alone" and before and "closing tag alone" not in before:
        with pytest.raises(EngineUnavailable, match="thought aloud"):  # quotations answer, and from then on:
            collect(engine.stream(ASK, cancelled=never))
    for _ in range(2):
        assert collect(engine.stream(ASK, cancelled=never))[:2] == ("Ten.", "hmm")
    assert engine.reasons


def test_answers_without_thinking_are_shown_as_they_come_once_that_is_known(server, engine):
    server.pieces = says("Ten ", "days ", "[1].")
    shown = [[item.text for item in engine.stream(ASK, cancelled=never) if isinstance(item, Delta)] for _ in range(2)]
    assert shown == [["Ten days [1]."], ["Ten ", "days ", "[1]."]]
    assert not engine.reasons


def test_thinking_that_is_cut_off_is_no_answer(server, engine):
    server.pieces = [*says("Let me ", "see"), {"choices": [{"delta": {}, "finish_reason": "length"}]}]
    for _ in range(2):  # nothing is learned from it
        assert collect(engine.stream(ASK, cancelled=never))[:2] == ("", "Let me see")


def test_cancel_closes_the_connection(server, engine):
    learn(server, engine)
    server.pieces = says(*(["word "] * 200_000))
    seen = []
    for item in engine.stream(ASK, cancelled=lambda: len(seen) >= 3):
        seen.append(item)
    assert seen[-1].reason == "cancelled"
    assert server.broken.wait(60)


@pytest.mark.parametrize("why", ["cancelled", "deadline"])
@pytest.mark.parametrize("place", ["headers", "end"])
def test_a_silent_server_delays_neither_a_stop_nor_the_deadline(server, engine, place, why):
    learn(server, engine)
    server.pieces, server.silent_before = says("Ten "), (place,)
    options = GenerationOptions(deadline_s=0.5 if why == "deadline" else None)
    began = time.monotonic()
    stream = engine.stream(
        replace(ASK, options=options), cancelled=lambda: why == "cancelled" and time.monotonic() - began > 0.5
    )
    *said, finish = stream
    assert finish.reason == why
    assert not server.broken.is_set() or place == "end"  # the server was silent still: nobody waited for it
    assert [item.text for item in said] == (["Ten "] if place == "end" else [])
    if place == "end":
        assert server.broken.wait(60)  # and heard that nobody listens


def test_nobody_else_is_spoken_to(server, other, monkeypatch):
    """Neither where a redirect points, nor a proxy that the environment names."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, other.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    engine = RemoteEngine(RemoteOptions(server.url, "r1"))
    server.pieces = says("Ten.")
    assert collect(engine.stream(ASK, cancelled=never))[0] == "Ten."
    for status in (301, 302, 303, 307, 308):
        server.status, server.location = status, f"{other.url}/chat/completions"
        with pytest.raises(EngineUnavailable, match=f"answered {status}"):
            collect(engine.stream(ASK, cancelled=never))
    engine.close()
    assert len(server.seen) == 6
    assert other.requests == 0


@pytest.mark.parametrize(
    ("status", "words", "error", "match"),
    [
        (401, "{}", EngineUnavailable, "answered 401"),
        (302, "{}", EngineUnavailable, "answered 302"),
        (500, "{}", EngineUnavailable, "answered 500"),
        (400, "maximum context length is 4096", PromptTooLong, "too long"),
    ],
)
def test_refusals_are_typed(server, engine, status, words, error, match):
    server.status, server.words = status, words
    with pytest.raises(error, match=match):
        collect(engine.stream(ASK, cancelled=never))


def test_server_that_is_away_is_said(server):
    engine = RemoteEngine(RemoteOptions("http://127.0.0.1:9/v1", "r1"))
    with pytest.raises(EngineUnavailable, match="does not answer"):
        collect(engine.stream(ASK, cancelled=never))
    engine.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.5/v1",
        "http://gpu.company.example/v1",
        "ftp://x/",
        "gpu:8000",
        "",
        "http://127.0.0.1@10.0.0.5/v1",
        "http://localhost:1@gpu/v1",
        "http://[::ffff:10.0.0.5]/v1",
        "http://127.0.0.1.nip.io/v1",
    ],
)
def test_other_machines_need_tls(url):
    with pytest.raises(ValueError, match="https://"):
        RemoteOptions(url, "r1")


def test_token_estimate_is_cautious(engine):
    assert engine.count_tokens("差旅补贴") >= 4
    assert engine.count_tokens("twelve words of plain English text are about sixteen tokens long here") >= 16
