"""The folder of installed models. Import copies and records; verify reads every byte again.

Only data is let in: safetensors or GGUF weights, JSON, the tokenizer's text files and licences. Pickles, Python files
and links are refused by name, and so is a configuration that asks for remote code. Knows files; loads nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from inference import quantization
from inference.errors import DiskFull, ModelCorrupt, ModelNotFound

from . import contents, gguf
from .gates import Gate
from .manifest import MANIFEST_NAME, Adapter, FileEntry, Kind, Manifest, sha256_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ALLOWED = {".safetensors", ".gguf", ".json", ".txt", ".model", ".jinja", ".md", ".tiktoken"}
ADAPTER_FILE = "adapter/lora.gguf"  # in a GGUF model's folder: the LoRA adapter it answers with
ALLOWED_NAMES = {"LICENSE", "LICENCE", "NOTICE", "README"}
PIECE_BYTES = 16 * 2**20
_EXECUTABLE = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py", ".so", ".h5", ".msgpack", ".npy", ".npz"}

Told = Callable[[str, int, int], None]  # stage, bytes done, of how many


def untold(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Models under `root`, one folder each."""

    root: Path

    def names(self) -> list[str]:
        if not self.root.is_dir():
            return []
        return sorted(folder.name for folder in self.root.iterdir() if (folder / MANIFEST_NAME).is_file())

    def manifests(self) -> Iterator[Manifest]:
        for name in self.names():
            yield Manifest.read(self.root / name)

    def folder(self, name: str) -> Path:
        """Raises ModelNotFound."""
        if not _NAME.fullmatch(name) or not (self.root / name / MANIFEST_NAME).is_file():
            installed = ", ".join(self.names()) or "none"
            raise ModelNotFound(f"No model named {name!r} is installed.", hint=f"Installed: {installed}.")
        return self.root / name

    def manifest(self, name: str) -> Manifest:
        return Manifest.read(self.folder(name))

    def import_path(
        self,
        source: Path,
        *,
        name: str,
        licence: str,
        imported_by: str,
        origin: str = "",
        revision: str = "",
        move: bool = False,
        told: Told = untold,
    ) -> Manifest:
        """Copy (or, where `source` is the caller's own and on the same disk, move) a model folder or one GGUF file into
        the store, checked and recorded; nothing half is left behind.

        `told` hears of the bytes copied, then of those checked; what it raises ends the import. Raises ModelNotFound
        (nothing at `source`), ModelCorrupt (a refused or broken file, named), FileExistsError.
        """
        chosen = selected(source)

        def copy(partial: Path) -> dict[str, Any]:
            base = source if source.is_dir() else source.parent
            _bring({path: partial / path.relative_to(base) for path in chosen}, told, move=move)
            return {
                "kind": _kind(chosen),
                "source": origin or source.name,
                "revision": revision,
                "licence": licence,
                "imported_by": imported_by,
            }

        return self._install(name, copy, told)

    def derive(
        self,
        parent: Manifest,
        name: str,
        make: Callable[[Path], Gate | None],
        *,
        by: str,
        source: str = "",
        licence: str = "",
        revision: str = "",
        adapter: Adapter | None = None,
        told: Told = untold,
    ) -> Manifest:
        """Install what `make` writes into an empty folder from the model of `parent`; its gate, if there is one, is
        kept with it. `source`, `licence` and `revision` are the parent's name, licence and revision unless given.

        Raises FileExistsError, ModelCorrupt, whatever `make` raises; nothing half is left behind.
        """

        def fill(partial: Path) -> dict[str, Any]:
            gate = make(partial)
            return {
                "kind": parent.kind,
                "source": source or parent.name,
                "revision": revision or parent.revision,
                "licence": licence or parent.licence,
                "imported_by": by,
                "parent": parent.digest,
                "gate": gate,
                "adapter": adapter or parent.adapter,
            }

        return self._install(name, fill, told)

    def check_free(self, name: str) -> None:
        """Raises ModelCorrupt (not a name), FileExistsError."""
        if not _NAME.fullmatch(name):
            raise ModelCorrupt(
                f"{name!r} is not a model name", hint="Use letters, digits, dots, dashes and underscores."
            )
        if (self.root / name).exists():
            raise FileExistsError(_installed(name))

    def _install(self, name: str, fill: Callable[[Path], dict[str, Any]], told: Told = untold) -> Manifest:
        """A new folder, filled, looked through and recorded; nothing half is left behind. Of two at once under one
        name the first to end is installed, whole; the other raises FileExistsError."""
        self.check_free(name)
        with self.working_folder(name) as partial:
            known = fill(partial)
            facts = _facts(partial, known["kind"], adapted=bool(known.get("adapter")))
            manifest = Manifest(
                name=name,
                imported_at=datetime.now(UTC).isoformat(timespec="seconds"),
                architecture=facts.architecture,
                template_sha256=facts.template_sha256,
                files=tuple(_entries(partial, told)),
                recipe=quantization.stored(partial) or "",
                **known,
            )
            manifest.write(partial)
            try:
                partial.rename(self.root / name)
            except OSError as error:
                if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise FileExistsError(_installed(name)) from error
                raise
        return manifest

    @contextmanager
    def working_folder(self, name: str) -> Iterator[Path]:
        """An empty folder that nobody else writes to, locked while it is in use and taken away in the end. Raises
        DiskFull, in place of whatever says so in there."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self.root):
            self._tidy()
            folder = Path(tempfile.mkdtemp(dir=self.root, prefix=f".{name}.", suffix=".partial"))
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        except Exception as error:
            if _no_room(error):
                words = f"{name}: no space is left on the disk where the models lie."
                raise DiskFull(words, hint="Free some, and try again; nothing half is kept.") from error
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # nothing is there any more once it has become the model
            os.close(lock)

    def tidy(self) -> None:
        """Take away what processes that were killed have left half made."""
        if next(self.root.glob(".*.partial"), None) is None:
            return
        with _locked(self.root):
            self._tidy()

    def _tidy(self) -> None:
        for left in self.root.glob(".*.partial"):  # in use is what somebody holds a lock on
            with suppress(OSError), _locked(left, fcntl.LOCK_NB):
                shutil.rmtree(left)

    def verify(self, name: str, told: Told = untold) -> Manifest:
        """Read every file again; `told` hears of the bytes read, and what it raises ends it. Raises ModelCorrupt naming
        the first file that is missing, added or altered."""
        folder = self.folder(name)
        manifest = Manifest.read(folder)
        hint = "Remove the model and import it again from a trusted copy."
        expected = {entry.path: entry for entry in manifest.files}
        present = {path for path in _relative_files(folder) if path != MANIFEST_NAME}
        for path in sorted(present - set(expected)):
            raise ModelCorrupt(f"{name}: {path} was not there when the model was imported", file=path, hint=hint)
        read = 0
        for entry in manifest.files:
            file = folder / entry.path
            if entry.path not in present:
                raise ModelCorrupt(f"{name}: {entry.path} is missing", file=entry.path, hint=hint)
            if file.stat().st_size != entry.size or sha256_of(file) != entry.sha256:
                raise ModelCorrupt(f"{name}: {entry.path} differs from what was imported", file=entry.path, hint=hint)
            read += entry.size
            told("verifying", read, manifest.size)
        return manifest

    def remove(self, name: str) -> None:
        shutil.rmtree(self.folder(name))


def _no_room(error: Exception) -> bool:
    """Whether it says that the disk is full; safetensors' own library says so in words only."""
    number = getattr(error, "errno", None)
    return number in {errno.ENOSPC, errno.EDQUOT} or f"(os error {errno.ENOSPC})" in str(error)


