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


def test_a_callers_text_is_not_repeated(raised, tmp_path, capsys):
    """A failure on a request names the type and the line, in the log and in the answer."""
    error = raised("def f(x):\n    raise ValueError(x)\nf('secret')\n")
    (problem,) = request_failure(error, tmp_path / "code").problems
    assert (problem.code, problem.where) == ("HANDLER_FAILED", "handler.py:2")
    assert problem.message == "the kit's code raised ValueError at handler.py:2"
    said = capsys.readouterr().err
    assert "secret" not in said + str(problem)
    assert said.count("handler.py:") == 2


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
    assert ("runtime.requirements" in (problem.hint or "")) is ("nowhere" in text)
    assert "handler.py" in capsys.readouterr().err
