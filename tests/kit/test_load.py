"""Kits are loaded with their prompts and lines, or refused with every problem at once."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mealkit.errors import KitError, MealkitError, Problem
from mealkit.kit.load import MAX_KIT_BYTES, load_kit
from mealkit.recipe.weight_places import HubWeights


def _problems(folder: Path) -> list[Problem]:
    with pytest.raises(KitError) as caught:
        load_kit(folder)
    return list(caught.value.problems)


def _line(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_a_good_kit_loads_with_its_prompts(write_kit, good):
    """From its folder and from its file alike."""
    folder = write_kit(good)
    for path in (folder, folder / "kit.yaml"):
        loaded = load_kit(path)
        assert loaded.kit.name == "tiny"
        assert isinstance(loaded.kit.model.weights[0], HubWeights)
        assert loaded.prompts == {"query": "query: {{ text }}\n"}
        assert loaded.folder == folder
        assert loaded.warnings == ()


def test_places_are_written_as_the_caller_writes_paths(write_kit, good, monkeypatch):
    """``kit.yaml:LINE`` in the folder itself, the given path elsewhere."""
    folder = write_kit(good)
    line = _line(good, "python:")
    assert load_kit(folder).where(("runtime", "python")) == f"{folder}/kit.yaml:{line}"
    monkeypatch.chdir(folder)
    assert load_kit(Path()).where(("runtime", "python")) == f"kit.yaml:{line}"


def test_a_kit_written_with_anchors_is_the_same_kit(write_kit, good):
    """Anchors and merge keys are a way of writing, not another kit."""
    plain = load_kit(write_kit(good)).kit
    anchored = good.replace("license: Apache-2.0", "license: &free MIT").replace(
        "  license: MIT", "  license: *free"
    )
    assert load_kit(write_kit(anchored)).kit.model == plain.model


# What is written instead of what; the code, what the line holds, and parts of message and hint.
BAD = {
    "unknown field": (
        "license: Apache-2.0",
        "licence: Apache-2.0",
        "KIT_UNKNOWN_FIELD",
        "licence:",
        "the field licence does not exist",
        "did you mean 'license'?",
    ),
    "unknown field in a union": (
        "revision: main",
        "revison: main",
        "KIT_UNKNOWN_FIELD",
        "revison",
        "model.weights[0].revison",
        "'revision'",
    ),
    "field in the wrong place": (
        "hardware:",
        "engine: other\nhardware:",
        "KIT_UNKNOWN_FIELD",
        "engine: other",
        "the field engine does not exist",
        "belongs under runtime",
    ),
    "missing field": (
        "  support: On working days.\n",
        "",
        "KIT_FIELD_MISSING",
        "owner:",
        "owner.support is missing",
        "`support:`",
    ),
    "missing field in a union": (
        "      repo: someone/tiny\n",
        "",
        "KIT_FIELD_MISSING",
        "- source: hub",
        "model.weights[0].repo is missing",
        "OWNER/NAME",
    ),
    "python as a number": (
        'python: "3.13"',
        "python: 3.10",
        "KIT_INVALID",
        "python",
        "runtime.python is 3.10, which YAML reads as a number",
        'python: "3.10"',
    ),
    "version as a number": (
        'version: "1.0"',
        "version: 1.0",
        "KIT_INVALID",
        "version: 1.0",
        "version is 1.0",
        'write it in quotes: version: "1.0"',
    ),
    "name as a boolean": (
        "team: kitchen",
        "team: true",
        "KIT_INVALID",
        "team",
        "true or false",
        'team: "true"',
    ),
    "text that is no boolean": (
        "  task: embeddings",
        "  allow_pickle: yes",
        "KIT_INVALID",
        "allow_pickle",
        "is 'yes', expected true or false",
        "without quotes",
    ),
    "empty value": (
        "team: kitchen",
        "team:",
        "KIT_INVALID",
        "team:",
        "owner.team has no value",
        "the team that owns the kit",
    ),
    "size without its unit": (
        "memory: 2GiB",
        "memory: 4G",
        "KIT_INVALID",
        "memory",
        "hardware.memory is '4G', expected auto, or a number with its unit",
        "write 4GB or 4GiB",
    ),
    "size as a number": (
        "memory: 2GiB",
        "memory: 512",
        "KIT_INVALID",
        "memory",
        "hardware.memory is 512",
        "512MB",
    ),
    "size with an unknown unit": (
        "port: 8000",
        "max_body: 10 mb",
        "KIT_INVALID",
        "max_body",
        "serving.max_body is '10 mb'",
        "write 10MB or 10MiB",
    ),
    "wrong tag of a union": (
        "- source: hub\n",
        "- source: hubb\n",
        "KIT_INVALID",
        "hubb",
        "model.weights[0].source is 'hubb'",
        "did you mean 'hub'?",
    ),
    "no tag of a union": (
        "- source: hub\n      repo",
        "- repo",
        "KIT_FIELD_MISSING",
        "- repo",
        "model.weights[0].source is missing",
        "`source:`",
    ),
    "wrong tag in a mirror": (
        "{source: wheel,",
        "{source: weel,",
        "KIT_INVALID",
        "weel",
        "mirrors[0].source is 'weel'",
        "'wheel'",
    ),
    "value outside a choice": (
        "suite: trixie",
        "suite: sid",
        "KIT_INVALID",
        "suite",
        "runtime.base.suite is 'sid', expected one of bookworm, trixie",
        "choose one of bookworm, trixie",
    ),
    "enumeration": (
        "gpu: none",
        "gpu: requird",
        "KIT_INVALID",
        "gpu",
        "hardware.gpu is 'requird'",
        "did you mean 'required'?",
    ),
    "scalar for a list": (
        "requirements: [numpy<3]",
        "requirements: numpy<3",
        "KIT_INVALID",
        "requirements",
        "expected a list",
        "requirements: [numpy<3]",
    ),
    "scalar for a mapping": (
        "query: {file: prompts/query.jinja}",
        "query: prompts/query.jinja",
        "KIT_INVALID",
        "query",
        "expected a mapping",
        "fields below it",
    ),
    "list for text": (
        "team: kitchen",
        "team: [kitchen]",
        "KIT_INVALID",
        "team",
        "owner.team is a list, expected text",
        "the team",
    ),
    "quoted number": (
        "port: 8000",
        'port: "8000"',
        "KIT_INVALID",
        "  port",
        "expected a number",
        "without quotes",
    ),
    "number out of range": (
        "port: 8000",
        "port: 80000",
        "KIT_INVALID",
        "  port",
        "is 80000, expected at most 65535",
        "65535",
    ),
    "fraction for a whole number": (
        "port: 8000",
        "port: 80.5",
        "KIT_INVALID",
        "  port",
        "serving.port is 80.5",
        "whole number",
    ),
    "contact without a scheme": (
        "mailto:kitchen@example.org",
        "kitchen@example.org",
        "KIT_INVALID",
        "contact",
        "owner.contact is 'kitchen@example.org'",
        "mailto:",
    ),
    "empty list": (
        "files: [model.onnx]",
        "files: []",
        "KIT_INVALID",
        "files: []",
        "model.weights[1].files is empty",
        "the files",
    ),
    "climbing path": (
        "prefix: tiny/model",
        "prefix: ../model",
        "KIT_INVALID",
        "prefix",
        "'../model' is not a path inside a folder",
        "",
    ),
    "bad key": (
        "  query: {",
        "  The Query: {",
        "KIT_INVALID",
        "The Query",
        "'The Query' is not a valid name in prompts",
        "lower-case",
    ),
    "bad digest": (
        "      mirrors:",
        "      sha256: {model.safetensors: abc}\n      mirrors:",
        "KIT_INVALID",
        "sha256",
        "sha256.model.safetensors is 'abc'",
        "",
    ),
    "text too long": (
        "team: kitchen",
        f"team: {'x' * 2001}",
        "KIT_INVALID",
        "team",
        "2001 characters, expected at most 2000",
        "shorten",
    ),
    "other version of the format": (
        "mealkit/v1",
        "mealkit/v2",
        "KIT_INVALID",
        "mealkit/v2",
        "expected mealkit/v1",
        "",
    ),
    "duplicate key": (
        "port: 8000",
        "port: 8000\n  port: 9000",
        "KIT_DUPLICATE_KEY",
        "port: 9000",
        "'port' appears twice",
        "delete line",
    ),
    "missing prompt": (
        "prompts/query.jinja",
        "prompts/other.jinja",
        "KIT_FILE_MISSING",
        "other.jinja",
        "prompts.query.file: other.jinja does not exist",
        "create the file",
    ),
    "prompt that is a folder": (
        "prompts/query.jinja",
        "prompts",
        "KIT_FILE_MISSING",
        "{file: prompts}",
        "is not a file",
        "",
    ),
    "missing wheel": (
        "requirements:",
        "wheels: [tiny.whl]\n  requirements:",
        "KIT_FILE_MISSING",
        "wheels",
        "tiny.whl does not exist",
        "",
    ),
    "folder without wheels": (
        "requirements:",
        "wheels: [prompts]\n  requirements:",
        "KIT_FILE_MISSING",
        "wheels",
        "prompts contains no wheel",
        "",
    ),
    "file that is no wheel": (
        "requirements:",
        "wheels: [kit.yaml]\n  requirements:",
        "KIT_INVALID",
        "wheels",
        "kit.yaml is not a wheel",
        ".whl",
    ),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_what_is_wrong_is_named_with_its_line(case, write_kit, good):
    """Each mistake is one problem: its code, its line, its value, and how to write it."""
    before, after, code, marker, message, hint = case
    assert before in good
    text = good.replace(before, after, 1)
    (found,) = _problems(write_kit(text))
    assert found.code == code
    assert found.where.endswith(f"kit.yaml:{_line(text, marker)}")
    assert message in found.message
    assert hint in found.hint


def test_all_problems_come_at_once_in_the_order_of_their_lines(write_kit, good):
    """A kit with ten mistakes needs one run, not ten."""
    text = good
    spoiled = [
        "unknown field",
        "version as a number",
        "wrong tag of a union",
        "duplicate key",
        "missing prompt",
        "enumeration",
    ]
    for name in spoiled:
        before, after, *_ = BAD[name]
        text = text.replace(before, after, 1)
    found = _problems(write_kit(text))
    lines = [int(item.where.rpartition(":")[2]) for item in found]
    assert lines == sorted(lines)
    codes = {item.code for item in found}
    assert codes >= {"KIT_UNKNOWN_FIELD", "KIT_INVALID", "KIT_DUPLICATE_KEY", "KIT_FILE_MISSING"}
    assert len(found) == len(spoiled)


def test_an_images_python_compiles_nothing(write_kit, good):
    """Compiled modules need a base whose Python mealkit knows, and the kit says so with its line."""
    text = good.replace(
        "base: {source: debian, suite: trixie}",
        "base: {source: image, reference: 'registry.invalid/base:1'}\n  bytecode: true",
    )
    with pytest.raises(MealkitError) as caught:
        load_kit(write_kit(text))
    (found,) = caught.value.problems
    assert found.code == "KIT_INVALID"
    assert "bytecode needs a base of Debian packages" in found.message


def test_unsigned_packages_compile_nothing(write_kit, good):
    """A kit that takes packages without a signature cannot have a build run them."""
    unsigned = "base: {source: debian, suite: trixie, allow_unsigned: true}"
    text = good.replace("base: {source: debian, suite: trixie}", unsigned + "\n  bytecode: true")
    with pytest.raises(MealkitError) as caught:
        load_kit(write_kit(text))
    (found,) = caught.value.problems
    assert found.code == "KIT_INVALID"
    assert "bytecode needs signed packages" in found.message


def test_a_misspelt_field_is_not_missing_too(write_kit, good):
    """One mistake is one problem, unless the right name is there as well."""
    (found,) = _problems(write_kit(good.replace("  team:", "  taem:")))
    assert found.hint == "did you mean 'team'?"
    both = good.replace("  team: kitchen", "  team: 3\n  taem: x")
    assert len(_problems(write_kit(both))) == 2


def test_a_tag_that_is_also_a_field_does_not_confuse_the_place(write_kit, good):
    """pydantic puts the union's tag into its path; here the data has a key of that name."""
    text = good.replace("revision: main", "revision: 3\n      hub: {repo: x}")
    found = _problems(write_kit(text))
    expected = [_line(text, "revision: 3"), _line(text, "hub: {")]
    assert [int(item.where.rpartition(":")[2]) for item in found] == expected


