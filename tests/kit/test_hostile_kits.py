"""A kit.yaml that somebody else wrote: a kit, or problems with a code and a line."""

import pytest
import yaml
from fakes.any_json import any_json, places, replaced, value_at
from fakes.little import little_form
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from mealkit.cli.program import app
from mealkit.engines.typed_parts import engine_problems
from mealkit.errors import MealkitError
from mealkit.kit.load import load_kit

CODES = {
    *("KIT_INVALID", "KIT_FIELD_MISSING", "KIT_UNKNOWN_FIELD", "KIT_FILE_MISSING", "KIT_SYNTAX"),
    *("KIT_DUPLICATE_KEY", "KIT_ANCHOR_BOMB", "KIT_PATH_OUTSIDE", "KIT_PROMPT_INVALID"),
}
LINES = ["a\nRUN id", "a\x1b[2Jb", "a\u202eb", "a\0b", "a\u2028b", "a\x85b", "a\x7fb", "a\ufeffb"]
FORM = {
    **little_form(),
    "description": "A kit.",
    "paper": {"title": "A", "doi": "10.1/x", "url": "https://a.invalid", "arxiv": "1908.10084"},
}
FORM["model"]["weights"] += [
    {"source": "hub", "repo": "a/b", "revision": "main", "files": ["x"], "into": "y"},
    {"source": "wheel", "package": "a", "version": "1", "prefix": "p", "files": ["x"]},
    {"source": "http", "url": "https://a.invalid/x", "files": ["x"], "sha256": {"x": "a" * 64}},
]
FORM["runtime"] |= {"requirements": ["numpy"], "code": ["a.py"], "settings": {"threads": 1}}
# Sentences for people may stand on several lines; what else they have is refused there, too.
SENTENCES = {"description", "support", "title"}
ANY = any_json(*LINES, "../x", "/etc/passwd", "-rf", "9" * 400, "x" * 5000)


def changed(place, value):
    return replaced(FORM, place, value)


def told(folder, form):
    """Load a kit, and return the problems that it has."""
    (folder / "kit.yaml").write_text(yaml.safe_dump(form), encoding="utf-8")
    try:
        load_kit(folder, engine_problems)
    except MealkitError as error:
        return error.problems
    return ()


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(way=st.sampled_from(places(FORM)), value=ANY)
def test_any_value_in_any_place_of_a_kit_is_taken_or_told(tmp_path, way, value):
    """A kit with one value replaced is a kit, or has problems of the catalogue, each with a line."""
    for item in told(tmp_path, changed(way, value)):
        assert item.code in CODES
        assert item.where


def test_every_string_of_a_kit_is_one_line_of_what_can_be_seen(tmp_path):
    """No name, path, version or address of a kit has a line break or a control character."""
    before = {item.code for item in told(tmp_path, FORM)}
    assert before == {"KIT_FILE_MISSING"}
    accepted = []
    for way in places(FORM):
        if not isinstance(value_at(FORM, way), str):
            continue
        for text in LINES:
            if text == LINES[0] and way[-1] in SENTENCES:
                continue
            refused = {item.code for item in told(tmp_path, changed(way, text))} - before
            if not refused:
                accepted.append((way, text))
    assert accepted == []


@pytest.mark.parametrize("place", ["weights", "prompts", "code", "into"])
@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "a\\b", "a\nb", "x" * 300])
def test_no_path_of_a_kit_leads_out_of_its_folder(tmp_path, place, path):
    """Files, prompts, code and where files go in the image."""
    way = {
        "weights": ("model", "weights", 1, "files", 0),
        "prompts": ("prompts", "query", "file"),
        "code": ("runtime", "code", 0),
        "into": ("model", "weights", 1, "into"),
    }[place]
    assert "KIT_INVALID" in {item.code for item in told(tmp_path, changed(way, path))}


@pytest.mark.parametrize("path", ["./prompts/query.jinja", "prompts//query.jinja"])
def test_paths_may_be_written_with_parts_that_mean_nothing(tmp_path, path):
    """Strict where something would change: ``./`` changes nothing."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "query.jinja").write_text("{{ text }}")
    found = told(tmp_path, changed(("prompts", "query", "file"), path))
    assert all("query.jinja" not in item.message for item in found)


@pytest.mark.parametrize(
    "repo",
    [
        "../..",
        "a/..",
        "./b",
        "a/b/c",
        "a",
        "-a/b",
        "a/-b",
        "é/b",
        "a/b\n",
        "a b/c",
        "a/" + "b" * 99,
    ],
)
def test_a_repository_has_an_owner_and_a_name(tmp_path, repo):
    """It becomes a part of an address, which dots and dashes could change."""
    found = told(tmp_path, changed(("model", "weights", 1, "repo"), repo))
    assert "KIT_INVALID" in {item.code for item in found}


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b"\0",
            b"\xff\xfe",
            b"\xef\xbb\xbf",
            "a: é".encode("latin-1"),
            "a: 1".encode("utf-16"),
        ),
        *(b"[" * 100_000, b"- " * 100_000, b"{a: " * 50_000, b"a: &a [*a]", b"&a" * 10),
        *(
            b"a: 1\na: 2",
            b"--- 1\n--- 2",
            b"a: !!python/name:os.system x",
            b"? [a]\n: b",
            b"%YAML 9",
        ),
        *(
            b"a: " + b"9" * 100_000,
            b"a: .nan",
            b"a: 1e999",
            b"\x85",
            "\u2028".encode(),
            b"a: |\n \x07",
        ),
    ],
    # The data itself would be the test's name, and that a variable of every process.
    ids=lambda data: f"{data[:8]!r}-{len(data)}",
)
@pytest.mark.parametrize("verb", ["check", "lock", "preflight", "diff", "render", "run", "build"])
def test_no_verb_ends_in_a_traceback(tmp_path, data, verb):
    """Whatever stands in kit.yaml or kit.lock, every verb ends with codes of the catalogue."""
    folder = tmp_path / "kit"
    folder.mkdir()
    (folder / "kit.yaml").write_bytes(data)
    (folder / "kit.lock").write_bytes(data)
    targets = [str(folder), str(folder / "kit.lock")] if verb == "diff" else [str(folder)]
    more = [str(tmp_path / "out")] if verb == "render" else []
    done = CliRunner().invoke(app, ["--home", str(tmp_path / "home"), verb, *targets, *more])
    assert done.exit_code in {2, 3, 4}
    assert "Traceback" not in done.output
    assert "INTERNAL" not in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "argument",
    ["\udcff", "a\nb", "\x1b[2J", "x" * 5000, "", "-", "oci:", "oci-archive:"],
    ids=lambda text: f"{text[:8]!a}-{len(text)}",
)
@pytest.mark.parametrize("verb", ["check", "inspect", "preflight", "lock", "run", "diff"])
def test_no_argument_ends_in_a_traceback(tmp_path, monkeypatch, argument, verb):
    """Names that are none are problems of the caller, whatever bytes they have."""
    monkeypatch.chdir(tmp_path)
    arguments = [verb, argument, argument] if verb == "diff" else [verb, argument]
    done = CliRunner().invoke(app, ["--home", str(tmp_path / "home"), *arguments])
    assert done.exit_code not in {0, 1}
    assert "Traceback" not in done.output
    assert "\x1b" not in done.output
