"""Signatures of models follow OpenSSF Model Signing 1.0, in both directions."""

import base64
import hashlib
import json

import jsonschema
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fakes.served import ROOT
from fakes.signatures import new_signer
from referencing import Registry, Resource
from securesystemslib.dsse import Envelope

from mealkit.digest import Digest, canonical_json
from mealkit.errors import TrustError
from mealkit.trust.bundle import signed_bundle
from mealkit.trust.model_signing import (
    read_model_signature,
    sign_model,
    verify_model_signature,
)
from mealkit.trust.signing_keys import Algorithm, read_public_key

# The specification's own files, with their licence.
DATA = ROOT / "tests" / "data" / "model-signing"

PUBLISHER = new_signer()
FILES = {name: Digest.of(name.encode()) for name in ("b.safetensors", "a/config.json", "B.txt")}
DIGESTS = {name: {"sha256": digest.hex} for name, digest in FILES.items()}


def statement_of(raw: bytes) -> dict:
    return json.loads(base64.b64decode(json.loads(raw)["dsseEnvelope"]["payload"]))


def changed(**parts) -> bytes:
    """A signature by the publisher of a statement with other parts."""
    form = statement_of(sign_model("model", FILES, PUBLISHER))
    form["predicate"] |= parts.pop("predicate", {})
    return signed_bundle(canonical_json(form | parts), PUBLISHER)


def code_of(raw: bytes, files=None, key=None, **options) -> str:
    with pytest.raises(TrustError) as caught:
        verify_model_signature(
            raw, DIGESTS if files is None else files, key or PUBLISHER.public, **options
        )
    return caught.value.problems[0].code


def test_a_signature_follows_the_schemas():
    """Bundle, statement and predicate are valid by the specification's JSON Schemas."""
    schemas = {}
    for path in (DATA / "schemas").glob("*.json"):
        form = json.loads(path.read_text())
        schemas[path.name] = form
    registry = Registry().with_resources(
        (form["$id"], Resource.from_contents(form)) for form in schemas.values()
    )
    raw = sign_model("model", FILES, PUBLISHER)
    for name, form in (
        ("bundle.schema.json", json.loads(raw)),
        ("statement.schema.json", statement_of(raw)),
    ):
        jsonschema.Draft202012Validator(schemas[name], registry=registry).validate(form)


def test_what_is_signed():
    """Files are sorted by code point; the subject is the hash of their digests; the key has its name."""
    raw = sign_model(
        "model", {**FILES, ".gitattributes": Digest.of(b""), "model.sig": Digest.of(b"")}, PUBLISHER
    )
    form = statement_of(raw)
    names = [item["name"] for item in form["predicate"]["resources"]]
    assert names == ["B.txt", "a/config.json", "b.safetensors"]
    joined = b"".join(bytes.fromhex(FILES[name].hex) for name in names)
    assert form["subject"] == [
        {"name": "model", "digest": {"sha256": hashlib.sha256(joined).hexdigest()}}
    ]
    hint = json.loads(raw)["verificationMaterial"]["publicKey"]["hint"]
    assert hint == hashlib.sha256(PUBLISHER.public.pem).hexdigest()
    signed = verify_model_signature(raw, DIGESTS, PUBLISHER.public, is_complete=True)
    assert signed.files == set(FILES)


def test_a_kit_may_use_fewer_files():
    """A kit that uses some of the signed files is verified, unless all are expected."""
    raw = sign_model("model", FILES, PUBLISHER)
    some = {"B.txt": DIGESTS["B.txt"]}
    assert verify_model_signature(raw, some, PUBLISHER.public).name == "model"
    assert code_of(raw, some, is_complete=True) == "SIGNATURE_ALTERED"


@pytest.mark.parametrize("name", ["valid/key", "valid/certificate", "valid/sigstore"])
def test_the_specifications_valid_vectors_are_read(name):
    """What other tools have signed is read: the names and digests of the files."""
    signed = read_model_signature((DATA / "test-vectors" / f"{name}.bundle.json").read_bytes())
    assert signed.files == {"signme-1", "signme-2"}
    assert signed.algorithm == "sha256"


