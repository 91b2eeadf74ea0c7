"""Reads how people name a model on the Hub: by its name, its address, and with a quantisation.

No I/O. Raises KitError for folders, and for addresses that are not of a model.
"""

import re
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import TypeAdapter, ValidationError

from mealkit.errors import failure
from mealkit.names import path_fault
from mealkit.strings import HubRepository, HubRevision
from mealkit.untrusted import shown

_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co"})
_SCHEME = re.compile(r"(https?|hf)://", re.IGNORECASE)
# Repositories of other kinds have their kind before their name.
_OTHER_KINDS = frozenset({"collections", "datasets", "docs", "papers", "spaces"})
_REVISION = r"refs/[^/@]+/[^/@]+|[^/@]+"
_REVISION_FIRST = re.compile(rf"@({_REVISION})(?=/)")
_REVISION_IN_PATH = re.compile(
    rf"(?:blob|commit|resolve|tree)/(?P<revision>{_REVISION})(?:/(?P<file>.+))?"
)
_FOLDER = re.compile(r"[./~\\]|[A-Za-z]:[\\/]")
_QUANTISATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FORMS = (
    "OWNER/NAME, OWNER/NAME:QUANT, OWNER/NAME/FILE (each also with @REVISION), or the address of"
    " one of these"
)


@dataclass(frozen=True, slots=True)
class HubAddress:
    """A model on the Hub, or one of its files."""

    repo: str
    """OWNER/NAME."""
    revision: str
    file: str | None = None
    quantisation: str | None = None
    """The quantisation of the GGUF, in Ollama's and llama.cpp's notation."""


def hub_address(source: str, endpoint: str = "") -> HubAddress:
    """Return the model that ``source`` names; ``endpoint`` is the address of another Hub.

    Raises:
        KitError: ``USAGE``, it does not name a model on the Hub.
    """
    text = source.strip()
    scheme = _SCHEME.match(text)
    if scheme is None and _FOLDER.match(text):
        hint = "for files on this machine, write model.weights with source: folder"
        _refuse(source, "is a path on this machine, not a model on the Hub", hint)
    if scheme is not None and scheme[1].lower() == "hf":
        # huggingface_hub's notation: hf://OWNER/NAME@REVISION/FILE
        text = _REVISION_FIRST.sub(r"/tree/\1", text[scheme.end() :])
    elif scheme is not None or text.partition("/")[0].lower() in _HOSTS:
        text = _path(source, text if scheme else f"https://{text}", endpoint)
    return _address(source, text)


def _path(source: str, url: str, endpoint: str) -> str:
    """Return the path of an address of the Hub."""
    try:
        parts = urlsplit(url)
        known = {*_HOSTS, urlsplit(endpoint).netloc.lower()} - {""}
    except ValueError:
        _refuse(source, "is not a valid address")
    if parts.netloc.lower() not in known:
        _refuse(source, "is not an address of the Hub")
    path = unquote(parts.path).lstrip("/")
    kind = path.partition("/")[0]
    if kind in _OTHER_KINDS:
        _refuse(source, f"is not a model: the address is one of the Hub's {kind}")
    # The address of a file's page in the browser: .../NAME?show_file_info=FILE
    shown_file = parse_qs(parts.query).get("show_file_info", [])
    return "/".join([path.rstrip("/"), *shown_file[:1]]) if shown_file else path


def _address(source: str, path: str) -> HubAddress:
    """Read ``OWNER/NAME[:QUANT][/FILE][@REVISION]``, or with ``/tree/REVISION`` after the name."""
    before, at, revision = path.partition("@")
    owner, _, rest = before.rstrip("/").partition("/")
    name, _, rest = rest.partition("/")
    name, colon, quantisation = name.partition(":")
    in_path = _REVISION_IN_PATH.fullmatch(rest)
    if in_path is not None:
        if at:
            _refuse(source, "names two revisions")
        at, revision, rest = "@", in_path["revision"], in_path["file"] or ""
    if colon and rest:
        _refuse(source, "names both a file and a quantisation")
    if (at and not revision) or (colon and not _QUANTISATION.fullmatch(quantisation)):
        _refuse(source, "does not name a model on the Hub")
    found = HubAddress(f"{owner}/{name}", revision or "main", rest or None, quantisation or None)
    return _checked(source, found)


def _checked(source: str, found: HubAddress) -> HubAddress:
    try:
        TypeAdapter(HubRepository).validate_python(found.repo)
        TypeAdapter(HubRevision).validate_python(found.revision)
    except ValidationError:
        _refuse(source, "does not name a model on the Hub")
    if found.file is not None and path_fault(found.file) is not None:
        _refuse(source, "has a file name that kits do not accept")
    return found


def _refuse(source: str, why: str, hint: str = f"write {_FORMS}") -> NoReturn:
    raise failure("USAGE", f"{shown(source)} {why}", hint=hint)