def test_a_kit_that_is_no_mapping_is_refused(write_kit):
    """A list or a word is YAML, but no kit."""
    (found,) = _problems(write_kit("- a\n- b\n"))
    assert found.message == "the kit is a list, expected a mapping"
    (found,) = _problems(write_kit("hello\n"))
    assert found.code == "KIT_INVALID"


def test_a_link_out_of_the_folder_is_refused(write_kit, good, tmp_path):
    """A kit that is shared cannot read its reader's files."""
    folder = write_kit(good)
    secret = tmp_path / "secret"
    secret.write_text("key")
    (folder / "prompts" / "query.jinja").unlink()
    (folder / "prompts" / "query.jinja").symlink_to(secret)
    (found,) = _problems(folder)
    assert found.code == "KIT_PATH_OUTSIDE"
    assert "key" not in found.message


def test_a_folder_that_links_out_is_refused(write_kit, good, tmp_path):
    """Not only the last step of a path counts."""
    folder = write_kit(good)
    (folder / "prompts" / "query.jinja").rename(tmp_path / "query.jinja")
    (folder / "prompts").rmdir()
    (folder / "prompts").symlink_to(tmp_path)
    assert [item.code for item in _problems(folder)] == ["KIT_PATH_OUTSIDE"]


def test_a_link_inside_the_folder_is_followed(write_kit, good):
    """Links as such are allowed."""
    folder = write_kit(good)
    (folder / "prompts" / "query.jinja").rename(folder / "prompts" / "real.jinja")
    (folder / "prompts" / "query.jinja").symlink_to("real.jinja")
    assert load_kit(folder).prompts["query"] == "query: {{ text }}\n"


