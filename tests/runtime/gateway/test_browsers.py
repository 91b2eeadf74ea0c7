"""What a web page makes a browser send to a kit without keys: refused, whatever it asks for."""

import hashlib
import json

import httpx2
import pytest

PATH = "/v1/embeddings"
BODY = json.dumps({"model": "stand-in", "input": "hello"}).encode()
JSON = {"Content-Type": "application/json"}
OPEN_PATHS = ("/v1/manifest", "/v1/metadata", "/v1/models", "/v1/license", "/metrics", "/docs", "/openapi.json", "/nowhere")  # fmt: skip
HEALTH = ("/v1/health/live", "/v1/health/ready", "/healthz", "/readyz", "/health", "/ping")
KEY = "mk_" + "a" * 43


@pytest.fixture(scope="module")
def kit(start_shared):
    return start_shared().wait_ready()


@pytest.fixture(scope="module")
def named(start_shared):
    names = {"MEALKIT_HOSTS": "Kit.example.com, kit", "MEALKIT_ORIGINS": "https://app.example.com"}
    return start_shared(environment=names).wait_ready()


def code(answer):
    return "" if answer.status_code < 400 else answer.json()["error"]["code"]


def posted(kit, **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return code(kit.client.post(PATH, content=BODY, headers=JSON | sent))


OTHER_HOSTS = ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "evil", "127.1", "0x7f000001", "[::1].evil", "localhost@evil.example", "notlocalhost", ".localhost.evil", "127.0.0.1, evil.example"]  # fmt: skip
OWN_HOSTS = ["localhost", "localhost:8000", "LOCALHOST.", "kit.localhost:1", "127.0.0.1", "127.9.9.9:80", "10.1.2.3:8000", "[::1]", "[::1]:8000", "[fe80::1]:8000"]  # fmt: skip


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_another_host(kit, host):
    """A name that was made to lead here is refused on every path but those of probes."""
    assert posted(kit, Host=host) == "REQUEST_HOST"
    for path in OPEN_PATHS:
        answer = kit.client.get(path, headers={"Host": host})
        assert (answer.status_code, code(answer)) == (403, "REQUEST_HOST")
    for path in HEALTH:
        assert kit.client.get(path, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_an_own_host(kit, host):
    """An address, or a name of this machine only, needs no telling."""
    assert posted(kit, Host=host) == ""


def test_hosts_that_were_named(named, start):
    """The kit's operator can allow more of them, or all."""
    for host in ("kit.example.com", "KIT.example.com:443", "kit", "kit:8000", "127.0.0.1"):
        assert posted(named, Host=host) == ""
    for host in ("example.com", "evil.kit.example.com", "evil.example"):
        assert posted(named, Host=host) == "REQUEST_HOST"
    anything = start(environment={"MEALKIT_HOSTS": "*"}).wait_ready()
    assert posted(anything, Host="evil.example") == ""


def test_no_host(kit):
    """HTTP/1.0 knows no hosts, and browsers do not speak it."""
    with kit.connected() as peer:
        peer.sendall(b"GET /v1/models HTTP/1.0\r\n\r\n")
        assert peer.recv(12) == b"HTTP/1.1 200"


OTHER_ORIGINS = ["https://evil.example", "http://127.0.0.1:3000", "http://localhost", "null", "", "file://", "http://127.0.0.1.evil.example", "chrome-extension://abc", "https://127.0.0.1:1"]  # fmt: skip


@pytest.mark.parametrize("origin", OTHER_ORIGINS)
def test_another_origin(kit, origin):
    """A page of another origin gets nothing, even by an own host's name."""
    assert posted(kit, Origin=origin) == "REQUEST_ORIGIN"
    for path in OPEN_PATHS:
        answer = kit.client.get(path, headers={"Origin": origin})
        assert (answer.status_code, code(answer)) == (403, "REQUEST_ORIGIN")


def test_an_own_origin(kit, named):
    """The kit's own page may ask, behind TLS too, and an origin that was named."""
    host = f"{kit.client.base_url.host}:{kit.client.base_url.port}"
    assert posted(kit, Origin=f"http://{host}") == ""
    assert posted(kit, Origin=f"https://{host}") == ""
    assert posted(kit, Origin="http://localhost", Host="localhost:80") == ""
    assert posted(kit, Origin="https://[::1]", Host="[::1]:443") == ""
    assert posted(named, Origin="https://APP.example.com") == ""
    assert posted(named, Origin="http://app.example.com") == "REQUEST_ORIGIN"
    assert posted(named, Origin="https://kit.example.com", Host="kit.example.com") == ""


def test_a_page_that_hides_its_origin(kit):
    """Browsers say that a request is another site's; a link to the kit's page may be followed."""
    for site in ("cross-site", "same-site"):
        assert posted(kit, Sec_Fetch_Site=site) == "REQUEST_ORIGIN"
        assert posted(kit, Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate") == "REQUEST_ORIGIN"
        for mode, status in (("no-cors", 403), ("navigate", 200)):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
            assert kit.client.get("/docs", headers=headers).status_code == status
    for site in ("same-origin", "none"):
        assert posted(kit, Sec_Fetch_Site=site) == ""


OTHER_TYPES = ["text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", "text/json", "application/json, text/plain", "*/*"]  # fmt: skip


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_a_body_of_another_type(kit, kind):
    """Types that any page may send are not read as JSON; the hint names the header."""
    answer = kit.client.post(PATH, content=BODY, headers={"Content-Type": kind})
    assert (answer.status_code, code(answer)) == (415, "REQUEST_MEDIA_TYPE")
    assert "Content-Type: application/json" in answer.json()["error"]["hint"]


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON ; charset=utf-8", "application/vnd.kit+json", None])  # fmt: skip
def test_a_body_of_json(kit, kind):
    """JSON is taken by any of its names; a program may leave the type out."""
    headers = {"Content-Type": kind} if kind else {}
    assert code(kit.client.post(PATH, content=BODY, headers=headers)) == ""


def test_a_key_proves_more(start):
    """If keys are needed, a caller with one may use any host, origin and type."""
    line = f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()} test"
    kit = start(environment={"MEALKIT_KEYS": line}).wait_ready()
    headers = {"Host": "kit.example.com", "Origin": "https://app.example.com"}
    headers |= {"Authorization": f"Bearer {KEY}", "Content-Type": "text/plain"}
    assert kit.client.post(PATH, content=BODY, headers=headers).status_code == 200
    del headers["Authorization"]
    assert code(kit.client.post(PATH, content=BODY, headers=headers)) == "REQUEST_KEY"


@pytest.mark.parametrize(
    "settings",
    [
        {"MEALKIT_HOSTS": "http://kit"},
        {"MEALKIT_HOSTS": "kit:8000"},
        {"MEALKIT_HOSTS": "*.example.com"},
        {"MEALKIT_ORIGINS": "app.example.com"},
        {"MEALKIT_ORIGINS": "https://app.example.com/"},
    ],
)
def test_names_that_cannot_be_used(start, settings):
    """They are refused at the start, with an example."""
    kit = start(environment=settings)
    assert kit.wait_end() == 9
    assert (kit.lines[-1]["code"], kit.lines[-1]["where"]) == (
        "CONFIG_INVALID",
        next(iter(settings)),
    )


def test_headers_of_answers(kit):
    """No answer is taken for another type, and no page shows the kit's page within itself."""
    for path in (*OPEN_PATHS, *HEALTH):
        assert kit.client.get(path).headers["X-Content-Type-Options"] == "nosniff"
    answer: httpx2.Response = kit.client.get("/docs")
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
