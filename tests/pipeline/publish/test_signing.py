"""A signed kit in a real registry, in both layouts, as programs of others read it."""

import base64
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.little import OFFLINE, Heard, little_kit
from fakes.quirky_registry import QuirkyRegistry
from fakes.served import ROOT, Registry, need
from fakes.signatures import new_signer, ring_of, simple
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from mealkit.digest import Digest
from mealkit.errors import MealkitError, TrustError
from mealkit.oci.artifact import artifact_of
from mealkit.oci.image import Image
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import Home, home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.publish.pushing import PushRequest, push_target
from mealkit.pipeline.signatures.gathering import RepositoryReferrers, gather
from mealkit.pipeline.signatures.key_files import PassphraseSource, signing_key_at, write_key_pair
from mealkit.pipeline.signatures.model_signatures import sign_model_files, write_model_signature
from mealkit.pipeline.signatures.signed_images import LOCAL
from mealkit.pipeline.signatures.signing import SignReport, sign, sign_in_registry
from mealkit.pipeline.signatures.verifying import Trusted, verify
from mealkit.stores.layout import write_layout
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.credentials import Credentials
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.referrers import RegistryReferrers, attach
from mealkit.trust.bundle import BUNDLE_TYPE
from mealkit.trust.keyring import KeyRing, TrustedKey
from mealkit.trust.signing_keys import Algorithm, PublicKey, SigningKey, read_public_key
from mealkit.trust.simple_signing import SIGNATURE_ANNOTATION, signature_tag
from mealkit.trust.verified import SIGNED, Form, KeySigner
from mealkit.web.retry import Retry

pytestmark = pytest.mark.xdist_group("signing")

READERS = ROOT / ".engines" / "readers"
NODE_MODULES = ROOT / ".engines" / "npm" / "node_modules"


@dataclass(frozen=True)
class Published:
    """A little kit in a registry and in the local store, signed there by two keys in turn."""

    registry: Registry
    home: Home
    digest: Digest
    first: SigningKey
    second: SigningKey
    public: Path
    reports: tuple[SignReport, SignReport]

    @property
    def name(self) -> str:
        return f"{self.registry.host}/team/little"

    @property
    def target(self) -> str:
        return f"{self.name}:1.0.0"

    def trusted(self, *keys: PublicKey) -> Trusted:
        return Trusted(KeyRing(tuple(TrustedKey(key) for key in keys)))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    home, public = home_at(folder / "home"), folder / "first.key.pub"
    with pytest.MonkeyPatch.context() as patch, Registry(folder / "registry") as registry:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        target = f"{registry.host}/team/little:1.0.0"
        report = build_kit(
            little_kit(folder / "kit"),
            frozen=False,
            outputs=Outputs(push=[target]),
            home=home,
            progress=Heard(),
        )
        write_key_pair(folder / "first.key", Algorithm.ECDSA_P256, None)
        first = signing_key_at(folder / "first.key", PassphraseSource(), Heard())
        second = new_signer(Algorithm.ED25519)
        reports = sign(target, first, home), sign(target, second, home)
        yield Published(registry, home, report.digest, first, second, public, reports)


@pytest.fixture(scope="module")
def bundle(published) -> bytes:
    """The bundle of the first key, from the registry."""
    found = verify(published.target, published.trusted(published.first.public), published.home)
    (one,) = (item for item in found.verified if item.form is Form.BUNDLE)
    with Registries.from_environment() as registries:
        source = referrers(published, registries)
        artifact = next(
            source.artifact(item)
            for item in source.listed(published.digest)
            if item.digest == one.artifact
        )
        return b"".join(artifact.blobs[0].chunks())


def referrers(published: Published, registries: Registries) -> RepositoryReferrers:
    reference = Reference.parse(published.target)
    return RepositoryReferrers(RegistryReferrers(registries.sources(reference), reference))


def openssl_accepts(public: Path, signature: bytes, data: bytes, folder: Path) -> bool:
    (folder / "signature").write_bytes(signature)
    command = [need("openssl"), "dgst", "-sha256", "-verify", public]
    done = subprocess.run(
        [*command, "-signature", folder / "signature"], input=data, capture_output=True, check=False
    )
    return done.stdout == b"Verified OK\n"


