"""References are read as the distribution grammar says, and refused with the reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.reference import Reference

DIGEST = Digest("sha256:" + "ab" * 32)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sbert-minilm", Reference(None, "sbert-minilm")),
        ("sbert-minilm:1.0.0", Reference(None, "sbert-minilm", "1.0.0")),
        ("team/sbert:1", Reference(None, "team/sbert", "1")),
        ("localhost:5000/x:1", Reference("localhost:5000", "x", "1")),
        ("localhost/x", Reference("localhost", "x")),
        ("127.0.0.1:5000/a/b/c", Reference("127.0.0.1:5000", "a/b/c")),
        ("[::1]:5000/a:latest", Reference("[::1]:5000", "a", "latest")),
        (
            "registry.example.invalid/a__b/c-d.e",
            Reference("registry.example.invalid", "a__b/c-d.e"),
        ),
        (f"name@{DIGEST}", Reference(None, "name", None, DIGEST)),
        (f"host:80/name:Tag_1@{DIGEST}", Reference("host:80", "name", "Tag_1", DIGEST)),
    ],
)
def test_parse_reads_all_parts_and_str_gives_them_back(text, expected):
    """What is read is what is written."""
    reference = Reference.parse(text)
    assert expected == reference
    assert text == str(reference)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "repository name"),
        ("Name", "repository name"),
        ("Team/name", "repository name"),
        ("a//b", "repository name"),
        ("/a", "repository name"),
        ("a/", "repository name"),
        ("a___b", "repository name"),
        ("a b", "repository name"),
        ("ä", "repository name"),
        ("name\n", "repository name"),
        ("name:", "tag"),
        ("name:.tag", "tag"),
        ("name:" + "t" * 129, "tag"),
        ("name:a:b", "tag"),
        ("name:tag\n", "tag"),
        ("host:70000/name", "host name"),
        ("host:0/name", "host name"),
        ("-host.example/name", "host name"),
        ("a..b/name", "host name"),
        ("user@host.example/name", "64 lower-case hex digits"),
        ("name@sha256:abc", "64 lower-case hex digits"),
        ("name@", "64 lower-case hex digits"),
        ("name@sha512:" + "0" * 128, "64 lower-case hex digits"),
        (str(DIGEST), "read as a digest"),
        (DIGEST.hex, "read as a digest"),
        ("a" * 256, "256 characters"),
        ("https://host.example/name", "host name"),
    ],
)
def test_parse_refuses_with_the_reason(text, reason):
    """A text outside the grammar is a problem that repeats the text and names the wrong part."""
    with pytest.raises(MealkitError) as caught:
        Reference.parse(text)
    (problem,) = caught.value.problems
    assert problem.code == "REFERENCE_INVALID"
    assert repr(text) in problem.message
    assert reason in problem.message


def test_a_reference_made_by_hand_is_checked_too():
    """No wrong reference exists, however it is made."""
    with pytest.raises(MealkitError, match="REFERENCE_INVALID"):
        Reference(None, "Name")


@given(st.text(max_size=40))
def test_parse_either_refuses_or_round_trips(text):
    """There is no third outcome for any text."""
    try:
        reference = Reference.parse(text)
    except MealkitError as error:
        codes = [problem.code for problem in error.problems]
    else:
        assert text == str(reference)
        codes = ["REFERENCE_INVALID"]
    assert codes == ["REFERENCE_INVALID"]
