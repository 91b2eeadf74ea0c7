"""A lock is planned as layers, lowest first, each with what it holds, and a config to run it."""

import copy
import json

import pytest
from fakes.kits import KIT, FixedInputs, digest, parts_of, with_value

from mealkit.lock.resolve import resolve
from mealkit.plan.layers import (
    Bytecode,
    DebianTree,
    Folder,
    InputFile,
    LayerKind,
    TextFile,
    WheelTree,
)
from mealkit.plan.planning import OWN_LAYER_BYTES, compiler_for, index_annotations, plan_image
from mealkit.recipe.lock import lock_bytes
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.origins import FolderOrigin, WheelOrigin
from mealkit.recipe.requirements import ANNOTATION
from mealkit.recipe.variant import joined, plain_locks

LIBRARY = {"mealkit/b.py": b"b", "mealkit/a.py": b"a"}
ON_IMAGE = with_value(KIT, "runtime.base", {"source": "image", "reference": "base:1"})


def lock_of(form=KIT, files=None, **changes):
    lock = resolve(parts_of(form, **changes), FixedInputs())
    if files is None:
        return lock
    return lock.model_copy(update={"model": lock.model.model_copy(update={"files": files})})


def plan(form=KIT, **changes):
    return plan_image(lock_of(form, **changes), LIBRARY)


LOCAL = FolderOrigin(file="pairs.jsonl")
WHEEL = WheelOrigin(package="data", version="1", member="data/pairs.jsonl")
PAIRS = {"source": "folder", "path": "data", "files": ["pairs.jsonl", "corpus.jsonl"]}


def lock_with_tests(*, in_image=True, places=(LOCAL,)):
    """A lock with a data set, found at these places, and with the packages of a claim."""
    lock = lock_of(with_value(KIT, "datasets", {"pairs": PAIRS}))
    (dataset,) = lock.datasets.values()
    files = tuple(item.model_copy(update={"origins": places}) for item in dataset.files)
    return lock.model_copy(
        update={
            "datasets": {"pairs": dataset.model_copy(update={"files": files})},
            "tests_in_image": in_image,
            "test_packages": lock.gateway.packages if in_image else (),
        }
    )


def file(path, size_bytes):
    return LockedFile(
        path=path,
        sha256=digest(path),
        size_bytes=size_bytes,
        format="json",
        origins=(FolderOrigin(file=path),),
    )


def contents(found, kind, form):
    (layer,) = [layer for layer in found.layers if layer.kind is kind]
    return [item for item in layer.contents if isinstance(item, form)]


def test_layers_stand_in_the_order_of_their_kinds():
    """What changes seldom is lowest, so that an edit leaves as many layers as can be."""
    kinds = [layer.kind for layer in plan_image(lock_with_tests(), LIBRARY).layers]
    assert kinds == sorted(kinds, key=list(LayerKind).index)
    assert set(kinds) == set(LayerKind)


def test_a_base_image_is_named_and_is_no_layer_of_the_plan():
    """Its layers are reused as they are, and nothing can be compiled without Debian's Python."""
    found = plan(ON_IMAGE)
    assert found.base is not None
    assert LayerKind.BASE not in {layer.kind for layer in found.layers}
    assert not any(isinstance(item, Bytecode) for layer in found.layers for item in layer.contents)
    assert found.run.labels["org.opencontainers.image.base.digest"] == str(found.base.digest)


def test_a_debian_base_is_a_layer_of_its_packages():
    """Every package of the lock, and no other."""
    found = plan()
    assert found.base is None
    (tree,) = contents(found, LayerKind.BASE, DebianTree)
    assert [name for name, _ in tree.debs] == ["libc6"]


def test_the_layers_with_modules_are_compiled_by_the_base_itself():
    """Only the packages that its Python needs are handed to the compiler."""
    found = plan()
    for kind in (LayerKind.BASE, LayerKind.ENGINE, LayerKind.GATEWAY):
        (item,) = contents(found, kind, Bytecode)
        assert [name for name, _ in item.debs] == ["libc6"]
    assert contents(found, LayerKind.KIT, Bytecode) == []


@pytest.mark.parametrize(
    ("in_image", "places", "travels"),
    [
        (True, (WHEEL,), True),
        (False, (WHEEL,), False),
        (False, (WHEEL, LOCAL), False),
        (False, (LOCAL, WHEEL), True),
    ],
)
def test_data_travels_if_the_tests_do_or_if_it_is_nowhere_else(in_image, places, travels):
    """Each data set is a layer of its own, right below the kit's."""
    found = plan_image(lock_with_tests(in_image=in_image, places=places), LIBRARY)
    *below, _ = found.layers
    assert (below[-1].kind is LayerKind.DATASETS) is travels
    assert ([layer.kind for layer in below].count(LayerKind.TESTS) == 1) is in_image
    if travels:
        assert below[-1].title == "pairs"
        assert [item.path for item in below[-1].contents] == [
            "opt/mealkit/datasets/pairs/corpus.jsonl",
            "opt/mealkit/datasets/pairs/pairs.jsonl",
        ]


def test_a_large_file_has_a_layer_of_its_own_and_small_ones_share_one():
    """A file of exactly the limit is large."""
    sizes = {"a": OWN_LAYER_BYTES, "b": OWN_LAYER_BYTES - 1, "c": 0, "d": OWN_LAYER_BYTES + 1}
    files = tuple(file(name, size) for name, size in sizes.items())
    layers = [layer for layer in plan(files=files).layers if layer.kind is LayerKind.WEIGHTS]
    assert [[item.path for item in layer.contents] for layer in layers] == [
        ["models/a"],
        ["models/d"],
        ["models/b", "models/c"],
    ]
    assert all(isinstance(item, InputFile) for layer in layers for item in layer.contents)


