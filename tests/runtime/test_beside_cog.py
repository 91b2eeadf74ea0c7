"""Cog projects, served by Cog's own server and as the kits that mealkit makes of them.

Both are asked the same through HTTP. What differs is in ``DIFFERENCES``, each with the text of its
row in ``docs/how-to/move-from-cog.md``. ``LADEN`` is not served: it needs torch and downloads.
"""

import base64
import http.client
import http.server
import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from engines.conftest import installed_engine
from fakes import cog_features, cog_projects
from fakes.cog_projects import write_project
from fakes.cog_server import CogServer
from runtime.conftest import LIBRARY, PATIENCE_SECONDS, Running

from mealkit.engines.registry import recipe_of
from mealkit.engines.typed_parts import check_engine_parts
from mealkit.kit.load import load_kit
from mealkit.pipeline.home import home_at
from mealkit.pipeline.kit.importing import import_kit
from mealkit.recipe.kit import Task

pytestmark = pytest.mark.xdist_group("beside-cog")
PROJECTS = {**vars(cog_projects), **vars(cog_features)}
PAGE = LIBRARY / "docs" / "how-to" / "move-from-cog.md"


@dataclass(frozen=True)
class Pair:
    """A project, served by Cog and as a kit."""

    cog: CogServer
    kit: Running

    def answers(self, values):
        """Return what each says: ("answer", output), ("refused", fields) or ("failed", why)."""
        return cog_answer(self.cog, values), kit_answer(self.kit, values)


def cog_answer(server, values):
    status, body = server.predict(**values)
    if status == 422:
        fields = {item["loc"][2].partition("/")[0] for item in body["detail"]}
        return "refused", sorted(fields)
    assert status == 200, body
    succeeded = body["status"] == "succeeded"
    return ("answer", body["output"]) if succeeded else ("failed", body["error"])


def kit_answer(kit, values):
    answer = kit.post("/v1/predict", input=values)
    if answer.status_code == 200:
        return "answer", answer.json()["output"]
    error = answer.json()["error"]
    if answer.status_code == 400:
        field = error["where"].removeprefix("input").removeprefix(".").partition("[")[0]
        return "refused", [field.partition(".")[0]] if field else error["message"]
    return "failed", f"{answer.status_code} {error['code']}: {error['message']}"


def make_kit(folder, project):
    """Make and check the kit of a project, as ``mealkit new`` and ``mealkit check`` do."""
    home = home_at(folder / "home")
    made = import_kit(folder / "soup", "cog", str(project), engine=None, home=home)
    loaded = load_kit(made.path, allowed=[project])
    parts = check_engine_parts(loaded)
    assert parts.problems == ()
    return loaded, parts


