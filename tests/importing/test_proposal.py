"""A proposal is written as a kit.yaml with comments and a README that lists what is missing."""

import pytest

from mealkit.importing.proposal import LeftOut, Proposal, kit_text, proposal_files
from mealkit.kit.document import read_document

PROPOSAL = Proposal(
    origin="a repository",
    engine="onnx",
    kit={"license": "MIT", "model": {"name": "a"}, "description": "A kit."},
    files={"handler.py": "pass\n", "data": b"\0"},
    comments={("model", "name"): "Its own name."},
    left_out=[LeftOut("a|b", "why\nnot", "do `that`")],
)


def test_a_kit_is_written_with_all_its_files():
    """The proposal's own, kit.yaml and README.md."""
    files = proposal_files(PROPOSAL, "little")
    assert set(files) == {"handler.py", "data", "kit.yaml", "README.md"}
    assert files["data"] == b"\0"
    document, problems = read_document(files["kit.yaml"], "kit.yaml")
    assert problems == []
    assert list(document.data) == [
        *("apiVersion", "name", "version", "description", "license", "owner", "model")
    ]
    assert document.data["owner"]["contact"] == "mailto:little@example.org"


def test_a_comment_stands_above_its_field():
    """In its field's column."""
    text = proposal_files(PROPOSAL, "little")["kit.yaml"]
    assert "model:\n  # Its own name.\n  name: a\n" in text


def test_what_was_left_out_is_one_row_each():
    """Whatever is written in it."""
    readme = str(proposal_files(PROPOSAL, "little")["README.md"])
    rows = [line for line in readme.splitlines() if line.startswith("|")]
    assert rows[2:] == [r"| `a\|b` | why not | do \`that\` |"]


def test_a_kit_without_gaps_says_so():
    """Instead of an empty table."""
    readme = proposal_files(Proposal("x", "onnx", {}), "little")["README.md"]
    assert "Nothing: the kit has everything" in str(readme)


def test_a_part_that_was_left_out_is_one_sentence():
    """For the terminal."""
    assert PROPOSAL.left_out[0].sentence == "a|b: why not; do `that`"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"a": [1, 2]}, "a: [1, 2]\n"),
        ({"a": list("abcde")}, "a:\n  - a\n  - b\n  - c\n  - d\n  - e\n"),
        ({"a": [{"b": 1, "c": 2}, "d"]}, "a:\n  - b: 1\n    c: 2\n  - d\n"),
        ({"a": {}}, "\na: {}\n"),
        ({"a": {"b": {"c": 1}}}, "\na:\n  b:\n    c: 1\n"),
        ({"a b": "x: y", "null": None}, "a b: 'x: y'\n'null': null\n"),
    ],
)
def test_a_form_is_written_a_field_to_a_line(form, text):
    """Short lists stay on one line, parts are set apart."""
    assert kit_text(form, {}) == text
    assert read_document(text, "x")[0].data == form


def test_a_long_comment_is_wrapped_and_stays_a_comment():
    """Each of its lines."""
    text = kit_text({"a": 1}, {("a",): "word " * 60 + "\n- b: c"})
    *comments, value = text.splitlines()
    assert all(line.startswith("# ") and len(line) <= 100 for line in comments)
    assert len(comments) > 3
    assert value == "a: 1"