def test_without_small_files_there_is_no_layer_for_them():
    """An empty layer would be one more to ask a registry about."""
    layers = plan(files=(file("a", OWN_LAYER_BYTES),)).layers
    assert [layer.title for layer in layers if layer.kind is LayerKind.WEIGHTS] == ["a"]


def test_the_kit_layer_has_the_lock_the_prompts_and_the_code():
    """An edit of the recipe changes no other layer."""
    form = with_value(KIT, "runtime", {**KIT["runtime"], "code": ["handler.py"]})
    lock = lock_of(form)
    files = contents(plan_image(lock, LIBRARY), LayerKind.KIT, TextFile)
    data = {item.path.rpartition("/")[2]: item.data for item in files}
    assert data == {
        "kit.lock": lock_bytes(lock),
        "query": b"prompts/query.jinja\n",
        "handler.py": b"# handler.py\n",
    }
    other = plan(form, prompts={"query": "other\n"})
    before = plan_image(lock, LIBRARY)
    assert other.layers[:-1] == before.layers[:-1]
    assert other.layers[-1] != before.layers[-1]


def test_the_gateways_files_are_sorted_and_its_folders_stand_ready():
    """The library's order does not count; the kit's user and group 0 may write the state."""
    found = plan()
    paths = [item.path for item in contents(found, LayerKind.GATEWAY, TextFile)]
    assert paths == sorted(paths)
    assert len(paths) == len(LIBRARY)
    assert plan_image(lock_of(), dict(reversed(LIBRARY.items()))) == found
    assert contents(found, LayerKind.GATEWAY, Folder) == [
        Folder("models", 0o755, 0, 0),
        Folder("var/lib/mealkit", 0o775, 65532, 0),
    ]
    assert len(contents(found, LayerKind.GATEWAY, WheelTree)) == 1


def test_it_runs_without_a_users_packages_and_not_as_root():
    """Neither the working directory nor a home can add code."""
    run = plan().run
    assert run.entrypoint[1:] == ("-s", "-P", "-m", "mealkit.runtime")
    assert run.user == "65532:65532"
    assert run.exposed_port == 8000


def test_the_port_is_the_locks_unless_a_user_or_a_platform_sets_it():
    """A variable in the image could not be told from one that a user gave."""
    assert not [name for name in plan().run.environment if "PORT" in name]


def test_readiness_is_asked_without_a_shell():
    """By the image's own Python, for a model that loads for long."""
    run = plan().run
    assert run.health.command == (
        run.entrypoint[0],
        *("-S", "-P", "-m", "mealkit.runtime.health_check"),
    )
    assert run.health.start_seconds >= 1800


def test_labels_say_what_a_server_needs_in_one_line_each():
    """Also of a description of several lines."""
    form = with_value(KIT, "description", "A kit\n  for supper.\n")
    labels = plan(form).run.labels
    assert labels["org.opencontainers.image.description"] == "A kit for supper."
    assert labels["org.opencontainers.image.documentation"] == "https://arxiv.org/abs/1908.10084"
    assert json.loads(labels["dev.mealkit.owner"])["team"] == "cooks"
    assert all("\n" not in text for text in labels.values())


@pytest.mark.parametrize("field", ["paper", "description"])
def test_what_a_kit_does_not_say_has_no_label(field):
    """There is none with an empty text."""
    form = copy.deepcopy(KIT)
    del form[field]
    label = {"paper": "documentation", "description": "description"}[field]
    assert f"org.opencontainers.image.{label}" not in plan(form).run.labels


def test_an_index_states_only_what_is_true_of_each_image():
    """Needs and bases differ between architectures."""
    stated = index_annotations(lock_of(ON_IMAGE))
    labels = plan(ON_IMAGE).run.labels
    assert set(labels) - set(stated) == {
        ANNOTATION,
        "org.opencontainers.image.base.name",
        "org.opencontainers.image.base.digest",
    }


def with_python(lock, version):
    """A plain lock whose base has Python in this version."""
    base = lock.runtime.base
    (deb,) = base.packages
    architecture = lock.runtime.architecture
    name = f"python{lock.runtime.python}-minimal"
    added = {"name": name, "version": version, "sha256": digest(f"{architecture} {version}")}
    packages = (deb, deb.model_copy(update=added))
    runtime = {"base": base.model_copy(update={"packages": packages})}
    return lock.model_copy(update={"runtime": lock.runtime.model_copy(update=runtime)})


@pytest.mark.parametrize(
    ("versions", "machine", "expected"),
    [
        (("1", "1"), "amd64", ("amd64", "amd64")),
        (("1", "1"), "arm64", ("arm64", "arm64")),
        (("1", "1"), "riscv64", ("amd64", "arm64")),
        (("1", "2"), "amd64", ("amd64", "arm64")),
    ],
)
def test_the_machines_own_python_compiles_for_both_if_it_is_the_same_version(
    versions, machine, expected
):
    """Else each image's Python compiles its own modules; the plan has the packages of that one."""
    form = with_value(KIT, "hardware.architectures", ["amd64", "arm64"])
    form = with_value(form, "runtime.bytecode", value=True)
    pairs = zip(plain_locks(lock_of(form)), versions, strict=True)
    whole = joined([with_python(lock, version) for lock, version in pairs])
    locks = plain_locks(whole)
    compilers = [compiler_for(lock, whole, machine) for lock in locks]
    assert tuple(item.runtime.architecture for item in compilers) == expected
    for lock, compiler in zip(locks, compilers, strict=True):
        found = plan_image(lock, LIBRARY, compiler=compiler)
        (item,) = contents(found, LayerKind.ENGINE, Bytecode)
        assert item.debs[1][1] == compiler.runtime.base.packages[1].sha256