def test_an_image_is_signed_where_it_is(published):
    """A signature is in the registry in both layouts, and in the local store as a bundle."""
    for report in published.reports:
        assert report.digest == published.digest
        assert [(item.place, item.form, item.is_new) for item in report.signatures] == [
            (published.name, Form.BUNDLE, True),
            (published.name, Form.SIMPLE_SIGNING, True),
            (LOCAL, Form.BUNDLE, True),
        ]


@pytest.mark.parametrize("key", ["first", "second"])
def test_each_key_verifies(published, key):
    """Both keys are found in both layouts; the other key's signatures do not count."""
    public = getattr(published, key).public
    found = verify(published.target, published.trusted(public), published.home)
    assert [one.form for one in found.verified] == [Form.BUNDLE, Form.SIMPLE_SIGNING]
    assert {one.code for one in found.refused} == {"SIGNATURE_KEY"}
    assert found.elsewhere == ()
    local = verify("little:1.0.0", published.trusted(public), published.home)
    assert [one.form for one in local.verified] == [Form.BUNDLE]


def test_signing_again_changes_nothing(published):
    """What a key has signed already is kept as it is, and nothing is sent."""
    before = published.registry.requests("PUT")
    report = sign(published.target, published.first, published.home)
    assert [item.is_new for item in report.signatures] == [False, False, False]
    assert published.registry.requests("PUT") == before


def test_another_key_is_refused(published):
    """A key that has not signed is refused with a problem for each signature there is."""
    with pytest.raises(TrustError) as caught:
        verify(published.target, published.trusted(new_signer().public), published.home)
    assert {one.code for one in caught.value.problems} == {"SIGNATURE_KEY"}


def test_a_tag_that_was_moved(published):
    """A tag that names another image now is refused: that image has no signature."""
    name = Reference.parse(f"{published.name}:moved")
    other = LocalStore(published.home.store).image("little:1.0.0")
    changed = type(other)(
        other.raw_manifest.replace(b'"schemaVersion":2', b'"schemaVersion": 2'),
        other.raw_config,
        other.layers,
    )
    with Registries.from_environment() as registries:
        push(changed, name, registries)
    with pytest.raises(TrustError) as caught:
        verify(str(name), published.trusted(published.first.public), published.home)
    assert caught.value.problems[0].code == "SIGNATURE_MISSING"


def test_a_copy_elsewhere(published, bundle):
    """In another repository the bundle counts; of the older layout it is said where it belongs."""
    reference = Reference.parse(f"{published.registry.host}/copied/little:1.0.0")
    with Registries.from_environment() as registries:
        content = LocalStore(published.home.store).content(str(published.digest))
        push(content, reference, registries, mount_from=["team/little"])
        source = referrers(published, registries)
        for item in source.listed(published.digest):
            attach(source.artifact(item), reference, registries)
    public = published.first.public
    found = verify(str(reference), published.trusted(public), published.home)
    assert {one.form for one in found.verified} == set(Form)
    assert found.elsewhere == (published.name,)
    assert sign(str(reference), published.first, published.home).signatures[1].is_new
    again = verify(str(reference), published.trusted(public), published.home)
    assert again.elsewhere == ()


def test_a_push_signs_before_the_tag(published):
    """What is pushed with a key is signed in both layouts for its place, before it has its tag."""
    target = f"{published.registry.host}/pushed/little:1.0.0"
    before = len(published.registry.requests("PUT"))
    request = PushRequest("little:1.0.0", target, signer=published.second)
    push_target(request, published.home, Heard())
    names = [
        path.rpartition("/")[2]
        for path in published.registry.requests("PUT")[before:]
        if "/manifests/" in path
    ]
    assert names[-1] == "1.0.0"
    assert signature_tag(published.digest) in names
    found = verify(target, published.trusted(published.second.public), published.home)
    assert {one.form for one in found.verified} == set(Form)
    assert found.elsewhere == ()


@pytest.fixture
def quirky() -> Iterator[QuirkyRegistry]:
    server = QuirkyRegistry()
    yield server
    server.close()


@pytest.fixture
def hasty() -> Iterator[Registries]:
    """Registries that do not wait between attempts."""
    with Registries(Credentials(()), retry=Retry(sleep=lambda _: None)) as registries:
        yield registries


THING = artifact_of("application/vnd.example.thing", [])