def test_a_link_to_itself_is_refused(write_kit, good):
    """Instead of being followed for ever."""
    folder = write_kit(good)
    (folder / "prompts" / "query.jinja").unlink()
    (folder / "prompts" / "query.jinja").symlink_to("query.jinja")
    assert [item.code for item in _problems(folder)] == ["KIT_FILE_MISSING"]


@pytest.mark.parametrize("data", [b"caf\xe9", b"a\0b", b"x" * (1024 * 1024 + 1)])
def test_a_prompt_that_is_no_text_is_refused(data, write_kit, good):
    """Wrong encoding, a NUL character, or far too large."""
    folder = write_kit(good)
    (folder / "prompts" / "query.jinja").write_bytes(data)
    assert [item.code for item in _problems(folder)] == ["KIT_PROMPT_INVALID"]


def test_pickle_is_a_warning(write_kit, good):
    """It is allowed when the kit says so, and never silent."""
    text = good.replace("  task: embeddings", "  allow_pickle: true")
    (found,) = load_kit(write_kit(text)).warnings
    assert found.code == "KIT_PICKLE_ALLOWED"
    assert found.where.endswith(f":{_line(text, 'allow_pickle')}")


def test_no_kit_is_a_problem_of_the_caller(tmp_path):
    """An empty folder, a path that is not there, and a folder named as a file."""
    (tmp_path / "kit.yaml").mkdir()
    for path in (tmp_path / "kit.yaml", tmp_path / "nothing", tmp_path):
        (found,) = _problems(path)
        assert found.code == "KIT_NOT_FOUND"


