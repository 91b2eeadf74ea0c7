"""An entry of a catalogue: what a person or a program must know about one kit before it is pulled.

An entry is written as JSON, in an annotation of a record (``records``). Raises StoreError for JSON
that is not an entry.
"""

import json
from typing import Annotated, Self

from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.reference import Reference
from mealkit.recipe.claims import Claimed
from mealkit.recipe.kit import Contact, Paper, Task
from mealkit.recipe.lock import first_fault
from mealkit.recipe.requirements import Requirements
from mealkit.strings import Bytes, Line, MachineName, Name, Text
from mealkit.strings import Version as KitVersion
from mealkit.untrusted import UntrustedError, parse_json_object

MAX_ENTRY_BYTES = 64 * 1024
"""The maximum size of an entry; the requirements of a kit have a few KB."""

MAX_CLAIMS = 20
"""The most claims in an entry, which is read before the kit."""
MAX_SHORT = 200

_MOST_SIGNERS = 16
_Few = Field(max_length=_MOST_SIGNERS)


class Trust(BaseModel):
    """What was verified when the entry was written; a policy verifies it again."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    signers: Annotated[tuple[Line, ...], _Few] = ()
    """The keys that signed the kit, by the SHA-256 of the public key, or identities."""
    attested: Annotated[tuple[Line, ...], _Few] = ()
    """The kinds of signed statements about the kit, by their predicate types."""


class ListedClaim(BaseModel):
    """A claim of a kit, in short; its lock has the whole one."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name
    """The claim's name."""
    source: Line
    """Who states the value, shortened."""
    metric: Line
    """What is measured."""
    value: FiniteFloat
    """The claimed value."""
    hardware: Line | None = None
    """The class of hardware on which the claim is valid, shortened."""

    @classmethod
    def of(cls, claim: Claimed) -> Self:
        """Return a kit's claim in short."""
        return cls(
            name=claim.name,
            source=claim.source[:MAX_SHORT],
            metric=claim.metric.value,
            value=claim.value,
            hardware=claim.hardware[:MAX_SHORT] if claim.hardware else None,
        )


class Entry(BaseModel):
    """One version of a kit. Fields of newer versions of mealkit are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name
    """The kit's name, as its lock states it."""
    version: KitVersion
    """The kit's version, likewise."""
    reference: Line
    """The registry and the repository that the kit can be pulled from, and its tag, if any."""
    digest: Digest
    """The digest of the image, or of the index if the kit has several architectures."""
    recipe: Digest
    """The recipe digest: equal recipes give equal answers."""
    salt: Digest | None = None
    """The salt digest: of what decides answers in the first place; older entries lack it."""
    description: Text | None = None
    """The kit's purpose."""
    owner: Contact
    """The team to contact."""
    license: Line
    """The licence of the kit's own files."""
    model: Line
    """The model's name."""
    model_license: Line
    """The licence of the weights."""
    task: Task
    """The model's task."""
    engine: Name
    """The engine's name."""
    paper: Paper | None = None
    """The paper that the kit implements."""
    download_bytes: Bytes
    """The size of the layers of one image, the largest one, as the registry has them."""
    requirements: Annotated[dict[MachineName, Requirements], Field(min_length=1)]
    """The requirements for a machine, by architecture."""
    claims: Annotated[tuple[ListedClaim, ...], Field(max_length=MAX_CLAIMS)] = ()
    """The first claims of the kit."""
    trust: Trust = Trust()
    """The signatures and attestations."""

    @model_validator(mode="after")
    def _is_in_a_registry(self) -> Self:
        try:
            found = Reference.parse(self.reference)
        except MealkitError as error:
            raise ValueError(error.problems[0].message) from error
        if found.registry is None or found.digest is not None:
            raise ValueError(f"{self.reference!r} is not REGISTRY/NAME or REGISTRY/NAME:TAG")
        return self

    @property
    def title(self) -> str:
        """The name and the version."""
        return f"{self.name}:{self.version}"

    @property
    def place(self) -> Reference:
        """The reference, as a value."""
        return Reference.parse(self.reference)

    @property
    def pinned(self) -> Reference:
        """The reference to pull: by digest, because a tag may have moved."""
        place = self.place
        return Reference(place.registry, place.repository, digest=self.digest)

    @property
    def any_requirements(self) -> Requirements:
        """The requirements for the first architecture."""
        return next(iter(self.requirements.values()))

    def form(self) -> dict[str, object]:
        """Return the JSON form, without empty fields."""
        form: dict[str, object] = json.loads(self.model_dump_json(exclude_none=True))
        return {name: value for name, value in form.items() if value or name != "claims"}


def read_entry(text: str, where: str) -> Entry:
    """Read an entry from its JSON.

    Raises:
        StoreError: ``CATALOGUE_INVALID``: it is too large, or not an entry.
    """
    raw = text.encode(errors="surrogatepass")
    if len(raw) > MAX_ENTRY_BYTES:
        raise _invalid(f"it has {len(raw)} bytes, at most {MAX_ENTRY_BYTES} are allowed", where)
    try:
        return Entry.model_validate_json(json.dumps(parse_json_object(raw)))
    except UntrustedError as error:
        raise _invalid(str(error), where) from error
    except ValidationError as error:
        raise _invalid(first_fault(error), where) from error


def version_key(text: str) -> tuple[bool, bool, Version | None, str]:
    """Return the key that sorts versions: final ones after pre-releases, as pip chooses.

    What is not a version by PyPI's rules comes first, by its text. Source:
    https://packaging.python.org/en/latest/specifications/version-specifiers/
    """
    try:
        found = Version(text)
    except InvalidVersion:
        return False, False, None, text
    return True, not found.is_prerelease, found, text


def _invalid(reason: str, where: str) -> MealkitError:
    return failure("CATALOGUE_INVALID", f"it cannot be read: {reason}", where=where)
