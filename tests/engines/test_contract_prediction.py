"""The paper's own code behind /v1/predict: typed, in turn, in pieces, with files, and when it fails."""

import base64
import json
import os
import signal
import threading
from pathlib import Path

import jsonschema
import pytest

WORKER = "mealkit.engines.python.worker:PythonWorker"
HERE = Path(__file__).parent


class InBackground(threading.Thread):
    """A request whose answer is waited for later."""

    def __init__(self, ask):
        super().__init__()
        self.ask = ask
        self.reply = None
        self.start()

    def run(self):
        self.reply = self.ask()

    def result(self):
        self.join(60)
        assert self.reply is not None
        return self.reply


@pytest.fixture
def start(start_host, tmp_path):
    """Start a handler of tests/engines/handlers.py, or one that is given as text."""

    def begin(class_name, text=None, *, file="handler.py", parameters=None, seed=0, **settings):
        code = tmp_path / "code"
        (code / file).parent.mkdir(parents=True, exist_ok=True)
        (code / file).write_text(text or (HERE / "handlers.py").read_text())
        return start_host(
            WORKER,
            task="prediction",
            hyperparameters={"seed": seed, "parameters": parameters or {}},
            settings={
                "handler": f"{file}:{class_name}",
                "concurrency": 1,
                "threads": 1,
                "fetch_from": [],
                "fetch_private": False,
                "fetch_seconds": 10,
                "max_file_bytes": 1000,
                **settings,
            },
        )

    return begin


@pytest.fixture
def ready(start):
    """Start a handler and wait until it answers."""
    return lambda *given, **settings: start(*given, **settings).wait_until_ready()


def asked(values, **fields):
    """Return a whole request; the gateway leaves no field out."""
    return {"model": "m", "input": values, "seed": 0, "stream": False, **fields}


def predict(host, connection=None, *, stream=False, seed=0, **values):
    body = asked(values, stream=stream, seed=seed)
    return host.request("POST", "/v1/predict", body, connection=connection)


def output(reply):
    assert reply.status == 200, reply.body
    assert reply.json.keys() == {"object", "model", "output"}
    assert (reply.json["object"], reply.json["model"]) == ("prediction", "m")
    return reply.json["output"]


def events(reply):
    assert reply.status == 200, reply.body
    assert reply.headers["Content-Type"] == "text/event-stream"
    return [item.removeprefix("data: ") for item in reply.body.decode().split("\n\n") if item]


@pytest.fixture
def fifos(tmp_path):
    """FIFOs by which a handler and its test wait for each other."""
    for name in ("running", "go", "ended"):
        os.mkfifo(tmp_path / name)
    return {name: str(tmp_path / name) for name in ("running", "go", "ended")}


def test_the_answer_is_what_the_code_gives(ready):
    """With the defaults of the signature, and values for its parameters."""
    host = ready("Words")
    long = [{"text": "three", "length": 5}, {"text": "one", "length": 3}]
    assert output(predict(host, text="one three")) == long
    assert output(predict(host, text="one three", top=1, order="shortest")) == long[1:]
    assert output(predict(host, text="one three", copy=True)) == long * 2


def test_the_schema_is_the_signature(ready):
    """Input and output as JSON Schema, which real inputs and outputs fulfil."""
    host = ready("Words")
    reply = host.request("GET", "/schema")
    schema = reply.json
    assert reply.status == 200
    assert schema["streams"] is False
    fields = schema["input"]["properties"]
    assert list(fields) == ["text", "top", "order", "copy"]
    assert fields["text"]["description"] == "What to read."
    assert (fields["top"]["minimum"], fields["top"]["maximum"]) == (1, 100)
    assert fields["top"]["default"] == 10
    assert schema["input"]["required"] == ["text"]
    assert schema["input"]["additionalProperties"] is False
    for part in ("input", "output"):
        jsonschema.Draft202012Validator.check_schema(schema[part])
    jsonschema.validate(output(predict(host, text="one")), schema["output"])


