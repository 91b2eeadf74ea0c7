"""Plans an image from a lock: its layers, their contents, and how to run it. No I/O.

Every valid lock can be planned.
"""

from collections.abc import Mapping
from dataclasses import replace

from mealkit.digest import canonical_json
from mealkit.paths import (
    CASES,
    CODE,
    DATASETS,
    ENGINE,
    GATEWAY,
    LIBRARY,
    MODELS,
    SETTINGS,
    STATE,
    TESTS,
    USER_ID,
)
from mealkit.plan.layers import (
    SHARED_DIRECTORY_MODE,
    Bytecode,
    Content,
    DebianTree,
    Folder,
    HealthCheck,
    ImageBase,
    InputFile,
    LayerKind,
    LayerPlan,
    Plan,
    RunConfig,
    TextFile,
    WheelTree,
)
from mealkit.recipe.lock import LOCK_NAME, Lock, LockedWheel, lock_bytes
from mealkit.recipe.locked_base import LockedDebianBase, LockedImageBase
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.requirements import ANNOTATION
from mealkit.recipe.variant import plain_lock

# An engine's configuration files share one layer: overlay2 takes at most 127 layers, and a
# push queries the registry about each one. A file of weights above this has a layer of its own.
OWN_LAYER_BYTES = 1024 * 1024

# The Debian packages of a Python that only compiles: Python's own, and the libraries it needs.
_PYTHON = ("python{}-minimal", "libpython{}-minimal")
_INTERPRETER = (*_PYTHON, "libc6", "libexpat1", "zlib1g")

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def plan_image(
    lock: Lock,
    library: Mapping[str, bytes],
    created_seconds: int = 0,
    compiler: Lock | None = None,
) -> Plan:
    """Plan the image of a plain lock: one for a single architecture.

    ``library`` is mealkit's own code for the image: module files by their path below the package's
    parent folder. ``created_seconds`` is the time of everything in the image. ``compiler`` is the
    plain lock whose Python compiles the modules, see ``compiler_for``; by default the image's own.
    """
    base = lock.runtime.base
    bytecode = _bytecode(lock, compiler or lock)
    layers = (
        *_base_layers(base, lock.runtime.python, bytecode),
        _engine_layer(lock, bytecode),
        *_weight_layers(lock.model.files),
        _gateway_layer(lock, library, bytecode),
        *_test_layers(lock, bytecode),
        *_dataset_layers(lock),
        _kit_layer(lock),
    )
    return Plan(
        base=ImageBase(base.name, base.digest) if isinstance(base, LockedImageBase) else None,
        architecture=lock.runtime.architecture,
        layers=layers,
        run=_run_config(lock),
        annotations=_labels(lock),
        created_seconds=created_seconds,
    )


def without_kit(plan: Plan) -> Plan:
    """Return the plan of an image for many versions of a kit, which are mounted into it.

    It has a folder in the place of the lock, the prompts and the code, and says nothing about them.
    """
    place = LayerPlan(
        LayerKind.KIT,
        "the place of a kit",
        "the folder that a version of the kit is mounted at",
        (Folder(SETTINGS),),
    )
    layers = (*(layer for layer in plan.layers if layer.kind is not LayerKind.KIT), place)
    return replace(plan, layers=layers, run=replace(plan.run, labels={}), annotations={})


def files_in_image(lock: Lock) -> dict[str, LockedFile]:
    """Return the pinned files that the image has unchanged, by their path: weights and data."""
    data = [file for item in lock.datasets_in_image.values() for file in item.files]
    return {
        **{f"{MODELS}/{file.path}": file for file in lock.model.files},
        **{f"{DATASETS}/{file.path}": file for file in data},
        **{f"{CASES}/{file.path}": file for file in lock.case_files},
    }


def index_annotations(lock: Lock) -> Mapping[str, str]:
    """Return the annotations of the index of a kit's images: those that apply to all of them.

    The recipe is that of the whole lock; each image states the recipe of its own variant.
    """
    own = {ANNOTATION, "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"}
    return {name: text for name, text in _labels(lock).items() if name not in own}


