"""Challenges, token servers that misbehave, and secrets that stay secret; no network."""

import json

import httpx2
import pytest

from mealkit.errors import MealkitError
from mealkit.oci.reference import Reference
from mealkit.stores.registry.auth import Challenge, challenges_of
from mealkit.stores.registry.pull import RemoteImages
from mealkit.stores.registry.realms import Realms

TARGET = Reference("registry.example", "team/kit", "1")
BEARER = (
    'Bearer realm="https://auth.registry.example/token?x=1",service="registry, of tests",scope="s"'
)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (
            BEARER,
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.registry.example/token?x=1",
                        "service": "registry, of tests",
                        "scope": "s",
                    },
                )
            ],
        ),
        ("Basic realm=plain", [Challenge("basic", {"realm": "plain"})]),
        (
            'Negotiate, Basic realm="a"',
            [Challenge("negotiate"), Challenge("basic", {"realm": "a"})],
        ),
        (
            'Basic realm="say \\"Bearer realm=x\\", twice" , BEARER Realm = "r"',
            [
                Challenge("basic", {"realm": 'say "Bearer realm=x", twice'}),
                Challenge("bearer", {"realm": "r"}),
            ],
        ),
        ("", []),
        ("???", []),
    ],
)
def test_challenges_are_read(header, found):
    """Several schemes, quoted commas and quotes, and any case of letters are read."""
    assert challenges_of(header) == found


def registry_that(challenge, token_answer, accept="Bearer good"):
    """Make a transport: a registry with one empty index, and a token server beside it."""
    seen = []

    def handle(request):
        seen.append(request)
        if request.url.host == "auth.registry.example":
            return token_answer(request)
        if request.headers.get("Authorization") != accept:
            return httpx2.Response(401, headers={"WWW-Authenticate": challenge})
        return httpx2.Response(404)

    return httpx2.MockTransport(handle), seen


def token(form, status=200):
    return lambda _: httpx2.Response(status, content=json.dumps(form).encode())


def codes(registries):
    with pytest.raises(MealkitError) as caught:
        RemoteImages(registries).resolve(TARGET)
    return caught.value.problems[0]


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_a_token_is_asked_for_by_scope(make_registries, key):
    """The request names service and scope, keeps the realm's own query, and the token is used."""
    transport, seen = registry_that(BEARER, token({key: "good"}))
    assert codes(make_registries(transport=transport)).code == "IMAGE_NOT_FOUND"
    asked = next(item for item in seen if item.url.host == "auth.registry.example")
    assert dict(asked.url.params) == {
        "x": "1",
        "service": "registry, of tests",
        "scope": "repository:team/kit:pull",
    }
    assert "Authorization" not in asked.headers


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("{}", 401, "REGISTRY_DENIED"),
        ("{}", 403, "REGISTRY_DENIED"),
        ("{}", 200, "REGISTRY_REFUSED"),
        ('["good"]', 200, "REGISTRY_REFUSED"),
        ('{"token": "line break é"}', 200, "REGISTRY_REFUSED"),
        ('{"token": "wrong"}', 200, "REGISTRY_DENIED"),
        ("{}", 503, "REGISTRY_UNREACHABLE"),
        ("{}", 404, "REGISTRY_REFUSED"),
        ("<html>", 200, "REGISTRY_REFUSED"),
    ],
)
def test_a_token_server_that_does_not_help(make_registries, text, status, code):
    """Refusals, other answers and dead token servers each have their problem."""
    transport, _ = registry_that(BEARER, lambda _: httpx2.Response(status, content=text.encode()))
    auths = {"registry.example": {"username": "cook", "password": "s3cret"}}
    problem = codes(make_registries(auths, transport=transport))
    assert problem.code == code
    assert "s3cret" not in str(problem)


@pytest.mark.parametrize(
    "realm",
    [
        "http://auth.registry.example/token",
        "ftp://auth.registry.example",
        "",
        "/token",
        "http://[bad",
    ],
)
def test_credentials_go_nowhere_without_tls(make_registries, realm):
    """A realm without TLS is refused, and nothing was sent there."""
    transport, seen = registry_that(f'Bearer realm="{realm}"', token({"token": "good"}))
    auths = {"registry.example": {"username": "cook", "password": "s3cret"}}
    assert codes(make_registries(auths, transport=transport)).code == "REGISTRY_INSECURE"
    assert {item.url.host for item in seen} == {"registry.example"}


@pytest.mark.parametrize("challenge", ["", "Negotiate", "Basic realm=x"])
def test_what_cannot_be_answered_is_denied(make_registries, challenge):
    """An unknown scheme, or Basic without a credential, is a denial with the command to log in."""
    transport, _ = registry_that(challenge, token({}))
    problem = codes(make_registries(transport=transport))
    assert problem.code == "REGISTRY_DENIED"
    assert problem.hint == "mealkit login registry.example"