@pytest.mark.parametrize(
    ("values", "where", "said"),
    [
        ({}, "input.text", "is missing"),
        ({"text": ""}, "input.text", "at least 1 character"),
        ({"text": 7}, "input.text", "valid string"),
        ({"text": "x", "top": "7"}, "input.top", "valid integer"),
        ({"text": "x", "top": True}, "input.top", "valid integer"),
        ({"text": "x", "top": 101}, "input.top", "less than or equal to 100"),
        ({"text": "x", "order": "best"}, "input.order", "'longest' or 'shortest'"),
        ({"text": "x", "p0": "x"}, "input.p0", "is not an input"),
        ({"text": "x", "bottom": 1}, "input.bottom", "is not an input"),
    ],
)
def test_an_input_that_the_signature_does_not_take_is_refused(ready, values, where, said):
    """With the name of the field; the caller owns it."""
    reply = predict(ready("Words"), **values)
    assert (reply.status, reply.error["code"]) == (400, "REQUEST_INVALID")
    assert (reply.error["where"], reply.error["owner"]) == (where, "caller")
    assert said in reply.error["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"model": "m"},
        asked(["x"]),
        {"model": "m", "input": {"text": "x"}, "stream": False},
        asked({"text": "x"}, seed=-1),
        asked({"text": "x"}, stream=1),
        '{"model":"m","input":{"text":"\\ud800"},"seed":0,"stream":false}',
        '{"model":"m","input":{"text":"x","text":"y"}}',
    ],
)
def test_what_no_gateway_writes_is_refused(ready, body):
    """It gets a 400 in the shape of all errors."""
    reply = ready("Words").request("POST", "/v1/predict", body)
    assert (reply.status, reply.error["code"]) == (400, "REQUEST_INVALID")


def test_code_that_answers_whole_has_no_pieces(ready):
    """A stream is asked of code that has one, and refused by name elsewhere."""
    reply = ready("Words").request("POST", "/v1/predict", asked({"text": "x"}, stream=True))
    assert (reply.error["code"], reply.error["where"]) == ("REQUEST_UNSUPPORTED", "stream")


def test_the_authors_own_checks_are_refusals(ready):
    """A validator in an annotation speaks to the caller."""
    host = ready("Picky")
    assert output(predict(host, number=2)) == 2
    reply = predict(host, number=3)
    assert (reply.status, reply.error["where"]) == (400, "input.number")
    assert reply.error["message"] == "input.number: it is odd"
    reply = predict(host, number=4, word="a b")
    assert (reply.status, reply.error["code"]) == (415, "REQUEST_MEDIA_TYPE")
    assert reply.error["message"] == "input.word: it has a blank"
    assert (reply.error["where"], reply.error["hint"]) == ("input.word", "send one word")


def test_every_mistake_of_an_input_is_told_at_once(ready):
    """Each with its field and what was probably meant; the first one decides the status."""
    reply = predict(ready("Words"), txt="x", order="longst", top=101, copy="yes")
    assert (reply.status, reply.error["code"]) == (400, "REQUEST_INVALID")
    found = {item["where"]: (item["message"], item["hint"]) for item in reply.error["problems"]}
    assert found["input.txt"][1] == "did you mean 'text'?"
    assert found["input.order"][1] == "did you mean 'longest'?"
    assert found["input.top"][0] == "input.top should be less than or equal to 100"
    assert found["input.text"][0] == "input.text is missing"
    assert found["input.copy"][0] == "input.copy should be a valid boolean"
    assert len(found) == 5


def test_load_gets_what_it_asks_for(ready, tmp_path):
    """The folder of the models, the kit's parameters and the seed."""
    host = ready("Loaded", parameters={"depth": 3}, seed=7)
    assert output(predict(host)) == [tmp_path.name, {"depth": 3}, 7]


def test_threads_are_set_before_the_code_is_imported(ready):
    """By the variables that numpy, torch and others read."""
    text = (
        "import os\nFOUND = os.environ['OMP_NUM_THREADS'], os.environ['MKL_NUM_THREADS']\n"
        "class H:\n def predict(self) -> tuple[str, str]:\n  return FOUND\n"
    )
    assert output(predict(ready("H", text, threads=3))) == ["3", "3"]


def test_the_same_request_draws_the_same_numbers(ready):
    """Whatever was asked before; another seed draws others, whatever the code was loaded with."""
    host = ready("Random")
    first, other = output(predict(host)), output(predict(host, seed=1))
    assert first != other
    assert output(predict(host)) == first
    host.terminate()
    host.ended()
    assert output(predict(ready("Random", seed=1), seed=1)) == other


