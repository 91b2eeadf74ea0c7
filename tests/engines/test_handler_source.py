"""What check knows of a handler without running it: each mistake with its file and line."""

import pytest
from fakes.little import write_kit

from mealkit.engines.handler_source import Handler, handler_problems
from mealkit.engines.typed_parts import check_engine_parts
from mealkit.kit.load import load_kit

GOOD = """\
class Handler:
    def load(self, models, parameters=None, *, seed, extra=1): ...
    async def predict(self, text: str, *, top: int = 1) -> str: ...
"""


def problems(folder, files, handler="handler.py:Handler", python="3.11", weights=()):
    """Check a kit of this code; return code, place and message of each problem."""
    found = checked(folder, files, handler, python, weights).problems
    return [(item.code, item.where, item.message) for item in found]


def checked(folder, files, handler="handler.py:Handler", python="3.11", weights=(), exclude=()):
    """Check a kit of this code."""
    form = {
        "apiVersion": "mealkit/v1",
        "name": "soup",
        "version": "1.0.0",
        "license": "MIT",
        "owner": {"team": "cooks", "contact": "mailto:cooks@kitchen.invalid", "support": "at noon"},
        "model": {"name": "soup", "license": "MIT", "task": "prediction", "weights": list(weights)},
        "runtime": {
            "engine": "python",
            "settings": {"handler": handler},
            "code": sorted(files),
            "base": {"source": "debian", "suite": "trixie"},
            "python": python,
            "requirements": ["lib"],  # what the code imports from lib may be right
            "exclude": list(exclude),
        },
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_kit(folder, form)
    return check_engine_parts(load_kit(folder))


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "from lib import Handler\n",
        "import lib\nHandler = lib.make()\n",
        "class Handler(Base): ...\n",
        "class Handler:\n    predict = other\n",
        "class Handler:\n    def predict(self): ...\n    if True:\n        x = 1\n",
    ],
)
def test_code_that_may_be_right_passes(text, tmp_path):
    """What only running it would show is not refused."""
    assert problems(tmp_path, {"handler.py": text}) == []


def test_code_needs_no_weights(tmp_path):
    """A kit of this engine may have none."""
    assert problems(tmp_path, {"handler.py": GOOD}, weights=()) == []


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("x = 1\nclass\n", "handler.py:2", "handler.py is not Python: invalid syntax"),
        ("class Other: ...\n", "kit.yaml:17", "handler.py has no class Handler"),
        ("class Handler: ...\n", "handler.py:1", "Handler has no method predict"),
        (
            "class Handler:\n  def predict(self, a: int, b): ...\n",
            "handler.py:2",
            "the parameter b of predict has no type",
        ),
        (
            "class Handler:\n  def predict(self,\n    *words: str): ...\n",
            "handler.py:3",
            "the parameter words of predict cannot be given by name",
        ),
        (
            "class Handler:\n  def predict(self, a: int, /): ...\n",
            "handler.py:2",
            "the parameter a of predict cannot be given by name",
        ),
        (
            "class Handler:\n  def load(self, gpu): ...\n  def predict(self): ...\n",
            "handler.py:2",
            "load has a parameter 'gpu', expected models, parameters, seed",
        ),
        (
            "class Handler:\n  def load(self, *, gpu): ...\n  def predict(self): ...\n",
            "handler.py:2",
            "load has a parameter 'gpu', expected models, parameters, seed",
        ),
    ],
)
def test_a_mistake_names_its_line(text, where, said, tmp_path):
    """All of them are the author's."""
    ((code, found, message),) = problems(tmp_path, {"handler.py": text})
    assert code == "KIT_INVALID"
    assert (
        found.removeprefix(f"{tmp_path}/"),
        message.removeprefix("runtime.settings.handler: "),
    ) == (
        where,
        said,
    )


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("x = 1\n", "kit.yaml:17", "write class Handler in handler.py"),
        ("class Handlr: ...\nclass B: ...\n", "kit.yaml:17", "write handler.py:Handlr; "),
        ("class Handler:\n  def predikt(self): ...\n", "handler.py:1", "rename predikt to predict"),
        ("class Handler: ...\n", "handler.py:1", "write one below handler.py:1: def predict"),
        (
            "class Handler:\n  def load(self, model_dir): ...\n  def predict(self): ...\n",
            "handler.py:2",
            "rename it to models",
        ),
        (
            "class Handler:\n  def __init__(self, x, y=1): ...\n  def predict(self): ...\n",
            "handler.py:2",
            "give it a default; load gets models, parameters and seed",
        ),
        ("from .parts import a as b\n" + GOOD, "handler.py:1", "write from parts import a as b"),
        ("from . import parts\n" + GOOD, "handler.py:1", "write import parts"),
    ],
)
def test_a_mistake_has_an_edit(text, where, hint, tmp_path):
    """What to write, for each mistake that only a start would show otherwise."""
    files = {"handler.py": text, "parts.py": "a = 1\n"}
    (found,) = checked(tmp_path, files).problems
    assert (found.where or "").removeprefix(f"{tmp_path}/") == where
    assert (found.hint or "").startswith(hint)


def test_a_package_may_import_from_itself(tmp_path):
    """Only what leaves the kit's code is a mistake."""
    files = {"lib/handler.py": "from .parts import a\n" + GOOD, "lib/parts.py": "a = 1\n"}
    assert problems(tmp_path, files, handler="lib/handler.py:Handler") == []


