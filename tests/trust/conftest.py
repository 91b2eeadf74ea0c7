"""A lock, keys and policies for the tests of what a policy accepts."""

from dataclasses import replace
from typing import Any

import pytest
import yaml
from fakes.policies import IMAGE, NOW
from fakes.served import ROOT

from mealkit.digest import Digest
from mealkit.oci.reference import Reference
from mealkit.recipe.lock import Lock, read_lock
from mealkit.trust.policy_file import LoadedPolicy, load_policy
from mealkit.trust.rule_results import ImageFacts
from mealkit.trust.signing_keys import Algorithm, new_key, read_public_key
from mealkit.trust.verified import SIGNED, Form, KeySigner, Verified


@pytest.fixture(scope="session")
def lock() -> Lock:
    """A kit on Debian trixie with the engine python, both licences Apache-2.0."""
    return read_lock((ROOT / "kits/rake/kit.lock").read_bytes())


@pytest.fixture(scope="session")
def public_keys() -> dict[str, str]:
    """Public keys in PEM, by the name that the policies below give them."""
    return {name: new_key(Algorithm.ECDSA_P256, None)[1].decode() for name in ("a", "b", "c")}


@pytest.fixture(scope="session")
def signer(public_keys):
    """The signer of a key, by its name."""
    return lambda name: KeySigner(read_public_key(public_keys[name].encode(), name).fingerprint)


@pytest.fixture
def written(tmp_path, public_keys):
    """Write a policy that trusts the keys a and b, with these fields, and load it."""

    def write(**fields: Any) -> LoadedPolicy:
        keys = {name: {"pem": public_keys[name]} for name in ("a", "b")}
        form = {"version": "mealkit.policy/v1", "keys": keys, **fields}
        for name, more in form.pop("key_fields", {}).items():
            form["keys"][name] |= more
        path = tmp_path / "policy.yaml"
        path.write_text(yaml.safe_dump(form, sort_keys=False))
        return load_policy(path)

    return write


@pytest.fixture
def statement(signer):
    """A statement about the image, by default a signature by the key a."""

    def make(by: str = "a", **changes: Any) -> Verified:
        plain = Verified(IMAGE, signer(by), Form.BUNDLE, SIGNED, {}, Digest.of(by.encode()), NOW)
        return replace(plain, **changes)

    return make


@pytest.fixture
def facts(lock, statement):
    """The facts about an image that the key a has signed."""

    def make(reference: str | None = None, **changes: Any) -> ImageFacts:
        named = Reference.parse(reference) if reference else None
        plain = ImageFacts(
            "rake:1.0.0", IMAGE, lock, frozenset({IMAGE}), named, verified=(statement(),)
        )
        return replace(plain, **changes)

    return make
