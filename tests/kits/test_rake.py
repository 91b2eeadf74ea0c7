"""The example kit rake: its numbers are the published ones, from the handler and from a container."""

import importlib.util
import json
import sys
import urllib.request
from pathlib import Path

import pytest

KIT = Path(__file__).parents[2] / "kits" / "rake"
EXAMPLE = json.loads((KIT / "example.json").read_text())


@pytest.fixture(scope="module")
def code():
    """The kit's own module."""
    spec = importlib.util.spec_from_file_location("rake_handler", KIT / "handler.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["rake_handler"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["rake_handler"]


@pytest.fixture
def rake(code):
    """Its handler, loaded."""
    handler = code.Rake()
    handler.load(KIT / "model")
    return handler


def rounded(found):
    return [[item.keyword, round(item.score, 1)] for item in found]


def test_the_published_keywords_in_their_order(rake):
    """Nine, which is a third of the content words, with their scores to one digit."""
    assert rounded(rake.predict(EXAMPLE["text"])) == EXAMPLE["published"]


def test_the_rest_of_the_candidates(rake):
    """Those below the first third, with the scores that the chapter's word scores give."""
    found = {item.keyword: item.score for item in rake.predict(EXAMPLE["text"], top=100)}
    assert found["corresponding algorithms"] == 3.5
    assert found["set"] == 2.0
    assert found["algorithms"] == 1.5
    ones = {"compatibility", "systems", "criteria", "system", "components", "solutions"}
    assert {name for name, score in found.items() if score == 1.0} == ones | {
        "constructing",
        "solving",
    }
    assert len(found) == 20


def test_another_stop_list_is_another_model(rake):
    """With fewer stop words there are other candidates: the reason to pin the list."""
    rake.stop_words -= {"types", "mixed", "considered"}
    found = dict(rounded(rake.predict(EXAMPLE["text"], top=100)))
    assert (found["mixed types"], found["considered types"], found["types"]) == (3.7, 3.2, 1.7)


def test_keywords_may_have_stop_words_inside(rake):
    """If they adjoin twice in the same way, scored as the sum of their parts (section 1.2.3)."""
    text = "The axis of evil. An axis of evil, or an axis for evil."
    found = {item.keyword: item.score for item in rake.predict(text, top=100)}
    assert found == {"axis": 1.0, "evil": 1.0, "axis of evil": 2.0}


@pytest.mark.parametrize(
    ("text", "keywords"),
    [
        ("", []),
        ("of the and", []),
        ("...!", []),
        ("Soup", ["soup"]),
        ("well-known cook's knife", ["well-known cook's knife"]),
        ("größere Töpfe; 日本 料理", ["größere töpfe", "日本 料理"]),
        ("a_b", ["b"]),
    ],
)
def test_texts_without_much_in_them(rake, text, keywords):
    """Words have hyphens and apostrophes inside, in any script."""
    assert [item.keyword for item in rake.predict(text, top=100)] == keywords


def test_the_lock_is_the_kits(tmp_path):
    """What was built is what stands here."""
    from mealkit.pipeline.home import Home  # noqa: PLC0415
    from mealkit.pipeline.kit.locking import check_lock  # noqa: PLC0415

    assert check_lock(KIT, Home(tmp_path)).stale is None


@pytest.mark.online
@pytest.mark.parametrize("client", [pytest.param("docker", marks=pytest.mark.docker), "sandbox"])
@pytest.mark.xdist_group("rake")
def test_a_container_gives_the_published_numbers(client, run_kit_named):
    """Built from the committed lock, asked over HTTP."""
    url = run_kit_named(KIT, client).url
    body = json.dumps({"model": "rake", "input": {"text": EXAMPLE["text"]}}).encode()
    request = urllib.request.Request(
        f"{url}/v1/predict", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        output = json.load(answer)["output"]
    assert [[item["keyword"], round(item["score"], 1)] for item in output] == EXAMPLE["published"]
