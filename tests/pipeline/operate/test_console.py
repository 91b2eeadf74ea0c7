"""The console in a real browser: what it shows, what it refuses, and a change."""

import http.client
import json
import threading

import pytest
from fakes.browsers import CONTRASTS
from fakes.served import need

from mealkit.deploy.deployment import Deployment, Gate, GateResult, Revision, Settings, State
from mealkit.deploy.deployment_history import Event, EventKind
from mealkit.pipeline.deployment_files import DeploymentFiles
from mealkit.pipeline.home import home_at
from mealkit.pipeline.operate.console_server import Console, ConsoleServer

pytestmark = pytest.mark.xdist_group("page")

EVIL = "<img src=x onerror=alert(1)>"
DIGEST = f"sha256:{'ab' * 32}"


def revision(number, state, **more):
    return Revision(
        number=number,
        reference="soup:1.0",
        settings=Settings(),
        user="ann",
        created_seconds=1.7e9 + number,
        reason=f"a new stock {EVIL}",
        state=state,
        kit=f"soup:1.{number}",
        image=DIGEST,
        recipe=DIGEST,
        **more,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with one deployment, and with one whose file is damaged."""
    home = home_at(tmp_path_factory.mktemp("home"))
    gate = GateResult(gate=Gate.CLAIMS, passed=False, reason=f"a wrong answer {EVIL}")
    revisions = (
        revision(1, State.KEPT),
        revision(2, State.SERVING),
        revision(3, State.FAILED, gates=(gate,)),
    )
    found = Deployment(
        name="search",
        id="0123456789abcdef",
        address="127.0.0.1",
        port=9,  # no kit answers there
        client="nowhere",
        revisions=revisions,
        serving=2,
        served=(1, 2),
    )
    files = DeploymentFiles(home, "search")
    files.folder.mkdir(parents=True)
    files.write(found)
    files.append(Event(seconds=1.7e9, user="ann", kind=EventKind.ASKED, revision=1, reason=EVIL))
    (home.deployments / "broken").mkdir()
    (home.deployments / "broken" / "deployment.json").write_text("{")
    return home


@pytest.fixture(scope="module")
def serve(home):
    """Serve a console: ``serve(allow_changes)``."""
    servers = []

    def started(allow_changes):
        server = ConsoleServer(Console(home, allow_changes), 0)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def reader(serve):
    return serve(False)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        program = need("chromium")
        # Chromium's own sandbox wants more rights than containers of tests have.
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


def asked(server, path, method="GET", body=None, **headers):
    """Return status and body of a request with the token, unless other headers are given."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    sent = {"Authorization": f"Bearer {server.console.token}", "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {k: v for k, v in sent.items() if v is not None})
    answer = connection.getresponse()
    status, data = answer.status, answer.read()
    connection.close()
    return status, data


