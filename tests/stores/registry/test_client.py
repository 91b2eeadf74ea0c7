"""Reaching registries: schemes, TLS, retries and what is said when it does not work."""

import socket
import subprocess
import time
from email.utils import formatdate

import httpx2
import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.reference import Reference
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.pull import RemoteImages
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.realms import Realms
from mealkit.stores.registry.registry_endpoint import RegistryEndpoint

TARGET = Reference("registry.example:5000", "kit", "1")


def problem_of(registries, reference=TARGET):
    with pytest.raises(MealkitError) as caught:
        RemoteImages(registries).resolve(reference)
    return caught.value.problems[0]


@pytest.fixture
def tls_registry(tmp_path, mortal_registry):
    """The real registry with TLS and a certificate that no one knows yet."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext"
    files = ["subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    mortal_registry.kill()
    mortal_registry.configure(tls={"certificate": str(certificate), "key": str(key)})
    mortal_registry.start()
    mortal_registry.certificate = certificate
    return mortal_registry


def test_a_loopback_registry_may_use_tls(tls_registry, make_registries, make_image, monkeypatch):
    """TLS on loopback is found out, and checked against the authority that is named."""
    target = Reference(tls_registry.host, "kit", "1")
    image = make_image({"a": b"a" * 200_000})
    problem = problem_of(make_registries(), target)
    assert problem.code == "REGISTRY_UNREACHABLE"
    assert "SSL_CERT_FILE" in problem.hint
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_registry.certificate))
    registries = make_registries()
    assert push(image, target, registries).digest == image.digest
    assert RemoteImages(registries).image(target).digest == image.digest


def test_another_machine_is_only_spoken_to_with_tls(make_registries):
    """A registry elsewhere gets https, whatever happens."""
    seen = []

    def handle(request):
        seen.append(request.url)
        raise httpx2.ConnectError("[SSL: WRONG_VERSION_NUMBER] wrong version number")

    problem = problem_of(make_registries(transport=httpx2.MockTransport(handle)))
    assert problem.code == "REGISTRY_INSECURE"
    assert [str(url) for url in seen] == ["https://registry.example:5000/v2/kit/manifests/1"]


@pytest.mark.parametrize(
    ("answers", "waited"),
    [
        ([500, 502, 503], [0.5, 1.0, 2.0]),
        ([(429, "7")], [7.0]),
        ([(503, "0"), httpx2.ReadError("reset")], [0.0, 1.0]),
        ([httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow")], [0.5, 1.0]),
    ],
)
def test_passing_troubles_are_waited_for(make_registries, waits, answers, waited):
    """5xx, 429 and broken connections are tried again, after what the registry asks for."""
    left = list(answers)

    def handle(_):
        if not left:
            return httpx2.Response(404)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, after = answer if isinstance(answer, tuple) else (answer, None)
        return httpx2.Response(status, headers={"Retry-After": after} if after else {})

    assert (
        problem_of(make_registries(transport=httpx2.MockTransport(handle))).code
        == "IMAGE_NOT_FOUND"
    )
    assert waits == waited


def test_a_date_to_come_back_is_read(make_registries, waits):
    """Retry-After may be a date."""
    dates = [formatdate(time.time() + 20, usegmt=True)]

    def handle(_):
        headers = {"Retry-After": dates.pop()} if dates else {}
        return httpx2.Response(503 if headers else 404, headers=headers)

    problem_of(make_registries(transport=httpx2.MockTransport(handle)))
    assert 15 < waits[0] <= 20


def test_a_registry_that_wants_hours_is_not_waited_for(make_registries, waits):
    """A wait beyond reason is told instead of done."""
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(429, headers={"Retry-After": "21600"})
    )
    problem = problem_of(make_registries(transport=transport))
    assert problem.code == "REGISTRY_REFUSED"
    assert "21600 seconds" in problem.message
    assert waits == []


@pytest.mark.parametrize(
    "error",
    [
        httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"),
        httpx2.UnsupportedProtocol("odd"),
    ],
    ids=["certificate", "protocol"],
)
def test_what_waiting_cannot_help_is_told_at_once(make_registries, waits, error):
    """A certificate that is not trusted is not tried again."""

    def handle(_):
        raise error

    problem = problem_of(make_registries(transport=httpx2.MockTransport(handle)))
    assert problem.code == "REGISTRY_UNREACHABLE"
    assert waits == []


def test_a_login_page_without_end_is_not_read(make_registries):
    """An answer longer than any manifest is cut off."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=b"x" * 5_000_000))
    problem = problem_of(make_registries(transport=transport))
    assert (problem.code, "more than" in problem.message) == ("REGISTRY_REFUSED", True)


