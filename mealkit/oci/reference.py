"""References to images: ``[registry/]repository[:tag][@digest]`` (OCI distribution-spec v1.1).

Raises StoreError for what the grammar does not allow. There is no default registry: a name without
a registry means the local store.
"""

import re
from dataclasses import dataclass
from typing import Self

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure

# distribution-spec "Pulling manifests": <name> and <reference>, with the lengths of that section.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::[0-9]{{1,5}})?")
_DIGIT = re.compile(r"[0-9]")
_IDENTIFIER = re.compile(r"sha256|[0-9a-f]{64}")
_MAX_NAME_LENGTH = 255

HUB = "docker.io"
"""Docker Hub, as references name it."""
HUB_NAMES = frozenset({HUB, "index.docker.io", "registry-1.docker.io"})
"""The names of Docker Hub's host."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The place of an image: a registry, or the local store if ``registry`` is None.

    Both ``parse`` and the constructor check it; ``parse`` can read the result of ``str()``.
    """

    registry: str | None
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    def __post_init__(self) -> None:
        wrong = _fault(self)
        if wrong:
            raise _invalid(str(self), wrong)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a reference as people write it.

        The part before the first slash is a registry if it has a dot or a port, or is
        ``localhost``; other tools use the same rule.

        Raises:
            StoreError: ``REFERENCE_INVALID``, with the text and the reason.
        """
        rest, at, digest_text = text.partition("@")
        try:
            digest = Digest(digest_text) if at else None
        except ValueError as error:
            raise _invalid(text, str(error)) from error
        registry, rest = _split_registry(rest)
        repository, colon, tag = rest.partition(":")
        try:
            return cls(registry, repository, tag if colon else None, digest)
        except MealkitError as error:
            raise _invalid(text, _fault_text(error)) from None

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}" if self.registry else self.repository

    @property
    def is_version(self) -> bool:
        """Whether the tag names one version for good; a tag without a digit (latest) may move."""
        return bool(self.tag and _DIGIT.search(self.tag))

    def __str__(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        digest = "" if self.digest is None else f"@{self.digest}"
        return f"{self.name}{tag}{digest}"


def _split_registry(text: str) -> tuple[str | None, str]:
    first, slash, rest = text.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return first, rest
    return None, text


def _fault(reference: Reference) -> str | None:
    """Return why a reference does not match the grammar, or None."""
    if reference.registry is not None and not _is_registry(reference.registry):
        return f"{reference.registry!r} is not a host name with an optional port"
    if not _REPOSITORY.fullmatch(reference.repository):
        return (
            f"{reference.repository!r} is not a repository name: lower-case letters and digits,"
            " joined by single . _ - or /"
        )
    if reference.registry is None and _IDENTIFIER.fullmatch(reference.repository):
        return f"the name {reference.repository!r} would be read as a digest"
    if reference.tag is not None and not _TAG.fullmatch(reference.tag):
        return f"{reference.tag!r} is not a tag: at most 128 letters, digits and . _ -"
    if len(reference.name) > _MAX_NAME_LENGTH:
        return (
            f"the name has {len(reference.name)} characters, at most {_MAX_NAME_LENGTH} are allowed"
        )
    return None


def _is_registry(text: str) -> bool:
    if not _REGISTRY.fullmatch(text):
        return False
    _, colon, port = text.rpartition(":")
    return not (colon and port.isdigit()) or 0 < int(port) < 65536


def _invalid(text: str, wrong: str) -> MealkitError:
    return failure("REFERENCE_INVALID", f"{text!r} is not a reference to an image: {wrong}")


def _fault_text(error: MealkitError) -> str:
    return error.problems[0].message.partition(" is not a reference to an image: ")[2]


def spellings_of(registry: str, repository: str) -> tuple[str, ...]:
    """Return every spelling of a place in a registry that a rule about it may have.

    Host names have no case, and Docker Hub has several, and a namespace that may be left out.
    """
    host = registry.lower()
    host = HUB if host in HUB_NAMES else host
    own = f"{host}/{repository}"
    return (
        (own, f"{host}/library/{repository}") if host == HUB and "/" not in repository else (own,)
    )
