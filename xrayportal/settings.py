"""Every setting of the portal. Values come from the environment; docs/settings.md lists them.

``make demo`` and ``make up`` keep theirs in ``$VAR_DIR/portal.env``, which is read here so that
``manage.py`` finds the running portal; a variable that is set always wins over that file.
"""

from __future__ import annotations

from pathlib import Path

from django.utils.translation import gettext_lazy as _

from xrayportal.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()

VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var"))).resolve()
if (VAR_DIR / "portal.env").is_file():
    env.read_env(VAR_DIR / "portal.env")

VERSION = "0.2.0"

# --- who may talk to us -------------------------------------------------------------------
SECRET_KEY = env.key("SECRET_KEY")
DEBUG = env.flag("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
#: True wherever people reach the portal over HTTPS; the demo on loopback turns it off.
HTTPS = env.flag("HTTPS", default=True)
#: How many of our own proxies stand in front: that many entries of X-Forwarded-For are believed.
TRUSTED_PROXIES = env.whole("TRUSTED_PROXIES", default=0)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_ENGINE = "xrayportal.clinics.sessions"
SESSION_COOKIE_AGE = env.whole("SESSION_SECONDS", default=12 * 3600, least=1)
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
#: Cookies carry no port, so two portals on one host need two names (``make demo`` sets it).
SESSION_COOKIE_NAME = env.str("SESSION_COOKIE_NAME", default="sessionid")
CSRF_COOKIE_NAME = env.str("CSRF_COOKIE_NAME", default="csrftoken")
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_SSL_REDIRECT = HTTPS
#: Other names of the same domain are not the portal's to promise HTTPS for.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|statusz|metrics)$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- apps ---------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "xrayportal.audit",
    "xrayportal.clinics",
    "xrayportal.tokens",
    "xrayportal.studies",
    "xrayportal.analyses",
    "xrayportal.reviews",
    "xrayportal.worklist",
    "xrayportal.intake",
    "xrayportal.dicom",
    "xrayportal.webhooks",
    "xrayportal.operations",
    "xrayportal.web",
    "inference_worker.celery_worker",
    # The API's documentation is served from its static files.
    "ninja",
]
MIDDLEWARE = [
    "xrayportal.telemetry.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "xrayportal.security.HeadersMiddleware",
    "xrayportal.web.health.middleware.ProbeMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "xrayportal.clinics.sessions.PersonMiddleware",
    # Before the CSRF check: a stranger's form is not read.
    "xrayportal.security.SignInRequiredMiddleware",
    "xrayportal.clinics.second_factor_required.SecondFactorRequiredMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "xrayportal.clinics.recent_sign_in.RecentSignInMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "xrayportal.urls"
WSGI_APPLICATION = "xrayportal.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "xrayportal.web.shared.context.frame",
            ],
        },
    },
]

# --- PostgreSQL is the truth --------------------------------------------------------------
DATABASES = {"default": env.database("DATABASE_URL")}
DATABASES["default"].setdefault("CONN_MAX_AGE", env.whole("CONN_MAX_AGE", default=60))
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
#: A link that is cut without a word is noticed within half a minute, at work and at rest: the system's own
#: times are a quarter of an hour and two hours. What the address says (``?tcp_user_timeout=…``) counts more.
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 15_000,  # milliseconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    **DATABASES["default"].get("OPTIONS", {}),
}
#: Set for whoever migrates as the database's owner: the role of the portal's own processes.
DATABASE_PORTAL_ROLE = env.str("DATABASE_PORTAL_ROLE", default="")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis is a hint; see xrayportal/celery.py for Celery's numbers -------------------------
REDIS_URL = env.redis("REDIS_URL")
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

#: Everything in Redis has this prefix, so that two portals can share one server.
REDIS_KEY_PREFIX = env.str("REDIS_KEY_PREFIX", default="xrayportal:")

# --- the queue; docs/queue.md explains the numbers -------------------------------------------
#: A batch that takes longer is hung: its process is killed. xrayportal/celery.py derives the rest.
TASK_HARD_SECONDS = env.whole("TASK_HARD_SECONDS", default=300, least=1)
#: A worker that is silent for this long has lost its work. It extends its leases every third of it.
LEASE_SECONDS = env.whole("LEASE_SECONDS", default=12, least=1)
#: An idle worker looks for work so often without being woken: what Redis loses waits no longer.
IDLE_POLL_SECONDS = env.real("IDLE_POLL_SECONDS", default=3.0)
#: Processor time and address space for decoding one picture; the largest sound ones take half of that.
DECODE_SECONDS = env.real("DECODE_SECONDS", default=8.0)
DECODE_MEMORY_BYTES = env.whole("DECODE_MEMORY_BYTES", default=3 * 1024**3, least=512 * 1024**2)
#: Of so many analyses that start, one is kept for bulk work.
BULK_EVERY = env.whole("BULK_EVERY", default=5, least=1)
#: Pause between two rounds of the reconciler.
RECONCILE_SECONDS = env.real("RECONCILE_SECONDS", default=2.0)
#: Files that no row names are removed when they are this old; longer than any upload or analysis takes.
ORPHAN_GRACE_SECONDS = env.whole("ORPHAN_GRACE_SECONDS", default=24 * 3600, least=2 * TASK_HARD_SECONDS)
#: Pause between two searches for such files.
ORPHAN_SWEEP_SECONDS = env.whole("ORPHAN_SWEEP_SECONDS", default=3600)