def test_an_address_that_cannot_be_read_is_refused(quirky, registries, make_image):
    """A Location that is no address is the registry's problem."""
    quirky.quirks.append(
        lambda handler: handler.command == "POST" and handler.answer(202, Location="http://x:port/")
    )
    with pytest.raises(MealkitError, match="REGISTRY_REFUSED"):
        push(make_image({"a": b"a"}), Reference(quirky.host, "kit", "1"), registries)


def test_a_scheme_that_a_proxy_hides_is_corrected(make_registries, make_image):
    """A Location with http at the same host is used with the https that is spoken."""
    seen = []

    def handle(request):
        seen.append(request)
        if request.method == "POST":
            return httpx2.Response(202, headers={"Location": "http://registry.example:5000/up?s=1"})
        if request.method == "PUT":
            request.read()
            return httpx2.Response(201)
        return httpx2.Response(404)

    registries = make_registries(transport=httpx2.MockTransport(handle))
    push(make_image({"a": b"a"}), TARGET, registries)
    assert {(item.url.scheme, item.url.port) for item in seen} == {("https", 5000)}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_proxies_are_not_for_this_machine(registry, make_registries, monkeypatch, host):
    """A loopback registry is reached directly, whatever proxy the environment names."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    reference = Reference(f"{host}:{registry.port}", "kit-that-is-not", "1")
    assert problem_of(make_registries(), reference).code == "IMAGE_NOT_FOUND"


def test_the_environment_is_read_once(tmp_path):
    """Mirrors and credentials come from the environment that is given."""
    environment = {
        "HOME": str(tmp_path),
        "MEALKIT_REGISTRY_MIRRORS": "registry.example=localhost:1",
    }
    with Registries.from_environment(environment) as registries:
        reference = Reference("registry.example", "kit", "1")
        names = [client.endpoint.registry for client in registries.sources(reference)]
    assert names == ["localhost:1", "registry.example"]


def test_a_silent_registry_is_given_up_after_two_attempts(make_registries, waits):
    """The head of an answer is waited for twice, not five times, and the problem says so."""
    seen = []

    def handle(request):
        seen.append(request.extensions["timeout"]["read"])
        raise httpx2.ReadTimeout("timed out")

    problem = problem_of(make_registries(transport=httpx2.MockTransport(handle)))
    assert problem.code == "REGISTRY_UNREACHABLE"
    assert "does not answer" in problem.message
    assert seen == [60.0, 60.0]
    assert waits == [0.5]


def test_a_silent_loopback_registry_is_asked_once_for_its_scheme(make_registries):
    """A registry that may be plain is not asked anything else after a minute of silence."""
    seen = []

    def handle(request):
        seen.append(request.url.path)
        raise httpx2.ReadTimeout("timed out")

    registries = make_registries(transport=httpx2.MockTransport(handle))
    assert problem_of(registries, Reference("localhost:1", "kit", "1")).code == (
        "REGISTRY_UNREACHABLE"
    )
    assert seen == ["/v2/"]


def test_the_end_of_an_upload_has_more_time(make_registries, make_image):
    """A registry may hash a whole layer before it answers."""
    seen = {}

    def handle(request):
        seen.setdefault(request.method, request.extensions["timeout"]["read"])
        location = {"Location": "/v2/kit/blobs/uploads/s"}
        return httpx2.Response(
            {"HEAD": 404, "POST": 202}.get(request.method, 201), headers=location
        )

    push(make_image({"a": b"a"}), TARGET, make_registries(transport=httpx2.MockTransport(handle)))
    assert seen["PUT"] > seen["HEAD"] == seen["POST"] == 60.0


@pytest.mark.parametrize(("silent", "expected"), [("PUT", [300.0, 300.0]), ("POST", [60.0, 60.0])])
def test_a_registry_that_never_confirms_an_upload_is_given_up(
    make_registries, make_image, silent, expected
):
    """Silence at any step of an upload ends it after two attempts."""
    seen = []

    def handle(request):
        if request.method == silent:
            seen.append(request.extensions["timeout"]["read"])
            raise httpx2.ReadTimeout("timed out", request=request)
        location = {"Location": "/v2/kit/blobs/uploads/s"}
        status = {"HEAD": 404, "GET": 404, "POST": 202}[request.method]
        return httpx2.Response(status, headers=location)

    registries = make_registries(transport=httpx2.MockTransport(handle))
    with pytest.raises(MealkitError, match="does not answer"):
        push(make_image({}), TARGET, registries)
    assert seen == expected


@pytest.mark.parametrize("named", [True, False])
def test_plain_http_is_used_for_registries_that_are_named(make_registries, named):
    """Only a registry that the user named is asked without TLS; the hint says how."""
    seen = []

    def handle(request):
        seen.append(str(request.url))
        if request.url.scheme == "https":
            raise httpx2.ConnectError("[SSL: WRONG_VERSION_NUMBER] wrong version number")
        return httpx2.Response(404)

    plain = frozenset({TARGET.registry}) if named else frozenset()
    transport = httpx2.MockTransport(handle)
    problem = problem_of(make_registries(transport=transport, realms=Realms(plain=plain)))
    assert problem.code == ("IMAGE_NOT_FOUND" if named else "REGISTRY_INSECURE")
    assert named or f"--plain-http {TARGET.registry}" in problem.hint
    assert {url.partition(":")[0] for url in seen} == {"http" if named else "https"}


def test_a_redirect_to_a_host_that_is_down_names_that_host(make_registries):
    """The registry is not blamed for the storage or the login page that it redirects to."""

    def handle(request):
        if request.url.host == TARGET.registry.partition(":")[0]:
            return httpx2.Response(307, headers={"Location": "https://storage.example/blob"})
        raise httpx2.ConnectError("refused", request=request)

    problem = problem_of(make_registries(transport=httpx2.MockTransport(handle)))
    assert problem.code == "REGISTRY_UNREACHABLE"
    assert problem.message.startswith("storage.example, which registry.example:5000 redirects to")


def test_a_web_page_is_not_a_manifest(make_registries):
    """A portal that answers a pull is the registry's refusal, not a damaged image."""
    answer = httpx2.Response(
        200, headers={"Content-Type": "text/html"}, text="<title>Hello</title>"
    )
    problem = problem_of(make_registries(transport=httpx2.MockTransport(lambda _: answer)))
    assert problem.code == "REGISTRY_REFUSED"
    assert "a web page, 'Hello'" in problem.message


