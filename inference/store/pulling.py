"""Fetching one exact revision of a model from a hub that speaks Hugging Face's resolve protocol.

The only code of this library that leaves the company's network, and only when it is called. Sizes are held against
what the hub says, sha256 too where it names one; whatever could run code is never fetched. The caller decides which
hosts may be spoken to: each one, redirects included, is announced to `allow` first. Knows HTTP; imports nothing.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx2 as httpx

from inference.errors import DiskFull, EngineUnavailable, ModelCorrupt, ModelNotFound

from . import gguf
from .store import ALLOWED, ALLOWED_NAMES

HUB = "https://huggingface.co"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_REVISION = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REDIRECTS = 5
_LARGEST = 2**37  # bytes of one file


def pull(
    repository: str,
    *,
    revision: str,
    into: Path,
    allow: Callable[[str], None],
    hub: str = HUB,
    file: str = "",
    told: Callable[[str, int, int], None] = lambda path, done, total: None,
) -> None:
    """Fetch the model's files into the empty folder `into`; `told(path, bytes so far, bytes)` reports.

    `revision` is a full commit id: a branch may change between two looks. `file` names one GGUF file of a repository
    that holds several quantizations; its other parts come with it. Raises ModelNotFound (what is named is not there, or
    a file must be named), ModelCorrupt (a file differs from what the hub says of it), EngineUnavailable (the hub does
    not answer), DiskFull, ValueError.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(f"a repository is named OWNER/NAME, not {repository!r}")
    if not _REVISION.fullmatch(revision):
        raise ValueError("a revision is the 40 hexadecimal digits of a commit")
    _check_address(hub)
    timeout = httpx.Timeout(60.0, connect=10.0)
    with httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False) as client:
        found = _get_json(client, f"{hub}/api/models/{repository}/revision/{revision}?blobs=true", allow)
        if found.get("sha") != revision:
            raise ModelCorrupt(f"the hub answered for another revision: {found.get('sha')}")
        sizes = {str(entry.get("rfilename", "")): entry.get("size") for entry in found.get("siblings", [])}
        wanted = _chosen(repository, [path for path in sizes if _wanted(path)], file)
        into.mkdir(parents=True, exist_ok=True)
        _check_room(repository, sum(size for path in wanted if isinstance(size := sizes[path], int)), into)
        for path in wanted:
            target = into / path
            target.parent.mkdir(parents=True, exist_ok=True)
            _fetch(client, f"{hub}/{repository}/resolve/{revision}/{quote(path)}", target, path, allow, told)


def current_revision(repository: str, *, allow: Callable[[str], None], hub: str = HUB) -> str:
    """The commit that the repository's main branch is at now, to be pinned. Raises as `pull`."""
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(f"a repository is named OWNER/NAME, not {repository!r}")
    _check_address(hub)
    timeout = httpx.Timeout(60.0, connect=10.0)
    with httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False) as client:
        found = str(_get_json(client, f"{hub}/api/models/{repository}/revision/main", allow).get("sha", ""))
    if not _REVISION.fullmatch(found):
        raise EngineUnavailable("The hub names no commit for that model.", hint="Give one with --revision.")
    return found