@pytest.fixture(scope="module")
def files_url(tmp_path_factory):
    """Serve a file over HTTP, for inputs that are addresses."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.png").write_bytes(b"abc")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def begin(tmp_path_factory, make_shared_lock, start_shared, files_url):
    """Begin to serve a project twice, by its name in ``PROJECTS``."""
    cog, pillow = installed_engine("cog"), installed_engine("clients")
    recipe = recipe_of("python")
    begun = []
    with ExitStack() as servers:

        def start(name):
            folder = tmp_path_factory.mktemp(name.lower())
            more = [pillow] if name in {"BLUR", "OUTPUTS"} else []
            project = write_project(folder / "project", PROJECTS[name])
            copied = write_project(folder / "cog", PROJECTS[name])
            server = servers.enter_context(CogServer(copied, [cog, *more]))
            loaded, parts = make_kit(folder, project)
            fetch = {"fetch_from": [files_url], "fetch_private": True} if name == "FILES" else {}
            lock = make_shared_lock(
                serving=loaded.kit.serving.model_dump() | {"lame_duck_seconds": 0},
                settings={**parts.settings, **fetch},
                worker=recipe.worker,
                hyperparameters=parts.hyperparameters,
                weights={},
                task=Task.PREDICTION,
                engine="python",
                environment=recipe.environment,
            )

            def place(root):
                write_project(root / "etc" / "code", loaded.code)
                for source in loaded.kit.model.weights:
                    data = {path: (project / path).read_bytes() for path in source.files}
                    write_project(root / "models", data)

            path = ":".join(str(item) for item in (LIBRARY, *more))
            kit = start_shared(lock, change=place, environment={"MEALKIT_ENGINE_PATH": path})
            begun.append(server)
            return Pair(server, kit)

        yield start
        for server in begun:  # all at once: each takes a moment
            server.process.terminate()


@pytest.fixture(scope="module")
def serve(begin):
    """Serve a project twice until both are ready, once for all tests of this module."""
    pairs = {}

    def find(name):
        if name not in pairs:
            pairs[name] = pair = begin(name)
            pair.kit.wait_ready()
            pair.cog.wait_for("READY")
        return pairs[name]

    return find


def url(data, kind="image/png"):
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


# A white PNG of one pixel.
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="
)
GIVEN = {
    "note": "n", "other": "o", "either": "e", "table": {"a": 1}, "maybe": [1], "token": "t",
    "picture": url(b"p"), "words": [], "numbers": [0], "loud": True, "size": 4, "color": "green",
    "hint": "h", "shade": "pale", "flavors": ["abc"],
}  # fmt: skip
FILE = {"picture": url(b"abc"), "table": url(b"soup"), "token": "hush", "more": [url(b"x")]}
ANSWER, REFUSED, FAILED = "answer", "refused", "failed"
# A project, an input, and how both answer it.
ALIKE = [
    *[("INPUTS", {"text": "a", **more}, ANSWER) for more in (
        {}, GIVEN, {"word": "äöü"}, {"code": "1a"}, {"plain": "ax"}, {"text": "\U0001f372\0"}, {"count": 5},
    )],
    *[("INPUTS", values, REFUSED) for values in (
        {}, {"text": 1}, {"text": None}, *({"text": "a", **more} for more in (
            {"count": 0}, {"count": 6}, {"count": "2"}, {"count": True}, {"count": 10**30},
            {"ratio": 1.5}, {"ratio": "1"}, {"loud": 1}, {"loud": "true"}, {"size": 3},
            {"size": "4"}, {"color": "blue"}, {"word": "abcd"}, {"word": ""}, {"code": "A"}, {"plain": "xa"},
            {"words": "x"}, {"words": ["x", 1]}, {"numbers": ["1"]}, {"either": 1.5},
            {"table": []}, {"token": 1}, {"shade": "grey"}, {"picture": 1},
        )),
    )],
    *[("OUTPUTS", {"case": case}, ANSWER) for case in (
        "none", "bool", "float", "long", "unicode", "tuple", "set", "keys", "time", "zone", "enum",
        "dataclass", "numbers", "array", "arrays", "webp", "record", "path", "paths", "nested", "open", "open file", "open in list",
        "generator",
    )],
    *[("OUTPUTS", {"case": case}, FAILED) for case in (
        "nan", "infinity", "nan in array", "range", "object", "of no name",
    )],
    *[("RECORD", {"case": case}, ANSWER) for case in (
        "plain", "positional", "wrong", "dict", "more", "less", "changed", "shown", "files", "none",
        "asdict", "replaced", "fields", "options", "matched",
    )],
    *[("RECORD", {"case": case}, FAILED) for case in ("missing", "unknown")],
    ("STREAMED", {}, ANSWER),
    ("STREAMED", {"more": {"a": [1]}}, ANSWER),
    ("STREAMED", {"fail": 1}, FAILED),
    *[("FAULTS", {"case": case}, FAILED) for case in ("runtime", "library", "exit", "interrupt")],
    ("FAULTS", {"case": "another type"}, ANSWER),
    ("FAULTS", {"case": "pool"}, ANSWER),
    ("GREETING", {"name": "Ada", "seed": 7}, ANSWER),
    ("GREETING", {"name": "B", "style": "loud", "times": 2, "seed": 7, "sign": "B"}, ANSWER),
    ("GREETING", {"name": "7", "seed": 7}, REFUSED),
    ("PIECES", {"text": "ab"}, ANSWER),
    ("LATER", {}, ANSWER),
    ("WEIGHTED", {"text": "salt and pepper"}, ANSWER),
    ("FILES", FILE, ANSWER),
    ("FILES", {"picture": url(b""), "table": url(b"", "text/plain")}, ANSWER),
    ("FILES", {"picture": "http:a.png", "table": "http:a.png"}, ANSWER),
    ("BLUR", {"image": url(DOT), "blur": 4}, ANSWER),
    ("BLUR", {"image": url(DOT), "blur": 51}, REFUSED),
]  # fmt: skip


def told(case):
    name, values, _ = case
    return f"{name}-{'-'.join(f'{key}={value}'[:24] for key, value in values.items())}"


@pytest.fixture
def placed(files_url):
    """Replace ``http:`` in an input with the address of the files that are served."""

    def change(values):
        return {
            name: files_url + value[5:] if str(value).startswith("http:a") else value
            for name, value in values.items()
        }

    return change


@pytest.mark.parametrize("case", ALIKE, ids=told)
def test_a_kit_answers_as_cog_does(serve, placed, case):
    """The same output, or a refusal for the same fields; what fails in one fails in the other."""
    name, values, kind = case
    cog, kit = serve(name).answers(placed(values))
    assert (cog[0], kit[0]) == (kind, kind), (cog, kit)
    if kind != FAILED:
        assert kit == cog


@dataclass(frozen=True)
class Difference:
    """An input that Cog and the kit answer differently: how, and what is in each answer."""

    project: str
    values: dict[str, Any]
    cog: tuple[str, str]
    kit: tuple[str, str]
    row: str
    """The beginning of its row in the page."""


NULL = "| `null` for an optional input |"
WRITTEN = (
    "| a result that is not JSON: bytes, a date, a decimal, a UUID, numpy's `bool`, an iterator |"
)
DIFFERENCES = [
    Difference("INPUTS", {"text": "a", "flag": 1}, (ANSWER, "'a'"), (REFUSED, "flag"),
        "| an input that the predictor does not have |"),
    Difference("INPUTS", {"text": "a", "count": 3.0}, (ANSWER, "'count': 3.0"),
        (REFUSED, "count"), "| `3.0` for an `int` |"),
    Difference("INPUTS", {"text": "a", "ratio": 1}, (ANSWER, "'ratio': 1,"),
        (ANSWER, "'ratio': 1.0,"), "| `1` for a `float` |"),
    Difference("INPUTS", {"text": "a", "numbers": [-1]}, (ANSWER, "[-1]"), (REFUSED, "numbers"),
        "| the limits of a list's items |"),
    Difference("INPUTS", {"text": "a", "note": None}, (REFUSED, "note"), (ANSWER, "'a'"), NULL),
    Difference("INPUTS", {"text": "a", "maybe": None}, (REFUSED, "maybe"), (ANSWER, "'a'"), NULL),
    Difference("GREETING", {"name": "Ada"}, (REFUSED, "seed"), (ANSWER, "hello Ada"),
        "| `seed: int = Input(default=None)`, left out |"),
    Difference("INPUTS", {"text": "a", "picture": "YWJj"}, (FAILED, "'str' object"),
        (ANSWER, "('', b'abc')"), "| a file in base64, without `data:` |"),
    Difference("INPUTS", {"text": "a", "picture": "/etc/passwd"}, (FAILED, "'str' object"),
        (REFUSED, "picture"), "| another text where a file is expected |"),
    Difference("INPUTS", {"text": "a", "picture": "http:a.png"}, (ANSWER, "('.png', b'abc')"),
        (REFUSED, "picture"), "| the address of a file |"),
    Difference("FILES", {**FILE, "picture": "http:about"}, (FAILED, "404"), (REFUSED, "picture"),
        "| an address without a file |"),
    Difference("OUTPUTS", {"case": "big"}, (ANSWER, "e+21"), (ANSWER, "1180591620717411303424"),
        "| an integer beyond 64 bits |"),
    Difference("OUTPUTS", {"case": "surrogate"}, (FAILED, "escape"), (ANSWER, "\ud800"),
        "| half a character (a lone surrogate) |"),
    *[Difference("OUTPUTS", {"case": case}, (FAILED, "not JSON serializable"), (ANSWER, text),
        WRITTEN) for case, text in (
            ("bytes", "abc"), ("bool of numpy", "True"), ("date", "2026-01-02"), ("decimal", "1.5"), ("uuid", "0001"),
            ("iterator", "[1, 2]"),
    )],
    Difference("OUTPUTS", {"case": "secret"}, (ANSWER, "'a'"), (ANSWER, "***"),
        "| a secret in a result |"),
    Difference("FAULTS", {"case": "thread of setup"}, (ANSWER, "main: True"),
        (ANSWER, "main: False"), "| `signal.signal` in `setup` |"),
    Difference("OUTPUTS", {"case": "missing"}, (ANSWER, "None"), (FAILED, "ENGINE_ANSWER"),
        "| a returned path without a file |"),
    Difference("OUTPUTS", {"case": "open text"}, (FAILED, "IOBase"), (ANSWER, "YWJj"),
        "| a returned text file, or `File(...)` |"),
    Difference("OPEN_FILE", {"text": "soup"}, (FAILED, "IOBase"), (ANSWER, "c291cA=="),
        "| a returned text file, or `File(...)` |"),
    Difference("FAULTS", {"case": "value"}, (FAILED, "ValueError: bad value"),
        (REFUSED, "bad value"), "| `raise ValueError(...)` |"),
    Difference("FAULTS", {"case": "runtime"}, (FAILED, "RuntimeError: it broke"),
        (FAILED, "500 HANDLER_FAILED: the kit's code raised RuntimeError at predict.py:"),
        "| another exception |"),
]  # fmt: skip


@pytest.mark.parametrize("case", DIFFERENCES, ids=lambda case: f"{case.project}-{case.values}"[:60])
def test_a_difference_is_as_its_page_says(serve, placed, case):
    """Each has its row."""
    found = serve(case.project).answers(placed(case.values))
    for (kind, text), (expected, part) in zip(found, (case.cog, case.kit), strict=True):
        assert kind == expected, found
        assert part in str(text)
    assert case.row in PAGE.read_text()


def described(field, schemas):
    """Return a field of a schema in the words of JSON Schema, without titles and formats."""
    field = dict(field)
    for part in field.pop("allOf", []):
        field |= schemas[part["$ref"].rpartition("/")[2]]
    if ways := [way for way in field.pop("anyOf", []) if way != {"type": "null"}]:
        field |= ways[0] if len(ways) == 1 else {"anyOf": [way["type"] for way in ways]}
    kept = {"type", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern", "default"}
    kept |= {"description", "deprecated", "anyOf", "writeOnly"}
    found = {name: value for name, value in field.items() if name in kept and value is not None}
    if field.get("type") == "array":
        # Cog writes the limits of items beside the list, where they limit nothing.
        found = {name: found[name] for name in found if name not in {"minimum", "minLength"}}
        found["items"] = field["items"]["type"]
    return found


def schemas_of(pair):
    """Return all schemas of Cog's server, and the kit's for input and output."""
    theirs = json.loads(pair.cog.send("GET", "/openapi.json")[1])["components"]["schemas"]
    document = pair.kit.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    return theirs, schemas["Input"], schemas["Output"]


@pytest.mark.parametrize("name", ["INPUTS", "GREETING", "FILES", "LATER", "BLUR"])
def test_both_describe_the_same_inputs(serve, name):
    """In the same order, with types, limits, choices, defaults and descriptions."""
    theirs, ours, _ = schemas_of(serve(name))
    fields = sorted(theirs["Input"]["properties"].items(), key=lambda item: item[1]["x-order"])
    expected = {key: described(value, theirs) for key, value in fields}
    found = {key: described(value, {}) for key, value in ours["properties"].items()}
    for key, field in expected.items():
        if "description" not in field and "a file: " in found[key].get("description", ""):
            del found[key]["description"]
    assert list(found) == list(expected)
    assert found == expected
    left_out = {"seed"} if name == "GREETING" else set()
    assert set(ours.get("required", [])) == set(theirs["Input"]["required"]) - left_out


@pytest.mark.parametrize("name", ["RECORD", "FILES"])
def test_both_describe_the_same_records(serve, name):
    """The fields of an output with their types; a file is an address."""
    theirs, _, ours = schemas_of(serve(name))
    expected = theirs["Output"]["properties"]
    assert set(ours["properties"]) == set(expected)
    for key, field in expected.items():
        found = described(ours["properties"][key], {})
        found.pop("default", None)
        assert found == described(field, theirs)
    files = ours["properties"]["files" if name == "RECORD" else "others"]["items"]
    assert files == {"type": "string", "format": "uri"}


def events(text):
    """Return the data of each event of a stream, with Cog's names of events."""
    found = []
    for event in text.strip().split("\n\n"):
        lines = dict(line.split(":", 1) for line in event.splitlines() if line[0] != ":")
        if lines and lines["data"].strip() != "[DONE]":
            found.append((lines.get("event", "").strip(), json.loads(lines["data"])))
    return found


