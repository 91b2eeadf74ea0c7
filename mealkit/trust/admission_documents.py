"""Writes a policy for other tools: Kyverno, Sigstore's policy-controller, podman and its relatives.

Formats: Kyverno's ClusterPolicy with ``type: SigstoreBundle`` (kyverno.io/v1); ClusterImagePolicy
with ``signatureFormat: bundle`` (policy.sigstore.dev/v1beta1); containers-policy.json(5) and
containers-registries.d(5), which read the signature in the older layout.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from mealkit.digest import Digest
from mealkit.trust.admission import Claimed, NamedSigner, Place, not_exported
from mealkit.trust.wildcards import regular_expression

# Every container of a pod: also those that are added to one that runs.
_CONTAINERS = "request.object.spec.[ephemeralContainers, initContainers, containers][]"
_POD = {"any": [{"resources": {"kinds": ["Pod"]}}]}
# Kyverno allows 63 characters for the name of a rule; the longest addition has 25.
_MOST_CHARACTERS = 30
_NAME = re.compile(r"[^a-z0-9]+")


def kyverno(places: Sequence[Place], notes: Sequence[str]) -> Mapping[str, str]:
    """Return the file with a ClusterPolicy, by its name."""
    rules = [rule for place in places for rule in _kyverno_rules(place)]
    form = {
        "apiVersion": "kyverno.io/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "mealkit"},
        "spec": {
            "background": False,
            "failurePolicy": "Fail",
            "webhookTimeoutSeconds": 30,
            "rules": rules,
        },
    }
    return {"kyverno.yaml": _yaml([form], notes)}


def _kyverno_rules(place: Place) -> Iterator[dict[str, Any]]:
    name = _titled(place)
    skipped = {"skipImageReferences": _kyverno_images(place.inner)} if place.inner else {}
    if not place.allow:
        images = _kyverno_images([place.scope])
        conditions = [{"key": "{{ element.image }}", "operator": "AnyIn", "value": images}]
        if place.inner:
            others = _kyverno_images(place.inner)
            conditions.append(
                {"key": "{{ element.image }}", "operator": "AllNotIn", "value": others}
            )
        yield {
            "name": f"{name}-refused",
            "match": _POD,
            "validate": {
                "failureAction": "Enforce",
                "message": f"images from {place.scope} are not allowed",
                "foreach": [{"list": _CONTAINERS, "deny": {"conditions": {"all": conditions}}}],
            },
        }
        return
    common = {
        "imageReferences": _kyverno_images([place.scope]),
        **skipped,
        "type": "SigstoreBundle",
        "failureAction": "Enforce",
        "mutateDigest": True,
        "verifyDigest": True,
        "required": True,
    }
    attestors = [_kyverno_attestors(place.signers, place.at_least)]
    signed = {**common, "attestors": attestors}
    yield {"name": f"{name}-signed", "match": _POD, "verifyImages": [signed]}
    # A rule of Kyverno checks signatures or attestations, not both.
    for claimed in place.attestations:
        attested = {**common, "attestations": [_kyverno_attestation(claimed)]}
        yield {"name": f"{name}-{claimed.title}", "match": _POD, "verifyImages": [attested]}


def _kyverno_images(scopes: Iterable[str]) -> list[str]:
    found: list[str] = []
    for scope in scopes:
        found.append(f"{scope}/*")
        found += [f"{scope}:*", f"{scope}@*"] if "/" in scope else []
    return found


def _kyverno_attestors(signers: Sequence[NamedSigner], at_least: int) -> dict[str, Any]:
    return {"count": at_least, "entries": [_kyverno_entry(signer) for signer in signers]}


def _kyverno_entry(signer: NamedSigner) -> dict[str, Any]:
    if signer.identity is not None:
        return {"keyless": {"subject": signer.identity.identity, "issuer": signer.identity.issuer}}
    # The signatures of keys are in no transparency log, and their keys in no certificate.
    return {
        "keys": {
            "publicKeys": _pem(signer),
            "rekor": {"ignoreTlog": True},
            "ctlog": {"ignoreSCT": True},
        }
    }


def _kyverno_attestation(claimed: Claimed) -> dict[str, Any]:
    form: dict[str, Any] = {
        "type": claimed.predicate_type,
        "attestors": [_kyverno_attestors(claimed.signers, 1)],
    }
    if claimed.fault is not None:
        raise claimed.fault
    if claimed.field:
        field = "{{ " + ".".join(claimed.field) + " }}"
        compared: list[tuple[str, Any]] = [(item, field) for item in claimed.contains]
        compared = compared or [(field, list(claimed.values))]
        conditions = [{"key": key, "operator": "AnyIn", "value": it} for key, it in compared]
        form["conditions"] = [{"all": conditions}]
    return form


def policy_controller(
    places: Sequence[Place], notes: Sequence[str], where: str
) -> Mapping[str, str]:
    """Return the file with ClusterImagePolicies, by its name; an image must satisfy all of them.

    Raises:
        TrustError: ``POLICY_EXPORT``: ``at_least`` is neither one nor all of the signers.
    """
    forms = [form for place in places for form in _cluster_image_policies(place, where)]
    overlaps = [f"{place.scope} and {inner}" for place in places for inner in place.inner]
    more = [f"An image must satisfy both where places overlap: {', '.join(overlaps)}"]
    return {"policy-controller.yaml": _yaml(forms, [*notes, *(more if overlaps else [])])}


def _cluster_image_policies(place: Place, where: str) -> Iterator[dict[str, Any]]:
    name = _titled(place)
    if not place.allow:
        message = f"images from {place.scope} are not allowed"
        static = {"action": "fail", "message": message}
        yield _cluster_image_policy(f"{name}-refused", place, [{"static": static}])
        return
    if place.at_least == 1:
        authorities = [_authority(signer) for signer in place.signers]
        yield _cluster_image_policy(f"{name}-signed", place, authorities)
    elif place.at_least == len(place.signers):
        for signer in place.signers:
            title = f"{name}-signed-{_plain(signer.name)}"
            yield _cluster_image_policy(title, place, [_authority(signer)])
    else:
        message = f"policy-controller cannot require {place.at_least} of {len(place.signers)}"
        raise not_exported(message, where, "require one signer, or all of them")
    for claimed in place.attestations:
        authorities = [_attesting(signer, claimed) for signer in claimed.signers]
        yield _cluster_image_policy(f"{name}-{claimed.title}", place, authorities)


def _cluster_image_policy(
    name: str, place: Place, authorities: list[dict[str, Any]]
) -> dict[str, Any]:
    globs = [f"{place.scope}/**"]
    globs += [f"{place.scope}:**", f"{place.scope}@**"] if "/" in place.scope else []
    return {
        "apiVersion": "policy.sigstore.dev/v1beta1",
        "kind": "ClusterImagePolicy",
        "metadata": {"name": name},
        "spec": {
            "mode": "enforce",
            "images": [{"glob": item} for item in globs],
            "authorities": authorities,
        },
    }


def _authority(signer: NamedSigner) -> dict[str, Any]:
    form: dict[str, Any] = {"name": _plain(signer.name), "signatureFormat": "bundle"}
    if signer.identity is not None:
        known = {"issuer": signer.identity.issuer, "subject": signer.identity.identity}
        return {**form, "keyless": {"identities": [known]}}
    return {**form, "key": {"data": _pem(signer), "hashAlgorithm": "sha256"}}


def _attesting(signer: NamedSigner, claimed: Claimed) -> dict[str, Any]:
    attestation: dict[str, Any] = {"name": claimed.title, "predicateType": claimed.predicate_type}
    if claimed.fault is not None:
        raise claimed.fault
    if claimed.field:
        attestation["policy"] = {"type": "cue", "data": _cue(claimed)}
    return {**_authority(signer), "attestations": [attestation]}


def _cue(claimed: Claimed) -> str:
    """Return the constraint on a predicate's field in CUE (https://cuelang.org)."""
    patterns = (f"^{regular_expression(value)}$" for value in claimed.values)
    one = " | ".join(f"=~{json.dumps(pattern)}" for pattern in patterns)
    every = " & ".join(f"list.Contains({json.dumps(item)})" for item in claimed.contains)
    data = every or one
    for step in reversed(claimed.field):
        data = f"{step}: {data}" if step == claimed.field[-1] else f"{step}: {{{data}}}"
    head = 'import "list"\n' if every else ""
    return f"{head}predicate: {{{data}}}"


