"""Forms, well formed and hostile."""

import contextlib

import pytest

from mealkit.errors import RequestError
from mealkit.runtime.api.form_data import MAX_PARTS, Part, is_form, read_form

TYPE = 'multipart/form-data; boundary="b"'
HEAD = b'--b\r\nContent-Disposition: form-data; name="a"'
END = b"\r\n--b--\r\n"


def one(head=HEAD, data=b"x", end=END):
    return head + b"\r\n\r\n" + data + end


def parts(body, content_type=TYPE):
    return read_form(body, content_type)


def refusal(body, content_type=TYPE):
    with pytest.raises(RequestError) as caught:
        parts(body, content_type)
    return caught.value.problems[0]


def test_fields_and_files_in_their_order():
    """With names in UTF-8 and quotes as browsers and curl write them; what is around is ignored."""
    head = '--b \t\r\ncontent-disposition: form-data;name="é%22";filename="a\\"b.png"\r\nContent-Type: Image/PNG; x=1'
    body = b"before\r\n" + head.encode() + b"\r\n\r\n\x00\r\n--\r\n--c\r\n" + END[:-4]
    body += b"\r\nContent-Disposition: form-data; name=plain\r\n\r\n" + END + b"after"
    assert parts(body) == [
        Part("é%22", b"\x00\r\n--\r\n--c\r\n", 'a"b.png', "image/png"),
        Part("plain", b""),
    ]
    assert parts(b"--b--") == []


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        ("filename*=UTF-8''%e2%82%ac%20a.png", "€ a.png"),
        ("filename*=utf-8'en'..%2F..%2Fa", "../../a"),
        ("filename=a.png; filename*=UTF-8''b.png", "a.png"),
        ('filename="' + "ü" * 255 + '.png"', "ü" * 255 + ".png"),
        ('filename="a.png";', "a.png"),
        ('filename=""', ""),
    ],
)
def test_names_of_files(stated, name):
    """Also as older clients write letters beyond ASCII, and as long as file systems allow."""
    (part,) = parts(one(HEAD + b"; " + stated.encode()))
    assert (part.name, part.filename) == ("a", name)


@pytest.mark.parametrize(
    "stated", ["latin-1''%e9", "UTF-8''%e9", "UTF-8''a%00b", "%e9", "UTF-8''%0a"]
)
def test_a_name_of_a_file_that_cannot_be_read_is_refused(stated):
    """It is one of another encoding, or has a character that cannot be seen."""
    assert refusal(one(HEAD + b"; filename*=" + stated.encode())).code == "REQUEST_INVALID"


def test_a_header_may_end_in_a_semicolon():
    """As some clients write it."""
    assert parts(one(), "multipart/form-data; boundary=b; ") == [Part("a", b"x")]


@pytest.mark.parametrize(
    ("content_type", "found"),
    [
        ("multipart/form-data", True),
        (" Multipart/Form-Data ;boundary=x", True),
        ("multipart/mixed; boundary=x", False),
        ("", False),
    ],
)
def test_which_bodies_are_forms(content_type, found):
    """Whatever the capitals and parameters."""
    assert is_form(content_type) is found


@pytest.mark.parametrize(
    "boundary",
    ["", "; boundary=", '; boundary=""', '; boundary="' + "x" * 71 + '"', "; boundary=é",
     '; boundary="a "', '; boundary="a\\', "; boundary=a; boundary=b", "; ; boundary=b", ";" * 9999],
)  # fmt: skip
def test_a_boundary_that_is_none_is_refused(boundary):
    """Also two of them: readers would differ about where the parts end."""
    assert refusal(one(), f"multipart/form-data{boundary}").code == "REQUEST_INVALID"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b",
        b"--b\r\n",
        b"--bc\r\n",
        one(end=b""),
        one(end=b"\r\n--b"),
        one(end=b"\r\n--b-"),
        one(end=b"--b--"),
        one(HEAD + b"\r\n" + b"x: y\r\n" * 3000),
        one(b"--b\r\nContent-Type: text/plain"),
        one(b'--b\r\nContent-Disposition: attachment; name="a"'),
        one(b"--b\r\nContent-Disposition: form-data"),
        one(b'--b\r\nContent-Disposition: form-data; name="a'),
        one(b'--b\r\nContent-Disposition: form-data; name="a"; name="b"'),
        one(b'--b\r\nContent-Disposition: form-data; name="a\x00"'),
        one(b'--b\r\nContent-Disposition: form-data; name="\xff"'),
        one('--b\r\nContent-Disposition: form-data; name="\u202e"'.encode()),
        one(b'--b\r\nContent-Disposition: form-data; name="' + b"a" * 201 + b'"'),
        one(HEAD + b"\r\n" + HEAD.partition(b"\r\n")[2]),
        one(HEAD + b"\r\nno colon"),
        one(HEAD + b"\r\n folded: x"),
        one(HEAD + b"\r\nContent-Transfer-Encoding: base64"),
        one(HEAD + b"\n\nx"),
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_refused(body):
    """A part without a name or with two, a head that does not end, folded lines, other encodings."""
    assert refusal(body).code == "REQUEST_INVALID"


def test_only_so_many_parts():
    """More than files that a request may have, and few enough to be read at once."""
    part = one()[: -len(END)] + b"\r\n"
    assert len(parts(part * MAX_PARTS + b"--b--")) == MAX_PARTS
    assert refusal(part * (MAX_PARTS + 1) + b"--b--").code == "REQUEST_TOO_LARGE"


@pytest.mark.parametrize(
    "body",
    [
        one(data=b"\r\n--" * 2_000_000),
        one(data=b"\r\n--" + b"b" * 8_000_000),
        b"\r\n--" * 2_000_000,
        HEAD + b";" * 8_000_000,
    ],
    ids=range(4),
)
def test_what_looks_like_boundaries(body):
    """Millions of them are read in one pass: a parser that began again at each would not end."""
    with contextlib.suppress(RequestError):
        assert len(parts(body)) == 1


def test_a_long_boundary_that_almost_occurs():
    """Costs no more than another."""
    boundary = "a" * 70
    data = b"\r\n--" + b"a" * 69 + b"b"
    head = b"--" + boundary.encode() + HEAD[3:]
    body = one(head, data * 50_000, b"\r\n--" + boundary.encode() + b"--")
    (found,) = parts(body, f"multipart/form-data; boundary={boundary}")
    assert found.data == data * 50_000