def compiler_for(lock: Lock, whole: Lock, machine: str) -> Lock:
    """Return the plain lock whose Python compiles a variant's modules on a machine.

    It is the variant for the machine's own architecture if its Python is the same version, because
    Python's compiler gives the same bytes on every architecture. Else it is the variant itself.
    """
    own = plain_lock(whole, machine)
    fits = own.runtime.architecture == machine and _python_of(own) == _python_of(lock)
    return own if fits else lock


def _python_of(lock: Lock) -> set[tuple[str, str]]:
    """Return the names and versions of Python's Debian packages."""
    names = {name.format(lock.runtime.python) for name in _PYTHON}
    base = lock.runtime.base
    packages = base.packages if isinstance(base, LockedDebianBase) else ()
    return {(deb.name, deb.version) for deb in packages if deb.name in names}


def _bytecode(lock: Lock, compiler: Lock) -> tuple[Bytecode, ...]:
    """Return the compiler of the image's modules; empty if nothing is compiled."""
    base, python = compiler.runtime.base, lock.runtime.python
    if not lock.runtime.bytecode or isinstance(base, LockedImageBase):
        return ()
    names = {name.format(python) for name in _INTERPRETER}
    debs = tuple((deb.name, deb.sha256) for deb in base.packages if deb.name in names)
    return (Bytecode(debs, python),)


def _base_layers(
    base: LockedDebianBase | LockedImageBase, python: str, bytecode: tuple[Bytecode, ...]
) -> tuple[LayerPlan, ...]:
    if isinstance(base, LockedImageBase):
        return ()
    debs = tuple((deb.name, deb.sha256) for deb in base.packages)
    return (
        LayerPlan(
            LayerKind.BASE,
            f"Debian {base.suite} with Python {python}",
            f"{len(debs)} Debian packages, each pinned by digest; no maintainer script is run",
            (DebianTree(debs, python), *bytecode),
        ),
    )


def _engine_layer(lock: Lock, bytecode: tuple[Bytecode, ...]) -> LayerPlan:
    return LayerPlan(
        LayerKind.ENGINE,
        f"engine {lock.engine.name}",
        f"{len(lock.engine.packages)} Python wheels for the worker, each pinned by digest",
        (_wheel_tree(ENGINE, lock.engine.packages), *bytecode),
    )


def _wheel_tree(path: str, packages: tuple[LockedWheel, ...]) -> WheelTree:
    return WheelTree(path, tuple((wheel.filename, wheel.sha256) for wheel in packages))


def _weight_layers(files: tuple[LockedFile, ...]) -> tuple[LayerPlan, ...]:
    large = [file for file in files if file.size_bytes >= OWN_LAYER_BYTES]
    small = [file for file in files if file.size_bytes < OWN_LAYER_BYTES]
    own = tuple(
        LayerPlan(
            LayerKind.WEIGHTS,
            file.path,
            "one file of weights, the publisher's bytes",
            (_placed(MODELS, file),),
        )
        for file in large
    )
    if not small:
        return own
    together = LayerPlan(
        LayerKind.WEIGHTS,
        "model files",
        "the model's small files: tokenizer, configuration, graph",
        tuple(_placed(MODELS, file) for file in small),
    )
    return (*own, together)


def _placed(folder: str, file: LockedFile) -> InputFile:
    return InputFile(f"{folder}/{file.path}", file.sha256, file.size_bytes)


def _gateway_layer(
    lock: Lock, library: Mapping[str, bytes], bytecode: tuple[Bytecode, ...]
) -> LayerPlan:
    contents: list[Content] = [
        Folder(MODELS),
        # Platforms such as OpenShift start images as any user, in group 0.
        Folder(STATE, mode=SHARED_DIRECTORY_MODE, owner_id=USER_ID),
        _wheel_tree(GATEWAY, lock.gateway.packages),
    ]
    contents += [TextFile(f"{LIBRARY}/{path}", data) for path, data in sorted(library.items())]
    contents += bytecode
    return LayerPlan(
        LayerKind.GATEWAY,
        f"gateway of mealkit {lock.mealkit_version}",
        "the process that callers talk to, with its own packages, apart from the engine's",
        tuple(contents),
    )