def test_a_registry_that_repeats_a_token_is_not_repeated(make_registries):
    """Secrets in a registry's own words are blanked out of the problem."""
    secret = "tok3n-of-this-test"

    def handle(request):
        if request.url.host == "auth.registry.example":
            return httpx2.Response(200, content=json.dumps({"token": secret}).encode())
        if "Authorization" not in request.headers:
            return httpx2.Response(401, headers={"WWW-Authenticate": BEARER})
        words = {
            "errors": [{"code": "ODD", "message": f"no: {request.headers['Authorization']}\x1b[1m"}]
        }
        return httpx2.Response(418, content=json.dumps(words).encode())

    problem = codes(make_registries(transport=httpx2.MockTransport(handle)))
    assert problem.code == "REGISTRY_REFUSED"
    assert "ODD: no: Bearer ***" in problem.message
    assert secret not in problem.message
    assert "\x1b" not in problem.message


def test_a_token_is_used_again_and_renewed_before_it_ends(make_registries):
    """A token serves several requests; one without life left is fetched anew for each."""
    for life, fetched in ((300, 1), (0, 3)):
        transport, seen = registry_that(BEARER, token({"token": "good", "expires_in": life}))
        images = RemoteImages(make_registries(transport=transport))
        for _ in range(3):
            with pytest.raises(MealkitError, match="IMAGE_NOT_FOUND"):
                images.resolve(TARGET)
        assert sum(item.url.host == "auth.registry.example" for item in seen) == fetched


def test_a_token_servers_reason_is_told(make_registries):
    """A wrong password is said in the token server's words."""
    words = b'{"details": "incorrect username or password"}'
    transport, _ = registry_that(BEARER, lambda _: httpx2.Response(401, content=words))
    auths = {"registry.example": {"username": "cook", "password": "s3cret"}}
    problem = codes(make_registries(auths, transport=transport))
    assert problem.message.endswith("that are stored: incorrect username or password")
    assert problem.hint == "mealkit login registry.example"


def test_a_token_servers_page_is_told(make_registries):
    """A web page instead of a token is named by its title."""
    page = b"<html><title>Sign in</title>"
    transport, _ = registry_that(BEARER, lambda _: httpx2.Response(200, content=page))
    problem = codes(make_registries(transport=transport))
    assert problem.message.endswith("answers 200 without a token: a web page, 'Sign in'")


@pytest.mark.parametrize(
    ("location", "code", "has_credentials"),
    [
        ("/v2/token", "IMAGE_NOT_FOUND", True),
        ("https://login.example/token", "IMAGE_NOT_FOUND", False),
        ("http://login.example/token", "REGISTRY_INSECURE", None),
    ],
)
def test_a_token_servers_redirect_is_followed(make_registries, location, code, has_credentials):
    """A token server may have moved; only its own host gets the credentials again."""
    moved = []

    def handle(request):
        if request.url.path.endswith("/token"):
            moved.append("authorization" in request.headers)
            if len(moved) == 1:
                return httpx2.Response(307, headers={"Location": location})
            return token({"token": "good"})(request)
        is_known = request.headers.get("authorization") == "Bearer good"
        headers = {"WWW-Authenticate": BEARER}
        return httpx2.Response(404 if is_known else 401, headers=headers)

    auths = {"registry.example": {"username": "cook", "password": "s3cret"}}
    problem = codes(make_registries(auths, transport=httpx2.MockTransport(handle)))
    assert problem.code == code
    assert moved == [True, *([] if has_credentials is None else [has_credentials])]


def test_the_scope_that_a_registry_names_is_asked_for_too(make_registries):
    """A registry behind a prefix knows the repository by another name."""
    asked = 'Bearer realm="https://auth.registry.example/token",scope="repository:p/team/kit:pull"'
    transport, seen = registry_that(asked, token({"access_token": "good"}))
    assert codes(make_registries(transport=transport)).code == "IMAGE_NOT_FOUND"
    (request,) = [item for item in seen if item.url.host == "auth.registry.example"]
    assert request.url.params.get_list("scope") == [
        "repository:team/kit:pull",
        "repository:p/team/kit:pull",
    ]


@pytest.mark.parametrize(
    ("plain", "code"),
    [
        ({"registry.example"}, "REGISTRY_INSECURE"),
        ({"registry.example", "auth.registry.example"}, "IMAGE_NOT_FOUND"),
    ],
)
def test_a_token_server_without_tls_needs_to_be_named(make_registries, plain, code):
    """HTTP for a registry is not HTTP for a token server on another host."""
    asked = 'Bearer realm="http://auth.registry.example/token"'
    transport, _ = registry_that(asked, token({"token": "good"}))
    realms = Realms(plain=frozenset(plain))
    assert codes(make_registries(transport=transport, realms=realms)).code == code
