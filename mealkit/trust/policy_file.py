"""Reads policy.yaml and the public keys that it names, with the line of every field.

Raises one TrustError with all problems, as for kit.yaml. A policy that cannot be read is an error,
never the absence of a policy.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mealkit.engines.registry import engine_names
from mealkit.errors import CATALOGUE, MealkitError, Problem, failure, failures, problem
from mealkit.kit.document import Document, read_document
from mealkit.kit.document import Path as FieldPath
from mealkit.kit.files import decoded
from mealkit.kit.problems import problems_of
from mealkit.trust.policy import Policy, PolicyKey, RegistryRule, Signatures
from mealkit.trust.signing_keys import MAX_KEY_BYTES, PublicKey, read_public_key
from mealkit.untrusted import UntrustedError, read_file

MAX_POLICY_BYTES = 1024 * 1024
# More keys than any team has; each costs a signature's check.
_MOST_KEYS = 200


@dataclass(frozen=True, slots=True)
class LoadedKey:
    """A public key of a policy, with the policy's name for it."""

    name: str
    key: PublicKey
    entry: PolicyKey


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A valid policy, with its keys and the line of every field."""

    policy: Policy
    lines: Document
    keys: Mapping[str, LoadedKey]
    path: Path

    def where(self, *path: str | int) -> str:
        """Return ``policy.yaml:LINE`` of a field, or of the nearest part around it."""
        return self.lines.where(path)

    @property
    def named_files(self) -> tuple[Path, ...]:
        """The files and folders that the policy names: keys, certificates, vulnerabilities."""
        policy = self.policy
        names = [item.file for item in policy.keys.values() if item.file is not None]
        names += [item.trusted_root for item in policy.identities.values()]
        if policy.vulnerabilities is not None:
            names += [*policy.vulnerabilities.osv, *policy.vulnerabilities.vex]
        return tuple(self.file(name) for name in names)

    def file(self, path: str) -> Path:
        """Return the path of a file that the policy names."""
        return self.path.parent / Path(path).expanduser()


def load_policy(path: Path) -> LoadedPolicy:
    """Read and check a policy.

    Raises:
        TrustError: ``POLICY_UNREADABLE`` or ``POLICY_INVALID``, with all problems.
    """
    text = _text_of(path)
    if not _has_content(text):
        hint = "mealkit policy new FILE writes one to start from"
        raise failure("POLICY_INVALID", "the policy is empty", where=str(path), hint=hint)
    document, found = read_document(text, str(path), "the policy")
    if document.data is None and found:
        raise failures([_as_policys(item) for item in found])
    policy, refused = _validated(document)
    problems = [_as_policys(item) for item in (*found, *refused)]
    if policy is None:
        raise failures(problems)
    problems += [*_unknown_names(policy, document), *_unreachable_counts(policy, document)]
    keys: dict[str, LoadedKey] = {}
    for name, entry in policy.keys.items():
        try:
            keys[name] = _loaded_key(name, entry, path, document)
        except MealkitError as error:
            problems += error.problems
    if problems:
        raise failures(problems)
    return LoadedPolicy(policy, document, keys, path)


def _text_of(path: Path) -> str:
    try:
        text, fault = decoded(read_file(path, MAX_POLICY_BYTES))
    except (OSError, UntrustedError) as error:
        raise unreadable(path, error) from error
    if fault:
        raise failure("POLICY_INVALID", f"the policy {fault[0]}", where=str(path), hint=fault[1])
    return text


def unreadable(path: Path, error: Exception, where: str | None = None) -> MealkitError:
    """Return the error for a policy, or a file that it names, that cannot be read."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return failure(
        "POLICY_UNREADABLE", f"{path} cannot be read: {reason}", where=where or str(path)
    )


def _as_policys(item: Problem) -> Problem:
    """Return a problem of a kit's document as one of a policy's."""
    hint = None if item.hint == CATALOGUE[item.code].fix else item.hint
    return problem("POLICY_INVALID", item.message, hint=hint, where=item.where)


def _has_content(text: str) -> bool:
    lines = (line.strip() for line in text.splitlines())
    return any(line and not line.startswith("#") for line in lines)


def _validated(document: Document) -> tuple[Policy | None, list[Problem]]:
    try:
        return Policy.model_validate_json(json.dumps(document.data)), []
    except ValidationError as error:
        return None, problems_of(error, Policy, document.data, document)


def _unknown_names(policy: Policy, document: Document) -> Iterator[Problem]:
    """Yield a problem for every signer and engine that the policy uses and does not define."""
    known = sorted({*policy.keys, *policy.identities})
    for path, names in _used_signers(policy):
        for index, name in enumerate(names):
            if name not in known:
                yield problem(
                    "POLICY_INVALID",
                    f"{name} is neither a key nor an identity of the policy",
                    hint=f"write one of {', '.join(known)}; or define it under keys",
                    where=document.where((*path, index)),
                )
    for index, name in enumerate(policy.engines or ()):
        if name not in engine_names():
            yield problem(
                "POLICY_INVALID",
                f"there is no engine {name}",
                hint=f"write one of {', '.join(engine_names())}",
                where=document.where(("engines", index)),
            )
    if len(policy.keys) > _MOST_KEYS:
        message = f"it has {len(policy.keys)} keys; the limit is {_MOST_KEYS}"
        yield problem("POLICY_INVALID", message, where=document.where(("keys",)))


def _unreachable_counts(policy: Policy, document: Document) -> Iterator[Problem]:
    """Yield a problem for every place that needs more signers than may sign for it."""
    general = policy.signatures
    every = (*policy.keys, *policy.identities)
    rules: list[tuple[FieldPath, RegistryRule | Signatures]] = [(("signatures",), general)]
    for scope, one in (policy.registries or {}).items():
        rules.append((("registries", scope), one))
    for path, rule in rules:
        signers = set(rule.signed_by or general.signed_by or every)
        at_least = rule.at_least or general.at_least
        if at_least > len(signers):
            yield problem(
                "POLICY_INVALID",
                f"{'.'.join(map(str, path))} needs {at_least} signers, and {len(signers)} may sign",
                hint="name more keys in signed_by; or lower at_least",
                where=document.where((*path, "at_least")),
            )


def _used_signers(policy: Policy) -> Iterator[tuple[FieldPath, tuple[str, ...]]]:
    yield ("signatures", "signed_by"), policy.signatures.signed_by or ()
    for scope, rule in (policy.registries or {}).items():
        yield ("registries", scope, "signed_by"), rule.signed_by or ()
    for name in ("sbom", "provenance", "test_result"):
        required = getattr(policy.attestations, name)
        if required is not None:
            yield ("attestations", name, "signed_by"), required.signed_by or ()


def _loaded_key(name: str, entry: PolicyKey, path: Path, document: Document) -> LoadedKey:
    field = "pem" if entry.file is None else "file"
    where = document.where(("keys", name, field))
    pem = (entry.pem or "").encode()
    if entry.file is not None:
        file = path.parent / Path(entry.file).expanduser()
        try:
            pem = read_file(file, MAX_KEY_BYTES)
        except (OSError, UntrustedError) as error:
            raise unreadable(file, error, where) from error
    return LoadedKey(name, _public_key(pem, name, where), entry)


def _public_key(pem: bytes, name: str, where: str) -> PublicKey:
    try:
        return read_public_key(pem, name)
    except MealkitError as error:
        found = error.problems[0]
        raise failure("POLICY_INVALID", found.message, hint=found.hint, where=where) from error
