"""Finds what an author has not written yet: an example's address, a template's title, no licence.

No I/O. ``check`` warns of them, and nothing with one is pushed: others would ask an address that no
one reads, and could not tell whether they may use the kit.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from mealkit.errors import Problem, problem

# Names for examples: https://www.rfc-editor.org/rfc/rfc2606
_HOST = re.compile(r"(?:mailto:[^@]*@|https?://)([^/:?#]+)")
_EXAMPLE = re.compile(r"(?:.*\.)?example(?:\.(?:com|net|org|edu))?", re.IGNORECASE)
_UNWRITTEN = re.compile(
    r"(?:the )?(?:your|my)[ _-](?:name|team|company|lab|paper|title|group)"
    r"|todo\b.*|tbd|fixme\b.*|xxx+|changeme|unknown|n/a|none|\?+|-+|\.+",
    re.IGNORECASE,
)
_TITLES = frozenset({"the paper's title", "paper's title", "title", "paper title"})
_ARXIV = re.compile(r"0000\.0{4,5}|1234\.56789?|9999\.9{4,5}")
_NO_LICENCE = frozenset(
    {"unknown", "noassertion", "none", "todo", "tbd", "other", "n/a", "licenseref-unknown"}
)
_USUAL = (
    *("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MPL-2.0", "GPL-2.0-only"),
    *("GPL-3.0-only", "GPL-3.0-or-later", "LGPL-3.0-only", "AGPL-3.0-only", "CC0-1.0"),
    *("CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "PSF-2.0", "Unlicense"),
)
_NAMES = {
    "apache": "Apache-2.0",
    "apache2": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd2": "BSD-2-Clause",
    "bsd3": "BSD-3-Clause",
    "bsdnew": "BSD-3-Clause",
    "gpl": "GPL-3.0-or-later",
    "gpl2": "GPL-2.0-only",
    "gpl3": "GPL-3.0-only",
    "agpl3": "AGPL-3.0-only",
    "lgpl3": "LGPL-3.0-only",
    "cc0": "CC0-1.0",
    "ccby": "CC-BY-4.0",
    "ccbysa": "CC-BY-SA-4.0",
    "ccbync": "CC-BY-NC-4.0",
    "expat": "MIT",
    "mpl2": "MPL-2.0",
    "publicdomain": "LicenseRef-Public-Domain",
}

Where = Callable[[tuple[str, ...]], str | None]
"""Returns the line of kit.yaml of a field."""


@dataclass(frozen=True, slots=True)
class Stated:
    """What a kit states about its owner, its paper and its licences."""

    name: str
    team: str
    contact: str
    licence: str
    model_licence: str
    title: str | None = None
    arxiv: str | None = None


def placeholder_problems(stated: Stated, where: Where) -> list[Problem]:
    """Return a problem ``KIT_PLACEHOLDER`` for each value that the author still has to write."""
    return [
        problem("KIT_PLACEHOLDER", f"{'.'.join(path)} {message}", where=where(path), hint=hint)
        for path, message, hint in _faults(stated)
    ]


_Fault = tuple[tuple[str, ...], str, str]


def _faults(stated: Stated) -> Iterator[_Fault]:
    if stated.team == f"the {stated.name} team" or _UNWRITTEN.fullmatch(stated.team):
        hint = "write the name of the team that answers when the kit fails"
        yield ("owner", "team"), f"is {stated.team!r}, which a template wrote", hint
    host = _HOST.match(stated.contact)
    if host and _EXAMPLE.fullmatch(host[1]):
        hint = "write an address that the team reads, such as mailto:TEAM@YOUR-COMPANY"
        yield ("owner", "contact"), f"is {stated.contact!r}, which is an example's address", hint
    if stated.title is not None and _is_unwritten(stated.title):
        hint = "write the paper's title, or delete paper"
        yield ("paper", "title"), f"is {stated.title!r}, which a template wrote", hint
    if stated.arxiv is not None and _ARXIV.match(stated.arxiv):
        hint = "write the paper's number on arXiv, or delete the line"
        yield ("paper", "arxiv"), f"is {stated.arxiv!r}, which is no paper's number", hint
    for path, licence in (
        (("license",), stated.licence),
        (("model", "license"), stated.model_licence),
    ):
        if fault := _licence_fault(licence):
            yield path, *fault


def _is_unwritten(title: str) -> bool:
    return title.strip().lower().rstrip(".") in _TITLES or bool(_UNWRITTEN.fullmatch(title.strip()))


def _licence_fault(text: str) -> tuple[str, str] | None:
    """Return what is wrong with a licence, and what to write; None for an SPDX expression."""
    own = "its SPDX identifier, such as Apache-2.0; LicenseRef-NAME for a licence of its own"
    if text.strip().lower() in _NO_LICENCE:
        return f"is {text!r}, which is no licence", f"write {own}"
    try:
        canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        near = licence_meant(text)
        hint = f"write {near}" if near else f"write {own}"
        return f"is {text!r}, which is not an SPDX identifier", hint
    return None


def licence_meant(text: str) -> str | None:
    """Return the SPDX identifier of a licence that is written in another way."""
    plain = re.sub(r"\b(?:the|licen[cs]e|version|clause|v\.?(?=\d))\b|[^a-z0-9]", "", text.lower())
    plain = re.sub(r"v?([0-9])(?:0|)$", r"\1", plain)
    if plain in _NAMES:
        return _NAMES[plain]
    known = {re.sub(r"[^a-z0-9]|\.0", "", name.lower().replace(".0", "")): name for name in _USUAL}
    near = get_close_matches(plain, [*known], n=1, cutoff=0.75)
    return known[near[0]] if near else None
