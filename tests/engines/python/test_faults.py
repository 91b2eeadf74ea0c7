"""What the author's code raises, told by its type and its line."""

import pytest

from mealkit.engines.python.faults import line_of, request_failure, start_failure


@pytest.fixture
def raised(tmp_path):
    """Return what code of a kit raises: ``raised(text)``, from the file ``code/handler.py``."""

    def run(text):
        path = tmp_path / "code" / "handler.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        try:
            exec(compile(path.read_text(), str(path), "exec"), {})  # noqa: S102
        except BaseException as error:  # noqa: BLE001
            return error
        raise AssertionError

    return run


def test_the_log_has_the_message_and_the_answer_has_not(raised, tmp_path, capsys):
    """The answer names the type and the line; the log has the causes, each with its lines."""
    code = (
        "def f(x):\n    try:\n        {}[x]\n    except KeyError:\n        raise OSError(x * 999)\n"
    )
    error = raised(f"{code}f('secret\\nline')\n")
    (problem,) = request_failure(error, tmp_path / "code").problems
    assert (problem.code, problem.where) == ("HANDLER_FAILED", "handler.py:5")
    assert problem.message == "the kit's code raised OSError at handler.py:5"
    assert problem.hint.startswith("correct handler.py:5;")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("the kit's code raised OSError: secret linesecret line")
    assert len(lines[0]) < 1100
    assert lines[3].startswith("because of KeyError: 'secret")
    assert [line.rpartition("/")[2] for line in lines if line.startswith("  ")] == [
        *("handler.py:6 in <module>", "handler.py:5 in f", "handler.py:3 in f")
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ValueError('top must be less than 5')", "top must be less than 5"),
        ("raise UnicodeError('a\\nb')", "a b"),
        ("class Odd(ValueError): pass\nraise Odd", "the kit's code refuses the input"),
        ("try:\n    int('x')\nexcept ValueError as e:\n    raise ValueError('n') from e", "n"),
    ],
)
def test_a_value_error_that_the_code_raises_is_the_callers(raised, tmp_path, capsys, text, said):
    """With its message, in one line, and without a traceback in the log."""
    (problem,) = request_failure(raised(text), tmp_path / "code").problems
    assert (problem.code, problem.where, problem.message) == ("REQUEST_INVALID", "input", said)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "text",
    [
        "int('x')",
        "a, b = 'xyz'",
        "import json; json.loads('{')",
        "try:\n    int('x')\nexcept ValueError:\n    raise",
        "assert 1 > 2",
        "raise TypeError('x')",
        "class Mute(Exception):\n    def __str__(self):\n        raise OSError\nraise Mute",
    ],
)
def test_other_errors_are_the_kits(raised, tmp_path, capsys, text):
    """Also a ValueError of a library or an operation: the code did not say that it means callers."""
    (problem,) = request_failure(raised(text), tmp_path / "code").problems
    assert problem.code == "HANDLER_FAILED"
    assert capsys.readouterr().err != ""


def test_the_line_is_the_kits_own(raised, tmp_path):
    """Where a library raises, the line that called it is named; elsewhere there is none."""
    error = raised("import json\n\njson.loads('{')\n")
    assert line_of(error, tmp_path / "code") == "handler.py:3"
    assert line_of(error, tmp_path / "other") is None
    (problem,) = request_failure(error, tmp_path / "other").problems
    assert problem.message == "the kit's code raised JSONDecodeError"


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("x = 1\ny = (\n", "handler.py:2", "SyntaxError: '(' was never closed"),
        ("\nimport nowhere_to_be_found\n", "handler.py:2", "ModuleNotFoundError"),
        ("raise SystemExit('bye')", "handler.py:1", "SystemExit: bye"),
    ],
)
def test_a_failed_start_is_told_in_full(raised, tmp_path, capsys, text, where, said):
    """No caller has said anything yet: message and stack may be told."""
    (problem,) = start_failure(raised(text), tmp_path / "code", "the import").problems
    assert (problem.code, problem.where) == ("ENGINE_START", where)
    assert said in problem.message
    assert ("runtime.requirements" in problem.hint) is ("nowhere" in text)
    assert (problem.hint == f"correct {where}") is ("nowhere" not in text)
    assert "handler.py" in capsys.readouterr().err


ODD = """
class Own(ValueError):
    field, hint, status = {field!r}, {hint!r}, {status!r}
raise Own("no")
"""


@pytest.mark.parametrize(
    ("field", "hint", "status", "expected"),
    [
        ("a.b[2]", "do this", 413, ("REQUEST_TOO_LARGE", "input.a.b[2]", "do this")),
        (
            "a",
            7,
            415,
            ("REQUEST_MEDIA_TYPE", "input.a", "send a file of another type, as the message says"),
        ),
        ("a b", "two\nlines", 422, ("INPUT_REFUSED", "input", "two lines")),
        ("x" * 101, "", 418, ("REQUEST_INVALID", "input", "change the input as the message says")),
        (None, None, "422", ("REQUEST_INVALID", "input", "change the input as the message says")),
        (["a"], None, True, ("REQUEST_INVALID", "input", "change the input as the message says")),
    ],
)
def test_what_a_refusal_may_state(raised, tmp_path, field, hint, status, expected):
    """A field's name, a hint of one line, and four statuses; anything else counts as not stated."""
    error = raised(ODD.format(field=field, hint=hint, status=status))
    (problem,) = request_failure(error, tmp_path / "code").problems
    assert (problem.code, problem.where, problem.hint) == expected


def test_a_status_that_is_no_refusal_is_a_mistake_of_the_code(raised, tmp_path, capsys):
    """The operator gets it: a caller could not do anything about it."""
    for status in (500, 503, 599):
        (problem,) = request_failure(
            raised(ODD.format(field="a", hint="b", status=status)), tmp_path / "code"
        ).problems
        assert (problem.code, problem.where) == ("HANDLER_FAILED", "handler.py:4")
    code = "from mealkit.refusal import Refusal\nraise Refusal('no', status=500)"
    (problem,) = request_failure(raised(code), tmp_path / "code").problems
    assert problem.code == "HANDLER_FAILED"
    assert "status is 500, expected 400, 413, 415 or 422" in capsys.readouterr().err
