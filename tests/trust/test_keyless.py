"""An identity signs through Sigstore's own client, and its own verifier accepts only that one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.own_sigstore import IDENTITY, ISSUER, OwnSigstore
from fakes.quirky_registry import QuirkyRegistry
from fakes.served import ROOT
from fakes.signatures import Listed, bundle_in, bundled, described, new_signer, ring_of, with_bundle

from mealkit.oci.artifact import artifact_of
from mealkit.oci.reference import Reference
from mealkit.pipeline.signatures.gathering import gather
from mealkit.stores.registry.credentials import Credentials
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries
from mealkit.trust.keyless import Identity
from mealkit.trust.keyring import KeyRing

READERS = ROOT / ".engines" / "readers"

# sigstore is in a folder of its own, so this runs in a process of its own; its import takes a second.
SCRIPT = """
import json, sys
from pathlib import Path
from fakes.signatures import Listed, described, with_bundle
from mealkit.errors import TrustError
from mealkit.pipeline.home import home_at
from mealkit.pipeline.signatures.gathering import gather
from mealkit.pipeline.signatures.signing import sign_keyless
from mealkit.pipeline.signatures.verifying import Trusted, verify
from mealkit.trust.keyless import Identity, sign_with_identity
from mealkit.trust.keyring import KeyRing
from mealkit.trust.statement import Statement
from mealkit.trust.verified import SIGNED

folder, identity, issuer, target = Path(sys.argv[1]), *sys.argv[2:]
kit, other = described("kit"), described("other")
statement = Statement(kit.digest, SIGNED, {}, 1_700_000_000).as_bytes()
bundle = sign_with_identity(statement, folder / "config.json")
altered = json.loads(bundle)
altered["dsseEnvelope"]["signatures"][0]["sig"] = "MEUCIQ=="
root, foreign = folder / "root.json", folder / "foreign.json"

def told(subject, data, *identity):
    found = gather(subject, Listed([with_bundle(data, subject)]), KeyRing(), [Identity(*identity)])
    signers = [[one.signer.identity, one.signer.issuer] for one in found.verified]
    return signers or [one.code for one in found.refused]

right = identity, issuer, root
home = home_at(folder / "home")
report = sign_keyless(target, folder / "config.json", home)
there = verify(target, Trusted(KeyRing(), (Identity(*right),)), home)
print(json.dumps({
    "right": told(kit, bundle, *right),
    "another identity": told(kit, bundle, "x@example.org", issuer, root),
    "another issuer": told(kit, bundle, identity, "https://other.example.org", root),
    "another root": told(kit, bundle, identity, issuer, foreign),
    "altered": told(kit, json.dumps(altered).encode(), *right),
    "replayed": told(other, bundle, *right),
    "in a registry": [one.signer.identity for one in there.verified],
    "the same digest": report.digest == there.subject.digest,
    "seconds": there.verified[0].signed_seconds,
}))
"""


@pytest.fixture(scope="module")
def sigstore():
    server = OwnSigstore()
    yield server
    server.close()


@pytest.fixture
def quirky():
    server = QuirkyRegistry()
    yield server
    server.close()


def test_an_identity_signs_and_verifies(sigstore, quirky, tmp_path):
    """Fulcio's and Rekor's real clients sign; only the identity, issuer and roots of trust count."""
    if not (READERS / "sigstore").is_dir():
        pytest.skip("make .engines/readers/.ready installs sigstore")
    foreign = OwnSigstore()
    foreign.close()
    for name, form in (
        ("config", sigstore.trust_config),
        ("root", sigstore.trusted_root),
        ("foreign", foreign.trusted_root),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(form))
    thing = artifact_of("application/vnd.example.thing", [])
    with Registries(Credentials(())) as registries:
        push(thing, Reference.parse(f"{quirky.host}/team/thing:1"), registries)
    folders = (READERS, ROOT / "tests", ROOT)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path, IDENTITY, ISSUER, f"{quirky.host}/team/thing:1"],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, folders)),
            # How GitLab gives a job its identity.
            "GITLAB_CI": "true",
            "SIGSTORE_ID_TOKEN": sigstore.token,
            "NO_PROXY": "127.0.0.1",
        },
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "right": [[IDENTITY, ISSUER]],
        "another identity": ["SIGNATURE_KEY"],
        "another issuer": ["SIGNATURE_KEY"],
        "another root": ["SIGNATURE_KEY"],
        "altered": ["SIGNATURE_KEY"],
        "replayed": ["SIGNATURE_SUBJECT"],
        "in a registry": [IDENTITY],
        "the same digest": True,
        "seconds": int(sigstore.now.timestamp()),
    }


def test_a_certificate_without_a_trusted_identity():
    """A bundle with a certificate does not count where only keys are trusted."""
    kit, signer = described("kit"), new_signer()
    form = bundle_in(bundled(signer, kit))
    form["verificationMaterial"] = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": []}
    changed = with_bundle(json.dumps(form).encode(), kit)
    found = gather(kit, Listed([changed]), ring_of(signer))
    assert [one.code for one in found.refused] == ["SIGNATURE_KEY"]


def test_without_the_library():
    """An identity that is asked for without the library sigstore is a problem of its own."""
    kit = described("kit")
    form = bundle_in(bundled(new_signer(), kit))
    form["verificationMaterial"] = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": []}
    listed = Listed([with_bundle(json.dumps(form).encode(), kit)])
    identity = Identity(IDENTITY, ISSUER, Path("/nowhere"))
    found = gather(kit, listed, KeyRing(), [identity])
    assert [one.code for one in found.refused] == ["KEYLESS_MISSING"]