@pytest.mark.parametrize("has_referrers", [False, True])
def test_a_registry_with_and_without_the_referrers_api(quirky, hasty, has_referrers, tmp_path):
    """Two keys sign in turn, and no signature is lost, whether or not referrers are listed."""
    quirky.has_referrers = has_referrers
    reference = Reference.parse(f"{quirky.host}/team/thing:1")
    first, second, store = new_signer(), new_signer(), LocalStore(tmp_path)
    push(THING, reference, hasty)
    for key in (first, second, first):
        sign_in_registry(THING.descriptor, reference, key, hasty, store)
    source = RepositoryReferrers(RegistryReferrers(hasty.sources(reference), reference))
    for key in (first, second):
        found = gather(THING.descriptor, source, ring_of(key))
        assert [one.form for one in found.verified] == [Form.BUNDLE, Form.SIMPLE_SIGNING]


def test_two_signers_at_the_same_time(quirky, hasty, tmp_path):
    """A signature that another signer overwrites at the same moment is written again."""
    reference = Reference.parse(f"{quirky.host}/team/thing:1")
    mine, other = new_signer(), new_signer()
    tag, rival = signature_tag(THING.digest), simple([other], THING.descriptor)
    push(THING, reference, hasty)
    push(rival, Reference.parse(f"{quirky.host}/team/thing:rival"), hasty)
    written = []

    def overwrite(request) -> None:
        """Put the other's artifact under the tag as soon as ours is there, once."""
        if request.command == "GET" and tag in quirky.manifests and not written:
            written.append(quirky.manifests[tag])
            quirky.manifests[tag] = (quirky.manifests[tag][0], rival.raw_manifest)

    quirky.quirks.append(overwrite)
    sign_in_registry(THING.descriptor, reference, mine, hasty, LocalStore(tmp_path))
    assert written
    source = RepositoryReferrers(RegistryReferrers(hasty.sources(reference), reference))
    found = gather(THING.descriptor, source, ring_of(mine, other), legacy=True)
    older = [one for one in found.verified if one.form is Form.SIMPLE_SIGNING]
    assert {one.signer for one in older} == {
        KeySigner(key.public.fingerprint) for key in (mine, other)
    }


def test_a_layout(published, tmp_path):
    """A signature in an OCI layout beside its image is verified without a registry."""
    store, public = LocalStore(published.home.store), published.first.public
    write_layout(store.content(str(published.digest)), tmp_path / "out", "little:1.0.0")
    target = f"oci:{tmp_path / 'out'}"
    with pytest.raises(TrustError) as caught:
        verify(target, published.trusted(public), published.home)
    assert caught.value.problems[0].code == "SIGNATURE_MISSING"
    with Registries.from_environment() as registries:
        source = referrers(published, registries)
        for item in source.listed(published.digest):
            write_layout(source.artifact(item), tmp_path / "out")
    found = verify(target, published.trusted(public), published.home)
    assert {one.form for one in found.verified} == set(Form)
    with pytest.raises(MealkitError) as refused:
        sign(target, published.first, published.home)
    assert refused.value.problems[0].code == "TARGET_UNFIT"


