"""A registry's credentials go to the registry, and to the token server that is its own."""

import json

import httpx2
import pytest

from mealkit.errors import MealkitError
from mealkit.oci.reference import Reference
from mealkit.stores.registry.pull import RemoteImages
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.realms import Realms, realms_of

AUTHS = {"registry.example": {"username": "cook", "password": "s3cret"}}


def _registry(realm, **others):
    """A registry that names a token server, which gives a token to anybody."""
    seen = []

    def handle(request):
        seen.append(request)
        if request.url.path == "/token":
            return httpx2.Response(200, content=json.dumps({"token": "good"}).encode())
        if request.headers.get("Authorization") != "Bearer good":
            return httpx2.Response(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})
        return httpx2.Response(404, **others)

    return httpx2.MockTransport(handle), seen


def _code(registries, registry="registry.example"):
    with pytest.raises(MealkitError) as caught:
        RemoteImages(registries).resolve(Reference(registry, "team/kit", "1"))
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("registry.example.org", "registry.example.org"),
        ("registry.example.org:5000", "registry.example.org"),
        ("registry.example.org", "auth.registry.example.org"),
        ("registry.gitlab.com", "gitlab.com"),
        ("docker.io", "auth.docker.io"),
        ("registry-1.docker.io", "auth.docker.io"),
        ("registry.digitalocean.com", "api.digitalocean.com"),
        ("127.0.0.1:5000", "localhost:5001"),
        ("REGISTRY.example.org", "registry.example.org."),
    ],
)
def test_a_registrys_own_token_server_may_know(registry, realm):
    """The host itself, those below and above it, and the pairs that are publicly known."""
    assert Realms().may_know(registry, realm)


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("registry.example.org", "auth.example.net"),
        ("registry.example.org", "evilregistry.example.org"),
        ("registry.example.org", "registry.example.org.evil.net"),
        ("a.co.uk", "b.co.uk"),
        ("me.github.io", "you.github.io"),
        ("registry.example.org", "org"),
        ("registry.example.org", "127.0.0.1"),
        ("10.0.0.1:5000", "10.0.0.2"),
        ("1.10.0.0", "10.0.0"),
        ("registry.example.org", ""),
    ],
)
def test_other_token_servers_may_not(registry, realm):
    """Neighbours below one suffix belong to others."""
    assert not Realms().may_know(registry, realm)


def test_credentials_are_not_sent_to_a_stranger(make_registries):
    """The problem names the host, and the setting that allows it; nothing was sent there."""
    transport, seen = _registry("https://auth.stranger.invalid/token")
    problem = _code(make_registries(AUTHS, transport=transport))
    assert problem.code == "REGISTRY_REALM"
    assert "auth.stranger.invalid" in problem.message
    assert "MEALKIT_TOKEN_REALMS=registry.example=auth.stranger.invalid" in problem.hint
    assert {item.url.host for item in seen} == {"registry.example"}


def test_a_stranger_may_give_tokens_to_the_anonymous(make_registries):
    """Nobody's password is at stake."""
    transport, seen = _registry("https://auth.stranger.invalid/token")
    assert _code(make_registries(transport=transport)).code == "IMAGE_NOT_FOUND"
    asked = [item for item in seen if item.url.path == "/token"]
    assert asked
    assert "Authorization" not in asked[0].headers


def test_a_token_server_that_the_user_names_may_know(make_registries):
    """By the pair that the hint shows."""
    transport, seen = _registry("https://auth.stranger.invalid/token")
    realms = realms_of("registry.example=auth.stranger.invalid,b other=c")
    registries = make_registries(AUTHS, transport=transport, realms=realms)
    assert _code(registries).code == "IMAGE_NOT_FOUND"
    assert any("Basic" in item.headers.get("Authorization", "") for item in seen)


def test_the_setting_is_read_from_the_environment():
    """A pair that is none is told."""
    with pytest.raises(MealkitError, match="REFERENCE_INVALID"):
        Registries.from_environment({"MEALKIT_TOKEN_REALMS": "registry.example"})


@pytest.mark.parametrize(
    ("realm", "code"),
    [
        ("https://127.0.0.1/token", "REGISTRY_REFUSED"),
        ("https://169.254.169.254/token", "REGISTRY_REFUSED"),
        ("https://10.0.0.1/token", "REGISTRY_REFUSED"),
        ("http://127.0.0.1/token", "REGISTRY_INSECURE"),
        ("http://localhost/token", "REGISTRY_INSECURE"),
    ],
)
def test_no_token_is_fetched_from_the_callers_own_network(realm, code, make_registries):
    """Not even without credentials: the request itself is what a stranger must not cause."""
    transport, seen = _registry(realm)
    assert _code(make_registries(transport=transport)).code == code
    assert {item.url.host for item in seen} == {"registry.example"}


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://127.0.0.1/blob", "REGISTRY_INSECURE"),
        ("http://files.example.invalid/blob", "REGISTRY_INSECURE"),
        ("https://127.0.0.1/blob", "REGISTRY_REFUSED"),
        ("https://169.254.169.254/blob", "REGISTRY_REFUSED"),
        ("ftp://files.example.invalid/blob", "REGISTRY_INSECURE"),
    ],
)
def test_a_registry_leads_neither_off_tls_nor_into_the_local_network(
    location, code, make_registries
):
    """A redirect of a registry with TLS is looked at before it is followed."""
    seen = []

    def handle(request):
        seen.append(request)
        return httpx2.Response(307, headers={"Location": location})

    registries = make_registries(transport=httpx2.MockTransport(handle))
    assert _code(registries).code == code
    assert {item.url.host for item in seen} == {"registry.example"}


def test_every_hop_is_looked_at(make_registries):
    """A host on the internet that a registry on this machine leads to leads not back."""
    hosts = []

    def handle(request):
        hosts.append(request.url.host)
        if request.url.path == "/v2/":
            return httpx2.Response(200)
        there = (
            "http://127.0.0.1:2/b" if request.url.host != "127.0.0.1" else "https://192.0.43.7/a"
        )
        return httpx2.Response(307, headers={"Location": there})

    registries = make_registries(transport=httpx2.MockTransport(handle))
    assert _code(registries, "127.0.0.1:1").code == "REGISTRY_INSECURE"
    assert hosts[-1] == "192.0.43.7"


@pytest.mark.parametrize(
    "answer",
    [
        b'{"token": "%s"}' % (b"x" * 70_000),
        b'{"token": "good\\r\\nX-Header: 1"}',
        b"[" * 100_000,
        b'{"token": "good", "expires_in": NaN}',
        b'{"token": "good", "token": "bad"}',
    ],
)
def test_an_answer_that_is_no_token_is_refused(answer, make_registries):
    """Too long for a header, with lines in it, nested without end, or not JSON."""

    def handle(request):
        if request.url.path == "/token":
            return httpx2.Response(200, content=answer)
        challenge = 'Bearer realm="https://registry.example/token"'
        return httpx2.Response(401, headers={"WWW-Authenticate": challenge})

    problem = _code(make_registries(transport=httpx2.MockTransport(handle)))
    assert problem.code == "REGISTRY_REFUSED"


def test_a_challenge_without_end_is_read_in_linear_time(make_registries):
    """Heads of 100 KB are taken by HTTP clients."""

    def handle(_):
        return httpx2.Response(401, headers={"WWW-Authenticate": 'Bearer a="' + '\\"' * 40_000})

    problem = _code(make_registries(transport=httpx2.MockTransport(handle)))
    assert problem.code in {"REGISTRY_DENIED", "REGISTRY_INSECURE"}
