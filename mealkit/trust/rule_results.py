"""The facts about an image that a policy decides on, and the result of each of its rules."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mealkit.digest import Digest
from mealkit.errors import CATALOGUE, Owner, OwnerContact, Problem, problem
from mealkit.oci.reference import Reference
from mealkit.recipe.kit import Contact
from mealkit.recipe.lock import Lock
from mealkit.trust.verified import Verified


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image, as far as a policy asks about it."""

    name: str
    """The image, as the caller named it."""
    digest: Digest
    lock: Lock
    subjects: frozenset[Digest]
    """The digests whose signatures count: the image's, and those of the indexes that list it."""
    reference: Reference | None = None
    """The place in a registry that it comes from; None: it comes from this machine."""
    built_here: bool = False
    """Whether this command builds it from a kit's folder."""
    verified: Sequence[Verified] = ()
    """The statements about it whose signatures are valid for a key of the policy."""
    refused: Sequence[Problem] = ()
    """Why other signatures were not valid."""


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The result of one rule: the values that it compared, and the line that states it."""

    rule: str
    where: str
    passed: bool
    measured: str
    required: str
    code: str
    """The problem's code, if it did not pass."""
    hint: str | None = field(default=None)

    @property
    def owner(self) -> str:
        """Who can change the result, if it did not pass."""
        return CATALOGUE[self.code].owner.value

    def as_json(self) -> dict[str, Any]:
        """Return the finding as the command line prints it."""
        form = {name: getattr(self, name) for name in ("rule", "where", "passed")}
        form |= {"measured": self.measured, "required": self.required}
        return form if self.passed else {**form, "code": self.code, "owner": self.owner}

    def as_problem(self, facts: ImageFacts, asked: Contact | None) -> Problem:
        """Return the problem of a rule that did not pass; ``asked`` answers for the policy."""
        found = problem(
            self.code,
            f"{facts.name} is refused by the rule {self.rule}",
            hint=self.hint,
            where=self.where,
            measured=self.measured,
            required=self.required,
        )
        found = with_policy_owner(found, asked)
        if found.owner is not Owner.KIT_AUTHOR:
            return found
        owner = facts.lock.about.owner
        return replace(found, contact=OwnerContact(owner.team, owner.contact, owner.support))


def with_policy_owner(found: Problem, asked: Contact | None) -> Problem:
    """Return the problem; if the policy names its owner, the hint says who answers for it."""
    if asked is None:
        return found
    hint = f"{found.hint}; the policy's owner is {asked.team}, {asked.contact}"
    return replace(found, hint=hint)
