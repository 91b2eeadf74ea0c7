"""An engine is one folder: outside of ``engines`` nothing knows an engine by its name."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import mealkit
from mealkit.engines.registry import engine_names

PACKAGE = Path(mealkit.__file__).parent
ENGINES = engine_names()

# The same words for something else, by the modules that mean it.
FILE_FORMAT = "the format of a file, as safetensors and gguf are"
INTERPRETER = "the language and its interpreter"
INDEX_PACKAGE = "a package of an index, which kits of any engine may install"
ELSEWHERE = {
    "recipe/locked_file.py": ("onnx", FILE_FORMAT),
    "sources/formats.py": ("onnx", FILE_FORMAT),
    "sources/protobuf.py": ("onnx", FILE_FORMAT),
    "sources/read_shape.py": ("onnx", FILE_FORMAT),
    "importing/hub_files.py": ("onnx", FILE_FORMAT),
    "recipe/cuda_builds.py": ("vllm", INDEX_PACKAGE),
    "kit/package_names.py": ("vllm", INDEX_PACKAGE),
    "cli/lock.py": ("python", INTERPRETER),
    "cli/version.py": ("python", INTERPRETER),
    "containers/sandbox_keeper.py": ("python", INTERPRETER),
    "containers/sandbox_plan.py": ("python", INTERPRETER),
    "importing/from_cog.py": ("python", INTERPRETER),
    "lock/resolve.py": ("python", INTERPRETER),
    "pipeline/kit/resolving_inputs.py": ("python", INTERPRETER),
    "sources/machine_python.py": ("python", INTERPRETER),
    "runtime/api/about.py": ("python", INTERPRETER),
}


def names_in(source: bytes) -> Iterator[tuple[str, int]]:
    """Yield the engines that code names: texts that are a name, and identifiers that have one.

    Comments, docstrings and messages may name an engine as an example. ``python`` in an identifier
    is the language.
    """
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        text = token.string.lower()
        match token.type:
            case tokenize.STRING if not text.startswith(("f", "rf", "fr")):
                found = [name for name in ENGINES if ast.literal_eval(token.string) == name]
            case tokenize.NAME:
                others = [name for name in ENGINES if name != "python"]
                found = [name for name in others if name.replace("-", "_") in text]
            case _:
                found = []
        yield from ((name, token.start[0]) for name in found)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('if engine == "vllm": pass', ["vllm"]),
        ("_VLLM_HIGH = 1", ["vllm"]),
        ("from mealkit.engines.llama_cpp import worker", ["llama-cpp"]),
        ('known = {"llama-cpp", "onnx"}', ["llama-cpp", "onnx"]),
        ('"""As vllm does."""  # vllm', []),
        ('failure("the engine vllm ended")', []),
        ("kit.runtime.python", []),
    ],
)
def test_what_counts(source, found):
    """A name in code does, one in a sentence does not."""
    assert [name for name, _ in names_in(source.encode())] == found


def test_no_engine_is_named_outside_its_folder():
    """0, except for words with another meaning there; each exception is still needed."""
    named = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "engines"
        for name, _ in names_in(path.read_bytes())
    }
    assert named == {(path, name) for path, (name, _) in ELSEWHERE.items()}


def test_an_engines_folder_imports_no_other_engines():
    """What engines share is in ``engines`` itself, and there the registry alone names them."""
    shared = {
        (path.name, name)
        for path in PACKAGE.glob("engines/*.py")
        for name, _ in names_in(path.read_bytes())
    }
    interpreter = ("published_models.py", "python")
    assert shared == {interpreter, *(("registry.py", name) for name in ENGINES)}
    folders = {f"mealkit.engines.{name.replace('-', '_')}" for name in ENGINES}
    for path in PACKAGE.glob("engines/*/**/*.py"):
        own = f"mealkit.engines.{path.relative_to(PACKAGE / 'engines').parts[0]}"
        assert not [name for name in folders - {own} if f"{name}." in path.read_text()], path
