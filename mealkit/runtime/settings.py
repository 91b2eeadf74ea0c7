"""Reads the container's settings from environment variables; the defaults fit the image.

Raises ContainerError for invalid values. Everything that changes an answer is in the lock, not
here.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mealkit.addresses import is_loopback
from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.paths import DEFAULTS, LOCK_NAME, stated_port

if TYPE_CHECKING:
    from mealkit.recipe.operations import Operations

DEFAULT_PORT = 8000

# Idle connections use 8 KiB each: 32 MiB in all.
_CONNECTIONS = 4096

_ADDRESS_CHARACTERS = 4096

# More than 100 budgets with all their fields.
_OPS_BYTES = 128 * 1024

# Python refuses to parse numbers of thousands of digits, and none here needs as many.
_DIGITS = 7

# The first of each is the default.
_LEVELS = ("info", "debug", "warning", "error")
_AUTH = ("keys", "off")
_FORWARDED = ("off", "on")
_DEV = ("off", "on")
_OPEN = frozenset({"metrics", "docs"})

_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9_.:\[\]-]{1,255}")


@dataclass(frozen=True, slots=True)
class Settings:
    """The container's folders, address and access rules."""

    host: str
    """The address to listen on; ``::``: all, of both versions (``MEALKIT_HOST``)."""
    port: int
    """The port to listen on; 0: any free one, which the log names (``MEALKIT_PORT``, or the
    platform's ``PORT``)."""
    models: Path
    """The folder of the weights (``MEALKIT_MODELS``)."""
    etc: Path
    """The folder of kit.lock and the prompts (``MEALKIT_ETC``)."""
    state: Path
    """The only folder that mealkit writes to (``MEALKIT_STATE``)."""
    stated_records: Path | None
    """The folder for what must outlive the container; None: the state folder
    (``MEALKIT_RECORDS``)."""
    engine_path: str
    """The worker's PYTHONPATH (``MEALKIT_ENGINE_PATH``)."""
    termination_log: Path
    """The file to write the problem of a failed start to (``MEALKIT_TERMINATION_LOG``)."""
    log_level: str
    """The lowest level of log lines that are written (``MEALKIT_LOG_LEVEL``)."""
    image_digest: Digest | None
    """The digest of the image, if it was stated at the start (``MEALKIT_IMAGE_DIGEST``)."""
    connections: int
    """The maximum number of open connections (``MEALKIT_CONNECTIONS``)."""
    auth: str
    """Whether callers need a key: ``keys``, or ``off`` (``MEALKIT_AUTH``)."""
    keys: str
    """Hashes of keys, as lines of a keys file (``MEALKIT_KEYS``)."""
    keys_file: Path | None
    """The file of the keys' hashes, read again when it changes (``MEALKIT_KEYS_FILE``)."""
    hosts: frozenset[str]
    """Host names that callers without a key may use, in addition to addresses and localhost; ``*``
    allows all (``MEALKIT_HOSTS``, separated by commas)."""
    origins: frozenset[str]
    """Origins of web pages that may call the kit and read its answers, in addition to its own
    page; ``*`` allows all (``MEALKIT_ORIGINS``, separated by commas)."""
    is_behind_proxy: bool
    """Whether a proxy sets ``X-Forwarded-Host``, ``-Proto`` and ``-Prefix`` (``MEALKIT_FORWARDED``
    is ``on``)."""
    verified: Mapping[str, tuple[int, ...]]
    """Size, times, inode and device of the files of weights that the host has hashed, by digest
    (``MEALKIT_VERIFIED``)."""
    open: frozenset[str]
    """Paths that need no key, in addition to health: ``metrics``, ``docs`` (``MEALKIT_OPEN``,
    separated by commas)."""
    audit_key: Path | None
    """The keys of the audit log; else the kit creates one (``MEALKIT_AUDIT_KEY_FILE``)."""
    usage_database: str = field(repr=False)
    """The address of the PostgreSQL database for usage and budgets, with its password
    (``MEALKIT_USAGE_DATABASE``, or the content of the file ``MEALKIT_USAGE_DATABASE_FILE``)."""
    ops: "Operations | None"
    """The sections of ``ops`` that replace the kit's: prices, budgets, audit log (``MEALKIT_OPS``,
    as JSON)."""
    is_edited: bool = False
    """Whether the kit's author edits it while it runs (``MEALKIT_DEV`` is ``on``)."""

    @property
    def needs_no_keys(self) -> bool:
        """Whether callers need no key.

        They need none if MEALKIT_AUTH is off, or if only this machine can reach the port and the
        kit has no keys.
        """
        is_alone = is_loopback(self.host) and not self.keys and self.keys_file is None
        return self.auth == "off" or is_alone

    @property
    def records(self) -> Path:
        """The folder of the usage and the audit log."""
        return self.stated_records or self.state

    @property
    def lock_path(self) -> Path:
        """The path of the lock."""
        return self.etc / LOCK_NAME


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; the port's default is the lock's ``serving.port``.

    Raises:
        ContainerError: ``CONFIG_INVALID``, naming the variable.
    """
    etc = _folder(environment, "MEALKIT_ETC")
    _refuse_keys_that_are_off(environment)
    return Settings(
        host=environment.get("MEALKIT_HOST", DEFAULTS["MEALKIT_HOST"]),
        port=_port(environment, etc),
        models=_folder(environment, "MEALKIT_MODELS"),
        etc=etc,
        state=_folder(environment, "MEALKIT_STATE"),
        stated_records=(
            _folder(environment, "MEALKIT_RECORDS") if environment.get("MEALKIT_RECORDS") else None
        ),
        engine_path=environment.get("MEALKIT_ENGINE_PATH", DEFAULTS["MEALKIT_ENGINE_PATH"]),
        termination_log=_folder(environment, "MEALKIT_TERMINATION_LOG"),
        log_level=_choice(environment, "MEALKIT_LOG_LEVEL", _LEVELS),
        image_digest=_image_digest(environment),
        connections=_connections(environment),
        auth=_choice(environment, "MEALKIT_AUTH", _AUTH),
        keys=environment.get("MEALKIT_KEYS", ""),
        keys_file=(
            _folder(environment, "MEALKIT_KEYS_FILE")
            if environment.get("MEALKIT_KEYS_FILE")
            else None
        ),
        hosts=_names(environment, "MEALKIT_HOSTS", _HOST, "kit.example.com,kit"),
        origins=_names(environment, "MEALKIT_ORIGINS", _ORIGIN, "https://app.example.com"),
        is_behind_proxy=_choice(environment, "MEALKIT_FORWARDED", _FORWARDED) == "on",
        verified=_verified(environment),
        open=_open(environment),
        audit_key=(
            _folder(environment, "MEALKIT_AUDIT_KEY_FILE")
            if environment.get("MEALKIT_AUDIT_KEY_FILE")
            else None
        ),
        usage_database=_usage_database(environment),
        ops=_ops(environment.get("MEALKIT_OPS", "")),
        is_edited=_choice(environment, "MEALKIT_DEV", _DEV) == "on",
    )


def _usage_database(environment: Mapping[str, str]) -> str:
    name = "MEALKIT_USAGE_DATABASE"
    text = environment.get(name, "")
    if (file := environment.get(f"{name}_FILE")) and not text:
        name = f"{name}_FILE"
        try:
            with _folder(environment, name).open() as opened:
                text = opened.read(_ADDRESS_CHARACTERS).strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            message = f"{name}: {file} cannot be read: {reason}"
            raise failure("CONFIG_INVALID", message, where=name) from error
    # The message does not show the text: it may have a password.
    scheme, _, rest = text.partition("://")
    authority, _, path = rest.partition("?")[0].partition("/")
    # A password with one of them would be taken for a host, which messages show.
    has_at = authority.count("@") > 1 or "@" in path
    if text and (scheme not in {"postgresql", "postgres"} or not rest or has_at):
        message = f"{name} is not an address of the form postgresql://user:password@host/database"
        hint = "write special characters in the password as %XX: @ as %40, / as %2F" * has_at
        raise failure("CONFIG_INVALID", message, where=name, hint=hint or None)
    return text


def _ops(text: str) -> "Operations | None":
    if not text:
        return None
    # Late: pydantic takes time to import, and the port has to be open soon.
    from pydantic import ValidationError  # noqa: PLC0415

    from mealkit.recipe.operations import Operations  # noqa: PLC0415
    from mealkit.untrusted import UntrustedError, parse_json  # noqa: PLC0415

    name = "MEALKIT_OPS"
    if len(text) > _OPS_BYTES:
        message = f"{name} has more than {_OPS_BYTES} characters"
        raise failure("CONFIG_INVALID", message, where=name)
    try:
        # The JSON parser of pydantic accepts a member twice.
        parse_json(text.encode(errors="surrogateescape"))
        return Operations.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = f"{name}: {place}: {first['msg'][:200]}"
        raise failure("CONFIG_INVALID", message, where=name) from error
    except UntrustedError as error:
        raise failure("CONFIG_INVALID", f"{name}: {error}", where=name) from error


def _verified(environment: Mapping[str, str]) -> Mapping[str, tuple[int, ...]]:
    name = "MEALKIT_VERIFIED"
    try:
        form = json.loads(environment.get(name) or "{}")
        found = {str(digest): tuple(map(int, key)) for digest, key in form.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        message = f"{name} is not a JSON object of digests and lists of numbers"
        raise failure("CONFIG_INVALID", message, where=name) from error
    return found


def _folder(environment: Mapping[str, str], name: str) -> Path:
    path = Path(environment[name] if name in environment else DEFAULTS[name])
    if not path.is_absolute():
        raise failure(
            "CONFIG_INVALID", f"{name} is {str(path)!r}, not an absolute path", where=name
        )
    return path


def _port(environment: Mapping[str, str], etc: Path) -> int:
    stated = stated_port(environment)
    if stated is None:
        return _locked_port(etc / LOCK_NAME)
    name, text = stated
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) < 65536):
        raise failure("CONFIG_INVALID", f"{name} is {text!r}, not a port number", where=name)
    return int(text)


def _connections(environment: Mapping[str, str]) -> int:
    text = environment.get("MEALKIT_CONNECTIONS", str(_CONNECTIONS))
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) > 0):
        message = f"MEALKIT_CONNECTIONS is {text!r}, not a number of connections"
        raise failure("CONFIG_INVALID", message, where="MEALKIT_CONNECTIONS")
    return int(text)


def _locked_port(lock: Path) -> int:
    # The lock is checked in full later, after the socket is open.
    try:
        port = json.loads(lock.read_bytes())["serving"]["port"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return DEFAULT_PORT
    return port if isinstance(port, int) else DEFAULT_PORT


def _choice(environment: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    """Return a setting that is one of ``choices``; the first one by default."""
    chosen = environment.get(name, choices[0])
    if chosen not in choices:
        message = f"{name} is {chosen!r}, not one of {', '.join(choices)}"
        raise failure("CONFIG_INVALID", message, where=name)
    return chosen


def _open(environment: Mapping[str, str]) -> frozenset[str]:
    text = environment.get("MEALKIT_OPEN", "metrics")
    chosen = frozenset(word.strip() for word in text.split(",") if word.strip())
    if not chosen <= _OPEN:
        message = f"MEALKIT_OPEN is {text!r}, expected any of {', '.join(sorted(_OPEN))}"
        raise failure("CONFIG_INVALID", message, where="MEALKIT_OPEN")
    return chosen


def _names(
    environment: Mapping[str, str], name: str, form: re.Pattern[str], example: str
) -> frozenset[str]:
    text = environment.get(name, "")
    found = frozenset(word.strip().lower() for word in text.split(",") if word.strip())
    for word in found:
        if word != "*" and not form.fullmatch(word):
            message = f"{name} has {word!r}, which is not of the form {example}"
            raise failure("CONFIG_INVALID", message, where=name)
    return found


def _refuse_keys_that_are_off(environment: Mapping[str, str]) -> None:
    for name in ("MEALKIT_KEYS", "MEALKIT_KEYS_FILE"):
        if environment.get("MEALKIT_AUTH") == "off" and environment.get(name):
            message = f"MEALKIT_AUTH is off, but {name} sets keys"
            hint = f"remove one of the two: MEALKIT_AUTH=off or {name}"
            raise failure("CONFIG_INVALID", message, where=name, hint=hint)


def _image_digest(environment: Mapping[str, str]) -> Digest | None:
    text = environment.get("MEALKIT_IMAGE_DIGEST")
    try:
        return Digest(text) if text else None
    except ValueError as error:
        message = f"MEALKIT_IMAGE_DIGEST: {error}"
        raise failure("CONFIG_INVALID", message, where="MEALKIT_IMAGE_DIGEST") from error
