"""The API server's answers are read with limits, and asked again only where that helps."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fakes.kube_api import NAMESPACE, TOKEN, Refusal, kube_api, status
from fakes.odd_server import odd_server

from mealkit.clusters.kubernetes_api import KubernetesApi
from mealkit.clusters.kubernetes_connection import ClusterAccess, connect
from mealkit.clusters.kubernetes_kinds import collection
from mealkit.errors import MealkitError

PODS = collection("v1", "Pod", NAMESPACE)


@pytest.fixture
def server():
    with kube_api() as made:
        yield made


def connected(server, tmp_path):
    """Connect as the command line does, with pauses that take no time."""
    api = connect(ClusterAccess(server.kubeconfig(tmp_path / "config")))
    return KubernetesApi(api._client, api.namespace, pause=lambda _: None)


def pod(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}}


def code_of(error) -> str:
    return error.value.problems[0].code


def test_a_list_is_read_in_pages(server, tmp_path):
    """More objects than a page has are read with the continue token."""
    for number in range(7):
        server.put(PODS, pod(f"p{number}"))
    api = connected(server, tmp_path)
    pages = list(api.pages(PODS, {"limit": "3"}))
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert server.authorizations == {f"Bearer {TOKEN}"}


def test_a_list_whose_place_was_forgotten_is_read_again(server, tmp_path):
    """410 Gone in the middle of a list starts it again, once."""
    for number in range(4):
        server.put(PODS, pod(f"p{number}"))
    server.refusals.append(
        Refusal("GET", "continue=2", 410, "the provided continue parameter is too old")
    )
    assert len(connected(server, tmp_path).listed(PODS, {"limit": "2"}).items) == 4
    server.refusals.append(Refusal("GET", "continue=2", 410, "too old", times=9))
    with pytest.raises(MealkitError) as error:
        connected(server, tmp_path).listed(PODS, {"limit": "2"})
    assert code_of(error) == "CLUSTER_ANSWER"


@pytest.mark.parametrize("code", [0, 429, 500, 503])
def test_a_busy_server_is_asked_again(server, tmp_path, code):
    """Overload, errors and broken connections are tried four times, then told."""
    server.put(PODS, pod("p"))
    server.refusals.append(
        Refusal("GET", "/pods/p", code, "busy", times=3, headers={"Retry-After": "1"})
    )
    assert connected(server, tmp_path).get(f"{PODS}/p")["metadata"]["name"] == "p"
    server.refusals.append(Refusal("GET", "/pods/p", code, "busy", times=4))
    with pytest.raises(MealkitError) as error:
        connected(server, tmp_path).get(f"{PODS}/p")
    assert code_of(error) == ("CLUSTER_BUSY" if code else "CLUSTER_UNREACHABLE")


def test_a_watch_returns_with_a_change_and_outlives_a_forgotten_place(server, tmp_path):
    """A watch wakes for a change since the list; a place that is too old, or a refusal, only wakes."""
    api = connected(server, tmp_path)
    listed = api.listed(PODS)
    server.put(PODS, pod("new"))
    api.wait_for_change(PODS, {"resourceVersion": listed.version}, 5)
    server.oldest = 10**6
    api.wait_for_change(PODS, {"resourceVersion": listed.version}, 5)
    for code in (410, 503, 0, 403):
        server.refusals.append(Refusal("GET", "watch=true", code, "too old"))
        api.wait_for_change(PODS, {"resourceVersion": listed.version}, 5)


BIG = 65 * 2**20
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("code", "headers", "body", "expected"),
    [
        (200, JSON, b"not json", "CLUSTER_ANSWER"),
        (200, JSON, b"[1]", "CLUSTER_ANSWER"),
        (200, JSON, b"[" * 100000, "CLUSTER_ANSWER"),
        (200, JSON, b'{"items": 3}', "CLUSTER_ANSWER"),
        (
            200,
            JSON,
            b'{"metadata": {}, "items": [' + b"{}," * 5_000_000 + b"{}]}",
            "CLUSTER_ANSWER",
        ),
        (200, {**JSON, "Content-Length": str(BIG)}, b" " * BIG, "CLUSTER_ANSWER"),
        (200, {**JSON, "Content-Length": "900"}, b'{"items": []', "CLUSTER_UNREACHABLE"),
        (302, {"Location": "http://192.0.2.1/"}, b"", "CLUSTER_REFUSED"),
        (404, {"Content-Type": "text/html"}, b"<html>404 page not found", "CLUSTER_NOT_DEPLOYED"),
        (418, JSON, b'{"message": 5}', "CLUSTER_REFUSED"),
    ],
    ids=["text", "list", "deep", "items", "many", "large", "cut", "redirect", "html", "odd"],
)
def test_a_hostile_answer_is_a_problem(code, headers, body, expected, tmp_path):
    """Answers that are too large, too deep, cut or of another type are refused with a problem."""
    with odd_server(code, headers, body) as url:
        form = {"clusters": [{"name": "c", "cluster": {"server": url.rpartition("/")[0]}}]}
        with pytest.raises(MealkitError) as error:
            connect(ClusterAccess(config_of(tmp_path, form))).listed(PODS)
    assert code_of(error) == expected


def config_of(folder, form: dict):
    entry = {"cluster": "c", "user": "u"}
    whole = {
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "x", "context": entry}],
        "current-context": "x",
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump({**whole, **form}))
    return path


def test_a_server_that_is_not_there_is_unreachable(tmp_path):
    """A port on which nothing listens is told with the address, and without the token."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        form = {"clusters": [{"name": "c", "cluster": {"server": address}}]}
        with pytest.raises(MealkitError) as error:
            connect(ClusterAccess(config_of(tmp_path, form))).listed(PODS)
    assert code_of(error) == "CLUSTER_UNREACHABLE"
    assert address in str(error.value.problems[0].where)
    assert TOKEN not in repr(error.value.problems)


