"""Pages of other origins: a permission only for those that the operator names."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from mealkit.runtime.gateway.keys import new_key

PAGE = "https://app.example.com"
QUESTION = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}
KEY, KEPT = new_key("team")
CALLS = """async ([base, key]) => {
  const call = async (key, stream, read) => {
    const messages = [{role: "user", content: "hi"}];
    const headers = {"Content-Type": "application/json", "Authorization": "Bearer " + key};
    const body = JSON.stringify({model: "stand-in", messages, stream});
    try {
      const answer = await fetch(base + "/v1/chat/completions", {method: "POST", headers, body});
      return await read(answer);
    } catch (error) { return error.name; }
  };
  return [
    await call("none", false, async a => [a.status, (await a.json()).error.code]),
    await call(key, false, async a => [a.status, (await a.json()).choices[0].message.content.trim()]),
    await call(key, true, async a => await a.text()),
  ];
}"""
ALLOWED = "Access-Control-Allow-Origin"


@pytest.fixture(scope="module")
def kit(start_shared, make_shared_lock):
    """A kit with keys that allows one origin."""
    environment = {"MEALKIT_KEYS": KEPT.line, "MEALKIT_ORIGINS": f"{PAGE},http://localhost:3000"}
    return start_shared(environment=environment).wait_ready()


class EmptyPage(BaseHTTPRequestHandler):
    """A web server with one empty page."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


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


def test_in_a_browser(start, make_api_lock, browser):
    """A page of a named origin reads answers, errors and streams; other pages read nothing."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        environment = {"MEALKIT_KEYS": KEPT.line, "MEALKIT_ORIGINS": f"http://localhost:{port}"}
        kit = start(make_api_lock(), environment=environment).wait_ready()
        results = []
        for host in ("localhost", "127.0.0.1"):
            page = browser.new_page()
            page.goto(f"http://{host}:{port}/")
            results.append(page.evaluate(CALLS, [str(kit.client.base_url).rstrip("/"), KEY]))
        server.shutdown()
    (refused, answered, streamed), unreadable = results
    assert refused == [401, "REQUEST_KEY"]
    assert answered == [200, "HI"]
    assert streamed.endswith("data: [DONE]\n\n")
    assert unreadable == ["TypeError"] * 3


def test_default(start):
    """Without names a kit answers as before: no question, no permission."""
    kit = start().wait_ready()
    answer = asked(kit, "http://localhost:3000")
    assert answer.status_code == 403
    assert "Vary" not in answer.headers
    own = kit.client.get("/v1/models")
    assert ALLOWED not in own.headers