@pytest.mark.parametrize("fail", [0, 1])
def test_both_stream_the_same_pieces(serve, fail):
    """One by one, and an error where one happens."""
    pair = serve("STREAMED")
    body = {"input": {"text": "abc", "fail": fail}}
    pair.cog.wait_for("READY")
    status, text = pair.cog.send("POST", "/predictions", body, Accept="text/event-stream")
    assert status == 200
    theirs = events(text)
    ours = events(pair.kit.post("/v1/predict", **body, stream=True).text)
    pieces = ["a"] if fail else ["a", "b", "c"]
    assert [data["chunk"] for kind, data in theirs if kind == "output"] == pieces
    assert [data["output"] for _, data in ours if "output" in data] == pieces
    assert theirs[-1][1]["status"] == ("failed" if fail else "succeeded")
    assert theirs[-1][1]["metrics"]["pieces"] == len(pieces)
    assert [data["error"]["code"] for _, data in ours if "error" in data] == [
        "HANDLER_FAILED"
    ] * fail


@pytest.mark.parametrize("name", ["PIECES", "LATER"])
def test_a_kit_streams_what_cog_streams_only_with_its_decorator(serve, name):
    """Cog refuses to, a kit does it for every iterator, also an asynchronous one."""
    pair = serve(name)
    body = {"input": {"text": "ab"}}
    assert pair.cog.send("POST", "/predictions", body, Accept="text/event-stream")[0] == 406
    ours = events(pair.kit.post("/v1/predict", **body, stream=True).text)
    assert [data for _, data in ours] == [{"output": "a"}, {"output": "b"}]


