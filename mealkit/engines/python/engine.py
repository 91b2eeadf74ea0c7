"""The build side of the python engine: the paper's own code, its packages and its typed inputs."""

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

from pydantic import Field, JsonValue, StringConstraints

from mealkit.engines.engine import Recipe, Values
from mealkit.engines.handler_source import Handler, handler_problems
from mealkit.engines.imported_modules import unprovided_modules
from mealkit.engines.new_kits import NewKit
from mealkit.engines.other_values import ANOTHER_SEED, Other, Pinned, Salted, kept
from mealkit.errors import Problem, problem
from mealkit.kit.load import LoadedKit
from mealkit.kit.package_names import packages_of
from mealkit.recipe.answers import StrictModel
from mealkit.recipe.kit import Task
from mealkit.recipe.sampling_parameters import SEED

# pydantic with the packages that it needs, the kit's own library, and modules that newer versions
# of Python have.
_PROVIDED = frozenset(
    {
        *("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"),
        *("mealkit", "annotationlib", "compression"),
    }
)
_ADDRESS = r"^https?://[A-Za-z0-9.\-\[\]:]+/(?:[A-Za-z0-9._~%!$&'()*+,;=:@-]+/)*$"
_LIMIT = "it limits what a request may have"


def _each_parameter(pinned: Pinned) -> Sequence[Other] | str:
    """Return the parameters with each number doubled, or each boolean the opposite, one by one."""
    values = pinned.value if isinstance(pinned.value, dict) else {}
    changed = {name: _another(value) for name, value in values.items()}
    found = [Other({**values, name: value}) for name, value in changed.items() if value is not None]
    return found or "it has no number and no boolean"


def _another(value: JsonValue) -> JsonValue:
    match value:
        case bool():
            return not value
        case int() | float():
            return value * 2 or 1
        case _:
            return None


class PredictionHyperparameters(StrictModel):
    """The values that the paper's code gets."""

    callers_may_set: ClassVar = frozenset({SEED.name})
    """The parameters that a request may also have: a kit may name them in ``overrides``."""

    seed: Annotated[int, Field(**SEED.bounds), ANOTHER_SEED] = SEED.neutral
    """The seed of random, numpy and torch, which is set before the load and before each request."""
    parameters: Annotated[dict[str, JsonValue], Salted(_each_parameter)] = Field(
        default_factory=dict
    )
    """Values for the code: its ``load`` gets them if it has a parameter ``parameters``."""


class PythonSettings(StrictModel):
    """Where the handler is, and how it is called."""

    handler: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9_/]+\.py:[A-Za-z_][A-Za-z0-9_]*$"),
        kept("another handler is another method"),
    ]
    """FILE.py:CLASS, with the file in ``runtime.code``."""
    concurrency: Annotated[int, Field(ge=1, le=1024), kept("it changes the speed")] = 1
    """How many calls of predict run concurrently. Above 1, they share the seeded state."""
    threads: Annotated[int, Field(ge=1, le=1024), kept("it changes the speed")] = 1
    """Threads within one operator of numpy, torch and other libraries that use OMP_NUM_THREADS."""
    fetch_from: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=_ADDRESS)], ...], kept(_LIMIT)
    ] = ()
    """The URLs from which files of a request may be fetched: https://HOST/, or a folder on it with
    a slash at the end. None: callers send the files themselves."""
    fetch_private: Annotated[bool, kept(_LIMIT)] = False
    """Whether these URLs may point to addresses that are not public, as in a company network."""
    fetch_seconds: Annotated[int, Field(ge=1, le=3600), kept(_LIMIT)] = 30
    """The maximum time for all fetches of a request together."""
    max_file_bytes: Annotated[int, Field(ge=1, le=2**40), kept(_LIMIT)] = 16 * 1024 * 1024
    """The maximum size of all files of a request together, and of each file of an answer."""


def check_code(loaded: LoadedKit, settings: Values) -> list[Problem]:
    """Return the problems of the kit's code that can be found without running it."""
    major, _, minor = loaded.kit.runtime.python.partition(".")
    handler = Handler(
        setting=str(settings["handler"]),
        where=loaded.where(("runtime", "settings", "handler")),
        python=(int(major), int(minor)),
    )
    problems = handler_problems(handler, loaded.code)
    return problems or list(_import_problems(loaded, handler.file))


def _import_problems(loaded: LoadedKit, file: str) -> Iterator[Problem]:
    """Yield the imports that nothing provides, if that is certain: with no package of the kit's."""
    runtime = loaded.kit.runtime
    base = runtime.base
    if runtime.requirements or runtime.wheels or base.source == "image":
        return
    if any(name.startswith("python3-") for name in base.packages):
        return
    for path, line, name in unprovided_modules(loaded.code, file, _PROVIDED):
        yield problem(
            "KIT_INVALID",
            f"runtime.code: {path} imports {name}, which nothing in the kit provides",
            where=f"{path}:{line}",
            hint=f"add its package, {packages_of(name)[0]}, to runtime.requirements,"
            " or its file to runtime.code",
        )


def _excluded_imports(loaded: LoadedKit, settings: Values) -> list[Problem]:
    """Return the imports that have the name of an excluded package.

    Another package may have a module of this name, as psycopg2-binary has psycopg2.
    """
    excluded = loaded.kit.runtime.exclude
    if not excluded:
        return []
    file, _, _ = str(settings["handler"]).partition(":")
    found = []
    for path, line, name in unprovided_modules(loaded.code, file, ()):
        package = name.partition(".")[0].lower().replace("_", "-")
        if package in excluded:
            message = f"{path} imports {name}, but runtime.exclude leaves {package} out"
            hint = f"delete {package} from runtime.exclude, or the import"
            found.append(problem("KIT_IMPORT_EXCLUDED", message, where=f"{path}:{line}", hint=hint))
    return found


RECIPE = Recipe(
    name="python",
    worker="mealkit.engines.python.worker:PythonWorker",
    hyperparameters={Task.PREDICTION: PredictionHyperparameters},
    settings=PythonSettings,
    requirements=("pydantic",),
    # TypeAdapter, GetPydanticSchema and WithJsonSchema are needed.
    bounds={"pydantic": ">=2.5"},
    excludes=(),
    environment={
        # The iteration order of sets of strings is the same in every process.
        "PYTHONHASHSEED": "0",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    },
    formats=frozenset(
        {"safetensors", "gguf", "onnx", "onnx-data", "json", "text", "pickle", "data"}
    ),
    # The container of a handler that imports nothing uses 72 MiB (measured). The rest depends on
    # the code: this is enough for the import of torch; hardware.memory can set more.
    memory_factor=1.5,
    memory_bytes=1024 * 1024 * 1024,
    needs_weights=False,
    new_kits={Task.PREDICTION: NewKit("a paper's own code: how easy a text is to read")},
    check=check_code,
    warn=_excluded_imports,
)