def _test_layers(lock: Lock, bytecode: tuple[Bytecode, ...]) -> tuple[LayerPlan, ...]:
    if not lock.test_packages:
        return ()
    return (
        LayerPlan(
            LayerKind.TESTS,
            "packages of the tests",
            f"{len(lock.test_packages)} Python wheels that measure the claims, pinned by digest",
            (_wheel_tree(TESTS, lock.test_packages), *bytecode),
        ),
    )


def _dataset_layers(lock: Lock) -> tuple[LayerPlan, ...]:
    of_cases = (
        LayerPlan(
            LayerKind.DATASETS,
            "files of cases",
            "the inputs of the kit's golden examples that are files",
            tuple(_placed(CASES, file) for file in lock.case_files),
        ),
    )
    of_claims = tuple(
        LayerPlan(
            LayerKind.DATASETS,
            name,
            "a data set on which claims are measured; no answer needs it",
            tuple(_placed(DATASETS, file) for file in dataset.files),
        )
        for name, dataset in sorted(lock.datasets_in_image.items())
    )
    return (*of_claims, *(of_cases if lock.case_files else ()))


def kit_files(lock: Lock) -> tuple[TextFile, ...]:
    """Return the files of the kit's own layer: the lock, the prompts and the code."""
    prompts = [
        TextFile(f"{SETTINGS}/prompts/{name}", prompt.text.encode())
        for name, prompt in sorted(lock.prompts.items())
    ]
    code = [
        TextFile(f"{CODE}/{path}", code.text.encode()) for path, code in sorted(lock.code.items())
    ]
    return (TextFile(f"{SETTINGS}/{LOCK_NAME}", lock_bytes(lock)), *prompts, *code)


def _kit_layer(lock: Lock) -> LayerPlan:
    return LayerPlan(
        LayerKind.KIT,
        f"kit {lock.about.name} {lock.about.version}",
        "the lock, the prompts and the code: the only layer that an edit of the recipe changes",
        kit_files(lock),
    )


def _run_config(lock: Lock) -> RunConfig:
    return RunConfig(
        # -s and -P: neither a user's packages nor the working directory can add code.
        entrypoint=(lock.runtime.interpreter, "-s", "-P", "-m", "mealkit.runtime"),
        environment={
            "PATH": _PATH,
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"/{LIBRARY}:/{GATEWAY}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        },
        user=f"{USER_ID}:{USER_ID}",
        working_directory="/",
        exposed_port=lock.serving.port,
        stop_signal="SIGTERM",
        health=health_of(lock.runtime.interpreter),
        labels=_labels(lock),
    )


def health_of(interpreter: str) -> HealthCheck:
    """Return the check of an image with this Python.

    A model may load for long, and a start that fails ends the container by itself. An engine that
    died has half a minute to be ready again before the container is called unhealthy.
    """
    return HealthCheck(
        # Without site: a check takes 20 ms of CPU time.
        command=(interpreter, "-S", "-P", "-m", "mealkit.runtime.health_check"),
        interval_seconds=5,
        timeout_seconds=5,
        start_seconds=3600,
        retries=6,
    )


def _labels(lock: Lock) -> dict[str, str]:
    about = lock.about
    base = lock.runtime.base
    labels = {
        "org.opencontainers.image.title": about.name,
        "org.opencontainers.image.version": about.version,
        "org.opencontainers.image.licenses": about.license,
        "org.opencontainers.image.vendor": about.owner.team,
        "dev.mealkit.kit": f"{about.name}:{about.version}",
        "dev.mealkit.recipe": str(lock.recipe),
        "dev.mealkit.salt": str(lock.salt),
        "dev.mealkit.owner": canonical_json(about.owner.model_dump(mode="json")).decode(),
        ANNOTATION: canonical_json(lock.requirements.model_dump(mode="json")).decode(),
    }
    if about.description:
        # One line: a Dockerfile allows only one, and its image must be the same.
        labels["org.opencontainers.image.description"] = " ".join(about.description.split())
    if about.paper and about.paper.arxiv:
        labels["org.opencontainers.image.documentation"] = (
            f"https://arxiv.org/abs/{about.paper.arxiv}"
        )
    if isinstance(base, LockedImageBase):
        labels["org.opencontainers.image.base.name"] = base.name
        labels["org.opencontainers.image.base.digest"] = str(base.digest)
    return labels