# --- people -------------------------------------------------------------------------------
AUTH_USER_MODEL = "clinics.User"
AUTHENTICATION_BACKENDS = ["xrayportal.clinics.sessions.PersonBackend"]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
#: Whether staff and superusers must have a second factor; clinics decide for their members.
STAFF_SECOND_FACTOR = env.flag("STAFF_SECOND_FACTOR", default=False)
#: Exports, deletions, people and settings ask again who is there when the last answer is older.
CONFIRM_SECONDS = env.whole("CONFIRM_SECONDS", default=15 * 60, least=1)
#: Invitations that one clinic may send within an hour.
INVITATIONS_PER_HOUR = env.whole("INVITATIONS_PER_HOUR", default=60, least=1)
EMAIL_CONFIG = env.email("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="X-Ray Portal <portal@localhost>")

# --- programs -----------------------------------------------------------------------------
#: The longest life of an API token that a clinic's admin may choose.
API_TOKEN_MAX_DAYS = env.whole("API_TOKEN_MAX_DAYS", default=365, least=1)
#: Networks beside the public ones that webhooks may go to, such as 10.1.0.0/16, also without TLS.
WEBHOOK_NETWORKS = env.list("WEBHOOK_NETWORKS", default=[])
#: A PEM file of the authorities that receivers' certificates are checked against; empty: the system's own.
WEBHOOK_CA = env.str("WEBHOOK_CA", default="")
#: Requests that one token may send a minute; 0 is no limit.
API_REQUESTS_A_MINUTE = env.whole("API_REQUESTS_A_MINUTE", default=6000)

# --- files --------------------------------------------------------------------------------
#: S3 instead of the local folder: FILES_STORAGE=xrayportal.studies.object_storage.ObjectStorage and
#: FILES_STORAGE_OPTIONS as JSON (bucket_name, endpoint_url, …).
STORAGES = {
    "default": {
        "BACKEND": env.str("FILES_STORAGE", default="xrayportal.studies.storage.DurableFileStorage"),
        "OPTIONS": env.json("FILES_STORAGE_OPTIONS", default={}),
    },
    #: The ends of the audit chains, best where the database's owner cannot write: see audit/anchors.py.
    "anchors": {
        "BACKEND": env.str("AUDIT_ANCHOR_STORAGE", default="xrayportal.studies.storage.DurableFileStorage"),
        "OPTIONS": env.json(
            "AUDIT_ANCHOR_STORAGE_OPTIONS", default={"location": str(VAR_DIR / "audit-anchors")}
        ),
    },
    # Style sheets and scripts are collected by one user and served by another, and are no secret; without
    # these they would get the modes of uploads below.
    "staticfiles": {
        "BACKEND": "xrayportal.web.shared.static_files.HashedStaticFilesStorage",
        "OPTIONS": {"file_permissions_mode": 0o644, "directory_permissions_mode": 0o755},
    },
}
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", default=str(VAR_DIR / "media")))
MEDIA_URL = "/files-are-served-by-views-only/"
STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(VAR_DIR / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
#: Largest file taken (bytes). A 16-bit 4,000 x 4,000 radiograph is 32 MB.
UPLOAD_MAX_BYTES = env.whole("UPLOAD_MAX_BYTES", default=64 * 1024 * 1024, least=1)
#: Largest picture taken (width x height by its header); the workers have a limit of their own.
UPLOAD_MAX_PIXELS = env.whole("UPLOAD_MAX_PIXELS", default=64_000_000, least=1)
#: Files go to a temporary file as they come, and no further than the limit above.
FILE_UPLOAD_HANDLERS = [
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "xrayportal.intake.upload_handler.BoundedFileUploadHandler",
]
#: A request whose sender is silent for this long is given up, so that a lost connection holds no thread.
SILENCE_SECONDS = env.whole("SILENCE_SECONDS", default=30, least=1)
#: Files in one plain form post (without JavaScript); the page sends one request a file.
DATA_UPLOAD_MAX_NUMBER_FILES = 100
#: A ZIP archive that reaches the server whole: files in it, and bytes they unpack to.
ARCHIVE_MAX_FILES = env.whole("ARCHIVE_MAX_FILES", default=2000)
ARCHIVE_MAX_BYTES = env.whole("ARCHIVE_MAX_BYTES", default=2 * 1024**3)
#: What a clinic, and each person of it, may send: files a day, bytes stored, studies waiting; 0 is no limit.
QUOTA_CLINIC_FILES_A_DAY = env.whole("QUOTA_CLINIC_FILES_A_DAY", default=200_000)
QUOTA_PERSON_FILES_A_DAY = env.whole("QUOTA_PERSON_FILES_A_DAY", default=100_000)
QUOTA_CLINIC_BYTES = env.whole("QUOTA_CLINIC_BYTES", default=0)
QUOTA_CLINIC_WAITING = env.whole("QUOTA_CLINIC_WAITING", default=100_000)
QUOTA_PERSON_WAITING = env.whole("QUOTA_PERSON_WAITING", default=100_000)
#: An open study is sealed when no new view came for this long.
SEAL_AFTER_SECONDS = env.whole("SEAL_AFTER_SECONDS", default=60)
#: An open submission is finished when no file came for this long; its sender may only have paused it.
FINISH_AFTER_SECONDS = env.whole("FINISH_AFTER_SECONDS", default=15 * 60)

# --- containers ---------------------------------------------------------------------------
#: Workers and the reconciler set this file's time as long as they go round; see docker/alive.
HEARTBEAT_FILE = env.str("HEARTBEAT_FILE", default="")

# --- DICOM; docs/dicom.md -------------------------------------------------------------------
#: Where the DICOM node listens once a clinic has an AE title; 0 is no port of this kind, and no node.
DICOM_BIND = env.str("DICOM_BIND", default="127.0.0.1")
DICOM_PORT = env.whole("DICOM_PORT", default=0)
DICOM_TLS_PORT = env.whole("DICOM_TLS_PORT", default=0)
#: PEM files: the node's certificate and key; the authorities whose certificates callers must show, if any.
DICOM_TLS_CERTIFICATE = env.str("DICOM_TLS_CERTIFICATE", default="")
DICOM_TLS_KEY = env.str("DICOM_TLS_KEY", default="")
DICOM_TLS_CALLERS_CA = env.str("DICOM_TLS_CALLERS_CA", default="")
#: The authorities that destinations' certificates are checked against; empty: the system's own.
DICOM_TLS_DESTINATIONS_CA = env.str("DICOM_TLS_DESTINATIONS_CA", default="")
#: Networks that clinics may send results to, such as 10.1.0.0/16; without one nothing leaves.
DICOM_DESTINATION_NETWORKS = env.list("DICOM_DESTINATION_NETWORKS", default=[])

# --- the worklist -------------------------------------------------------------------------
#: By urgency, what no reader has opened for this long comes before everything else.
LONGEST_WAIT_HOURS = env.real("LONGEST_WAIT_HOURS", default=24.0)
#: Where people reach the portal, for links in e-mails; without it none is sent about submissions.
PUBLIC_URL = env.str("PUBLIC_URL", default="").rstrip("/")

# --- the audit's anchors ------------------------------------------------------------------
#: Pause between two times that the reconciler writes the ends of the audit chains down.
AUDIT_ANCHOR_SECONDS = env.whole("AUDIT_ANCHOR_SECONDS", default=3600, least=1)
#: Who gets them by e-mail as well.
AUDIT_ANCHOR_MAIL = env.list("AUDIT_ANCHOR_MAIL", default=[])

# --- the networks -------------------------------------------------------------------------
BUNDLES_DIR = Path(env.str("BUNDLES_DIR", default=str(BASE_DIR / "models")))
#: What a worker runs the networks with: openvino on a CPU, tensorflow on a GPU; and in which precision.
XRAY_RUNTIME = env.one_of("XRAY_RUNTIME", "openvino", "tensorflow")
XRAY_PRECISION = env.one_of("XRAY_PRECISION", "auto", "f32", "bf16", "f16")
#: Processor threads of one pass (openvino); 0 takes all that the machine has, whatever the container may use.
XRAY_THREADS = env.whole("XRAY_THREADS", default=0)
#: How many analyses a worker claims at once.
XRAY_BATCH = env.whole("XRAY_BATCH", default=4, least=1)

# --- language and time --------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("de", _("German"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
#: A person's choice of language, kept by their browser; without one the browser's own list decides.
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SECURE = HTTPS
LANGUAGE_COOKIE_SAMESITE = "Lax"
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True

# --- logs and metrics: ids and kinds, never patient content -----------------------------------
LOG_FORMAT = env.one_of("LOG_FORMAT", "line", "json")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "class": "xrayportal.logs.LineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },
        "json": {"class": "xrayportal.logs.JsonFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    # A wake-up is not worth a line: what the worker did with it has lines of its own.
    "loggers": {
        "celery": {"level": "WARNING"},
        # It tells of every passkey by its id.
        "fido2": {"level": "WARNING"},
        # A line for each step of each study: nobody reads those, machines do.
        "xrayportal.trail": {"level": "INFO" if LOG_FORMAT == "json" else "WARNING"},
    },
}
#: What Prometheus must send to read /metrics; without it there is no such page.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
#: Pause between two lines with the queue's figures in the reconciler's log, for hosts that scale by them.
QUEUE_LOG_SECONDS = env.whole("QUEUE_LOG_SECONDS", default=0)
