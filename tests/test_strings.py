"""Which strings are names, paths, versions and addresses."""

import pytest
from pydantic import TypeAdapter, ValidationError

from mealkit import strings

GOOD = [
    ("Line", "a sentence, with a umlaut: ö"),
    ("MaybeLine", ""),
    ("Text", "two\nlines"),
    ("Document", "tabs\tand\r\nline ends\n"),
    ("Name", "my-kit_2.0"),
    ("Version", "1.0-rc_1"),
    ("Variable", "_text2"),
    ("Sha256", "0" * 64),
    ("Url", "https://example.invalid/a?b=c"),
    ("RelativePath", "a/b.txt"),
    ("LoosePath", "./lib/"),
    ("AbsolutePath", "/usr/bin/python3"),
    ("HubRepository", "org/model-1.0"),
    ("HubRevision", "refs/pr/1"),
    ("HubCommit", "a" * 40),
    ("ArtifactReference", "registry.example.org/team/model:1.0"),
    ("ArtifactReference", f"localhost/model@sha256:{'0' * 64}"),
    ("ArtifactReference", f"[::1]:5000/model:a@sha256:{'0' * 64}"),
    ("ArtifactRepository", "team/a__b/model-1.0"),
    ("PackageName", "Jinja2"),
    ("NormalName", "ruamel-yaml"),
    ("PackageVersion", "1!2.0.post1+cu124"),
    ("WheelName", "torch-2.4.0+cpu-cp312-cp312-linux_x86_64.whl"),
    ("WheelName", "a-1.0-1build-py3-none-any.whl"),
    ("Worker", "mealkit.engines.onnx.worker:OnnxWorker"),
    ("EnvironmentName", "OMP_NUM_THREADS"),
    ("DebianPackage", "libstdc++6"),
    ("DebianName", "a"),
    ("DebianVersion", "2:1.0~rc1-1+deb12u1"),
    ("Python", "3.13"),
    ("Interpreter", "python3.13"),
    ("Glibc", "2.36"),
    ("MachineName", "arm64"),
    ("Bytes", 2**63 - 1),
    ("Count", 2**53),
]
BAD = [
    *[("Line", text) for text in ("", "two\nlines", "a\u202eb", "a\0", "x" * 2001)],
    ("MaybeLine", "\x1b[31m"),
    *[("Text", text) for text in ("", "a\x07", "x" * 2001)],
    ("Document", "a\0b"),
    *[("Name", text) for text in ("", "Kit", "a--b", "-a", "a.", "a\n", "x" * 129)],
    *[("Version", text) for text in ("", "-1", ".1", "1.0\n", "1/2", "x" * 129)],
    *[("Variable", text) for text in ("2a", "a-b", "A", "a" * 65)],
    *[("Sha256", text) for text in ("0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n")],
    *[("Url", text) for text in ("ftp://a", "https://", "https://a b", "https://a\u202e")],
    *[("RelativePath", text) for text in ("", "/a", "../a", "a/../b", "a//b", "a\n", "./a")],
    *[("LoosePath", text) for text in ("", "/a", "../a")],
    *[("AbsolutePath", text) for text in ("a", "/a\nb")],
    *[("HubRepository", text) for text in ("a", "a/b/c", "-a/b", "../b", "a/b\n")],
    *[("HubRevision", text) for text in ("-x", "a b", "")],
    *[("HubCommit", text) for text in ("main", "A" * 40)],
    *[("ArtifactReference", text) for text in ("a.b/c", "team/model:1", "a.b/C:1", "a.b/c:1\n")],
    *[("ArtifactReference", f"a.b/c@sha256:{digits}") for digits in ("0" * 63, "A" * 64)],
    *[("ArtifactRepository", text) for text in ("", "/a", "a/", "A", "a b")],
    *[("PackageName", text) for text in ("-r", "a b", "a-", "")],
    *[("NormalName", text) for text in ("Jinja2", "a_b", "a--b")],
    *[("PackageVersion", text) for text in ("", "-1", "1 2")],
    *[("WheelName", text) for text in ("a.whl", "a-1.0-py3-none-any.zip", "../a-1-py3-b-c.whl")],
    *[("Worker", text) for text in ("a.b", "a:b:c", "a..b:C", "a.b:1C", "os;x:C")],
    *[("EnvironmentName", text) for text in ("A=B", "1A", "A-B", "")],
    *[("DebianPackage", text) for text in ("a", "-ab", "Ab", "a_b")],
    *[("DebianVersion", text) for text in ("", "-1", "1 2")],
    *[("Python", text) for text in ("3.10", "3.1", "2.7", "3.113", "3.13.1")],
    *[("Interpreter", text) for text in ("python3", "bin/python3.13", "/usr\n")],
    *[("Glibc", text) for text in ("3.0", "2", "2.1000")],
    *[("MachineName", text) for text in ("x86_64", "AMD64", "")],
    *[("Bytes", number) for number in (-1, 2**63)],
    *[("Count", number) for number in (-1, 2**53 + 1)],
]


@pytest.mark.parametrize(("kind", "value"), GOOD, ids=range(len(GOOD)))
def test_what_has_the_form_is_kept_as_it_is(kind, value):
    """Nothing is trimmed, folded or rewritten."""
    assert TypeAdapter(getattr(strings, kind)).validate_python(value) == value


@pytest.mark.parametrize(("kind", "value"), BAD, ids=range(len(BAD)))
def test_what_has_another_form_is_refused(kind, value):
    """No string leaves its folder, ends a line, or could be taken for an option."""
    with pytest.raises(ValidationError):
        TypeAdapter(getattr(strings, kind)).validate_python(value)


def test_a_long_path_is_not_repeated_whole():
    """A refusal of a path shows its beginning."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(strings.RelativePath).validate_python("/" + "x" * 5000)
    assert len(caught.value.errors()[0]["msg"]) < 400