def test_openssl_verifies_the_bundle(published, bundle, tmp_path):
    """OpenSSL accepts the envelope's signature over DSSE's encoding of the payload."""
    envelope = json.loads(bundle)["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    encoded = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    assert openssl_accepts(published.public, signature, encoded, tmp_path)
    assert not openssl_accepts(published.public, signature, encoded + b" ", tmp_path)
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == SIGNED == "https://sigstore.dev/cosign/sign/v1"
    assert statement["predicate"] == {}
    (subject,) = statement["subject"]
    assert subject["digest"] == {"sha256": published.digest.hex}


def test_securesystemslib_verifies_the_bundle(published, bundle):
    """The reference library of DSSE accepts the envelope."""
    form = json.loads(bundle)["dsseEnvelope"]
    form["signatures"][0]["keyid"] = "team"
    pem = read_public_key(published.public.read_bytes(), "first").pem.decode()
    key = SSlibKey("team", "ecdsa", "ecdsa-sha2-nistp256", {"public": pem})
    assert Envelope.from_dict(form).verify([key], 1) == {"team": key}


SCRIPT = """
const { bundleFromJSON } = require('@sigstore/bundle');
const { toSignedEntity, toTrustMaterial, Verifier } = require('@sigstore/verify');
const { bundle, hint, der } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const root = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
const keys = { [hint]: { rawBytes: Buffer.from(der, 'base64') } };
const verifier = new Verifier(toTrustMaterial(root, keys), { tlogThreshold: 0 });
verifier.verify(toSignedEntity(bundleFromJSON(bundle)));
console.log('verified');
"""


def test_sigstore_for_node_verifies_the_bundle(published, bundle):
    """npm's @sigstore/verify finds the key by its hint and accepts the bundle, and no altered one."""
    if not (NODE_MODULES / "@sigstore" / "verify").is_dir():
        pytest.skip("make .engines/npm/.ready installs @sigstore/verify")
    form = json.loads(bundle)

    def run(changed: dict) -> subprocess.CompletedProcess:
        public = published.first.public
        der = base64.b64encode(public.der).decode()
        given = json.dumps({"bundle": changed, "hint": public.hint, "der": der})
        return subprocess.run(
            [need("node"), "-e", SCRIPT],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
        )

    done = run(form)
    assert done.stdout == "verified\n", done.stderr
    form["dsseEnvelope"]["payload"] = base64.b64encode(b"{}").decode()
    assert "signature verification failed" in run(form).stderr


def registries_d(host: str, folder: Path) -> Path:
    """Podman's and skopeo's setting to look for signatures in the older layout."""
    found = folder / "home/.config/containers/registries.d"
    found.mkdir(parents=True)
    form = {"docker": {host: {"use-sigstore-attachments": True}}}
    (found / "local.yaml").write_text(json.dumps(form))
    return found


def policy_for(public: Path, host: str, folder: Path) -> Path:
    """A policy.json that accepts only what the key has signed."""
    rule = {
        "type": "sigstoreSigned",
        "keyPath": str(public),
        "signedIdentity": {"type": "matchRepository"},
    }
    form = {"default": [{"type": "reject"}], "transports": {"docker": {host: [rule]}}}
    path = folder / "policy.json"
    path.write_text(json.dumps(form))
    return path


def test_skopeo_reads_the_older_layout(published, tmp_path):
    """Skopeo finds both signatures under the tag, and OpenSSL accepts the payload it found."""
    settings = registries_d(published.registry.host, tmp_path)
    policy = tmp_path / "any.json"
    policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    command = [need("skopeo"), "--policy", policy, "--registries.d", settings, "copy", "--quiet"]
    source = ["--src-tls-verify=false", f"docker://{published.target}"]
    subprocess.run([*command, *source, f"dir:{tmp_path / 'out'}"], check=True)
    head, _, text = (tmp_path / "out/signature-1").read_bytes().partition(b"\n")
    assert head == b"\0sigstore-json"
    form = json.loads(text)
    payload = base64.b64decode(form["payload"])
    signature = base64.b64decode(form["annotations"][SIGNATURE_ANNOTATION])
    assert openssl_accepts(published.public, signature, payload, tmp_path)
    critical = json.loads(payload)["critical"]
    assert critical["image"] == {"docker-manifest-digest": published.digest}
    assert critical["identity"] == {"docker-reference": published.name}
    assert (tmp_path / "out/signature-2").is_file()


# Debian builds these programs without the library that verifies, and lets them refuse everything.
# https://sources.debian.org/src/golang-github-containers-image/ , debian/patches
SWITCHED_OFF = "sigstore disabled"


@pytest.fixture
def short() -> Iterator[str]:
    """A folder with a short path, as podman needs it."""
    with tempfile.TemporaryDirectory(prefix="podman") as folder:
        yield folder


@pytest.mark.parametrize("program", ["skopeo", "podman"])
def test_policies_of_podman_and_skopeo(published, program, tmp_path, short):
    """A policy.json accepts the signed image; Debian's builds find the signatures and refuse."""
    settings = registries_d(published.registry.host, tmp_path)

    def run(policy: Path, target: str) -> subprocess.CompletedProcess:
        if program == "skopeo":
            options = ["--policy", policy, "--registries.d", settings, "copy", "--quiet"]
            rest = ["--src-tls-verify=false", f"docker://{target}", f"dir:{tmp_path / 'out'}"]
        else:
            options = ["--root", tmp_path / "root", "--runroot", short]
            options += ["--storage-driver", "vfs", "pull", "--quiet", "--tls-verify=false"]
            rest = ["--signature-policy", policy, target]
        return subprocess.run(
            [need(program), *options, *rest],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "HOME": str(tmp_path / "home")},
        )

    policy = policy_for(published.public, published.registry.host, tmp_path)
    done = run(policy, published.target)
    assert done.returncode == 0 or SWITCHED_OFF in done.stderr, done.stderr
    with Registries.from_environment() as registries:
        content = LocalStore(published.home.store).content(str(published.digest))
        unsigned = Reference.parse(f"{published.registry.host}/unsigned/{program}:1")
        push(content, unsigned, registries, mount_from=["team/little"])
    done = run(policy, str(unsigned))
    assert done.returncode != 0
    assert "A signature was required, but no signature exists" in done.stderr


