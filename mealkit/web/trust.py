"""Which certificate authorities are trusted: the system's store or what variables name, as in pip.

Clients of our own get a TLS context, programs that mealkit starts get variables. Companies add
their authority to the system's store, which uv does not read unless it is told to.
"""

import os
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

# OpenSSL's own: they replace the system's store.
_REPLACING = ("SSL_CERT_FILE", "SSL_CERT_DIR")
# Those of other clients, a file or a folder; the first that is set is used.
_ADDING = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# The store of Debian and Alpine; Fedora; openSUSE; others.
_STORES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_REASON = re.compile(r"certificate verify failed: (.*?)(?: \(_ssl|\]|$)")


def tls_context() -> ssl.SSLContext:
    """Return a context for a client; a file that cannot be read adds no authority.

    Unlike Python's default it accepts authorities that lack fields that RFC 5280 requires, as many
    companies' do, and trusts an authority in the store that another one has signed.
    """
    import httpx2  # noqa: PLC0415  late: the words and variables are also for other clients

    if any(os.environ.get(name) for name in _REPLACING):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_default_verify_paths()
    else:
        context = httpx2.create_ssl_context(trust_env=False)
        added = _added(os.environ)
        if added is not None:
            with suppress(OSError):
                file, folder = (None, added) if added.is_dir() else (added, None)
                context.load_verify_locations(file, folder)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def shared_context() -> ssl.SSLContext:
    """Return the context of all clients that add no authority to it.

    Reading the system's store takes 40 ms of CPU time, so it is read once for the variables.
    """
    return _context_for(tuple(os.environ.get(name) for name in (*_REPLACING, *_ADDING)))


@cache
def _context_for(_variables: tuple[str | None, ...]) -> ssl.SSLContext:
    return tls_context()


def uv_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make uv trust the same authorities; the user's own win.

    Without a store uv keeps the authorities that come with it.
    """
    found: dict[str, str] = {}
    names_store = any(environment.get(name) for name in _REPLACING)
    added = _added(environment)
    if not names_store and added is not None:
        found["SSL_CERT_DIR" if added.is_dir() else "SSL_CERT_FILE"] = str(added)
    is_told = any(name in environment for name in ("UV_SYSTEM_CERTS", "UV_NATIVE_TLS"))
    has_store = names_store or any(Path(path).is_file() for path in _STORES)
    if has_store and not is_told:
        found["UV_SYSTEM_CERTS"] = "true"
    return found


def untrusted_words(reason: str) -> tuple[str, str] | None:
    """Return the words and the hint for a certificate that was refused; None for another error.

    ``reason`` is the error's text, of OpenSSL or of uv.
    """
    found = _REASON.search(reason)
    if found is None and "invalid peer certificate" not in reason:
        return None
    why = found[1] if found else reason.rpartition("invalid peer certificate: ")[2]
    return f"its certificate is not trusted: {why}", _hint(why)


def _hint(why: str) -> str:
    for name in ("SSL_CERT_FILE", *_ADDING):
        value = os.environ.get(name)
        if value and not Path(value).exists():
            return f"correct {name}, or unset it: {value} does not exist"
    if re.search(r"mismatch|not valid for|NotValidForName", why, re.IGNORECASE):
        return "use a name for which the certificate was issued"
    if re.search(r"expired|not yet valid|NotValidYet", why, re.IGNORECASE):
        return "correct this machine's clock, or let the server's operator renew the certificate"
    return (
        "add your company's authority to the system's store, or name the file of its certificate"
        " in SSL_CERT_FILE"
    )


def _added(environment: Mapping[str, str]) -> Path | None:
    return next((Path(environment[name]) for name in _ADDING if environment.get(name)), None)