@pytest.mark.parametrize(
    "name",
    [
        "invalid/empty",
        "invalid/missing-envelope",
        "invalid/missing-verification-material",
        "invalid-payload/wrong-predicate",
    ],
)
def test_the_specifications_invalid_vectors_are_refused(name):
    """Bundles that the specification calls invalid are refused."""
    with pytest.raises(TrustError) as caught:
        read_model_signature((DATA / "test-vectors" / f"{name}.bundle.json").read_bytes())
    assert caught.value.problems[0].code == "SIGNATURE_INVALID"


def test_a_publishers_p384_key_verifies():
    """Publishers also sign with P-384, of which the hash is SHA-384."""
    private = ec.generate_private_key(ec.SECP384R1())
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    form = json.loads(sign_model("model", FILES, PUBLISHER))
    payload = base64.b64decode(form["dsseEnvelope"]["payload"])
    encoded = Envelope(payload, form["dsseEnvelope"]["payloadType"], {}).pae()
    signature = private.sign(encoded, ec.ECDSA(hashes.SHA384()))
    form["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    raw = json.dumps(form).encode()
    assert verify_model_signature(raw, DIGESTS, read_public_key(pem, "publisher.pub"))
    assert code_of(raw) == "SIGNATURE_KEY"


def test_files_that_are_not_the_signed_ones():
    """A file that differs, is not listed, or is left out by the signer is refused."""
    raw = sign_model("model", FILES, PUBLISHER)
    for name in ("B.txt", "new.bin", ".git/config"):
        files = {**DIGESTS, name: {"sha256": "0" * 64}}
        assert code_of(raw, files) == "SIGNATURE_ALTERED"
    assert code_of(raw, {"B.txt": {"blake3": "0" * 64}}) == "SIGNATURE_INVALID"


def test_ed25519_is_not_allowed():
    """The specification allows ECDSA only, for signing and for verifying."""
    other = new_signer(Algorithm.ED25519)
    with pytest.raises(TrustError, match="only ECDSA keys"):
        sign_model("model", FILES, other)
    assert code_of(sign_model("model", FILES, PUBLISHER), key=other.public) == "KEY_INVALID"


def _resources(*items) -> dict:
    return {"predicate": {"resources": list(items)}}


def _file(name, digest="0" * 64, algorithm="sha256") -> dict:
    return {"name": name, "digest": digest, "algorithm": algorithm}


INVALID = {
    "another type": {"predicateType": "https://example.org/other"},
    "more in the predicate": {"predicate": {"extra": 1}},
    "another hash": {"predicate": {"serialization": {"method": "files", "hash_type": "md5"}}},
    "parts without a size": {
        "predicate": {"serialization": {"method": "shards", "hash_type": "sha256"}}
    },
    "another method": {"predicate": {"serialization": {"method": "x", "hash_type": "sha256"}}},
    "another root": {"subject": [{"name": "model", "digest": {"sha256": "0" * 64}}]},
    "no subject": {"subject": []},
    "no files": _resources(),
    "outside": _resources(_file("../outside")),
    "absolute": _resources(_file("/absolute")),
    "not sorted": _resources(_file("b"), _file("a")),
    "twice": _resources(_file("a"), _file("a")),
    "a short digest": _resources(_file("a", "0")),
    "two hashes": _resources(_file("a", algorithm="blake3")),
    "a text": _resources("a"),
}


@pytest.mark.parametrize("what", list(INVALID))
def test_statements_that_are_not_valid(what):
    """A signed statement that breaks a rule of the specification is refused."""
    assert code_of(changed(**INVALID[what])) == "SIGNATURE_INVALID"


def test_a_signature_of_parts():
    """Files that were hashed in parts are compared part by part, and a part is named by its range."""
    names = ["big:0:10", "big:10:15"]
    resources = [_file(name, hashlib.sha256(name.encode()).hexdigest()) for name in names]
    root = hashlib.sha256(b"".join(bytes.fromhex(item["digest"]) for item in resources)).hexdigest()
    serialization = {
        "method": "shards",
        "hash_type": "sha256",
        "shard_size": 10,
        "allow_symlinks": False,
    }
    raw = changed(
        subject=[{"name": "model", "digest": {"sha256": root}}],
        predicate={"resources": resources, "serialization": serialization},
    )
    signed = read_model_signature(raw)
    assert (signed.shard_bytes, signed.files) == (10, {"big"})
    digests = {item["name"]: {"sha256": item["digest"]} for item in resources}
    assert verify_model_signature(raw, digests, PUBLISHER.public, is_complete=True)
