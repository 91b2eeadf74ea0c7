"""Locks that somebody else wrote: every string has a form, and nothing of them ends in INTERNAL."""

import json
from pathlib import Path

import pytest
from fakes.any_json import any_json, places, replaced, value_at
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mealkit.errors import MealkitError
from mealkit.recipe.glibc import glibc_of
from mealkit.recipe.lock import Lock, read_lock

KITS = Path(__file__).parents[2] / "kits"
LOCKS = sorted(KITS.glob("*/kit.lock"))
# What a kit's author writes freely, and is never part of a path, a command or a line.
FREE = ("text", "description", "support", "title", "hyperparameters", "settings")
FREE += ("request", "equals", "contains", "matches", "schema")
LINES = ("a\nRUN id", "a\x1b[2Jb", "a\u202eb", "a\0b", "a\u2028b")
PATHS = ("/srv/backup", "../../etc/passwd", "a/../../b", "", "a" * 5000, "-rf /")
# Names for people, which may have slashes and dashes; they are one line all the same.
# What of claims and cases names something of the kit; the rest is columns, and places in answers.
NAMING = ("name", "data", "corpus", "prompt", "endpoint", "url")
PEOPLE = ("license", "team", "name", "url", "contact", "doi", "architecture", "method", "dtypes")


def form_of(path: Path) -> dict:
    form = json.loads(path.read_bytes())
    form.pop("recipe")
    form.pop("salt")
    return form


def read(form):
    """Read a lock as a stranger would write it: with the recipe digest that its content gives."""
    try:
        stated = Lock.model_validate_json(json.dumps(form)).recipe
    except (ValidationError, MealkitError):
        stated = "sha256:" + "0" * 64
    return read_lock(json.dumps({**form, "recipe": stated}).encode())


RAKE, MINILM = form_of(KITS / "rake" / "kit.lock"), form_of(KITS / "sbert-minilm" / "kit.lock")
NAMES = [
    (form, way)
    for form in (RAKE, MINILM)
    for way in places(form, 3)  # the first three of a list stand for all: they have one type
    if isinstance(value_at(form, way), str) and not any(step in FREE for step in way)
]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.parent.name)
def test_locks_of_the_examples_are_read_as_before(path):
    """The forms of strings refuse no lock that mealkit wrote, and change no recipe digest."""
    stated = json.loads(path.read_bytes())["recipe"]
    assert read_lock(path.read_bytes()).recipe == stated


def test_every_string_of_a_lock_is_one_line_of_what_can_be_seen():
    """No name, version, path or digest of a lock has a line break or a control character."""
    accepted = []
    for form, way in NAMES:
        for text in LINES:
            try:
                read(replaced(form, way, text))
            except MealkitError as error:
                assert error.problems[0].code == "LOCK_INVALID"  # noqa: PT017
            else:
                accepted.append((way, text))
    assert accepted == []


def test_no_string_of_a_lock_leads_out_of_a_folder():
    """Names, file names, versions and paths are refused where they are absolute or have ``..``."""
    accepted = []
    for form, way in NAMES:
        if (way[-1] in PEOPLE and way[0] not in {"runtime", "claims", "cases"}) or (
            "environment" in way
        ):
            continue
        if way[0] in {"claims", "cases"} and way[-1] not in NAMING:
            continue
        for text in PATHS:
            try:
                read(replaced(form, way, text))
            except MealkitError as error:
                assert error.problems[0].code == "LOCK_INVALID"  # noqa: PT017
            else:
                accepted.append((way, text[:20]))
    # The path of an image's Python is absolute; the image's own root is where it leads.
    assert {way[-1] for way, _ in accepted} <= {"interpreter"}


@pytest.mark.parametrize(
    "name", ["/srv/backup", "../backup", "a/b", "A", "a b", "-a", "a\nb", "", "a" * 129]
)
def test_a_package_is_named_as_debian_names_packages(name):
    """A package's name is part of a path where it is unpacked, and cannot leave it."""
    for index in range(3):
        with pytest.raises(MealkitError, match="LOCK_INVALID"):
            read(replaced(RAKE, ("runtime", "base", "packages", index, "name"), name))