def test_both_run_as_many_predictions_at_once_as_cog_yaml_says(serve):
    """Each of two waits until the other has begun."""
    pair = serve("LATER")
    values = {"text": "a", "together": 2}
    with ThreadPoolExecutor(4) as pool:
        cog = [pool.submit(cog_answer, pair.cog, values) for _ in range(2)]
        kit = [pool.submit(kit_answer, pair.kit, values) for _ in range(2)]
        assert [item.result() for item in (*cog, *kit)] == [(ANSWER, ["a"])] * 4


def test_what_cog_does_and_a_kit_does_not(serve):
    """Predictions by number, in the background and cancelled; a refusal when it is busy; logs."""
    pair = serve("FAULTS")
    server = pair.cog
    assert server.predict(case="x")[1]["logs"] == "to stdout\nto stderr\n"
    server.wait_for("READY")
    sleeping = {"input": {"case": "sleep"}}
    assert server.send("PUT", "/predictions/a", sleeping, Prefer="respond-async")[0] == 202
    server.wait_for("BUSY")
    assert server.send("POST", "/predictions", sleeping)[0] == 409
    assert server.send("POST", "/predictions/a/cancel", {})[0] == 200
    server.wait_for("READY")
    address = urlsplit(server.url)
    with closing(http.client.HTTPConnection(address.hostname, address.port)) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/predictions", json.dumps(sleeping), headers)
        server.wait_for("BUSY")
    # A caller that leaves ends its prediction.
    server.wait_for("READY")
    for path in ("/predictions", "/predictions/a/cancel", "/trainings", "/shutdown"):
        assert pair.kit.client.post(path, json={"input": {}}).status_code == 404
    assert pair.kit.client.get("/health-check").status_code == 404