def test_the_registry_has_what_cosign_writes(published, bundle):
    """The artifacts have cosign's types, annotations and tag, and say what they are about."""
    with Registries.from_environment() as registries:
        source = referrers(published, registries)
        listed = source.listed(published.digest, BUNDLE_TYPE)
        assert len(listed) == 2
        for item in listed:
            manifest = source.artifact(item).manifest
            assert manifest.artifact_type == manifest.layers[0].media_type == BUNDLE_TYPE
            assert manifest.config.media_type == "application/vnd.oci.empty.v1+json"
            assert manifest.annotations["dev.sigstore.bundle.content"] == "dsse-envelope"
            assert manifest.annotations["dev.sigstore.bundle.predicateType"] == SIGNED
            assert manifest.subject is not None
            assert manifest.subject.digest == published.digest
        older = source.inner.tagged(f"sha256-{published.digest.hex}.sig")
    assert older is not None
    assert signature_tag(published.digest) == f"sha256-{published.digest.hex}.sig"
    manifest = older.manifest
    assert manifest.artifact_type == "application/vnd.dev.cosign.artifact.sig.v1+json"
    assert len(manifest.layers) == 2
    assert manifest.subject is not None
    assert manifest.subject.digest == published.digest
    material = json.loads(bundle)["verificationMaterial"]
    assert material == {"publicKey": {"hint": published.first.public.hint}, "tlogEntries": []}


# What `model_signing verify key` does, for the model as it is and for an altered one: its imports
# take three seconds.
MODEL_SCRIPT = """
import pathlib, sys
from model_signing.verifying import Config
model, key = map(pathlib.Path, sys.argv[1:])
config = Config().use_elliptic_key_verifier(public_key=key)
config.verify(model, model / "model.sig")
print("verified", flush=True)
(model / "config.json").write_text("{}")
config.verify(model, model / "model.sig")
"""


def unpack_models(image: Image, folder: Path) -> None:
    """Write the files below /models of an image."""
    for layer in image.layers:
        data = b"".join(map(bytes, layer.blob.chunks()))
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                top, _, name = member.name.partition("/")
                if top == "models" and member.isfile():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(tar.extractfile(member).read())


def test_model_signing_accepts_the_unpacked_model(published, tmp_path):
    """Stock model_signing accepts the files of the image with the signature that travels with it."""
    if not (READERS / "model_signing").is_dir():
        pytest.skip("make .engines/readers/.ready installs model-signing")
    sign_model_files(published.target, published.first, published.home, tmp_path / "made.sig")
    model = tmp_path / "models"
    key = [published.first.public]
    model.mkdir()
    write_model_signature(published.target, key, published.home, model / "model.sig")
    assert (model / "model.sig").read_bytes() == (tmp_path / "made.sig").read_bytes()
    # It travels in the local store, too.
    write_model_signature("little:1.0.0", key, published.home, tmp_path / "again.sig")
    unpack_models(LocalStore(published.home.store).image("little:1.0.0"), model)

    done = subprocess.run(
        [sys.executable, "-c", MODEL_SCRIPT, model, published.public],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(READERS)},
    )
    assert done.stdout == "verified\n", done.stderr
    assert "Hash mismatch for 'config.json'" in done.stderr
    with pytest.raises(TrustError) as caught:
        write_model_signature(
            published.target, [new_signer().public], published.home, tmp_path / "x"
        )
    assert caught.value.problems[0].code == "SIGNATURE_KEY"
    with pytest.raises(TrustError, match="only ECDSA keys"):
        sign_model_files(published.target, published.second, published.home, tmp_path / "x")
