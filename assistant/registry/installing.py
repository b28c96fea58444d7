"""From a repository's name to a model that answers: pulled at one commit, checked, quantized as suits, activated.

Knows the hub's protocol through `inference.store.pulling`, the advice for this machine, and the quality gate. Only
commands call this; it is the one way out of the building, and each host is announced to the egress guard first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from assistant import egress, engines
from assistant.audit import services as audit
from assistant.models import ModelActivation
from assistant.registry import activation, jobs, quantizing
from inference.errors import OutOfMemory, QuantizationRefused
from inference.store import Manifest, gguf, pulling

if TYPE_CHECKING:
    from inference.quantization import Quantization

Fetched = Callable[[str, int, int], None]  # file, bytes so far, bytes
Say = Callable[[str], None]


def pull(
    repository: str, *, revision: str, hub: str, file: str = "", name: str = "", licence: str = "", told: Fetched
) -> Manifest:
    """Fetch one commit of a repository, or one GGUF file of it, into the store, on record.

    Raises what `pulling.pull` and the store raise.
    """
    name = name or (gguf.title(file) if file else repository.partition("/")[2])
    engines.store().check_free(name)
    with engines.store().working_folder(name) as into:
        allow = egress.allow_also
        pulling.pull(repository, revision=revision, into=into, hub=hub, file=file, allow=allow, told=told)
        manifest = engines.store().import_path(
            into,
            name=name,
            licence=licence or pulling.licence_of(into),
            revision=revision,
            origin=f"{hub}/{repository}",
            imported_by="command",
            move=True,
        )
    audit.record(
        action="model.changed",
        target=("model", manifest.name),
        detail={
            "change": "pulled",
            "digest": manifest.digest,
            "size": manifest.size,
            "licence": manifest.licence,
            "revision": revision,
        },
    )
    return manifest


def install(
    repository: str, *, revision: str = "", hub: str, file: str = "", say: Say, told: Fetched, step: jobs.Told
) -> ModelActivation:
    """Let a repository's model answer. What was done before is not done again: without `revision` an installed commit
    is kept, else the repository's present one is pulled and pinned.

    Recipes are tried in the order that suits the machine; one that fails its gate gives way to the next. Raises
    OutOfMemory (none fits), QuantizationRefused (none that fits is good enough), and what `pull` raises.
    """
    original = _installed(f"{hub}/{repository}", revision, file)
    if original is None:
        revision = revision or pulling.current_revision(repository, hub=hub, allow=egress.allow_also)
        say(f"Pulling {repository} at {revision} …")
        original = pull(repository, revision=revision, hub=hub, file=file, told=told)
    say(f"{original.name}: {repository} at {original.revision}, {len(original.files)} files checked.")
    chosen = original if original.kind == "gguf" or original.recipe else _suitable(original, say, step)
    row = activation.current()
    if row is not None and (row.name, row.digest) == (chosen.name, chosen.digest):
        return row
    why = f"asked for at the command line: {repository} at {original.revision}"
    return activation.activate(chosen.name, grounds=activation.Grounds(reason=why))


def _installed(source: str, revision: str, file: str) -> Manifest | None:
    found = [each for each in engines.store().manifests() if each.source == source]
    if file:
        found = [each for each in found if any(f"/{entry.path}".endswith(f"/{file}") for entry in each.files)]
    return next((each for each in found if revision in {"", each.revision}), None)


def _suitable(original: Manifest, say: Say, step: jobs.Told) -> Manifest:
    """The model as it is, or a quantized copy: the first that fits and passes its gate."""
    refused: QuantizationRefused | None = None
    for recipe in _recipes(original):
        if recipe == "none":
            return original
        store, target = engines.store(), f"{original.name}-{recipe}"
        if target in store.names():
            made = store.manifest(target)
        else:
            say(f"Quantizing as {recipe} …")
            try:
                made = quantizing.quantize(name=original.name, recipe=recipe, told=step)
            except QuantizationRefused as error:
                say(f"{error}")
                refused = error
                continue
        if made.gate:
            say(f"{target}: {made.gate.words}.")
        return made
    if refused is not None:
        raise refused
    raise OutOfMemory(
        f"{original.name} does not fit into this machine's memory by any recipe.",
        hint="Choose a smaller model, or run it on another machine with ENGINE=remote.",
    )


def _recipes(original: Manifest) -> Iterator[Quantization]:
    """Those that fit, best first; unquantized last where it is not best."""
    from inference import advice, loading, spreading

    folder, device = engines.store().folder(original.name), loading.default_device()
    free = max(loading.free_bytes(device), spreading.together(device))
    last: Quantization = "none"
    for recipe in dict.fromkeys((*advice.order(device), last)):
        if loading.needed_bytes(folder, recipe) <= free:
            yield recipe
