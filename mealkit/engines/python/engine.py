"""The build side of the python engine: the paper's own code, its packages and its typed inputs."""

from typing import Annotated, ClassVar

from pydantic import Field, JsonValue, StringConstraints

from mealkit.engines.engine import Recipe, Values
from mealkit.engines.handler_source import Handler, handler_problems
from mealkit.errors import Problem
from mealkit.kit.load import LoadedKit
from mealkit.recipe.kit import StrictModel, Task
from mealkit.recipe.sampling_parameters import SEED

_ADDRESS = r"^https?://[A-Za-z0-9.\-\[\]:]+/(?:[A-Za-z0-9._~%!$&'()*+,;=:@-]+/)*$"


class PredictionHyperparameters(StrictModel):
    """What the paper's code computes with."""

    callers_may_set: ClassVar = frozenset({SEED.name})
    """Those that a request has a parameter for: a kit may name them in ``overrides``."""

    seed: Annotated[int, Field(**SEED.bounds)] = SEED.neutral
    """What the draws of random, numpy and torch start from, at the load and at each request."""
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    """Values for the code itself: its ``load`` gets them if it has a parameter ``parameters``."""


class PythonSettings(StrictModel):
    """Where the handler is, and how it is called."""

    handler: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9_/]+\.py:[A-Za-z_][A-Za-z0-9_]*$")
    ]
    """FILE.py:CLASS, the file among ``runtime.code``."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 1
    """How many calls of predict run at once. Above 1, they share what the seed determines."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Threads within one operator of numpy, torch and others that go by OMP_NUM_THREADS."""
    fetch_from: tuple[Annotated[str, StringConstraints(pattern=_ADDRESS)], ...] = ()
    """The addresses that files of a request may be fetched from: https://HOST/, or a folder of it
    with a slash at the end. None: callers send the files themselves."""
    fetch_private: bool = False
    """Whether those may lead to addresses that are not public, as inside a company."""
    fetch_seconds: Annotated[int, Field(ge=1, le=3600)] = 30
    """How long all fetches of a request may take together."""
    max_file_bytes: Annotated[int, Field(ge=1, le=2**40)] = 16 * 1024 * 1024
    """How large all files of a request may be together, and each file of an answer."""


def check_code(loaded: LoadedKit, settings: Values) -> list[Problem]:
    """Return what is wrong with the kit's code, as far as it can be known without running it."""
    major, _, minor = loaded.kit.runtime.python.partition(".")
    handler = Handler(
        setting=str(settings["handler"]),
        where=loaded.where(("runtime", "settings", "handler")),
        python=(int(major), int(minor)),
    )
    return handler_problems(handler, loaded.code)


RECIPE = Recipe(
    name="python",
    worker="mealkit.engines.python.worker:PythonWorker",
    hyperparameters={Task.PREDICTION: PredictionHyperparameters},
    settings=PythonSettings,
    requirements=("pydantic",),
    excludes=(),
    environment={
        # Sets and dictionaries in the order of their hashes are the same in every process.
        "PYTHONHASHSEED": "0",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    },
    formats=frozenset({"safetensors", "gguf", "onnx", "onnx-data", "json", "text", "pickle"}),
    # The container of a handler that imports nothing takes 72 MiB (measured). What the code brings
    # decides on the rest: this has room for the import of torch, hardware.memory says more.
    memory_factor=1.5,
    memory_bytes=1024 * 1024 * 1024,
    needs_weights=False,
    check=check_code,
)