@pytest.mark.parametrize("days", [-1, 30])
def test_a_certificate_that_is_not_trusted_or_has_expired_is_told(days, tmp_path):
    """A certificate of an unknown authority, or of yesterday, is the platform's to renew."""
    key, certificate = made_certificate(tmp_path, dt.timedelta(days=days))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=shake_hands, args=(listener, context))
        thread.start()
        cluster = {"server": f"https://127.0.0.1:{listener.getsockname()[1]}"}
        if days < 0:  # trusted, but expired
            cluster["certificate-authority"] = str(certificate)
        form = {"clusters": [{"name": "c", "cluster": cluster}]}
        with pytest.raises(MealkitError) as error:
            connect(ClusterAccess(config_of(tmp_path, form))).listed(PODS)
        thread.join()
    assert code_of(error) == "CLUSTER_CERTIFICATE"


def shake_hands(listener, context) -> None:
    with listener.accept()[0] as raw:
        try:
            context.wrap_socket(raw, server_side=True).close()
        except (ssl.SSLError, OSError):
            return


def made_certificate(folder, period):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    )
    builder = (
        builder.serial_number(5)
        .not_valid_before(now - dt.timedelta(days=9))
        .not_valid_after(now + period)
    )
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
        critical=False,
    )
    made = builder.sign(key, hashes.SHA256())
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "tls.key").write_bytes(private)
    return folder / "tls.key", folder / "tls.crt"


def test_a_status_that_is_not_the_servers_own_is_shown(server, tmp_path):
    """An answer of a proxy is shown as it is."""
    server.refusals.append(
        Refusal("GET", "/pods", 401, "", body=status(401, "Unauthorized", "Unauthorized"))
    )
    with pytest.raises(MealkitError) as error:
        connected(server, tmp_path).listed(PODS)
    assert code_of(error) == "CLUSTER_CREDENTIALS"
    assert TOKEN not in repr(error.value.problems)
