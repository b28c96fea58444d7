"""A language model on another machine of the company: any OpenAI-compatible server (vLLM, SGLang, llama.cpp's).

Knows that one address and nothing else of the network; redirects are not followed and environment proxies are ignored,
so no other host is ever spoken to. TLS is required off this machine. Does not know prompts: it sends the messages it
gets.

Servers differ in how they tell reasoning: in a field of its own, between tags, or with the closing tag alone, since
the template had written the opening one. The last kind is known by its end only, so the first answer of a server is
held back until it is whole, and from what it was the engine learns whether the next ones may be shown as they come.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx

from inference.engines.base import Delta, Finish, FinishReason, GenerationRequest
from inference.engines.decoding import ThinkingSplitter
from inference.errors import EngineUnavailable, PromptTooLong

_LOOK_SECONDS = 0.2  # between two looks, while the server is silent, at whether anybody still wants the answer
_CHARS_PER_TOKEN = 3.0  # a cautious estimate: the server counts exactly and refuses what is too long


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """Where the server is. `url` ends before /chat/completions; `context_tokens` as the server was started with."""

    url: str
    model: str
    key: str = ""
    certificate_authority: Path | None = None
    context_tokens: int = 8192
    connect_seconds: float = 3.0
    silence_seconds: float = 60.0  # longest wait for the next token

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError(f"a server's address begins with https://, not {self.url!r}")
        if address.scheme == "http" and not _is_loopback(address.hostname):
            raise ValueError(f"{address.hostname} is another machine: its address must begin with https://")
        if not self.model:
            raise ValueError("the server's model must be named")


class RemoteEngine:
    """Streams from the server; the server batches, so many threads may ask at once."""

    name = "remote"
    needs_prompt = True

    def __init__(self, options: RemoteOptions) -> None:
        self.reasons = False  # until it was seen to
        self._holds = True  # what comes may be thinking whose opening tag nobody sends
        self.model = options.model
        self.context_tokens = options.context_tokens
        self._options = options
        headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
        self._client = httpx.Client(
            base_url=options.url.rstrip("/"),
            headers=headers,
            timeout=httpx.Timeout(options.silence_seconds, connect=options.connect_seconds),
            verify=str(options.certificate_authority) if options.certificate_authority else True,
            limits=httpx.Limits(max_keepalive_connections=0),  # a connection that is hung up is nobody else's
            trust_env=False,
            follow_redirects=False,
        )

    def count_tokens(self, text: str) -> int:
        """An upper estimate; CJK characters count one token each."""
        wide = sum(character >= "⺀" for character in text)
        return wide + int((len(text) - wide) / _CHARS_PER_TOKEN) + 1

    def stream(self, request: GenerationRequest, *, cancelled: Callable[[], bool]) -> Iterator[Delta | Finish]:
        """Yield deltas, then one Finish. Raises EngineUnavailable or PromptTooLong. Leaving it closes the connection,
        and the server stops. A silent server delays neither a stop nor the deadline."""
        lines = _Lines(lambda: self._client.stream("POST", "/chat/completions", json=self._body(request)), self._check)
        try:
            yield from self._read(iter(lines), request, cancelled, time.monotonic())
        except httpx.HTTPError as error:
            raise EngineUnavailable(
                f"{self._options.url} does not answer: {type(error).__name__}",
                hint="See whether the model server runs and REMOTE_URL is right.",
            ) from error
        finally:
            lines.leave()

    def close(self) -> None:
        self._client.close()

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        options = request.options
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "max_tokens": options.max_new_tokens + options.max_thinking_tokens,
            "temperature": options.temperature,
            "top_p": options.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if options.seed is not None:
            body["seed"] = options.seed
        if options.stop:
            body["stop"] = list(options.stop)
        return body

    def _check(self, response: httpx.Response) -> None:
        if response.status_code == 200:
            return
        words = response.read()[:500].decode("utf-8", "replace")
        if response.status_code == 400 and "context length" in words:
            raise PromptTooLong("The server says that the prompt is too long.", tokens=0, limit=self.context_tokens)
        raise EngineUnavailable(
            f"{self._options.url} answered {response.status_code}.",
            hint={401: "Check REMOTE_KEY.", 404: "Check REMOTE_MODEL."}.get(response.status_code, ""),
        )

    def _read(
        self, lines: Iterator[str], request: GenerationRequest, cancelled: Callable[[], bool], began: float
    ) -> Iterator[Delta | Finish]:
        voice = _Voice(self._holds)
        reason: FinishReason = "stop"
        usage: dict[str, int] = {}
        for line in lines:
            if cancelled():
                reason = "cancelled"
                break
            if request.options.deadline_s and time.monotonic() - began > request.options.deadline_s:
                reason = "deadline"
                break
            if not line.startswith("data:"):
                continue
            data = line[5:].strip()
            if data == "[DONE]":
                break
            event = _event(data)
            usage = event.get("usage") or usage
            for choice in event.get("choices") or []:
                yield from voice.hear(choice.get("delta") or {})
                if voice.told_late:
                    self.reasons = self._holds = True
                    raise EngineUnavailable("The model thought aloud, as it had not before.", hint="Ask again.")
                if choice.get("finish_reason") == "length":
                    reason = "length"
        yield from voice.end(cut=reason != "stop")
        self.reasons = self.reasons or voice.thought
        if reason == "stop":
            self._holds = voice.unopened
        yield Finish(reason, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))


class _Lines:
    """The lines of an answer, read by a thread of its own; "" now and then while the server is silent.

    `check` sees the response before its lines. What it or the reading raises is raised to whoever iterates.
    """

    def __init__(
        self, opened: Callable[[], AbstractContextManager[httpx.Response]], check: Callable[[httpx.Response], None]
    ) -> None:
        self._opened, self._check = opened, check
        self._heard: SimpleQueue[str | Exception | None] = SimpleQueue()
        self._left = threading.Event()
        self._socket: socket.socket | None = None
        threading.Thread(target=self._listen, name="remote answer", daemon=True).start()

    def __iter__(self) -> Iterator[str]:
        while True:
            try:
                found = self._heard.get(timeout=_LOOK_SECONDS)
            except Empty:
                found = ""
            if found is None:
                return
            if isinstance(found, Exception):
                raise found
            yield found

    def leave(self) -> None:
        """Nobody wants more. Before the server's first word the connection ends with that word, or with its silence."""
        self._left.set()
        if self._socket is not None:
            with suppress(OSError):  # over already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        try:
            with self._opened() as response:
                self._check(response)
                self._socket = response.extensions["network_stream"].get_extra_info("socket")
                for line in response.iter_lines():
                    if self._left.is_set():
                        return
                    self._heard.put(line)
            self._heard.put(None)
        except Exception as error:  # raised where the lines are waited for
            self._heard.put(error)