def test_a_kit_recovers_from_a_process_that_ends_and_cog_does_not(serve):
    """Cog's server stays unhealthy; a kit starts the worker again."""
    pair = serve("FAULTS")
    cog, kit = pair.answers({"case": "die"})
    assert (cog, kit[0]) == ((FAILED, "Worker crashed"), FAILED)
    pair.cog.wait_for("UNHEALTHY", "DEFUNCT")
    pair.kit.wait_ready()
    assert kit_answer(pair.kit, {"case": "x"}) == (ANSWER, "prediction 1")


def test_a_setup_that_fails(begin):
    """Cog serves on and says so, with 200; a kit ends, and its log says why."""
    pair = begin("FAILING_SETUP")
    pair.cog.wait_for("SETUP_FAILED")
    assert "no weights" in pair.cog.health()["setup"]["logs"]
    assert pair.cog.predict()[0] == 503
    assert pair.kit.wait_end() != 0
    (ended,) = pair.kit.events("worker ended")
    assert (ended["code"], "no weights" in ended["tail"]) == ("ENGINE_START", True)


def test_both_end_in_order(serve):
    """On SIGTERM, with exit code 0. The last test of this module: its servers are gone."""
    pair = serve("OPEN_FILE")
    for process in (pair.cog.process, pair.kit.process):
        process.send_signal(signal.SIGTERM)
    assert pair.cog.process.wait(PATIENCE_SECONDS) == 0
    assert pair.kit.wait_end() == 0