def test_a_file_that_is_too_large_is_refused(write_kit):
    """Before it is parsed."""
    (found,) = _problems(write_kit("#" * (MAX_KIT_BYTES + 1)))
    assert (found.code, str(MAX_KIT_BYTES) in found.message) == ("KIT_SYNTAX", True)


def test_another_encoding_is_refused_with_its_line(write_kit, good):
    """A file saved as Latin-1 or UTF-16 says so."""
    folder = write_kit(good)
    (folder / "kit.yaml").write_bytes(good.encode() + b"# caf\xe9\n")
    (found,) = _problems(folder)
    assert f"byte 0xe9 on line {len(good.splitlines()) + 1}" in found.message
    (folder / "kit.yaml").write_bytes(good.encode("utf-16"))
    (found,) = _problems(folder)
    assert found.code == "KIT_SYNTAX"


def test_a_byte_order_mark_is_no_problem(write_kit, good):
    """Editors on other systems write it."""
    folder = write_kit(good)
    (folder / "kit.yaml").write_bytes(b"\xef\xbb\xbf" + good.encode())
    assert load_kit(folder).kit.name == "tiny"


def test_windows_line_ends_give_the_same_kit(write_kit, good):
    """And the same lines."""
    expected = load_kit(write_kit(good))
    folder = write_kit(good)
    (folder / "kit.yaml").write_bytes(good.replace("\n", "\r\n").encode())
    found = load_kit(folder)
    assert found.kit == expected.kit
    assert found.where(("serving", "port")) == expected.where(("serving", "port"))