def test_it_shows_and_does_not_change(reader, browser):
    """All deployments and revisions, who, when and why; hostile texts are texts; no buttons."""
    page = browser.new_page()
    wrong = []
    page.on("console", lambda said: wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.goto(reader.url)
    search = page.get_by_role("article", name="search")
    search.get_by_role("region", name="Revisions of search").wait_for()
    assert page.url == f"http://127.0.0.1:{reader.server_port}/"
    rows = search.locator("tbody tr")
    assert rows.first.inner_text().split("\t")[:2] == ["3", "soup:1.3"]
    assert f"claims: a wrong answer {EVIL}" in rows.first.inner_text()
    assert f"a new stock {EVIL}" in search.inner_text()
    assert search.locator(".chip").inner_text() == "no answer"
    page.get_by_text("DEPLOYMENT_INVALID").wait_for()
    search.get_by_text("History").click()
    search.get_by_role("region", name="History of search").get_by_text("asked").wait_for()
    assert page.locator("#mode").inner_text() == "read-only"
    assert search.get_by_role("button").count() == 0
    assert page.locator("img").count() == 0
    assert page.evaluate(CONTRASTS) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate(CONTRASTS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert wrong == []
    page.close()


def test_without_a_token(reader, browser):
    """The page alone has no facts, and says where the token is."""
    page = browser.new_page()
    page.goto(reader.url.partition("#")[0])
    page.get_by_text("the console's token is missing").wait_for()
    assert "search" not in page.content()
    page.close()


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/api/host", {"Authorization": None}, 401, "REQUEST_KEY"),
        ("/api/host", {"Authorization": "Bearer x"}, 401, "REQUEST_KEY"),
        ("/api/host", {"Host": "evil.example"}, 403, "REQUEST_HOST"),
        ("/", {"Host": "evil.example"}, 403, "REQUEST_HOST"),
        ("/api/host", {"Host": "127.0.0.1.evil.example:80"}, 403, "REQUEST_HOST"),
        ("/api/host", {"Origin": "http://evil.example"}, 403, "REQUEST_ORIGIN"),
        ("/api/host", {"Sec_Fetch_Site": "cross-site"}, 403, "REQUEST_ORIGIN"),
        ("/page/console.js", {"Sec_Fetch_Site": "same-site"}, 403, "REQUEST_ORIGIN"),
        ("/api/history/none", {}, 409, "DEPLOYMENT_NOT_FOUND"),
        ("/api/history/..%2f..", {}, 409, "USAGE"),
        ("/nowhere", {}, 409, "ROUTE_UNKNOWN"),
    ],
)
def test_what_is_refused(reader, path, headers, status, code):
    """Another host, another page, a missing token, an unknown path."""
    found, data = asked(reader, path, **headers)
    assert (found, json.loads(data)["error"]["code"]) == (status, code)


def test_a_tunnel_may_have_another_port(reader):
    """With ssh -L the browser's port is another one."""
    status, data = asked(reader, "/api/host", Host="localhost:9999")
    assert status == 200
    assert json.loads(data)["deployments"][1]["name"] == "search"


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b'{"name": "search"}', {}, "CONSOLE_READ_ONLY"),
        (b"x", {}, "REQUEST_INVALID"),
        (b'{"name": "search"}', {"Content_Type": "text/plain"}, "REQUEST_MEDIA_TYPE"),
        (b"x" * 20_000, {}, "REQUEST_TOO_LARGE"),
    ],
)
def test_changes_need_permission(reader, body, headers, code):
    """No change without --allow-changes, from no form, and of bounded size."""
    _, data = asked(reader, "/api/down", "POST", body, **headers)
    assert json.loads(data)["error"]["code"] == code


def test_a_change(serve, browser, home):
    """A button asks first; then the command line's own function runs, and its problem is shown."""
    server = serve(True)
    for path, body, code in (
        ("/api/rollback", b'{"name": 1}', "REQUEST_INVALID"),
        ("/api/rollback", b'{"name": "search", "revision": "1"}', "REQUEST_INVALID"),
        ("/api/stop", b'{"name": "no-such-kit"}', "CONTAINER_NOT_FOUND"),
        ("/api/other", b'{"name": "search"}', "ROUTE_UNKNOWN"),
    ):
        _, data = asked(server, path, "POST", body)
        assert json.loads(data)["error"]["code"] == code
    page = browser.new_page()
    page.goto(server.url)
    search = page.get_by_role("article", name="search")
    back = search.get_by_role("button", name="Roll back search to revision 1")
    back.click()
    dialog = page.get_by_role("dialog", name="Roll back search to revision 1")
    dialog.get_by_role("button", name="Cancel").click()
    assert back.evaluate("item => item === document.activeElement")
    back.click()
    dialog.get_by_label("Why").fill("wrong answers")
    dialog.get_by_role("button", name="Roll back").click()
    page.get_by_role("alert").get_by_text("nowhere").wait_for()
    assert DeploymentFiles(home, "search").required().serving == 2
    page.close()
