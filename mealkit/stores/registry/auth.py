"""Answers a registry's challenges: Basic, and Bearer tokens (distribution's token spec).

Raises RegistryError before a credential would be sent over plain HTTP to another machine, or to a
token server that is not the registry's own.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx2

from mealkit.addresses import is_loopback
from mealkit.errors import MealkitError, failure
from mealkit.stores.registry.credentials import Credential, Credentials
from mealkit.stores.registry.exchange import RegistryAnswer, json_of, words_of
from mealkit.stores.registry.realms import VARIABLE as REALMS_VARIABLE
from mealkit.stores.registry.realms import Realms

# "a token should never be returned with less than 60 seconds to live" (token spec)
_LEAST_LIFE_SECONDS = 60.0
# Renewed early: if a token expires during a request, the body must be sent again.
_USED_PART_OF_LIFE = 0.75

# A challenge is one line; anything longer is not valid. (httpx2 accepts heads of 100 KB.)
_MOST_CHALLENGE = 8 * 1024
_MOST_TOKEN = 64 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]+")

_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]*)(?=\s+[A-Za-z_-]+\s*=|\s*(?:,|$))")
_PARAMETER = re.compile(r'([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')

Fetch = Callable[[httpx2.Request], RegistryAnswer]
"""Sends a request to a token server."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One scheme of a ``WWW-Authenticate`` header, with its parameters."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenges_of(header: str) -> list[Challenge]:
    """Read a ``WWW-Authenticate`` header (RFC 9110 section 11.6.1); schemes in lower case."""
    header = header[:_MOST_CHALLENGE]
    # Quoted values are blanked for finding schemes, because they may contain commas and words.
    blank = re.sub(
        r'"(?:[^"\\]|\\.)*"', lambda found: '"' + "_" * (len(found[0]) - 2) + '"', header
    )
    starts = list(_SCHEME.finditer(blank))
    found = []
    for index, start in enumerate(starts):
        end = starts[index + 1].start() if index + 1 < len(starts) else len(header)
        pairs = _PARAMETER.findall(header[start.end() : end])
        parameters = {name.lower(): re.sub(r"\\(.)", r"\1", a) or b for name, a, b in pairs}
        found.append(Challenge(start[1].lower(), parameters))
    return found