def test_a_pipe_is_not_read(tmp_path):
    """A named pipe would block for ever."""
    os.mkfifo(tmp_path / "kit.yaml")
    (found,) = _problems(tmp_path)
    assert found.code == "KIT_NOT_FOUND"


_quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@_quick
@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_kit_or_problems(data, write_kit, good):
    """Never another error."""
    folder = write_kit(good)
    (folder / "kit.yaml").write_bytes(data)
    with pytest.raises(MealkitError):
        load_kit(folder)


@_quick
@given(
    line=st.integers(0, 39),
    replacement=st.text(max_size=30) | st.sampled_from(["", "- x", "a: 1", "  b: [", "<<: *x"]),
)
def test_any_changed_line_gives_a_kit_or_problems(line, replacement, write_kit, good):
    """A kit with any line replaced is read or refused, with a place for every problem."""
    lines = good.splitlines()
    lines[line % len(lines)] = replacement
    folder = write_kit("\n".join(lines).encode("utf-8", "replace").decode())
    found: tuple[Problem, ...] = ()
    try:
        load_kit(folder)
    except KitError as error:
        found = error.problems
    assert all("kit.yaml" in item.where for item in found)


_FIELDS = st.sampled_from(
    ["name", "source", "hub", "owner", "model", "weights", "file", "files", "prompts", "python"]
)


@_quick
@given(
    form=st.dictionaries(
        _FIELDS,
        st.recursive(
            st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["hub", "wheel", ""]),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_FIELDS, inner, max_size=3),
            max_leaves=8,
        ),
    )
)
def test_any_values_give_problems_with_places(form, write_kit):
    """Whatever stands where, every problem finds a line."""
    found = _problems(write_kit(json.dumps(form)))
    assert all(item.where.rpartition(":")[2].isdigit() for item in found)