def test_code_in_a_folder_imports_its_neighbours(ready, tmp_path):
    """From the code's own folder first, in whatever folder the process was started."""
    (tmp_path / "code" / "lib").mkdir(parents=True)
    (tmp_path / "code" / "lib" / "told.py").write_text("WORD = 'neighbour'\n")
    text = (
        "from __future__ import annotations\nfrom lib.told import WORD\nfrom . import told\n"
        "class H:\n def predict(self) -> str:\n  return WORD\n"
    )
    assert output(predict(ready("H", text, file="lib/handler.py"))) == "neighbour"


@pytest.mark.parametrize("class_name", ["Later"])
def test_coroutines_are_awaited(ready, class_name):
    """On one loop, which is the one of load."""
    assert output(predict(ready(class_name), text="loud")) == "LOUD"


@pytest.mark.parametrize("class_name", ["Letters", "LaterLetters"])
def test_pieces_come_one_by_one_or_together(ready, class_name):
    """As events with their end, or as a list."""
    host = ready(class_name)
    assert host.request("GET", "/schema").json["streams"] is True
    assert output(predict(host, text="abc")) == ["a", "b", "c"]
    assert output(predict(host, text="abc", stream=False)) == ["a", "b", "c"]
    found = events(predict(host, stream=True, text="abc"))
    assert [json.loads(item)["output"] for item in found[:-1]] == ["a", "b", "c"]
    assert found[-1] == "[DONE]"
    assert events(predict(host, stream=True, text="")) == ["[DONE]"]


@pytest.mark.parametrize("class_name", ["Letters", "LaterLetters"])
def test_a_stream_that_fails_says_so_and_has_no_end(ready, class_name):
    """Before the first piece it is an answer, afterwards an event; never a list that is short."""
    host = ready(class_name)
    reply = predict(host, stream=True, text="abc", fail_at=0)
    assert (reply.status, reply.error["code"]) == (500, "HANDLER_FAILED")
    found = [json.loads(item) for item in events(predict(host, stream=True, text="abc", fail_at=2))]
    assert found[:2] == [{"output": "a"}, {"output": "b"}]
    assert found[2]["error"]["code"] == "HANDLER_FAILED"
    assert len(found) == 3
    assert predict(host, text="abc", fail_at=2).status == 500
    assert predict(host, stream=True, text=7).status == 400


@pytest.mark.parametrize("class_name", ["Endless", "LaterEndless"])
def test_a_stream_ends_when_its_caller_goes(ready, fifos, class_name):
    """The generator is closed, and the next request is answered."""
    host = ready(class_name)
    connection = host.connect()
    body = asked({"ended": fifos["ended"]}, stream=True)
    connection.request("POST", "/v1/predict", json.dumps(body))
    answer = connection.getresponse()
    assert answer.read(6) == b"data: "
    answer.close()
    connection.close()
    assert Path(fifos["ended"]).read_text() == "closed"


def test_a_coroutine_is_cancelled_when_its_caller_goes(ready, fifos):
    """While nothing else would have ended it."""
    host = ready("Waiting")
    connection = host.connect()
    values = {name: fifos[name] for name in ("running", "ended")}
    connection.request("POST", "/v1/predict", json.dumps(asked(values)))
    assert Path(fifos["running"]).read_text() == "running"
    connection.close()
    assert Path(fifos["ended"]).read_text() == "cancelled"
    assert host.request("GET", "/health").status == 200


def test_one_call_at_a_time(ready, fifos):
    """A second request waits for the first; one whose caller goes is never called."""
    host = ready("Slow")
    first = InBackground(lambda: predict(host, running=fifos["running"], go=fifos["go"]))
    Path(fifos["running"]).read_bytes()
    leaving = host.connect()
    leaving.request("POST", "/v1/predict", json.dumps(asked({})))
    leaving.close()
    second = InBackground(lambda: predict(host))
    assert second.is_alive()
    Path(fifos["go"]).write_bytes(b"")
    assert output(first.result()) == 1
    assert output(second.result()) == 2
    assert output(predict(host)) == 3


def test_the_schema_comes_when_it_is_its_turn(ready, fifos):
    """The canary requests it: code that hangs does not answer."""
    host = ready("Slow")
    first = InBackground(lambda: predict(host, running=fifos["running"], go=fifos["go"]))
    Path(fifos["running"]).read_bytes()
    second = InBackground(lambda: host.request("GET", "/schema"))
    assert host.request("GET", "/health").status == 200
    assert second.reply is None
    Path(fifos["go"]).write_bytes(b"")
    assert (first.result().status, second.result().status) == (200, 200)