class _Voice:
    """One answer's thinking and text, told apart. `holds`: nothing is text before it is known not to be thinking."""

    def __init__(self, holds: bool) -> None:
        self._splitter = ThinkingSplitter(begins_inside=False, may_think=holds)
        self._holds = holds
        self._apart = False  # the server tells them apart itself
        self.thought = False

    @property
    def unopened(self) -> bool:
        """A closing tag came without an opening one."""
        return self._splitter.unopened

    @property
    def told_late(self) -> bool:
        """What was let through as text turns out to have been thinking."""
        return self.unopened and not self._holds

    def hear(self, delta: dict[str, Any]) -> Iterator[Delta]:
        # vLLM and SGLang separate reasoning themselves where they are told to; others send the tags in the text
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            if not self._apart:
                yield from self._splitter.flush()
                self._splitter, self._apart = ThinkingSplitter(begins_inside=False, may_think=False), True
            self.thought = True
            yield Delta("thinking", reasoning)
        if content := delta.get("content"):
            yield from self._noted(self._splitter.push(content))

    def end(self, *, cut: bool) -> Iterator[Delta]:
        yield from self._noted(self._splitter.flush(cut=cut))

    def _noted(self, pieces: Iterator[Delta]) -> Iterator[Delta]:
        for piece in pieces:
            self.thought = self.thought or piece.kind == "thinking"
            yield piece


def _event(data: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError as error:
        raise EngineUnavailable(f"The server sent something that is not JSON: {data[:100]!r}") from error
    if not isinstance(event, dict) or "error" in event:
        raise EngineUnavailable("The server reported an error in the middle of the answer.")
    return event


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
