"""Every setting, from the environment, with secure defaults; secrets also from NAME_FILE.

With nothing set: SQLite and a private Redis socket under ./var, secrets generated there on first use (mode 0600).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from assistant import egress
from assistant.environment import (
    env,
    env_bool,
    env_choice,
    env_int,
    env_list,
    env_or_file,
    env_secret,
    env_share,
    host_of,
)

BASE_DIR = Path(__file__).resolve().parent.parent

# Libraries that would fetch code or weights are told not to, whatever the caller's environment says.
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "USE_HUB_KERNELS": "NO",
}
os.environ |= OFFLINE
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# How often a waiting thread of OpenMP (torch, llama.cpp) looks for the others before it sleeps. The library's own count
# holds a core for milliseconds that other processes need, and on a busy machine all of them crawl
# (tests/benchmarks/spinning.py). Read when the first such library is loaded, which is after this.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

DATA_DIR = Path(env("ASSISTANT_DATA_DIR", str(BASE_DIR / "var"))).resolve()
SECRETS_DIR = DATA_DIR / "secrets"
os.umask(0o077)  # whatever a process of ours writes is its own
try:
    DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
except OSError as _error:
    raise ImproperlyConfigured(
        f"The data directory {DATA_DIR} cannot be made: {_error.strerror}. Set ASSISTANT_DATA_DIR to a directory that "
        "this user may write."
    ) from None
UPLOADS_DIR, CACHE_DIR = DATA_DIR / "uploads", DATA_DIR / "cache"
MODELS_DIR = Path(env("MODELS_DIR", str(DATA_DIR / "models")))
MODELS_DROP_DIR = Path(env("MODELS_DROP_DIR", str(DATA_DIR / "incoming")))  # to be imported from the page

DEBUG = env_bool("DEBUG", False)
SECRET_KEY = env_secret("SECRET_KEY", SECRETS_DIR)
VAULT_KEY = env_or_file("VAULT_KEY")  # wraps the data keys of everything at rest; empty: a file made below
VAULT_KEY_PREVIOUS = env_or_file("VAULT_KEY_PREVIOUS")  # the one before, until `manage.py vault rotate` is through
if not VAULT_KEY:
    env_secret("VAULT_KEY", SECRETS_DIR)  # read anew by assistant.vault.master, since a rotation replaces it
AUDIT_KEY = env_secret("AUDIT_KEY", SECRETS_DIR)  # MAC over audit events and encryption of audited texts
# A log collector inside the network that gets every event as CEF: udp://HOST:514, tcp://HOST:601 or unix:///PATH;
# empty: none. Its host is allowed through the egress guard.
AUDIT_SYSLOG = env("AUDIT_SYSLOG")
AUDIT_RETENTION_DAYS = env_int("AUDIT_RETENTION_DAYS", 400, minimum=184)  # the database's triggers keep 184 as well
SITE_URL = env("SITE_URL", "http://127.0.0.1:8000")
HTTPS = SITE_URL.startswith("https://")
# This machine may always ask: health checks and the collector of metrics call it by these names.
ALLOWED_HOSTS = [*env_list("ALLOWED_HOSTS"), "127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS", SITE_URL)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "rest_framework",
    "drf_spectacular",
    "csp",
    "assistant",
    "assistant.vault",
    "assistant.audit",
    "assistant.accounts",
    "assistant.documents",
    "assistant.chat",
    "assistant.quality",
    "assistant.api",
    "assistant.web",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "assistant.middleware.static_files",
    "assistant.middleware.content_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "assistant.middleware.SlashMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "assistant.middleware.ContextMiddleware",
]

ROOT_URLCONF = "assistant.urls"
ASGI_APPLICATION = "assistant.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
            ],
        },
    },
]

DATABASE_URL = env_or_file("DATABASE_URL", f"sqlite:///{DATA_DIR / 'assistant.sqlite3'}")
# What a request, a search or a task closes is kept for whoever asks next, on whichever thread: `backends.idle`.
DATABASES: dict[str, Any] = {"default": dj_database_url.parse(DATABASE_URL, conn_max_age=0)}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / "test.sqlite3"}  # a file: threads lock it as they do for real
    DATABASES["default"]["ENGINE"] = "assistant.backends.sqlite3"  # Django's, with a fairer wait for the write lock
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        # One writer at a time from the first statement: no deadlock on lock upgrade, audit sequence contiguous.
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            # FULL: what is committed, the audit log above all, outlives a power cut.
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
            "PRAGMA secure_delete=ON; PRAGMA recursive_triggers=ON; PRAGMA temp_store=MEMORY;"
        ),
    }
else:
    # A line that falls dead ends after as long as one that is never made.
    DATABASES["default"].setdefault("OPTIONS", {}).update(connect_timeout=3, tcp_user_timeout=3000)
    if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
        DATABASES["default"]["ENGINE"] = "assistant.backends.postgresql"  # Django's; what is closed is used again
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

RUN_DIR = DATA_DIR / "run"
REDIS_SOCKET = RUN_DIR / "redis.sock"
if len(str(REDIS_SOCKET)) > 100:  # a Unix socket's path may have 107 bytes
    _short = hashlib.sha256(str(DATA_DIR).encode()).hexdigest()[:12]
    REDIS_SOCKET = Path(tempfile.gettempdir()) / f"assistant-{os.getuid()}-{_short}" / "redis.sock"
REDIS_URL = env_or_file("REDIS_URL", f"unix://{REDIS_SOCKET}?db=0")

CELERY_BROKER_URL = (
    REDIS_URL.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
    if REDIS_URL.startswith("unix://")
    else REDIS_URL
)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600, "socket_keepalive": True, "socket_connect_timeout": 3}
if not os.environ.get("ASSISTANT_WORKER"):  # who only sends does not wait for a Redis that hangs: the row is there
    CELERY_BROKER_TRANSPORT_OPTIONS["socket_timeout"] = 5
CELERY_TASK_DEFAULT_QUEUE = "ingestion"
CELERY_TASK_ROUTES = {name: {"queue": "answers"} for name in ("assistant.chat.tasks.*", "assistant.quality.tasks.run")}
CELERY_BEAT_SCHEDULE_FILENAME = str(RUN_DIR / "beat-schedule")
CELERY_BEAT_SCHEDULE: dict[str, Any] = {
    "sweep-documents": {"task": "assistant.documents.tasks.sweep", "schedule": 10.0},
    "tend-personal-data": {"task": "assistant.documents.tasks.tend", "schedule": 60.0},
    "sweep-answers": {"task": "assistant.chat.tasks.sweep", "schedule": 5.0},
    "retain-conversations": {"task": "assistant.chat.tasks.retain", "schedule": 3600.0},
    "record-refusals": {"task": "assistant.audit.tasks.refusals", "schedule": 30.0},
    "record-denials": {"task": "assistant.audit.tasks.denials", "schedule": 30.0},
    "sweep-models": {"task": "assistant.tasks.sweep", "schedule": 30.0},
    "look-at-quality": {"task": "assistant.quality.tasks.look", "schedule": 60.0},
    "forward-audit": {"task": "assistant.audit.tasks.forward", "schedule": 10.0},
    "audit-checkpoint": {"task": "assistant.audit.tasks.checkpoint", "schedule": 60.0},
}
for _entry in CELERY_BEAT_SCHEDULE.values():
    # What nobody took before its next turn is void: a worker that comes back does not do hours of sweeps at once.
    _entry["options"] = {"expires": _entry["schedule"]}
CELERY_TIMEZONE = "UTC"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_ADAPTER = "assistant.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_USER_MODEL_EMAIL_FIELD = "email"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = {"login_failed": "5/m/key,20/h/ip", "change_password": "5/m/user"}
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
SEPARATION_OF_DUTIES = env_bool("SEPARATION_OF_DUTIES", False)

SESSION_COOKIE_AGE = env_int("SESSION_HOURS", 12, minimum=1) * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SAMESITE = "Strict"
CSRF_FAILURE_VIEW = "assistant.web.errors.csrf_failure"
SECURE_SSL_REDIRECT = HTTPS and env_bool("SSL_REDIRECT", True)
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]  # asked for on this machine, behind the proxy that speaks TLS
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"  # "no-referrer" makes browsers send "Origin: null" with every form
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env_bool("BEHIND_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "assistant" / "locale"]
TIME_ZONE = env("TIME_ZONE", "UTC")
USE_I18N = True
USE_TZ = True

SERVESTATIC_ALLOW_ALL_ORIGINS = False
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(UPLOADS_DIR)}},
    "staticfiles": {"BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"},
}
MEDIA_ROOT = UPLOADS_DIR
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
MAX_UPLOAD_BYTES = env_int("MAX_UPLOAD_MB", 100, minimum=1) * 1024 * 1024

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
    }
}

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "assistant.api.authentication.BearerAuthentication",
        "assistant.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_THROTTLE_CLASSES": ["assistant.api.throttling.PersonThrottle"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "assistant.api.problems.handle",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Assistant",
    "DESCRIPTION": "Questions to the company's own documents, answered with checked citations.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "assistant.api.schema.add_problems",
    ],
    "SCHEMA_PATH_PREFIX": "/(api/)?v1/",
    "ENUM_NAME_OVERRIDES": {
        "RoleEnum": ["employee", "curator", "auditor", "administrator"],
        "DocumentStatusEnum": ["queued", "processing", "ready", "quarantined", "failed"],
        "AnswerStatusEnum": "assistant.chat.models.AnswerStatus",
        "RunStatusEnum": "assistant.quality.models.RunStatus",
        "ModelStateEnum": "assistant.models.ActivationState",
        "ModelJobStateEnum": "assistant.models.JobState",
        "ModelJobKindEnum": "assistant.models.JobKind",
        "PermitKindEnum": "assistant.audit.models.PermitKind",
        "HoldKindEnum": "assistant.documents.models.HoldKind",
        "TreatmentEnum": ["show", "pseudonymise", "mask", "refuse"],
        "ReaderKindEnum": ["user", "team", "everyone", "manages"],
        "MessageRoleEnum": ["system", "developer", "user", "assistant", "tool", "function"],
    },
}

DEMO = env_bool("DEMO", True)  # load the demo company when the database is empty

# Answers
# extractive; transformers or gguf (MODEL on this machine); remote (REMOTE_URL); auto: what MODEL is, when it is set
ENGINE = env("ENGINE", "extractive")
# A name from `manage.py models list`; for `make up` also OWNER/NAME at MODEL_HUB, of which REVISION may pin a commit
# and MODEL_FILE chooses one GGUF file of several.
MODEL = env("MODEL")
REVISION = env("REVISION")
MODEL_FILE = env("MODEL_FILE")
QUANTIZATION = env("QUANTIZATION", "auto")  # auto: as MODEL is stored; a recipe: refused unless it is stored so
# What a quantized model may lose against the unquantized one, unless the command says otherwise.
MAX_PERPLEXITY_LOSS = env_share("MAX_PERPLEXITY_LOSS", 0.1, most=10)  # relative rise of the perplexity
MIN_AGREEMENT = env_share("MIN_AGREEMENT", 0.85)  # share of positions with the same likeliest next token
MODEL_HUB = env("MODEL_HUB", "https://huggingface.co")  # where `models pull` and `make up MODEL=OWNER/NAME` fetch
RERANKER = env("RERANKER")  # folder of a cross-encoder (safetensors) that looks twice at what search found; empty: none
REMOTE_URL = env("REMOTE_URL")  # an OpenAI-compatible server inside the network, up to /v1
REMOTE_MODEL = env("REMOTE_MODEL")
REMOTE_KEY = env_or_file("REMOTE_KEY")
REMOTE_CA = env("REMOTE_CA")  # a file of certificates, when the server's is the company's own
REMOTE_CONTEXT_TOKENS = env_int("REMOTE_CONTEXT_TOKENS", 8192, minimum=512)
# Below this probability of an answer the documents do not say. On the demo company's paraphrased questions the scorer's
# own default says so too often; the risk of each value stands in inference/reading/WEIGHING.md.
EVIDENCE_THRESHOLD = env_share("EVIDENCE_THRESHOLD", 0.1)
# Sentences of a language model that no cited passage supports: marked as such, or not shown at all. An answer then
# comes sentence by sentence, each when it has been checked, and the thinking, which nothing checks, stays back.
UNSUPPORTED_SENTENCES = env_choice("UNSUPPORTED_SENTENCES", ("mark", "withhold"))
# How freely a language model draws its words, 0 to 2; empty: 0.6 for a model that thinks first (R1), else 0.3.
TEMPERATURE = env_share("TEMPERATURE", 0.0, most=2.0) if env("TEMPERATURE") else None
# Conversations that nobody continued for so many days are erased; 0 keeps them until their owner deletes them.
CONVERSATION_RETENTION_DAYS = env_int("CONVERSATION_RETENTION_DAYS", 0)
MAX_QUESTION_CHARS = env_int("MAX_QUESTION_CHARS", 2000, minimum=10)
ANSWER_SLOTS = env_int("ANSWER_SLOTS", 4, minimum=1)  # questions one answers worker works on at once
SEARCH_SLOTS = env_int("SEARCH_SLOTS", 4, minimum=1)  # searches it runs beside them
ANSWER_QUEUE_LIMIT = env_int("ANSWER_QUEUE_LIMIT", 64, minimum=2)  # unfinished questions of all; a person: half
QUESTIONS_PER_DAY = env_int("QUESTIONS_PER_DAY", 2000, minimum=1)  # of one person, by the server's calendar
# Calls to REST, in any window of that length, counted exactly: of a person, and of one token ("" for no limit).
API_RATE = env("API_RATE", "600/min")
TOKEN_RATE = env("TOKEN_RATE", "600/min")
INGESTION_PROCESSES = env_int("INGESTION_PROCESSES", 2, minimum=1)
CELERY_WORKER_CONCURRENCY = INGESTION_PROCESSES if env("ASSISTANT_WORKER") == "ingestion" else ANSWER_SLOTS
ANSWER_DEADLINE_SECONDS = env_int("ANSWER_DEADLINE_SECONDS", 120, minimum=5)

# Python code of this process may connect to this machine and to these hosts, nowhere else.
EGRESS_ALLOW = env_list("EGRESS_ALLOW")
egress.install(
    [
        DATABASES["default"]["HOST"],
        host_of("REDIS_URL", REDIS_URL, "rediss://:PASSWORD@HOST:6379/0"),
        host_of("REMOTE_URL", REMOTE_URL, "https://HOST:8000/v1"),
        host_of("AUDIT_SYSLOG", AUDIT_SYSLOG, "tcp://10.0.0.5:601"),
        *EGRESS_ALLOW,
    ],
    record=DATA_DIR / "run" / "egress-refused.jsonl",
)
METRICS_CLIENTS = env_list("METRICS_CLIENTS", "127.0.0.0/8,::1/128")
USE_X_FORWARDED_HOST = False
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", "INFO")},
}