def podman(places: Sequence[Place], where: str) -> Mapping[str, str]:
    """Return policy.json and the file for registries.d, by their paths below a folder.

    Raises:
        TrustError: ``POLICY_EXPORT``: a place needs an identity, or some of several keys.
    """
    scopes: dict[str, Any] = {}
    for place in places:
        scopes[place.scope] = (
            [{"type": "reject"}] if not place.allow else _podman_rules(place, where)
        )
    form = {
        "default": [{"type": "reject"}],
        "transports": {
            "docker": scopes,
            # mealkit loads images that its own policy has accepted in this form.
            "docker-archive": {"": [{"type": "insecureAcceptAnything"}]},
        },
    }
    hosts = {place.scope: {"use-sigstore-attachments": True} for place in places}
    return {
        "policy.json": json.dumps(form, indent=2) + "\n",
        "registries.d/mealkit.yaml": _yaml([{"docker": hosts}], []),
    }


def _podman_rules(place: Place, where: str) -> list[dict[str, Any]]:
    keys = [signer for signer in place.signers if signer.key is not None]
    if len(keys) < len(place.signers):
        message = f"{place.scope} trusts an identity, which this export does not have"
        raise not_exported(message, where, "name keys under signed_by for this place")
    if place.at_least not in {1, len(keys)}:
        message = f"podman cannot require {place.at_least} of {len(keys)} keys"
        raise not_exported(message, where, "require one key, or all of them")
    data = [base64.b64encode(_pem(signer).encode()).decode() for signer in keys]
    # The signature names the repository without a tag, as cosign writes it.
    common = {"type": "sigstoreSigned", "signedIdentity": {"type": "matchRepository"}}
    if place.at_least == 1 and len(data) > 1:
        return [{**common, "keyDatas": data}]
    return [{**common, "keyData": item} for item in data]


def _pem(signer: NamedSigner) -> str:
    return signer.key.pem.decode() if signer.key else ""


def _plain(text: str) -> str:
    """Return a text as a name in Kubernetes: small letters, digits and dashes."""
    return _NAME.sub("-", text.lower()).strip("-")[:_MOST_CHARACTERS].strip("-")


def _titled(place: Place) -> str:
    """Return a name for a place that no other place has."""
    return f"{_plain(place.scope)}-{Digest.of(place.scope.encode()).hex[:6]}"


class _Dumper(yaml.SafeDumper):
    """Writes keys as blocks of lines, as people write them, and repeats instead of aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _yaml(forms: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> str:
    head = [f"# {line}\n" for line in notes]
    body = yaml.dump_all(
        forms, Dumper=_Dumper, sort_keys=False, width=1000, explicit_start=len(forms) > 1
    )
    return "".join(head) + body
