"""Settings that are weak or wrong, each with an id and a hint; and the refusal to start with a dangerous one.

Knows: settings and the machine's file modes. Does not know: whether services are up (`health` does).
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from assistant import rates
from assistant.audit import syslog
from assistant.errors import Invalid

LOOPBACK = {"127.0.0.1", "localhost", "::1", ""}
ENGINES = {"extractive", "auto", "transformers", "gguf", "remote"}
QUANTIZATIONS = {"auto", "none", "int8", "nf4", "dynamic8"}


@register(Tags.security)
def check_settings(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """All findings about the settings in force."""
    return [*_site(), *_secrets(), *_redis(), *_data(), *_libraries(), *_collector()]


def refuse_unsafe_start() -> None:
    """For server processes: raise ImproperlyConfigured naming every error-level finding."""
    errors = [message for message in check_settings() if message.is_serious()]
    if errors:
        raise ImproperlyConfigured(
            "Refusing to start:\n" + "\n".join(f"  {error.id}: {error.msg} {error.hint}" for error in errors)
        )


def is_public() -> bool:
    """Whether the site's address is more than this machine."""
    return urlsplit(settings.SITE_URL).hostname not in LOOPBACK


def _site() -> Iterator[CheckMessage]:
    if settings.DEBUG and is_public():
        yield Error("DEBUG is on for an address others can reach.", hint="Unset DEBUG.", id="assistant.E001")
    if is_public() and not settings.HTTPS:
        yield Error(
            "SITE_URL is plain http on a network address: passwords would cross the network readable.",
            hint="Put a TLS proxy in front (deploy/nginx.conf) and set SITE_URL=https://…",
            id="assistant.E002",
        )
    if "*" in settings.ALLOWED_HOSTS:
        yield Error("ALLOWED_HOSTS accepts every host name.", hint="Name the hosts.", id="assistant.E003")
    if is_public() and settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        yield Warning(
            "SQLite serves one machine and few writers.",
            hint="Set DATABASE_URL=postgres://… (deploy/compose.yml shows one).",
            id="assistant.W001",
        )
    if settings.ENGINE not in ENGINES:
        yield Error(f"ENGINE={settings.ENGINE!r} is not known.", hint=f"One of {sorted(ENGINES)}.", id="assistant.E004")
    if settings.ENGINE in {"transformers", "gguf"} and not settings.MODEL:
        yield Error(
            f"ENGINE={settings.ENGINE} needs a model.",
            hint="manage.py models import PATH --name NAME, then MODEL=NAME.",
            id="assistant.E011",
        )
    if settings.RERANKER and not Path(settings.RERANKER).is_dir():
        yield Error(
            f"RERANKER={settings.RERANKER!r} is not a folder on this machine.",
            hint="Copy a cross-encoder there (config.json, tokenizer.json, model.safetensors), or unset RERANKER.",
            id="assistant.E016",
        )
    remote = urlsplit(settings.REMOTE_URL)
    if settings.ENGINE == "remote" and not (remote.hostname and settings.REMOTE_MODEL):
        yield Error(
            "ENGINE=remote needs a server and a model.",
            hint="Set REMOTE_URL=https://HOST/v1 and REMOTE_MODEL.",
            id="assistant.E013",
        )
    elif settings.ENGINE == "remote" and remote.scheme != "https" and remote.hostname not in LOOPBACK:
        yield Error(
            "The model server is another machine and its address is plain http.",
            hint="Use https:// and name its certificates in REMOTE_CA.",
            id="assistant.E014",
        )
    for name in ("API_RATE", "TOKEN_RATE"):
        try:
            rates.parse(getattr(settings, name))
        except ValueError as error:
            yield Error(f"{name}: {error}", hint="For example 600/min.", id="assistant.E015")
    if settings.QUANTIZATION not in QUANTIZATIONS:
        yield Error(
            f"QUANTIZATION={settings.QUANTIZATION!r} is not known.",
            hint=f"One of {sorted(QUANTIZATIONS)}.",
            id="assistant.E012",
        )


def _secrets() -> Iterator[CheckMessage]:
    for number, name in ((5, "SECRET_KEY"), (6, "AUDIT_KEY")):
        if len(getattr(settings, name)) < 32 or len(set(getattr(settings, name))) < 10:
            yield Error(
                f"{name} is too weak.",
                hint="Use at least 32 random characters (openssl rand -base64 48), or unset it: one is generated.",
                id=f"assistant.E{number:03d}",
            )
    if settings.SECRET_KEY == settings.AUDIT_KEY:
        yield Error("SECRET_KEY and AUDIT_KEY are the same.", hint="Use two secrets.", id="assistant.E007")


def _redis() -> Iterator[CheckMessage]:
    url = urlsplit(settings.REDIS_URL)
    if url.scheme != "unix" and url.hostname not in LOOPBACK and not url.password:
        yield Error(
            "Redis on a network address has no password.",
            hint="Set requirepass there and REDIS_URL=rediss://:PASSWORD@HOST/0.",
            id="assistant.E008",
        )
    if url.scheme == "redis" and url.hostname not in LOOPBACK:
        yield Warning(
            "Redis traffic crosses the network unencrypted.",
            hint="Use rediss:// or keep Redis on an internal network of its own.",
            id="assistant.W002",
        )


def _data() -> Iterator[CheckMessage]:
    for directory in (settings.DATA_DIR, settings.SECRETS_DIR):
        if Path(directory).exists() and stat.S_IMODE(Path(directory).stat().st_mode) & 0o007:
            yield Error(
                f"{directory} is open to every user of this machine.",
                hint=f"chmod -R o-rwx {directory}",
                id="assistant.E009",
            )


def _libraries() -> Iterator[CheckMessage]:
    if find_spec("kernels") is not None:
        yield Error(
            "The package “kernels” is installed; transformers would use it to fetch code.",
            hint="pip uninstall kernels",
            id="assistant.E010",
        )


def _collector() -> Iterator[CheckMessage]:
    if settings.AUDIT_SYSLOG:
        try:
            syslog.parse(settings.AUDIT_SYSLOG)
        except Invalid as error:
            yield Error(f"AUDIT_SYSLOG: {error.detail}", hint="For example tcp://10.0.0.5:601.", id="assistant.E017")