def _installed(name: str) -> str:
    return f"A model named {name!r} is installed already; remove it first or choose another name."


@contextmanager
def _locked(folder: Path, more: int = 0) -> Iterator[None]:
    """Raises OSError: it cannot be opened or, with LOCK_NB, another holds it."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | more)
        yield
    finally:
        os.close(lock)


def _relative_files(folder: Path) -> Iterator[str]:
    for directory, _, names in os.walk(folder, followlinks=False):
        for name in names:
            yield str((Path(directory) / name).relative_to(folder))


def _entries(folder: Path, told: Told) -> Iterator[FileEntry]:
    sizes = {path: (folder / path).stat().st_size for path in sorted(_relative_files(folder))}
    read = 0
    for path, size in sizes.items():
        yield FileEntry(path, size, sha256_of(folder / path))
        read += size
        told("checking", read, sum(sizes.values()))


def _bring(targets: dict[Path, Path], told: Told, *, move: bool) -> None:
    """Each file to its target; a copy is made in pieces, so that it can be followed and stopped. No more is copied of a
    file than it held at first. Raises ModelCorrupt for one that has grown or shrunk meanwhile."""
    sizes = {path: path.stat().st_size for path in targets}
    total, done = sum(sizes.values()), 0
    for path, target in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        if move:
            path.rename(target)
            continue
        left = sizes[path]
        with _opened(path) as source, target.open("wb") as copy:
            while piece := source.read(min(PIECE_BYTES, left)):
                copy.write(piece)
                left -= len(piece)
                done += len(piece)
                told("copying", done, total)
            if left or source.read(1):
                raise ModelCorrupt(
                    f"{path.name} changed while it was copied",
                    file=path.name,
                    hint="Import it again when nothing writes to it any more.",
                )


def _opened(path: Path) -> BinaryIO:
    """The file to read, if it is still a plain one: a link or a pipe may have taken its place since it was chosen."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # a link, a socket
            raise ModelCorrupt(f"{path.name} is no plain file", file=path.name, hint="Import it again.") from error
        raise
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise ModelCorrupt(f"{path.name} is no plain file", file=path.name, hint="Import it again.")
    return os.fdopen(file, "rb")