def licence_of(folder: Path) -> str:
    """What the head of a model card (README.md) names as the licence; empty when there is none."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    head = text.partition("\n---")[0] if text.startswith("---") else ""
    named = re.search(r"^license(?:_name)?:\s*[\"']?([\w.+-]{1,60})", head, re.MULTILINE)
    return named[1] if named else ""


def _chosen(repository: str, paths: list[str], file: str) -> list[str]:
    """The files of one model. Tensors go before GGUF, which is a copy of them where a repository holds both."""
    models = gguf.models_of(paths)
    others = [path for path in paths if not path.lower().endswith((".safetensors", ".gguf"))]
    listed = f"Name one with --file: {', '.join(models)}."
    if file:
        for first, parts in models.items():
            if file in {*parts, first.rpartition("/")[2]}:
                return others + parts
        there = listed if models else "It holds none."
        raise ModelNotFound(f"{repository} holds no GGUF file named {file}.", hint=there)
    if any(path.lower().endswith(".safetensors") for path in paths):
        return [path for path in paths if not path.lower().endswith(".gguf")]
    if not models:
        raise ModelNotFound(f"{repository} holds no safetensors or GGUF weights.", hint="Choose another model.")
    if len(models) > 1:
        raise ModelNotFound(f"{repository} holds {len(models)} GGUF models.", hint=listed)
    return paths


def _check_room(repository: str, size: int, into: Path) -> None:
    free = shutil.disk_usage(into).free
    if size > free:
        raise DiskFull(
            f"{repository} takes {size / 2**30:.1f} GiB; {free / 2**30:.1f} GiB are free at {into.parent}.",
            hint="Free some, or keep models elsewhere (ASSISTANT_DATA_DIR).",
        )


def _wanted(path: str) -> bool:
    pure = PurePosixPath(path)
    if pure.is_absolute() or any(part.startswith(".") for part in pure.parts):
        return False
    return pure.suffix.lower() in ALLOWED or pure.name in ALLOWED_NAMES


def _check_address(address: str) -> str:
    """The host. Only https, except on this machine."""
    if not address:
        raise ValueError("this machine may not fetch models (MODEL_HUB is empty); carry a bundle: models import PATH")
    parts = urlsplit(address)
    local = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    if not parts.hostname or parts.scheme not in {"http", "https"} or (parts.scheme == "http" and not local):
        raise ValueError(f"models are fetched by https only, not from {address!r}")
    return parts.hostname


def _get_json(client: httpx.Client, address: str, allow: Callable[[str], None]) -> dict[str, Any]:
    allow(_check_address(address))
    try:
        response = client.get(address)
    except httpx.HTTPError as error:
        raise EngineUnavailable(
            f"The hub does not answer: {type(error).__name__}.", hint="Check the network."
        ) from error
    if response.status_code in {401, 403, 404}:
        raise ModelNotFound(
            "The hub has no such model, or it is not open to everyone.", hint="Check name and revision."
        )
    try:
        body = response.raise_for_status().json()
    except (httpx.HTTPError, json.JSONDecodeError) as error:
        raise EngineUnavailable(f"The hub answered {response.status_code}.") from error
    if not isinstance(body, dict):
        raise EngineUnavailable("The hub's answer cannot be read.")
    return body


def _fetch(
    client: httpx.Client,
    address: str,
    target: Path,
    path: str,
    allow: Callable[[str], None],
    told: Callable[[str, int, int], None],
) -> None:
    size = digest = ""
    try:
        for _ in range(_REDIRECTS):
            allow(_check_address(address))
            with client.stream("GET", address, headers={"Accept-Encoding": "identity"}) as response:
                # the hub itself names size and digest; where it redirects to only delivers
                size = size or response.headers.get("x-linked-size", "")
                digest = digest or response.headers.get("x-linked-etag", "").strip('"')
                if response.is_redirect:
                    address = urljoin(address, response.headers["location"])
                    continue
                response.raise_for_status()
                expected = int(size or response.headers.get("content-length", "-1"))
                _save(response, target, path, expected, digest if _SHA256.fullmatch(digest) else "", told)
                return
    except httpx.HTTPError as error:
        raise EngineUnavailable(f"{path} could not be fetched: {type(error).__name__}.", hint="Try again.") from error
    raise EngineUnavailable(f"{path}: too many redirects.")


def _save(
    response: httpx.Response, target: Path, path: str, size: int, digest: str, told: Callable[[str, int, int], None]
) -> None:
    seen, done = hashlib.sha256(), 0
    try:
        with target.open("wb") as file:
            for piece in response.iter_bytes(1 << 20):
                done += len(piece)
                if done > (size if size >= 0 else _LARGEST):
                    raise ModelCorrupt(f"{path} is larger than the hub says", file=path, hint="Try again.")
                seen.update(piece)
                file.write(piece)
                told(path, done, size)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DiskFull(f"{path}: no space is left after {done} bytes.", hint="Free some, and try again.") from error
    if size >= 0 and done != size:
        raise ModelCorrupt(f"{path} has {done} bytes, not {size}", file=path, hint="Try again.")
    if digest and seen.hexdigest() != digest:
        raise ModelCorrupt(f"{path} differs from what the hub says of it", file=path, hint="Try again.")
