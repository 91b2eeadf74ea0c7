"""The fields of policy.yaml: which images this machine pulls, loads and runs."""

import datetime as dt
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mealkit.kit.schema import DIALECT, model_schema
from mealkit.recipe.answers import StrictModel
from mealkit.recipe.kit import Contact
from mealkit.strings import Line, MachinePath, Name, Text

POLICY_NAME = "policy.yaml"

Signers = Annotated[tuple[Name, ...], Field(min_length=1)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Patterns = Annotated[tuple[Line, ...], Field(min_length=1)]
FORMS = ("bundle", "simple-signing")
Scope = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*\.[A-Za-z0-9][A-Za-z0-9.:_-]*"
        r"|[A-Za-z0-9\[][A-Za-z0-9.:\[\]_-]*(/[a-z0-9][a-z0-9._-]*)*)$",
        max_length=255,
    ),
]
"""A host, with or without a repository, or ``*.`` and a domain, as in containers-policy.json."""


class PolicyKey(StrictModel):
    """A public key, in PEM: ``file`` or ``pem`` is required."""

    file: MachinePath | None = None
    """The file with the public key, relative to the policy: keys/release.key.pub."""
    pem: Text | None = None
    """The public key itself: a block of PEM after `pem: |`."""
    valid_from: dt.date | None = None
    """The first day on which the key signs, in UTC: 2026-01-31."""
    valid_until: dt.date | None = None
    """The last day on which the key signs; signatures that state an earlier day stay valid."""
    revoked_since: dt.date | None = None
    """The day from which no signature of the key is accepted, whatever day it states."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.file is None) == (self.pem is None):
            raise ValueError("write either file: or pem:")
        if self.valid_from and self.valid_until and self.valid_from > self.valid_until:
            raise ValueError(f"valid_until {self.valid_until} is before valid_from")
        return self


class PolicyIdentity(StrictModel):
    """An identity that signs without a key, through Sigstore."""

    identity: Line
    """The certificate's identity: an address of a mailbox, or the URL of a workflow."""
    issuer: Line
    """The URL of the service that confirmed the identity."""
    trusted_root: MachinePath
    """A file with Sigstore's certificates and logs (trusted_root.json), relative to the policy."""


class Signatures(StrictModel):
    """Which signatures an image needs."""

    signed_by: Signers | None = None
    """The keys and identities whose signatures count; by default all of the policy."""
    at_least: Annotated[int, Field(ge=1, le=100)] = 1
    """How many of them must have signed the image."""
    forms: Annotated[tuple[Literal["bundle", "simple-signing"], ...], Field(min_length=1)] = (
        "bundle",
    )
    """The formats that count: a Sigstore bundle, and the older signature that podman reads."""


class RegistryRule(StrictModel):
    """Which signatures images from one place need; what is left out is as in `signatures`."""

    allow: bool = True
    """Whether images from this place are accepted at all."""
    signed_by: Signers | None = None
    """The keys and identities whose signatures count for this place."""
    at_least: Annotated[int, Field(ge=1, le=100)] | None = None
    """How many of them must have signed the image."""


class Bases(StrictModel):
    """Which bases a kit may have."""

    debian: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Suites of Debian: bookworm. Without it, no kit may be based on Debian's packages."""
    images: Patterns | None = None
    """Base images: a repository, which may contain `*`, or a digest. Without it, none."""


class Licenses(StrictModel):
    """Which licences the weights and the kit's own files may have, as SPDX expressions."""

    allow: Patterns | None = None
    """The licences that are accepted: Apache-2.0. Without it, all that `deny` does not name."""
    deny: Patterns | None = None
    """The licences that are refused; of a choice such as `MIT OR GPL-3.0-only`, one must remain."""


class OwnerRule(StrictModel):
    """A team whose kits are accepted."""

    team: Line
    """The team, as kits name it; `*` stands for any characters."""
    contact: Line | None = None
    """The contact, as kits name it; `*` stands for any characters."""


class RequiredAttestation(StrictModel):
    """An attestation that an image must have."""

    signed_by: Signers | None = None
    """The keys and identities that may sign it; by default those that may sign the image."""
    max_age_days: Days | None = None
    """The greatest age, by the time that the attestation states; by default any."""