def test_a_silent_mirror_is_asked_once(make_registries):
    """A mirror that takes a request and says nothing costs one timeout, not one per request."""
    seen = []

    def handle(request):
        seen.append(request.url.host)
        if request.url.host == "mirror.example":
            raise httpx2.ReadTimeout("timed out", request=request)
        return httpx2.Response(404)

    mirror = RegistryEndpoint("mirror.example", "mirror.example")
    registries = make_registries(
        mirrors={TARGET.registry: (mirror,)}, transport=httpx2.MockTransport(handle)
    )
    assert problem_of(registries).code == problem_of(registries).code == "IMAGE_NOT_FOUND"
    assert seen == ["mirror.example", "registry.example", "registry.example"]
    with pytest.raises(MealkitError, match="BLOB_MISSING"):
        list(RegistryBlob(Digest.of(b"a"), 1, "kit", registries.sources(TARGET)).chunks())
    assert seen.count("mirror.example") == 1


def test_the_proxy_on_the_way_is_named(make_registries, monkeypatch):
    """A proxy that does not answer is not taken for the registry; its password is not shown."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        proxy = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("HTTPS_PROXY", f"http://cook:s3cret@{proxy}/")
    problem = problem_of(make_registries())
    assert f"cannot be reached: [Errno 111] Connection refused, through the proxy {proxy}" in (
        problem.message
    )
    assert "s3cret" not in str(problem)
