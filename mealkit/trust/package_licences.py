"""Reads which licences a package states: in a wheel's METADATA, in a Debian copyright file.

Formats: core metadata 2.4 (License-Expression, License, Classifier); DEP 5, machine-readable
copyright files. Text in no such form states no licence here.
"""

import re
from email.parser import HeaderParser

MAX_FILE_BYTES = 1024 * 1024
"""A longer file is not read."""

_MOST_LICENCES = 100
_MOST_CHARACTERS = 100
_CLASSIFIER = "License :: "
# Classifiers that are the name of exactly one licence (the package trove-classifiers lists them).
_OF_CLASSIFIER = {
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}
_GNU = re.compile(r"((?:A|L)?GPL|GFDL)-([0-9])(\.[0-9])?(\+?)")
_DEBIAN_NAMES = {"expat": "MIT"}


def wheel_licences(metadata: str) -> tuple[str, ...]:
    """Return the licences in a wheel's METADATA: an expression, else classifiers, else a name."""
    found = HeaderParser().parsestr(metadata)
    expression = str(found.get("License-Expression") or "").strip()
    if expression:
        return _bounded([expression])
    lines = [str(item) for item in found.get_all("Classifier") or ()]
    names = [item.rpartition(" :: ")[2] for item in lines if item.startswith(_CLASSIFIER)]
    if names and "OSI Approved" not in names:
        return _bounded([_OF_CLASSIFIER.get(name, name) for name in names])
    return _bounded([str(found.get("License") or "").strip()])


def debian_licences(copyright_file: str) -> tuple[str, ...]:
    """Return the licences in a copyright file in the form of DEP 5, in the names of SPDX."""
    if not copyright_file.startswith("Format:"):
        return ()
    found = re.findall(r"^License:[ \t]*(\S[^\n]*)$", copyright_file, re.MULTILINE)
    return _bounded(sorted({_spdx(name.strip()) for name in found}))


def _spdx(name: str) -> str:
    """Return SPDX's name of a licence that Debian names in its own way."""
    gnu = _GNU.fullmatch(name)
    if gnu:
        family, major, minor, later = gnu.groups()
        return f"{family}-{major}{minor or '.0'}-{'or-later' if later else 'only'}"
    return _DEBIAN_NAMES.get(name.lower(), name)


def _bounded(found: list[str]) -> tuple[str, ...]:
    """Return short names on one line: some packages put the whole text of a licence there."""
    short = (item for item in found if item and "\n" not in item and len(item) <= _MOST_CHARACTERS)
    return tuple(dict.fromkeys(short))[:_MOST_LICENCES]
