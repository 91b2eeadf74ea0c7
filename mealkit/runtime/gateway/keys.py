"""API keys: creates keys, reads the file of their hashes, and authenticates callers.

Raises RequestError for callers without a known key, and for keys that may not do what is asked. A
key is removed from the request on arrival; it is never stored, logged or compared, only its
SHA-256. The hash needs no salt and no slow function, because a key is 256 random bits: it is in no
dictionary, and no two keys are equal.
"""

import base64
import hashlib
import hmac
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mealkit.errors import MealkitError, Problem, failure
from mealkit.runtime.key_rules import ANYTHING, KeyBudget, KeyRates, KeyRules, key_rules
from mealkit.runtime.settings import Settings

PREFIX = "mk_"
KEY_BYTES = 32

# Seconds between two checks whether the file has changed.
LOOK_SECONDS = 1.0

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_LINE = re.compile(rf"sha256:([0-9a-f]{{64}})[ \t]+({_NAME})((?:[ \t]+[^ \t]+)*)")
# Credentials for other services are removed, too: no endpoint needs them.
_SECRETS = frozenset(
    {b"authorization", b"proxy-authorization", b"cookie", b"x-api-key", b"api-key"}
)
# Where clients of other APIs send a key: Anthropic's, and Azure's.
_KEY_HEADERS = (b"x-api-key", b"api-key")
# Longer than any key of mealkit, so it need not be hashed.
_MOST_BYTES = 512


@dataclass(frozen=True, slots=True)
class KeyHash:
    """The name and hash of a key, without the key."""

    sha256: bytes
    name: str
    rules: KeyRules = ANYTHING

    @property
    def line(self) -> str:
        """The key's line in a keys file."""
        fields = [f"{name}={text}" for name, text in self.rules.fields.items()]
        return " ".join([f"sha256:{self.sha256.hex()} {self.name}", *fields])


def new_key(name: str, rules: KeyRules = ANYTHING) -> tuple[str, KeyHash]:
    """Create a key: ``mk_`` and 256 random bits in base64url; return it, and its hash.

    Raises:
        KitError: ``USAGE``, the name is not valid.
    """
    if not re.fullmatch(_NAME, name):
        hint = "use up to 64 letters, digits, '.', '_' and '-', starting with a letter or digit"
        raise failure("USAGE", f"{name!r} is not a valid name of a key", hint=hint)
    secret = base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).rstrip(b"=").decode()
    key = PREFIX + secret
    return key, KeyHash(_hash(key.encode()), name, rules)


def read_keys(text: str, where: str) -> list[KeyHash]:
    """Read the lines of a keys file; blank lines and lines that begin with # are comments.

    Raises:
        ContainerError: ``CONFIG_INVALID``, with the line's number; its text may be a key.
    """
    found: dict[str, KeyHash] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        match = _LINE.fullmatch(content)
        if not match:
            raise _invalid(f"line {number} is not 'sha256:' with 64 hex digits, and a name", where)
        if match[2] in found:
            raise _invalid(f"line {number} uses the name {match[2]!r} again", where)
        rules = key_rules(match[3].split(), partial(_invalid_line, number, where))
        found[match[2]] = KeyHash(bytes.fromhex(match[1]), match[2], rules)
    return list(found.values())