@pytest.mark.parametrize(
    ("way", "key"),
    [
        (("prompts",), "../x"),
        (("code",), "../../x.py"),
        (("code",), "/etc/x.py"),
        (("code",), "a\nb.py"),
        (("hyperparameters",), "a\nb"),
        (("engine", "environment"), "LD_PRELOAD=x"),
        (("engine", "settings"), "--trust-remote-code\n"),
    ],
)
def test_names_of_parts_have_a_form_too(way, key):
    """What stands before a colon in a lock is refused like what stands behind it."""
    part = value_at(RAKE, way)
    value = next(iter(part.values()), {"file": "a", "sha256": "sha256:" + "0" * 64, "text": ""})
    with pytest.raises(MealkitError, match="LOCK_INVALID"):
        read(replaced(RAKE, (*way, key), value))


def test_a_wheel_is_one_of_its_package():
    """A wheel's file name and the package that it is locked for name the same package."""
    way = ("gateway", "packages", 0, "filename")
    with pytest.raises(MealkitError, match="is not a wheel of"):
        read(replaced(RAKE, way, "other-1.0-py3-none-any.whl"))


@pytest.mark.parametrize("text", ["/a\x1b[2Jb", "/a\u202eb", "/a b", "a", "//evil.invalid/x"])
def test_places_in_answers_and_endpoints_have_a_form(text):
    """A pointer is printed in reports, and an endpoint is a part of an address."""
    case = {"name": "a", "request": {}, "endpoint": text}
    with pytest.raises(MealkitError, match="LOCK_INVALID"):
        read({**RAKE, "cases": [case]})
    if not text.startswith("//"):  # as a pointer, that is an empty name
        expected = {"at": text, "equals": 1}
        with pytest.raises(MealkitError, match="LOCK_INVALID"):
            read({**RAKE, "cases": [{"name": "a", "request": {}, "expect": [expected]}]})


@pytest.mark.parametrize("second", ["model.onnx", "model.onnx/x"])
def test_files_that_cannot_both_be_there_are_refused(second):
    """Two files of one path, or one below the other, are no model."""
    files = MINILM["model"]["files"]
    twice = [*files, {**files[0], "path": second}]
    with pytest.raises(MealkitError, match="cannot both exist"):
        read(replaced(MINILM, ("model", "files"), twice))


def test_a_base_without_a_version_of_glibc_is_refused():
    """Which wheels fit is decided by libc6's version, so a lock must have one."""
    debs = [item for item in RAKE["runtime"]["base"]["packages"] if item["name"] != "libc6"]
    lock = read(replaced(RAKE, ("runtime", "base", "packages"), debs))
    with pytest.raises(MealkitError, match="LOCK_INVALID"):
        glibc_of(lock.runtime.base)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"null", b"[]", b"1", b'"x"', b"{", b'{"a":1,"a":2}', b"\xff\xfe{}", b"\0"),
        *(b"[" * 100_000, b'{"a":' * 100_000, b'{"recipe":NaN}', b'{"recipe":1e999}'),
        *(b'{"recipe":' + b"9" * 5000 + b"}", b'{"recipe":"\\ud800"}', b'{"recipe":[]}'),
        json.dumps({"recipe": "x"}).encode("utf-16"),
    ],
)
def test_what_is_no_lock_is_a_problem_with_a_code(data):
    """Empty, cut off, deep, not UTF-8, and numbers that JSON does not have."""
    with pytest.raises(MealkitError, match="LOCK_INVALID"):
        read_lock(data)


ANY = any_json(*LINES, *PATHS)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(way=st.sampled_from(places(RAKE, 2)), value=ANY)
def test_any_value_in_any_place_of_a_lock_is_taken_or_refused_by_its_code(way, value):
    """A lock with one value replaced is read, or is LOCK_INVALID; nothing else happens."""
    try:
        lock = read(replaced(RAKE, way, value))
    except MealkitError as error:
        assert error.problems[0].code in {"LOCK_INVALID", "ESTIMATE_UNKNOWN"}  # noqa: PT017
    else:
        assert lock.recipe