def selected(source: Path) -> list[Path]:
    """The files that an import copies. Raises ModelNotFound (no weights there), ModelCorrupt (a refused file)."""
    chosen = list(_chosen(source))
    _kind(chosen)
    return chosen


def _chosen(source: Path) -> Iterator[Path]:
    """The files to copy. Files that could run are refused; other kinds (images, say) are left out."""
    if source.is_file() and source.suffix.lower() == ".gguf":
        for path in gguf.siblings(source):
            _check_plain(path, path.name, "Import the file it points to.")
            yield path
        return
    if not source.is_dir():
        raise ModelNotFound(f"{source} is neither a model folder nor a GGUF file.")
    for relative in sorted(_relative_files(source)):
        path = source / relative
        if any(part.startswith(".") for part in Path(relative).parts) or relative == MANIFEST_NAME:
            continue
        _check_plain(path, relative, "Import a folder of plain files.")
        if path.suffix.lower() in _EXECUTABLE:
            raise ModelCorrupt(
                f"{relative} is a kind of file that can run code when it is loaded",
                file=relative,
                hint="Import a copy with safetensors or GGUF weights and without Python or pickle files.",
            )
        if path.suffix.lower() in ALLOWED or path.name in ALLOWED_NAMES:
            yield path


def _check_plain(path: Path, name: str, hint: str) -> None:
    """Raises ModelCorrupt for a link, and for what is no file: a pipe would be waited for without end."""
    if path.is_symlink():
        raise ModelCorrupt(f"{name} is a link", file=name, hint=hint)
    if not path.is_file():
        raise ModelCorrupt(f"{name} is no plain file", file=name, hint="Take it away, and import the files alone.")


def _kind(files: list[Path]) -> Kind:
    suffixes = {path.suffix.lower() for path in files}
    if ".safetensors" in suffixes:
        return "safetensors"
    if ".gguf" in suffixes:
        return "gguf"
    raise ModelNotFound("There are no safetensors or GGUF weights there.", hint="Convert the weights to safetensors.")


def gguf_weights(folder: Path) -> list[Path]:
    """The GGUF files of the one model in the folder, first part first. Raises ModelNotFound, ModelCorrupt."""
    names = sorted(name for name in _relative_files(folder) if name.lower().endswith(".gguf") and name != ADAPTER_FILE)
    if not names:
        raise ModelNotFound(f"{folder.name} holds no GGUF file.")
    parts = gguf.single([folder / name for name in names])
    for number, path in enumerate(parts):
        header = gguf.read_header(path)
        if (header.part, header.parts) != (number, len(parts)):
            raise ModelCorrupt(
                f"{path.name} is part {header.part + 1} of {header.parts} by its content",
                file=path.name,
                hint="All parts of the model are needed, under their own names.",
            )
    return parts


def gguf_adapter(folder: Path) -> Path | None:
    """The LoRA adapter that the GGUF model in the folder answers with."""
    path = folder / ADAPTER_FILE
    return path if path.is_file() else None


def _facts(folder: Path, kind: Kind, *, adapted: bool) -> contents.Facts:
    """What the content says of itself. Raises ModelNotFound, ModelCorrupt."""
    for relative in sorted(_relative_files(folder)):
        if relative.lower().endswith(".gguf") and not (adapted and relative == ADAPTER_FILE):
            gguf.read_header(folder / relative, name=relative)
    if kind == "gguf":
        contents.check_json(folder)
        first = gguf.read_header(gguf_weights(folder)[0])
        return contents.Facts(first.architecture, first.template_sha256)
    return contents.check(folder)
