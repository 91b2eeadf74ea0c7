"""A kit is asked over TLS, and only one whose certificate is trusted gets the key."""

import datetime as dt
import ipaddress
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fakes.answering_kit import answering_kit, lock_of

from mealkit.acceptance.kit_client import KitClient, UnreachableError
from mealkit.acceptance.target import Target


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a key and the certificate of 127.0.0.1 that it signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kit")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "kit.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("is_trusted", [True, False])
def test_the_certificate_decides(certificate, is_trusted):
    """Requests and answers are as without TLS; without trust nothing is sent."""
    server, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    server.load_cert_chain(certificate)
    if is_trusted:
        trust.load_verify_locations(certificate)
    with answering_kit(lock_of(), server) as kit:
        assert kit.address.startswith("https://")
        client = KitClient(Target(kit.address, key="secret", tls=trust), 10.0)
        if is_trusted:
            for _ in range(2):
                answer = client.ask("/v1/embeddings", b'{"input": "a"}')
                assert len(answer.json()["data"]) == 1
            assert kit.headers[1]["Authorization"] == "Bearer secret"
        else:
            with pytest.raises(UnreachableError, match="certificate verify failed"):
                client.ask("/v1/embeddings", b'{"input": "a"}')
            assert kit.asked == []
        client.close()
