"""A Hub that answers with anything: what is of no use is a problem of the source, never of ours."""

import json

import pytest
from fakes.any_json import any_json, places, replaced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mealkit.errors import MealkitError
from mealkit.recipe.weight_places import HubPlace
from mealkit.sources.hub import HubReader
from mealkit.sources.weights import resolve_weights

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = b'{"hidden_size": 64}'
HOSTILE = [
    *("../../etc/passwd", "/etc/passwd", "a\\b.json", "a/../b.json", "./a.json", "a//b.json"),
    *("a\nRUN id.json", "a\rb.json", "a\x1b[2Jb.json", "a\u202eb.json", "a\u2028b.json"),
    *("a\0b.json", "x" * 300 + ".json", "d/" * 600 + "a.json"),
]


@pytest.fixture
def filled(hub):
    hub.add("config.json", CONFIG)
    return hub


def entry(**fields):
    return {"source": "hub", "repo": "example/model", "revision": COMMIT, "files": ["*"], **fields}


def answer(*names, **changes):
    """What the API says of files of these names."""
    siblings = [{"rfilename": name, "size": len(CONFIG), "blobId": "0" * 40} for name in names]
    return json.dumps({"id": "example/model", "sha": COMMIT, "siblings": siblings} | changes)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_no_path_can_be_is_not_taken(filled, tmp_path, supplies, model, name):
    """Whoever owns a repository names its files; a kit takes none that leaves its folder."""
    filled.api_body = answer("config.json", name).encode()
    with pytest.raises(MealkitError) as caught:
        resolve_weights(tmp_path, model(entry()), supplies)
    (problem,) = caught.value.problems
    assert problem.code == "SOURCE_ANSWER"
    assert problem.message.isprintable()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_no_path_can_be_hinders_nobody_who_takes_others(
    filled, tmp_path, supplies, model, name
):
    """What is not taken may be called anything; it is not offered either."""
    filled.api_body = answer("config.json", name).encode()
    files, _, _ = resolve_weights(tmp_path, model(entry(files=["config.json"])), supplies)
    assert [file.path for file in files] == ["config.json"]
    place = HubPlace(source="hub", repo="example/model", revision=COMMIT)
    assert set(HubReader(place, supplies).listing().sizes_bytes) == {"config.json"}


@pytest.mark.parametrize("names", [["a", "a/b"], ["caf\u00e9", "cafe\u0301"]])
def test_files_that_cannot_both_be_there_are_refused(filled, tmp_path, supplies, model, names):
    """A file is no folder, and two names that look the same are one."""
    for name in names:
        filled.add(name, CONFIG)
    with pytest.raises(MealkitError, match="WEIGHTS_CLASH"):
        resolve_weights(tmp_path, model(entry()), supplies)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b"{", b"\xff", b"{}", b"<html>", b"[" * 100_000, b'{"a":NaN}'),
        *(b'{"a":' * 100_000, b'{"sha":1}', b'{"siblings":{}}', b" " * 9_000_000),
        *(answer(sha=sha).encode() for sha in ("main", "../x", "0" * 39, 7, [])),
        *(
            answer(siblings=item).encode()
            for item in ("x", [1], [{}], [{"rfilename": 1}], {"a": 1})
        ),
        *(
            answer(siblings=[{"rfilename": "a", "size": size}]).encode()
            for size in (-1, 10**400, "1")
        ),
        answer(siblings=[{"rfilename": "a"}]).encode(),
        answer(
            siblings=[{"rfilename": "a", "size": 1, "lfs": {"sha256": "x", "size": 1}}]
        ).encode(),
        answer(siblings=[{"rfilename": "a", "size": 1, "lfs": []}]).encode(),
    ],
)
def test_an_answer_of_another_form_is_the_hubs_fault(filled, tmp_path, supplies, model, body):
    """Empty, deep, too long, of other types: SOURCE_ANSWER, or what is asked for is not there."""
    filled.api_body = body
    with pytest.raises(MealkitError) as caught:
        resolve_weights(tmp_path, model(entry()), supplies)
    assert {item.code for item in caught.value.problems} <= {"SOURCE_ANSWER", "SOURCE_NOT_FOUND"}


GOOD = json.loads(answer("config.json", "other.json", pipeline_tag="text-generation"))
ANY = any_json(*HOSTILE)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(way=st.sampled_from(places(GOOD)), value=ANY)
def test_any_value_in_any_place_of_an_answer_is_taken_or_refused(
    filled, tmp_path, supplies, model, way, value
):
    """An answer with one value replaced is locked, or is a problem of the source."""
    filled.add("other.json", CONFIG)
    filled.api_body = json.dumps(replaced(GOOD, way, value)).encode()
    try:
        files, _, _ = resolve_weights(tmp_path, model(entry()), supplies)
    except MealkitError as error:
        codes = {item.code for item in error.problems}
        assert codes <= {"SOURCE_ANSWER", "SOURCE_NOT_FOUND", "SOURCE_SIZE"}
    else:
        assert {file.path for file in files} <= {"config.json", "other.json"}
