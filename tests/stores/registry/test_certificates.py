"""The certs.d folders of docker and podman: authorities and client certificates of one registry."""

import ssl
import subprocess

import pytest
from fakes.quirky_registry import QuirkyRegistry
from fakes.served import need

from mealkit.errors import MealkitError
from mealkit.oci.reference import Reference
from mealkit.stores.registry.certificates import CertificateFolders
from mealkit.stores.registry.push import push


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A folder with an authority, and the keys and certificates of a server and a client."""
    folder = tmp_path_factory.mktemp("authority")
    make = f"""set -e
      {need("openssl")} req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=ca
      printf 'subjectAltName=IP:127.0.0.1' > names
      for name in server client; do
        openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name
        openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \\
          -extfile names -out $name.cert
      done"""
    subprocess.run(["/bin/sh", "-c", make], check=True, cwd=folder, capture_output=True)
    return folder


@pytest.fixture
def strict(authority):
    """A registry with TLS that wants a certificate of its clients."""
    server = QuirkyRegistry()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.cert", authority / "server.key")
    context.load_verify_locations(authority / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    yield server
    server.close()


def folder_of(tmp_path, name, authority, *files):
    folder = tmp_path / "certs.d" / name
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).write_bytes((authority / file).read_bytes())
    return CertificateFolders((tmp_path / "missing", tmp_path / "certs.d"))


def test_an_authority_and_a_client_certificate_are_used(
    strict, authority, tmp_path, make_registries, make_image
):
    """Both are read from the folder with the registry's name."""
    files = ("ca.crt", "client.cert", "client.key")
    certificates = folder_of(tmp_path, strict.host, authority, *files)
    target = Reference(strict.host, "kit", "1")
    push(make_image({"a": b"a"}), target, make_registries(certificates=certificates))
    assert strict.manifests


@pytest.mark.parametrize(
    ("name", "files"),
    [("other.example", ("ca.crt", "client.cert", "client.key")), (None, ("ca.crt",))],
    ids=["of another registry", "without the client's"],
)
def test_other_certificates_do_not_count(
    strict, authority, tmp_path, make_registries, make_image, name, files
):
    """Those of another registry are not used for this one."""
    certificates = folder_of(tmp_path, name or strict.host, authority, *files)
    with pytest.raises(MealkitError) as caught:
        push(
            make_image({"a": b"a"}),
            Reference(strict.host, "kit", "1"),
            make_registries(certificates=certificates),
        )
    assert caught.value.problems[0].code == "REGISTRY_UNREACHABLE"


@pytest.mark.parametrize(
    ("file", "text"),
    [("ca.crt", "no certificate"), ("client.cert", None)],
    ids=["no PEM", "no key"],
)
def test_a_file_that_cannot_be_used_is_named(authority, tmp_path, file, text):
    """A damaged file or a missing key is a problem with its path."""
    folders = folder_of(tmp_path, "r.example", authority, "client.cert")
    path = tmp_path / "certs.d" / "r.example" / file
    if text:
        path.write_text(text)
    with pytest.raises(MealkitError) as caught:
        folders.context(("r.example",), ssl.create_default_context)
    assert caught.value.problems[0].where == str(path)


def test_the_places_are_those_of_docker_and_podman(tmp_path):
    """The system's folders, and the user's."""
    folders = CertificateFolders.from_environment({"HOME": str(tmp_path)}).folders
    assert [str(folder).removeprefix(str(tmp_path)) for folder in folders] == [
        "/etc/docker/certs.d",
        "/etc/containers/certs.d",
        "/.config/containers/certs.d",
        "/.config/docker/certs.d",
    ]
