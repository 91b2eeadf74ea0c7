"""A Modelfile is read as Ollama reads it: encoding, instructions, quotes, and names of files."""

from pathlib import Path

import pytest

from mealkit.errors import MealkitError
from mealkit.importing.modelfile import decode_modelfile, named_files, parse_modelfile


def files_of(directives, *there):
    return named_files(directives, Path("/srv"), "Modelfile", lambda path: str(path) in there)


def test_instructions():
    """In any case, over several lines in quotes, with comments between."""
    text = """# hello
    from ./m.gguf

PARAMETER stop "a b"
system \"\"\"one
two\"\"\"
MESSAGE user \"\"\"hi
there\"\"\"
TEMPLATE \"\"\"{{ .Prompt }}\"\"\"
LICENSE "MIT"
"""
    found = [(item.name, item.value, item.line) for item in parse_modelfile(text, "Modelfile")]
    assert found == [
        ("FROM", "./m.gguf", 2),
        ("PARAMETER", "a b", 4),
        ("SYSTEM", "one\ntwo", 5),
        ("MESSAGE", "hi\nthere", 7),
        ("TEMPLATE", "{{ .Prompt }}", 9),
        ("LICENSE", "MIT", 10),
    ]


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("FROM a\nRUN ls", "'RUN' is not an instruction", 2),
        ("FROM a\n=", "'=' is not an instruction", 2),
        ('SYSTEM """never', "the quotes of SYSTEM are not closed", 1),
    ],
)
def test_what_is_no_modelfile(text, said, line):
    """The line that is wrong is named."""
    with pytest.raises(MealkitError, match=said) as caught:
        parse_modelfile(text, "Modelfile")
    assert caught.value.problems[0].where == f"Modelfile:{line}"


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("llama3.2:3b", "ollama show --modelfile llama3.2:3b"),
        ("https://huggingface.co/a/B-GGUF", "--from hub a/B-GGUF"),
        ("hf.co/someone/Some-GGUF:Q4_K_M", "--from hub someone/Some-GGUF:Q4_K_M"),
    ],
)
def test_names_of_ollamas_own(value, hint):
    """A name says nothing of which bytes are meant; the hint says how to find them."""
    directives = parse_modelfile(f"FROM {value}", "Modelfile")
    with pytest.raises(MealkitError, match="is not a file") as caught:
        files_of(directives)
    assert hint in caught.value.problems[0].hint


@pytest.mark.parametrize("name", ["blobs/sha256-abc", "m.bin", "M.GGUF", "llama3.2:3b"])
def test_any_name_of_a_file_that_exists(name):
    """As Ollama reads FROM: it looks for a file first, whatever the name."""
    directives = parse_modelfile(f"FROM {name}", "Modelfile")
    assert files_of(directives, f"/srv/{name}") == [Path("/srv", name)]


@pytest.mark.parametrize("name", [r"C:\Users\me\m.gguf", "d:/m.gguf", r"\\server\share\m.gguf"])
def test_a_path_of_another_machine(name):
    """The message names the path, and does not take it for a model of Ollama's own."""
    with pytest.raises(MealkitError, match="a path on Windows") as caught:
        files_of(parse_modelfile(f"FROM {name}", "Modelfile"))
    assert "on this machine" in caught.value.problems[0].hint


def test_paths():
    """Relative to the Modelfile; Ollama's blobs have no ending."""
    for value, path in (
        ("m.gguf", "/srv/m.gguf"),
        ("../m.gguf", "/srv/../m.gguf"),
        ("/var/blobs/sha256-abc", "/var/blobs/sha256-abc"),
        (".\\models\\m.gguf", "/srv/./models/m.gguf"),
    ):
        directives = parse_modelfile(f"FROM {value}", "Modelfile")
        assert files_of(directives) == [Path(path)]
    with pytest.raises(MealkitError, match="has no FROM"):
        files_of(parse_modelfile("SYSTEM x", "Modelfile"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('SYSTEM "one\n\ntwo"', "one\n\ntwo"),
        ('SYSTEM "one\n"', "one\n"),
        ('SYSTEM "say "hi" to all"', 'say "hi" to all'),
        ('SYSTEM """say "hi"\nto all"""  ', 'say "hi"\nto all'),
        ('SYSTEM """a """ b"""', 'a """ b'),
        ('SYSTEM " a "', " a "),
        ('SYSTEM ""', ""),
        ("SYSTEM a\u2028b", "a\u2028b"),
        ('SYSTEM it\'s "5\\"', 'it\'s "5\\"'),
        ('SYSTEM "a\r\nb"\r\n', "a\nb"),
    ],
)
def test_quotes(text, value):
    """One or three quotes open a value, and close it only at the end of a line."""
    (found,) = parse_modelfile(text, "Modelfile")
    assert found.value == value


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        *(("utf-8", b""), ("utf-8", b"\xef\xbb\xbf")),
        *(("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")),
    ],
)
def test_the_byte_order_mark_states_the_encoding(encoding, mark):
    """As Windows PowerShell writes it."""
    text = "FROM ./m.gguf\r\nSYSTEM grüße \U0001f600\r\n"
    assert decode_modelfile(mark + text.encode(encoding), "Modelfile") == text


@pytest.mark.parametrize("data", [b"FROM \xff", b"\xff\xfe\x00", b"FROM a\0"])
def test_bytes_that_are_not_text(data):
    """Neither UTF-8 nor what the mark states, nor a text with a zero."""
    with pytest.raises(MealkitError, match=r"KIT_INVALID.*(cannot be read|U\+0000)"):
        decode_modelfile(data, "Modelfile")
