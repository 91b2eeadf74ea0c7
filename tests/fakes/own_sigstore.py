"""A Sigstore of one's own on loopback: an authority, two logs, and the files that trust them.

Answers as Fulcio's and Rekor's interfaces do, so that the real client signs with it and the real
verifier accepts the result. Formats: RFC 6962 for certificates' timestamps; rekor's openapi.yaml.
"""

import base64
import datetime as dt
import hashlib
import json
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

IDENTITY, ISSUER = "ci@example.org", "https://issuer.example.org"

_SHA256 = ec.ECDSA(hashes.SHA256())
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_TIMESTAMPS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def der_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def id_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(der_of(key)).digest()


class OwnSigstore:
    """The keys of the authority and the logs; ``serve`` answers on loopback."""

    def __init__(self) -> None:
        self.ca, self.ct, self.log = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self.now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own root")])
        usage = {
            **dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment"), False),
            **dict.fromkeys(("data_encipherment", "key_agreement", "encipher_only"), False),
            "decipher_only": False,
        }
        self.usage = usage
        self.root = (
            self._builder(name, name, self.ca.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True), critical=True)
            .sign(self.ca, hashes.SHA256())
        )
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(outer.answer(self.path, form)).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def trusted_root(self) -> dict[str, Any]:
        since = {"start": "2020-01-01T00:00:00Z"}

        def log(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            public = {
                "rawBytes": b64(der_of(key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": since,
            }
            identity = {"keyId": b64(id_of(key))}
            return {
                "baseUrl": self.url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": public,
                "logId": identity,
            }

        raw = b64(self.root.public_bytes(serialization.Encoding.DER))
        authority = {
            "subject": {"organization": "own", "commonName": "own root"},
            "uri": self.url,
            "certChain": {"certificates": [{"rawBytes": raw}]},
            "validFor": since,
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.log)],
            "certificateAuthorities": [authority],
            "ctlogs": [log(self.ct)],
            "timestampAuthorities": [],
        }

    @property
    def trust_config(self) -> dict[str, Any]:
        service = {
            "url": self.url,
            "majorApiVersion": 1,
            "validFor": {"start": "2020-01-01T00:00:00Z"},
            "operator": "own",
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root,
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [service],
                "oidcUrls": [],
                "rekorTlogUrls": [service],
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaUrls": [],
                "tsaConfig": {"selector": "ANY"},
            },
        }

    @property
    def token(self) -> str:
        """An identity token; nobody checks its signature here."""
        now = int(self.now.timestamp())
        claims = {"iss": ISSUER, "sub": IDENTITY, "aud": "sigstore", "iat": now, "exp": now + 3600}
        parts = (json.dumps(item).encode() for item in ({"alg": "none", "typ": "JWT"}, claims))
        encoded = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
        return ".".join([*encoded, ""])

    def answer(self, path: str, form: dict[str, Any]) -> dict[str, Any]:
        if path == "/api/v2/signingCert":
            request = x509.load_pem_x509_csr(base64.b64decode(form["certificateSigningRequest"]))
            chain = [self._leaf(request.public_key()), self.root]
            texts = [one.public_bytes(serialization.Encoding.PEM).decode() for one in chain]
            return {"signedCertificateEmbeddedSct": {"chain": {"certificates": texts}}}
        assert path == "/api/v1/log/entries", path
        return {"0" * 64: self._entry(form["spec"]["proposedContent"])}

    def _builder(self, subject: x509.Name, issuer: x509.Name, key: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(serial_number=1000)
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .not_valid_before(self.now - dt.timedelta(minutes=1))
            .not_valid_after(self.now + dt.timedelta(minutes=10))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca.public_key()),
                critical=False,
            )
        )

    def _leaf(self, key: Any) -> x509.Certificate:
        """A certificate for the identity, with the timestamp of the log of certificates in it."""
        builder = (
            self._builder(x509.Name([]), self.root.subject, key)
            .add_extension(
                x509.KeyUsage(
                    **{**self.usage, "digital_signature": True},
                    key_cert_sign=False,
                    crl_sign=False,
                ),
                critical=True,
            )
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False
            )
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(IDENTITY)]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER, ISSUER.encode()), critical=False)
        )
        before = builder.sign(self.ca, hashes.SHA256()).tbs_certificate_bytes
        stamp = struct.pack("!Q", int(self.now.timestamp() * 1000))
        length = struct.pack("!I", len(before))[1:]
        signed = b"\0\0" + stamp + b"\0\1" + id_of(self.ca) + length + before + b"\0\0"
        signature = self.ct.sign(signed, _SHA256)
        one = b"\0" + id_of(self.ct) + stamp + b"\0\0" + b"\4\3"
        one += struct.pack("!H", len(signature)) + signature
        listed = struct.pack("!H", len(one) + 2) + struct.pack("!H", len(one)) + one
        # An OCTET STRING; ECDSA's signatures have one or two bytes more or less.
        length_of = bytes([len(listed)]) if len(listed) < 128 else bytes([0x81, len(listed)])
        wrapped = b"\x04" + length_of + listed
        extension = x509.UnrecognizedExtension(_TIMESTAMPS, wrapped)
        return builder.add_extension(extension, critical=False).sign(self.ca, hashes.SHA256())

    def _entry(self, proposed: dict[str, Any]) -> dict[str, Any]:
        """The only entry of a log: its body, and the proofs that it is there."""
        envelope = json.loads(proposed["envelope"])
        payload = base64.b64decode(envelope["payload"])
        body = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": _hash_of(proposed["envelope"].encode()),
                "payloadHash": _hash_of(payload),
                "signatures": [
                    {"signature": item["sig"], "verifier": proposed["verifiers"][0]}
                    for item in envelope["signatures"]
                ],
            },
        }
        raw = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        seconds = int(self.now.timestamp())
        entry = {
            "body": b64(raw),
            "integratedTime": seconds,
            "logID": id_of(self.log).hex(),
            "logIndex": 0,
        }
        promise = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
        root = hashlib.sha256(b"\0" + raw).digest()
        note = f"own log\n1\n{b64(root)}\n"
        signature = id_of(self.log)[:4] + self.log.sign(note.encode(), _SHA256)
        proof = {
            "logIndex": 0,
            "rootHash": root.hex(),
            "treeSize": 1,
            "hashes": [],
            "checkpoint": f"{note}\n\u2014 own-log {b64(signature)}\n",
        }
        return {
            **entry,
            "verification": {
                "inclusionProof": proof,
                "signedEntryTimestamp": b64(self.log.sign(promise, _SHA256)),
            },
        }


def _hash_of(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}