def test_more_calls_at_once_if_the_kit_says_so(ready, fifos):
    """A second request overtakes the first."""
    host = ready("Slow", concurrency=2)
    first = InBackground(lambda: predict(host, running=fifos["running"], go=fifos["go"]))
    Path(fifos["running"]).read_bytes()
    assert output(predict(host)) == 2
    Path(fifos["go"]).write_bytes(b"")
    first.result()


@pytest.mark.parametrize("class_name", ["Failing", "LaterFailing"])
def test_an_error_of_the_code_is_its_authors(ready, class_name):
    """The answer has the type and the line; the log has also the exception's message."""
    host = ready(class_name)
    lines = (HERE / "handlers.py").read_text().splitlines()
    line = next(i for i, text in enumerate(lines, 1) if "the line that is named" in text)
    reply = predict(host, how="raise", secret="hush")
    assert (reply.status, reply.error["code"]) == (500, "HANDLER_FAILED")
    assert reply.error["message"] == f"the kit's code raised KeyError at handler.py:{line}"
    assert (reply.error["where"], reply.error["owner"]) == (f"handler.py:{line}", "kit-author")
    for how in ("exit", "cancel"):
        assert predict(host, how=how).error["code"] == "HANDLER_FAILED"
    assert output(predict(host, how="well")) == "well"
    host.terminate()
    code, said = host.ended()
    assert code == 0
    assert f"handler.py:{line} in _deep" in said
    assert "the kit's code raised KeyError: 'hush'" in said
    assert "hush" not in reply.body.decode()


@pytest.mark.parametrize("stream", [False, True])
def test_a_value_error_that_the_code_raises_is_the_callers(ready, stream):
    """With its message; one that only an operation raises is the author's."""
    host = ready("Refusing")
    reply = predict(host, text="", stream=stream)
    assert (reply.status, reply.error["code"]) == (400, "REQUEST_INVALID")
    assert (reply.error["owner"], reply.error["where"]) == ("caller", "input")
    assert reply.error["message"] == "text has no words"
    reply = predict(host, text="x")
    assert (reply.status, reply.error["code"]) == (500, "HANDLER_FAILED")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["public", "own", "library", "bare"])
def test_a_refusal_names_field_hint_and_status(ready, how, stream):
    """Of mealkit's class, also from a library, or of a class of the kit's own, without an import."""
    reply = predict(ready("RefusingMore"), how=how, stream=stream)
    if how == "bare":
        assert (reply.status, reply.error["code"]) == (400, "REQUEST_INVALID")
        assert (reply.error["where"], reply.error["message"]) == ("input", "no")
        return
    assert (reply.status, reply.error["code"]) == (422, "INPUT_REFUSED")
    assert (reply.error["owner"], reply.error["where"]) == ("caller", "input.how")
    assert (reply.error["message"], reply.error["hint"]) == ("no face", "send a portrait")


def test_a_refusal_in_the_middle_of_a_stream_is_its_last_event(ready):
    """As the caller's problem."""
    first, last = events(predict(ready("RefusingLater"), stream=True))
    assert json.loads(first) == {"output": 1}
    error = json.loads(last)["error"]
    assert (error["code"], error["where"], error["owner"]) == (
        *("REQUEST_TOO_LARGE", "input.n", "caller"),
    )


@pytest.mark.parametrize("how", ["object", "nan", "deep", "surrogate"])
def test_a_result_that_is_not_json_is_its_authors(ready, how):
    """And the next request is answered."""
    host = ready("Failing")
    reply = predict(host, how=how)
    if how == "surrogate":  # JSON can name it, so it is an answer
        assert reply.status == 200
    else:
        assert (reply.status, reply.error["code"]) == (502, "ENGINE_ANSWER")
        assert reply.error["owner"] == "kit-author"
    assert output(predict(host, how="well")) == "well"


def test_a_result_that_breaks_its_promise_is_refused(ready):
    """The schema that callers go by is kept."""
    reply = predict(ready("WrongResult"))
    assert (reply.status, reply.error["code"]) == (502, "ENGINE_ANSWER")
    assert "output[0]" in reply.error["message"]


