"""Files in and out of a paper's own code: forms, one limit, and a file as the answer."""

import base64
import json
import shutil
import subprocess
from html import unescape

import pytest
from openapi_spec_validator import validate
from runtime.conftest import python_kit, with_code

HANDLER = '''
import tempfile
from pathlib import Path
from typing import Annotated, Literal
from pydantic import BaseModel, Field
from mealkit.refusal import Refusal

class Options(BaseModel):
    depth: Annotated[int, Field(ge=1)] = 1

class Handler:
    """Paint a picture's frame.

    With a border of the given width.
    """

    def predict(
        self,
        image: Annotated[Path, Field(description="The picture to frame.")],
        width: Annotated[int, Field(ge=1, le=9, description="Of the border.")] = 2,
        style: Literal["plain", "gilded"] = "plain",
        title: str = "",
        bold: bool = False,
        tags: list[str] = [],
        extra: list[Path] = [],
        options: Options = Options(),
        seed: int = 0,
    ) -> Path:
        if not image.read_bytes():
            raise Refusal("the picture is empty", field="image", hint="send a PNG", status=422)
        out = Path(tempfile.mkdtemp()) / f"out{image.suffix or '.bin'}"
        told = [width, style, title, bold, tags, [len(item.read_bytes()) for item in extra],
                options.depth, seed]
        out.write_bytes(image.read_bytes()[:8] + repr(told).encode())
        return out
'''
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
DEFAULTS = [2, "plain", "", False, [], [], 1, 0]
BYTES = {"Accept": "application/octet-stream"}
LIMIT = 16 * 2**20


@pytest.fixture(scope="module")
def kit(make_shared_lock, start_shared):
    """A running kit whose code takes and returns files; the body's own limit is a small one."""
    lock = python_kit(make_shared_lock, serving={"max_body": "64KiB"})
    return start_shared(lock, change=with_code(HANDLER)).wait_ready()


def told(answer):
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(PNG[:8])
    return eval(answer.content[8:])  # noqa: S307  our own handler's words


def send(kit, files, data=None, headers=BYTES):
    return kit.client.post("/v1/predict", files=files, data=data, headers=headers)


def picture(data=PNG, name="frame.png", kind="image/png"):
    return ("image", (name, data, kind))


def test_a_form_is_typed_by_the_signature(kit):
    """Texts become numbers, booleans, lists and objects where the code wants them."""
    data = {
        "width": "3", "style": "gilded", "title": "7", "bold": "true", "tags": ["a", "b"],
        "options": '{"depth": 4}', "seed": "5", "model": "stand-in",
    }  # fmt: skip
    files = [picture(), *(("extra", ("e", b"x" * size)) for size in (1, 20))]
    answer = send(kit, files, data)
    assert told(answer) == [3, "gilded", "7", True, ["a", "b"], [1, 20], 4, 5]
    assert told(send(kit, [picture()])) == DEFAULTS


def test_inputs_may_come_as_json_beside_files(kit):
    """As one object, or part by part; what is given twice is refused."""
    whole = ("input", (None, json.dumps({"width": 4, "options": {"depth": 2}}), "application/json"))
    tags = ("tags", (None, '["x"]', "application/json"))
    assert told(send(kit, [picture(), whole, tags])) == [4, "plain", "", False, ["x"], [], 2, 0]
    answer = send(kit, [picture(), whole], {"width": "3"})
    assert answer.json()["error"]["where"] == "input.width"


def test_a_wrong_form_is_told_as_json_is(kit):
    """Every field at once, in the same words."""
    data = {"width": "many", "style": "guilded", "titel": "x"}
    error = send(kit, [picture()], data).json()["error"]
    assert error["message"].startswith("3 problems: ")
    found = {item["where"]: item["hint"] for item in error["problems"]}
    assert found["input.style"] == "did you mean 'gilded'?"
    assert found["input.titel"] == "did you mean 'title'?"
    body = {"input": {"image": "", **data}}
    assert (
        kit.client.post("/v1/predict", json=body).json()["error"]["problems"] == error["problems"]
    )
    twice = [picture(), picture()]
    assert send(kit, twice).json()["error"]["where"] == "input.image"