class Authorizer:
    """Makes ``Authorization`` headers for one registry; safe between threads."""

    def __init__(
        self, registry: str, credentials: Credentials, fetch: Fetch, realms: Realms | None = None
    ) -> None:
        """Use ``credentials`` for ``registry``, and ``fetch`` to reach its token server.

        ``realms`` are additional token servers that the user named, and the hosts that need no TLS.
        """
        self._realms = realms or Realms()
        self._registry = registry
        self._credentials = credentials
        self._fetch = fetch
        self._challenge: Challenge | None = None
        self._headers: dict[tuple[str, ...], tuple[str, float]] = {}
        self._secrets: set[str] = set()
        self._lock = threading.Lock()

    def header(self, scopes: tuple[str, ...]) -> str | None:
        """Return the header for scopes, or None as long as the registry has not required one."""
        with self._lock:
            if self._challenge is None:
                return None
            held = self._headers.get(scopes)
            if held and time.monotonic() < held[1]:
                return held[0]
            return self._make(self._challenge, scopes)

    def renew(self, asked: str, scopes: tuple[str, ...], refused: str | None) -> str | None:
        """Answer a 401: return another header than ``refused``, or None if no other is possible.

        Raises:
            RegistryError: ``REGISTRY_DENIED``, ``REGISTRY_REFUSED``, ``REGISTRY_INSECURE``.
        """
        with self._lock:
            held = self._headers.get(scopes)
            if held and held[0] != refused:  # another thread was faster
                return held[0]
            known = {item.scheme: item for item in challenges_of(asked)}
            challenge = known.get("bearer") or known.get("basic")
            if challenge is None:
                return None
            self._challenge = challenge
            # A registry may know the repository by another name, such as one with a prefix.
            stated = challenge.parameters.get("scope", "").split()
            known_names = {scope.rpartition(":")[0] for scope in scopes}
            others = [scope for scope in stated if scope.rpartition(":")[0] not in known_names]
            made = self._make(challenge, scopes, tuple(others))
            return None if made == refused else made

    def denied(self, what: str, words: str = "") -> MealkitError:
        """Return the error for a refusal, with the registry's words and the state of credentials.

        A registry that has never asked for credentials and says why it refuses has another reason,
        such as a quota or an immutable tag: then logging in does not help.
        """
        known = self._credentials.lookup(self._registry)
        state = " with the credentials that are stored" if known else " without credentials"
        is_about_access = self._challenge is not None or not words
        notes = "".join(f"; {text}" for text in self._credentials.troubles)
        return failure(
            "REGISTRY_DENIED",
            f"{self._registry} refuses {what}{state if is_about_access else ''}"
            f"{': ' if words else ''}{words}{notes if is_about_access else ''}",
            where=self._registry,
            hint=f"mealkit login {self._registry}"
            if is_about_access
            else "read the registry's own message, or ask the registry's operator",
        )

    def scrub(self, text: str) -> str:
        """Remove every used secret from a text that came from outside."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def _make(
        self, challenge: Challenge, scopes: tuple[str, ...], stated: tuple[str, ...] = ()
    ) -> str | None:
        credential = self._credential(scopes)
        if credential:
            self._secrets.update(credential.secrets)
        if challenge.scheme == "basic":
            if credential is None or not credential.password:
                return None
            self._headers[scopes] = (credential.basic, float("inf"))
            return credential.basic
        asked = tuple(dict.fromkeys((*scopes, *stated)))
        token, life_seconds = self._token(challenge, asked, credential)
        self._secrets.add(token)
        header = f"Bearer {token}"
        self._headers[scopes] = (header, time.monotonic() + life_seconds * _USED_PART_OF_LIFE)
        return header

    def _credential(self, scopes: tuple[str, ...]) -> Credential | None:
        first = scopes[0].split(":") if scopes else []
        return self._credentials.lookup(self._registry, first[1] if len(first) == 3 else "")

    def _token(
        self, challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None
    ) -> tuple[str, float]:
        """Fetch a token (distribution docs, spec/auth/token.md and oauth.md)."""
        realm = self._realm(challenge)
        if credential is not None:
            self._require_own(realm)
        service = challenge.parameters.get("service", "")
        answer = self._fetch(_token_request(realm, service, scopes, credential))
        if answer.status in {400, 401, 403}:
            raise self.denied("a token", self.scrub(words_of(answer.body)))
        form = json_of(answer.body)
        form = form if isinstance(form, dict) else {}
        token = form.get("token") or form.get("access_token")
        is_token = isinstance(token, str) and len(token) <= _MOST_TOKEN and _TOKEN.fullmatch(token)
        if answer.status != 200 or not isinstance(token, str) or not is_token:
            # A form that a server gives with 200 may have other secrets.
            is_form = answer.status == 200 and form
            words = "" if is_form else self.scrub(words_of(answer.body))
            raise failure(
                "REGISTRY_REFUSED",
                f"the token server of {self._registry} answers {answer.status} without a token"
                f"{': ' if words else ''}{words}",
                where=realm.host,
            )
        lasts = form.get("expires_in")
        seconds = float(lasts) if isinstance(lasts, int | float) else _LEAST_LIFE_SECONDS
        return token, max(seconds, 0.0)

    def _require_own(self, realm: httpx2.URL) -> None:
        """Raise if the token server may not get the registry's credentials."""
        authority = realm.netloc.decode()
        if self._realms.may_know(self._registry, authority):
            return
        raise failure(
            "REGISTRY_REALM",
            f"{self._registry} requests that its credentials be sent to {authority!r}",
            where=self._registry,
            hint=f"if that is its token server: {REALMS_VARIABLE}={self._registry}={realm.host}",
        )

    def _realm(self, challenge: Challenge) -> httpx2.URL:
        try:
            realm = httpx2.URL(challenge.parameters.get("realm", ""))
        except httpx2.InvalidURL:
            realm = httpx2.URL("")
        authority = realm.netloc.decode()
        is_plain = is_loopback(realm.host) or self._realms.is_plain(self._registry, authority)
        if realm.scheme == "https" or (realm.scheme == "http" and is_plain):
            return realm
        raise failure(
            "REGISTRY_INSECURE",
            f"{self._registry} names a token server that does not use TLS: {authority!r}",
            where=self._registry,
            hint=f"use a token server with TLS, or allow HTTP: --plain-http {authority}",
        )


def _token_request(
    realm: httpx2.URL, service: str, scopes: tuple[str, ...], credential: Credential | None
) -> httpx2.Request:
    if credential and credential.identity_token:
        form = {
            "grant_type": "refresh_token",
            "service": service,
            "client_id": "mealkit",
            "scope": " ".join(scopes),
            "refresh_token": credential.identity_token,
        }
        return httpx2.Request("POST", realm, data=form)
    query = [("service", service)] if service else []
    query += [("scope", scope) for scope in scopes]
    headers = {}
    if credential:
        query.append(("account", credential.username))
        headers["Authorization"] = credential.basic
    merged = realm.copy_with(params=[*realm.params.multi_items(), *query])
    return httpx2.Request("GET", merged, headers=headers)