def test_code_that_kills_its_process_is_told_by_its_end(ready):
    """The connection ends without an answer, and the process with its signal."""
    host = ready("Failing")
    with pytest.raises(ConnectionError):
        predict(host, how="kill")
    assert host.ended()[0] == -signal.SIGKILL


def b64(data):
    return base64.b64encode(data).decode()


def test_files_come_as_base64_or_data_urls(ready):
    """With the suffix of their media type, deleted after the request."""
    host = ready("Files")
    found = output(
        predict(
            host,
            file=b64(b"soup"),
            more=[f"data:image/png;base64,{b64(b'x' * 9)}", "data:,a%20b", "data:text/plain,"],
        )
    )
    assert found["sizes"] == [4, 9, 3, 0]
    assert found["suffixes"] == ["", ".png", ".txt", ".txt"]
    assert not any(Path(path).exists() for path in found["paths"])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("/etc/passwd", "REQUEST_INVALID"),
        ("not base64!", "REQUEST_INVALID"),
        ("data:text/plain;base64", "REQUEST_INVALID"),
        ("file:///etc/passwd", "REQUEST_INVALID"),
        ("http://127.0.0.1/", "REQUEST_UNSUPPORTED"),
        ("https://example.invalid/x", "REQUEST_UNSUPPORTED"),
        (b64(b"x" * 1001), "REQUEST_TOO_LARGE"),
        ("data:;base64," + b64(b"x" * 1001), "REQUEST_TOO_LARGE"),
        ("data:," + "x" * 1001, "REQUEST_TOO_LARGE"),
    ],
)
def test_other_files_are_refused(ready, text, code):
    """A path of the container is never opened."""
    reply = predict(ready("Files"), file=text)
    assert (reply.error["code"], reply.error["where"]) == (code, "input.file")


def test_all_files_of_a_request_share_one_limit(ready):
    """Many small files cannot exceed it either."""
    reply = predict(ready("Files"), file=b64(b"x" * 600), more=[b64(b"x" * 600)])
    assert reply.error["code"] == "REQUEST_TOO_LARGE"
    reply = predict(ready("Files"), file="", more=[""] * 64)
    assert reply.error["code"] == "REQUEST_TOO_LARGE"


def test_files_go_out_as_data_urls(ready):
    """With the media type of their suffix; those in the temporary folder are deleted."""
    host = ready("FileOut")
    assert output(predict(host, text="x")) == f"data:text/plain;base64,{b64(b'x')}"
    png = output(predict(host, text="x", suffix=".png"))
    assert png.startswith("data:image/png;")
    other = output(predict(host, text="x", suffix=".soup"))
    assert other.startswith("data:application/octet-stream;")
    assert predict(host, text="x", size=2000).error["code"] == "ENGINE_ANSWER"
    schema = host.request("GET", "/schema").json["output"]
    assert (schema["type"], schema["format"]) == ("string", "uri")


def test_one_file_may_be_named_several_times(ready):
    """In one answer, and in the pieces of a stream."""
    text = f"data:text/plain;base64,{b64(b'x')}"
    assert output(predict(ready("SameFile"), n=3)) == [text] * 3
    assert output(predict(ready("SameFileInPieces"), n=3)) == [text] * 3


def test_files_go_out_from_inside_a_result(ready):
    """Wherever the annotation says path."""
    found = output(predict(ready("FilesOut"), texts=["a", "b"]))
    assert found == {name: f"data:application/json;base64,{b64(name.encode())}" for name in "ab"}


def test_files_may_be_fields_of_models(ready):
    """In and out: the code gets and gives its own class, with paths in it."""
    host = ready("Pages")
    found = output(predict(host, page={"title": "x", "pages": [b64(b"soup")]}))
    data = f"data:application/octet-stream;base64,{b64(b'soup')}"
    assert found == {"soup": {"title": "soup", "picture": data, "pages": []}}
    reply = predict(host, page={"title": "x", "pages": ["/etc/passwd"]})
    assert (reply.error["code"], reply.error["where"]) == ("REQUEST_INVALID", "input.page")
    schema = host.request("GET", "/schema").json
    jsonschema.validate(found, schema["output"])


