"""Reads values from the environment for `settings`. Knows no setting; what is wrong is ImproperlyConfigured, which says
what to write instead."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured


def env(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def env_bool(name: str, default: bool) -> bool:
    value = os.environ.get(name)
    if value is None or value == "":
        return default
    if value.lower() in {"1", "true", "yes", "on"}:
        return True
    if value.lower() in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")


def env_int(name: str, default: int, *, minimum: int = 0) -> int:
    value = os.environ.get(name) or str(default)
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None
    if number < minimum:
        raise ImproperlyConfigured(f"{name} must be at least {minimum}, not {number}.")
    return number


def env_share(name: str, default: float, *, most: float = 1.0) -> float:
    """A number from 0 to `most`."""
    value = os.environ.get(name)
    try:
        number = float(value) if value else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number, not {value!r}.") from None
    if not 0 <= number <= most:
        raise ImproperlyConfigured(f"{name} must lie between 0 and {most:g}, not {number:g}.")
    return number


def host_of(name: str, address: str, example: str) -> str | None:
    """The host in an address, None for one that has none. What is wrong with it is not repeated: it may be a secret."""
    try:
        parts = urlsplit(address)
        _ = parts.port
        return parts.hostname
    except ValueError:
        raise ImproperlyConfigured(f"{name} is not an address. Write for example {name}={example}") from None


def env_choice(name: str, choices: tuple[str, ...]) -> str:
    """One of `choices`, the first when nothing is set."""
    value = env(name) or choices[0]
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def env_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in env(name, default).split(",") if item.strip()]


def env_or_file(name: str, default: str = "") -> str:
    """NAME, else the content of the file NAME_FILE, else the default."""
    if value := os.environ.get(name):
        return value
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE={path} cannot be read: {error.strerror}.") from error
    return default


def env_secret(name: str, directory: Path) -> str:
    """NAME or NAME_FILE, else a value generated once in `directory` (mode 0600)."""
    if value := env_or_file(name):
        return value
    path_generated = directory / name.lower()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path_generated, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
    except FileExistsError:
        if not directory.is_dir():
            raise ImproperlyConfigured(f"{directory} is no folder. Move that file away, or set {name}.") from None
    except OSError as error:
        raise ImproperlyConfigured(f"Set {name} or make {directory} writable: {error.strerror}.") from error
    return path_generated.read_text(encoding="utf-8").strip()
