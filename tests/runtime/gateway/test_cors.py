"""Pages of other origins: a permission only for those that the operator names."""

import pytest

from mealkit.runtime.gateway.keys import new_key

PAGE = "https://app.example.com"
QUESTION = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}
KEY, KEPT = new_key("team")
ALLOWED = "Access-Control-Allow-Origin"


@pytest.fixture(scope="module")
def kit(start_shared, make_shared_lock):
    """A kit with keys that allows one origin."""
    environment = {"MEALKIT_KEYS": KEPT.line, "MEALKIT_ORIGINS": f"{PAGE},http://localhost:3000"}
    return start_shared(environment=environment).wait_ready()


def asked(kit, origin, **headers):
    told = {"Origin": origin} | QUESTION | headers
    return kit.client.options("/v1/chat/completions", headers=told)


@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000"])
def test_preflight(kit, origin):
    """The question needs no key, and names what the page may send."""
    answer = asked(kit, origin)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers[ALLOWED] == origin
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST"
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    odd = asked(kit, origin, **{"Access-Control-Request-Headers": "a;b"})
    assert "Access-Control-Allow-Headers" not in odd.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", f"{PAGE}.evil.example", "null", f"{PAGE}:8443"]
)
def test_other_origins(kit, origin):
    """They get no permission, neither with the question nor with an answer."""
    for answer in (
        asked(kit, origin),
        kit.client.get("/v1/models", headers={"Origin": origin, "Authorization": f"Bearer {KEY}"}),
    ):
        assert ALLOWED not in answer.headers
        assert answer.headers["Vary"] == "Origin"
    assert asked(kit, origin).status_code == 401


def test_every_answer_can_be_read(kit):
    """Errors carry the permission too: without a key, of no endpoint, and of a bad request."""
    told = {"Origin": PAGE, "Authorization": f"Bearer {KEY}"}
    for answer, status in (
        (kit.client.get("/v1/models", headers=told), 200),
        (kit.client.get("/v1/models", headers={"Origin": PAGE}), 401),
        (kit.client.get("/nowhere", headers=told), 404),
        (kit.client.post("/v1/embeddings", content=b"{", headers=told), 400),
        (kit.client.options("/v1/models", headers=told), 405),
    ):
        assert (answer.status_code, answer.headers[ALLOWED]) == (status, PAGE)
        assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]


def test_streams(start, make_api_lock):
    """A stream carries the permission; a kit without keys can allow all origins."""
    kit = start(make_api_lock(), environment={"MEALKIT_ORIGINS": "*"}).wait_ready()
    body = {"model": "stand-in", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    answer = kit.client.post("/v1/chat/completions", json=body, headers={"Origin": "null"})
    assert (answer.status_code, answer.headers[ALLOWED]) == (200, "null")


def test_default(start):
    """Without names a kit answers as before: no question, no permission."""
    kit = start().wait_ready()
    answer = asked(kit, "http://localhost:3000")
    assert answer.status_code == 403
    assert "Vary" not in answer.headers
    own = kit.client.get("/v1/models")
    assert ALLOWED not in own.headers
