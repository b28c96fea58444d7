"""The remote engine against a real HTTP server on loopback that speaks the OpenAI protocol."""

import json
import threading
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
        self.pieces: list[dict] = []
        self.status = 200
        self.words = "{}"
        self.broken = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append({"path": self.path, "key": self.headers.get("Authorization"), **body})
        self.send_response(self.server.status)
        self.end_headers()
        if self.server.status != 200:
            self.wfile.write(self.server.words.encode())
            return
        try:
            for piece in self.server.pieces:
                self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
                self.wfile.flush()
            self.wfile.write(b"data: [DONE]\n\n")
        except (BrokenPipeError, ConnectionResetError):
            self.server.broken.set()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


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


@pytest.mark.parametrize("url", ["http://10.0.0.5/v1", "http://gpu.company.example/v1", "ftp://x/", "gpu:8000", ""])
def test_other_machines_need_tls(url):
    with pytest.raises(ValueError, match="https://"):
        RemoteOptions(url, "r1")


def test_token_estimate_is_cautious(engine):
    assert engine.count_tokens("差旅补贴") >= 4
    assert engine.count_tokens("twelve words of plain English text are about sixteen tokens long here") >= 16