@pytest.mark.parametrize(
    ("text", "said", "where"),
    [
        ("import no_such_package\n", "no_such_package", "handler.py:1"),
        ("x = 1\n\nraise OSError('cold')\n", "OSError: cold", "handler.py:3"),
        ("class H:\n  def predict(self) -> str\n", "SyntaxError", "handler.py:2"),
        ("class Other: pass\n", "no class H", "handler.py"),
        ("class H: pass\n", "no method predict", "handler.py"),
        ("class H:\n def predict(self, x) -> int: ...\n", "has no type", "handler.py"),
        ("class H:\n def predict(self, *x: int) -> int: ...\n", "by name", "handler.py"),
        ("class H:\n def predict(self, x: 'Nope') -> int: ...\n", "'Nope'", None),
        (
            "class H:\n def load(self, gpu): ...\n def predict(self) -> int: ...\n",
            "load has a parameter 'gpu'",
            "handler.py",
        ),
        (
            "class H:\n def load(self): 1 / 0\n def predict(self) -> int: ...\n",
            "ZeroDivisionError",
            "handler.py:2",
        ),
        (
            "class H:\n async def load(self): 1 / 0\n def predict(self) -> int: ...\n",
            "ZeroDivisionError",
            "handler.py:2",
        ),
        (
            (
                "import dataclasses, pathlib\n@dataclasses.dataclass\nclass P:\n  p: pathlib.Path\n"
                "class H:\n def predict(self, x: P) -> int: ...\n"
            ),
            "a path inside a class",
            "handler.py",
        ),
    ],
)
def test_code_that_cannot_start_names_its_line(start, text, said, where):
    """As the problem of the start; the log has the rest."""
    code, problem = start("H", text).problem()
    assert (code, problem["code"], problem["owner"]) == (11, "ENGINE_START", "kit-author")
    assert said in problem["message"]
    assert problem["where"] == where


def test_a_handler_that_is_not_among_the_code_is_named(start, tmp_path):
    """Nothing outside that folder is imported."""
    (tmp_path / "handler.py").write_text("class H: ...\n")
    code, problem = start("H", "x = 1\n", file="other.py", handler="handler.py:H").problem()
    assert (code, problem["code"]) == (11, "ENGINE_START")
    assert "not among the kit's code" in problem["message"]


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"handler": "../handler.py:H"}, "settings.handler"),
        ({"handler": "handler:H"}, "settings.handler"),
        ({"concurrency": 0}, "settings.concurrency"),
        ({"concurrency": True}, "settings.concurrency"),
        ({"threads": 0}, "settings.threads"),
        ({"surprise": 1}, "settings.surprise"),
    ],
)
def test_settings_that_cannot_be_honoured_are_refused(start, settings, where):
    """Before any code is imported."""
    code, problem = start("H", "raise OSError\n", **settings).problem()
    assert (code, problem["code"], problem["where"]) == (9, "CONFIG_INVALID", where)


ENDLESS = """
from pathlib import Path
from typing import Annotated
from pydantic import BaseModel, Field

class Bounds(BaseModel):
    low: Annotated[float, Field(ge=float("-inf"), le=9)] = float("-inf")

class Handler:
    def predict(
        self,
        most: float = float("inf"),
        all: list[float] = [float("nan")],
        bounds: Bounds = Bounds(),
        picture: Path | None = None,
        pages: list[Path] = [],
    ) -> str:
        return f"{most} {all} {bounds.low}"
"""


def test_a_default_that_json_cannot_write_is_left_out(ready):
    """The code gets it; the description does not have it, and keeps the bounds beside it."""
    host = ready("Handler", ENDLESS)
    assert output(predict(host)) == "inf [nan] -inf"
    schema = host.request("GET", "/schema").json["input"]
    assert "default" not in schema["properties"]["most"]
    low = schema["$defs"]["Bounds"]["properties"]["low"]
    assert (low["maximum"], "minimum" in low, "default" in low) == (9, False, False)


def test_a_wrong_file_is_told_with_the_other_mistakes(ready):
    """Each with its own code; the files that could be read are deleted."""
    host = ready("Handler", ENDLESS)
    values = {"picture": "!", "pages": ["aGk=", "?", "A" * 2000], "most": "x", "mots": 1}
    reply = predict(host, **values)
    assert sorted((item["where"], item["code"]) for item in reply.error["problems"]) == [
        ("input.most", "REQUEST_INVALID"),
        ("input.mots", "REQUEST_INVALID"),
        ("input.pages", "REQUEST_INVALID"),
        ("input.pages", "REQUEST_TOO_LARGE"),
        ("input.picture", "REQUEST_INVALID"),
    ]