def test_every_file_is_parsed(tmp_path):
    """Not only the handler's; texts that are not code are ignored."""
    files = {"handler.py": GOOD, "lib/a.py": "def", "lib/b.txt": "def"}
    assert [where for _, where, _ in problems(tmp_path, files)] == ["lib/a.py:1"]


def test_an_import_of_an_excluded_package_is_a_warning(tmp_path):
    """By the package's name: another package may have the module. The kit's own may have it, too."""
    files = {
        "handler.py": "import lib.parts\nfrom Own_Part import x\nimport other_lib, mine\n" + GOOD,
        "lib_parts.py": "import other_lib\n",  # nothing imports it
        "mine.py": "try:\n    import lib\nexcept ImportError:\n    lib = None\n",
    }
    exclude = ["other-lib", "own-part", "mine", "far", "lib-parts"]
    found = checked(tmp_path, files, exclude=exclude)
    assert found.problems == ()
    assert [(item.code, item.where) for item in found.warnings] == [
        ("KIT_IMPORT_EXCLUDED", "handler.py:2"),
        ("KIT_IMPORT_EXCLUDED", "handler.py:3"),
    ]
    assert "handler.py imports Own_Part, but runtime.exclude leaves own-part out" in str(
        found.warnings[0].message
    )
    assert checked(tmp_path, {"other.py": GOOD}, exclude=exclude).warnings == ()


def test_a_handler_that_is_not_among_the_code_is_named(tmp_path):
    """With the line of the setting."""
    ((code, _, message),) = problems(tmp_path, {"other.py": GOOD})
    assert code == "KIT_FILE_MISSING"
    assert "handler.py is not among the kit's code" in message


@pytest.mark.parametrize("name", ["json.py", "random/x.py", "pydantic.py", "mealkit/x.py"])
def test_a_file_may_not_take_a_modules_place(name, tmp_path):
    """The worker would import it instead."""
    ((_, where, message),) = problems(tmp_path, {"handler.py": GOOD, name: ""})
    assert where == name
    assert "instead of the module" in message


def test_syntax_of_a_newer_python_is_not_refused(tmp_path):
    """This Python cannot judge what that one takes."""
    text = GOOD + "match: int = def\n"
    assert problems(tmp_path, {"handler.py": text}, python="3.99") == []
    assert len(problems(tmp_path, {"handler.py": text})) == 1


@pytest.mark.parametrize("handler", ["handler:Handler", "handler.py", "../handler.py:Handler"])
def test_a_setting_that_names_no_handler_is_refused(handler, tmp_path):
    """By its pattern."""
    ((code, _, message),) = problems(tmp_path, {"handler.py": GOOD}, handler=handler)
    assert code == "KIT_INVALID"
    assert "runtime.settings.handler" in message


def test_other_engines_need_weights(tmp_path):
    """A graph comes from somewhere."""
    form = {"model": {"name": "x", "license": "MIT", "task": "embeddings", "weights": []}}
    from fakes.little import little_form  # noqa: PLC0415

    write_kit(
        tmp_path,
        little_form(**form, prompts={}, runtime={**little_form()["runtime"], "wheels": []}),
    )
    (problem,) = check_engine_parts(load_kit(tmp_path)).problems
    assert problem.message == "model.weights: onnx needs at least one file"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a\n" * 200_000, "400000 tokens"),
        ("x = " + "-" * 50_000 + "1", "nests too deep"),
        ("x = " + "not " * 20_000 + "1", "nests too deep"),
        ("x = a" + ".b" * 30_000, "nests too deep"),
        ("x = a" + "()" * 30_000, "nests too deep"),
        ("x = 1" + "+1" * 30_000, "nests too deep"),
        ("x = " + "lambda:" * 20_000 + "1", "nests too deep"),
        ("x = " + "(" * 50_000, "is not Python"),
        ("x = " + "9" * 5000, "is not Python"),
        ("if a: pass\n" + "elif a: pass\n" * 15_000, "nests too deep"),
    ],
    ids=range(10),
)
def test_a_handler_that_costs_is_refused(tmp_path, text, says):
    """Source that is endless, or nests without end, is one problem with its file."""
    found = problems(tmp_path, {"handler.py": text})
    assert len(found) == 1
    code, where, message = found[0]
    assert (code, where.partition(":")[0]) == ("KIT_INVALID", "handler.py")
    assert says in message


def test_other_large_files_are_left_alone(tmp_path):
    """Data in Python's form beside the handler need not be parsed."""
    files = {f"data{n}.py": "x = [" + "1," * 60_000 + "]\n" for n in range(3)}
    files |= {"small.py": "x = [" + "1," * 20_000 + "]\n", "handler.py": GOOD}
    assert problems(tmp_path, files) == []


def test_what_is_parsed_has_a_bound_together():
    """Many files are not parsed one after the other without end; the handler always is."""
    handler = Handler("z.py:Handler", "kit.yaml:1", (3, 11))
    code = {f"f{n:03}.py": "x = [" + "1," * 45_000 + "]\n(" for n in range(20)}
    found = handler_problems(handler, {**code, "z.py": "("})
    assert [item.where for item in found] == ["z.py:1", *(f"f{n:03}.py:2" for n in range(4))]