class RequiredProvenance(RequiredAttestation):
    """A SLSA provenance that an image must have."""

    builders: Patterns | None = None
    """The builders' ids that are accepted; `*` stands for any characters."""


class RequiredTestResult(RequiredAttestation):
    """A test result that an image must have."""

    results: Annotated[tuple[Literal["PASSED", "WARNED"], ...], Field(min_length=1)] = ("PASSED",)
    """The results that are accepted; with `claims`, `WARNED` also accepts a claim that the test
    could not judge."""
    claims: Annotated[tuple[Name, ...], Field(min_length=1)] | Literal["all"] | None = None
    """The claims that `mealkit test` must have shown: their names, or `all` that can be tested,
    with all cases. Without it, the result of any test counts, such as the preflight's."""
    hardware: Line | None = None
    """Where the claims were tested: cpu, gpu, or a part of a GPU's name, such as H200."""
    stale: Literal["refuse", "accept"] = "refuse"
    """Whether a test of another recipe, other data or other claims than the image's counts."""

    @model_validator(mode="after")
    def _is_about_claims(self) -> Self:
        if self.claims is None and self.model_fields_set & {"hardware", "stale"}:
            raise ValueError("hardware and stale belong to claims: write claims: all")
        return self


class Attestations(StrictModel):
    """The attestations that an image must have; those that are left out are not required."""

    sbom: RequiredAttestation | None = None
    """A CycloneDX SBOM."""
    provenance: RequiredProvenance | None = None
    """A SLSA provenance."""
    test_result: RequiredTestResult | None = None
    """An in-toto test result."""


class Vulnerabilities(StrictModel):
    """Known vulnerabilities of a kit's packages, from files on this machine."""

    osv: Annotated[tuple[MachinePath, ...], Field(min_length=1)]
    """OSV records, relative to the policy: files, folders, or the all.zip of an ecosystem."""
    vex: tuple[MachinePath, ...] = ()
    """OpenVEX or CycloneDX documents that state which vulnerabilities do not affect kits."""
    severity: Literal["low", "medium", "high", "critical"] = "high"
    """The lowest severity that is refused; an unknown severity counts as critical."""
    max_age_days: Days | None = None
    """The greatest age of the newest record; by default any."""


class Policy(StrictModel):
    """A policy: an image is accepted if every rule accepts it."""

    version: Literal["mealkit.policy/v1"]
    """The version of this format."""
    owner: Contact | None = None
    """The team that answers questions about the policy."""
    keys: dict[Name, PolicyKey] = Field(default_factory=dict)
    """Public keys, by a name that the other fields use."""
    identities: dict[Name, PolicyIdentity] = Field(default_factory=dict)
    """Identities that sign through Sigstore, by a name that the other fields use."""
    signatures: Signatures = Field(default_factory=Signatures)
    """Which signatures an image needs."""
    local_builds: Literal["allow", "refuse"] = "refuse"
    """Whether `mealkit run FOLDER` may start what it builds; the rules for content still count."""
    registries: dict[Scope, RegistryRule] | None = None
    """The places that images come from: registry.example.org/team. The longest match counts."""
    names: Literal["match", "any"] = "match"
    """Whether a reference must end in the name, and in the version, that the kit in it states."""
    bases: Bases | None = None
    """Which bases a kit may have; by default any."""
    licenses: Licenses | None = None
    """Which licences a kit may have; by default any."""
    owners: Annotated[tuple[OwnerRule, ...], Field(min_length=1)] | None = None
    """Whose kits are accepted; by default everyone's."""
    engines: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """The engines that a kit may have; by default any."""
    attestations: Attestations = Field(default_factory=Attestations)
    """The attestations that an image must have."""
    vulnerabilities: Vulnerabilities | None = None
    """Known vulnerabilities, if the machine has files about them."""

    @model_validator(mode="after")
    def _can_accept(self) -> Self:
        if both := self.keys.keys() & self.identities.keys():
            raise ValueError(f"{min(both)} is the name of a key and of an identity")
        if not self.keys and not self.identities:
            raise ValueError("it has neither keys nor identities, so it could accept nothing")
        return self


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of policy.yaml, for editors."""
    return {"$schema": DIALECT, "title": POLICY_NAME, **model_schema(Policy, "")}