def test_a_refusal_of_the_code_reaches_the_caller(kit):
    """And counts as the caller's, in the log and in the metrics."""
    before = len(kit.events("request"))
    answer = send(kit, [picture(b"")])
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (
        422,
        "INPUT_REFUSED",
        "input.image",
    )
    assert (error["message"], error["hint"]) == ("the picture is empty", "send a PNG")
    assert error["owner"] == "caller"
    assert "contact" not in error
    (line,) = kit.wait_for(lambda: kit.events("request")[before:])
    assert (line["code"], line["param"], line["status"]) == ("INPUT_REFUSED", "input.image", 422)
    assert kit.gauge('mealkit_failures_total{code="INPUT_REFUSED",owner="caller"}') == 1


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("image/*", "image/png"),
        ("application/octet-stream", "image/png"),
        ("image/webp, */*;q=0.5", "application/json"),
        ("image/png, */*;q=0.1", "image/png"),
        ("image/png;q=0.2, application/json", "application/json"),
        ("application/json;q=0.2, image/png;q=0.3", "image/png"),
        ("no/thing/at/all", "application/json"),
    ],
)
def test_the_answer_is_what_the_caller_accepts(kit, accept, kind):
    """JSON for clients that do not care, the file's own bytes for one that does."""
    headers = {"Accept": accept} if accept else {"Accept": ""}
    answer = send(kit, [picture()], headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    if kind == "image/png":
        assert told(answer) == DEFAULTS
        assert answer.headers["content-disposition"] == "attachment"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-mealkit-seed"] == "0"


def test_a_type_that_the_file_does_not_have_is_refused(kit):
    """With the one that it has."""
    answer = send(kit, [picture(name="a.jpg", kind="image/jpeg")], headers={"Accept": "image/png"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (406, "REQUEST_ACCEPT")
    assert "image/jpeg" in error["message"]


def test_the_limit_of_files_is_what_may_be_sent(kit):
    """In a form and in JSON, however small the limit of a body without files is."""
    data = b"\x89PNG\r\n\x1a\n" + b"x" * (LIMIT - 8)
    assert told(send(kit, [picture(data)])) == DEFAULTS
    url = {"input": {"image": _url(data)}}
    assert told(kit.client.post("/v1/predict", json=url, headers=BYTES)) == DEFAULTS
    for answer in (
        send(kit, [picture(data + b"x")]),
        kit.client.post("/v1/predict", json={"input": {"image": _url(data + b"x")}}),
    ):
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (413, "REQUEST_TOO_LARGE")
        assert str(LIMIT) in error["message"]
        assert str(LIMIT + 1) in error["message"]
        assert "max_file_bytes" in error["message"]


def test_a_body_over_both_limits_names_both(kit):
    """Before it is parsed."""
    answer = kit.client.post("/v1/predict", content=b"x" * 23 * 2**20)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (413, "REQUEST_TOO_LARGE")
    assert "64.0 KiB (serving.max_body)" in error["message"]
    assert f"{LIMIT} bytes (runtime.settings.max_file_bytes)" in error["message"]
    limits = kit.client.get("/v1/metadata").json()["limits"]
    assert limits["max_file_bytes"] == LIMIT
    assert str(limits["max_body_bytes"]) in error["message"]


def test_a_page_of_another_origin_may_not_send_a_form(kit):
    """Without the browser's check before it, a form is what such a page can send."""
    headers = {"Origin": "https://elsewhere.example"}
    answer = send(kit, [picture()], headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "REQUEST_ORIGIN")


def _url(data):
    return "data:image/png;base64," + base64.b64encode(data).decode()


def test_the_description_has_the_inputs_and_the_output(kit):
    """With their names, bounds, defaults, choices and words; files as files; valid, as OpenAPI 3.1."""
    description = kit.client.get("/openapi.json").json()
    validate(description)
    post = description["paths"]["/v1/predict"]["post"]
    schemas = description["components"]["schemas"]
    assert post["description"].startswith("Paint a picture's frame.\n\nWith a border")
    taken = schemas["Input"]["properties"]
    assert taken["width"] | {"title": ""} == {
        "default": 2, "description": "Of the border.", "maximum": 9, "minimum": 1, "type": "integer",
        "title": "",
    }  # fmt: skip
    assert taken["style"]["enum"] == ["plain", "gilded"]
    assert taken["image"]["format"] == "data-url"
    assert taken["image"]["description"] == "The picture to frame."
    form = post["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["image"] == {
        "type": "string", "format": "binary", "description": "The picture to frame.",
    }  # fmt: skip
    assert form["properties"]["extra"]["items"] == {"type": "string", "format": "binary"}
    assert form["properties"]["width"] == taken["width"]
    assert form["required"] == ["image"]
    assert "application/octet-stream" in post["responses"]["200"]["content"]
    assert post["requestBody"]["content"]["application/json"]["example"]["input"].keys() == {
        "image"
    }


def test_the_calls_on_the_page_work(kit, tmp_path):
    """Each as it is shown, in a folder with a file of the input's name."""
    page = kit.client.get("/docs").text
    for said in ("Of the border.", "plain | gilded", "integer from 1 to 9", "2 if left out."):
        assert said in page
    calls = [unescape(part.partition("</pre>")[0]) for part in page.split('<pre tabindex="0">')[1:]]
    with_files, plain = [call for call in calls if call.startswith("curl")]
    assert "-F 'image=@\"image\"'" in with_files
    (tmp_path / "image").write_bytes(PNG)
    run(with_files, tmp_path)
    assert (tmp_path / "output").read_bytes() == PNG[:8] + repr(DEFAULTS).encode()
    answer = json.loads(run(plain, tmp_path))
    assert answer["output"].startswith("data:text/plain;base64,")


def run(call, folder):
    program = shutil.which("curl") or pytest.skip("this machine has no curl")
    command = call.replace("curl", f"{program} -sSf", 1)
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_start_says_where_things_are(kit):
    """The page to a browser, addresses to a program; each of them is there."""
    found = kit.client.get("/").json()
    assert (found["kit"], found["model"]) == ("kit 1.0", "stand-in")
    for name in ("docs", "openapi", "metadata", "ready"):
        assert kit.client.get(found[name]).status_code == 200
    assert found["endpoints"] == [f"{str(kit.client.base_url).rstrip('/')}/v1/predict"]
    page = kit.client.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