class Keys:
    """The valid keys of this container; without keys all callers pass, if the settings allow it."""

    def __init__(self, settings: Settings) -> None:
        """Read the keys.

        Raises:
            ContainerError: ``KEYS_MISSING``, other machines can reach the port and there are no
                keys; ``CONFIG_INVALID``, the keys cannot be read.
        """
        self._file = settings.keys_file
        self._stamp: tuple[int, ...] | None = None
        self._looked = 0.0
        self._hashes: list[KeyHash] = []
        self.budgets: Mapping[str, KeyBudget] = {}
        """The budgets of the keys that have one of their own; a new object when they change."""
        self.complain: Callable[[Problem], None] = lambda _: None
        """Gets the reason if a changed file cannot be used, so that the old keys stay valid."""
        self._rates = KeyRates()
        self._has_money = self._has_tokens = True
        self.is_open = settings.needs_no_keys
        """Whether callers need no key."""
        if self.is_open:
            return
        self._given = read_keys(settings.keys, "MEALKIT_KEYS")
        self._use([*self._given, *(self._read(self._file) if self._file else ())])
        if not self._hashes:
            raise failure(
                "KEYS_MISSING",
                f"the kit would listen on {settings.host}, and it has no API keys",
                where=str(self._file or "MEALKIT_KEYS_FILE"),
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the keys."""
        return tuple(known.name for known in self._hashes)

    def caller_of(self, headers: Mapping[bytes, bytes], path: str, now: float) -> KeyHash:
        """Return the key of a request, which is valid for the path.

        Raises:
            RequestError: ``REQUEST_KEY``, the request has no valid key, or the key has expired;
                ``REQUEST_SCOPE``, it is not for this path.
        """
        self._look_again(now)
        keys = list(_keys_in(headers))
        for key in keys:
            if known := self._known(key):
                _require_right(known, path)
                return known
        if keys:
            raise failure("REQUEST_KEY", "the API key is not one of this kit's")
        raise failure("REQUEST_KEY", "the request has no API key")

    def seconds_to_wait(self, key: KeyHash, now: float) -> int:
        """Count a request of a key; return 0, or the seconds to wait if it has sent too many."""
        return self._rates.take(key.name, key.rules.rate, now) if key.rules.rate else 0

    def require_countable(self, *, money: bool, tokens: bool) -> None:
        """Refuse budgets of keys in what the kit does not count, now and when the file changes.

        Raises:
            ContainerError: ``CONFIG_INVALID``, a key has such a budget.
        """
        self._has_money, self._has_tokens = money, tokens
        self._checked(self._hashes, str(self._file or "MEALKIT_KEYS"))

    def _use(self, hashes: list[KeyHash]) -> None:
        self._hashes = hashes
        self.budgets = {item.name: item.rules.budget for item in hashes if item.rules.budget}

    def _known(self, key: bytes) -> KeyHash | None:
        asked = _hash(key[:_MOST_BYTES])
        found = None
        # All hashes are compared, so that the time does not reveal which one matches.
        for known in self._hashes:
            if hmac.compare_digest(known.sha256, asked):
                found = known
        return found

    def _look_again(self, now: float) -> None:
        """Read the file again if it has changed; if it cannot be read, the old keys stay valid."""
        if self._file is None or now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        try:
            if _stamp_of(self._file) != self._stamp:
                self._use([*self._given, *self._read(self._file)])
        except MealkitError as error:
            self.complain(error.problems[0])

    def _checked(self, hashes: list[KeyHash], where: str) -> list[KeyHash]:
        for key in hashes:
            budget = key.rules.budget
            if budget and not (self._has_tokens if budget.tokens else self._has_money):
                unit, needs = ("tokens", "ops.cost, and an engine that counts tokens")
                if not budget.tokens:
                    unit, needs = ("money", "prices in ops.cost")
                message = f"the key {key.name} has a budget of {unit}, which needs {needs}"
                hint = "state it in kit.yaml, or in the deployment's ops; or remove the budget"
                raise failure("CONFIG_INVALID", message, where=where, hint=hint)
        return hashes

    def _read(self, path: Path) -> list[KeyHash]:
        try:
            self._stamp = _stamp_of(path)
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "the file is not text"
            raise _invalid(f"the keys cannot be read: {reason}", str(path)) from error
        return self._checked(read_keys(text, str(path)), str(path))


def _require_right(key: KeyHash, path: str) -> None:
    rules = key.rules
    if rules.expires_unix_seconds is not None and time.time() >= rules.expires_unix_seconds:
        hint = "get a new key from the kit's operator"
        raise failure(
            "REQUEST_KEY", f"the API key {key.name} expired at {rules.expires}", hint=hint
        )
    if rules.scopes and path not in rules.scopes:
        scopes = ", ".join(rules.scopes)
        raise failure("REQUEST_SCOPE", f"the API key {key.name} is only for {scopes}")


def take_secrets(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Remove credentials from a request's headers, and return them.

    Server, endpoints and log share this list, so that none of them sees a key afterwards.
    """
    taken = {name: value for name, value in headers if name in _SECRETS}
    if taken:
        headers[:] = [item for item in headers if item[0] not in _SECRETS]
    return taken


def _keys_in(headers: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Yield the keys of a request; some clients always send a placeholder in one of the headers."""
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and (key := key.strip()):
        yield key
    for name in _KEY_HEADERS:
        if key := headers.get(name, b"").strip():
            yield key


def _hash(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _stamp_of(path: Path) -> tuple[int, ...] | None:
    """Return what changes with a file; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _invalid_line(number: int, where: str, fault: str) -> MealkitError:
    return _invalid(f"line {number}: {fault}", where)


def _invalid(message: str, where: str) -> MealkitError:
    hint = "write it with: mealkit key new --file FILE"
    return failure("CONFIG_INVALID", message, where=where, hint=hint)
