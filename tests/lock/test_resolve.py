"""A kit becomes a lock: deterministic, without hosts, and asked of the outside only when needed."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.kits import KIT, FixedInputs, kit_of, parts_of, with_value
from pydantic import BaseModel

from mealkit.acceptance.metric_table import METRICS
from mealkit.errors import KitError, LockError
from mealkit.lock.drift import drift
from mealkit.lock.packages_of_tests import BOUNDS
from mealkit.lock.resolve import Upgrade, requests_of, resolve
from mealkit.recipe.answers import classification
from mealkit.recipe.glibc import glibc_of
from mealkit.recipe.kit import Kit
from mealkit.recipe.lock import Lock, lock_bytes, read_lock
from mealkit.recipe.variant import plain_lock


def _lock(form: dict[str, Any] = KIT, **changes: Any) -> Lock:
    return resolve(parts_of(form, **changes), FixedInputs())


def test_the_same_kit_gives_the_same_bytes():
    """Two locks of one kit are equal, whatever the order of its keys."""
    reordered = json.loads(json.dumps(KIT, sort_keys=True))

    assert lock_bytes(_lock()) == lock_bytes(_lock(dict(reversed(reordered.items()))))


def test_a_lock_reads_back_as_itself():
    """What is written is what is read."""
    lock = _lock()

    assert read_lock(lock_bytes(lock)) == lock


def test_a_lock_holds_no_host_and_no_local_path():
    """Neither a mirror's host nor the folder of the weights gets into the lock."""
    text = lock_bytes(_lock()).decode()

    assert "mirror.invalid" not in text
    assert '"weights/' not in text


# A shape that the estimator refuses, inside a lock.
NO_LAYERS = {
    "bytes_by_dtype": {"F32": 90852864, "I64": 4096, "ONNX": 52877},
    "cached_layers": 6,
    "experts": None,
    "gated": False,
    "generates": False,
    "head_dimension": 32,
    "heads": 12,
    "hidden_size": 384,
    "intermediate_size": 1536,
    "kv_heads": 12,
    "latent": None,
    "layers": 0,
    "max_positions": 512,
    "quantisation": None,
    "tied_copy_bytes": 0,
    "unknown": [],
    "vocabulary": 30522,
    "window": None,
}


@pytest.mark.parametrize(
    "edit",
    [
        lambda form: form["model"].update(name="another"),
        lambda form: form["requirements"].update(model=NO_LAYERS),
        lambda form: form["hyperparameters"].update(max_length=128),
        lambda form: form.pop("engine"),
        lambda form: form.update(extra=1),
        lambda form: form.update(recipe="sha256:" + "0" * 64),
        lambda form: form.pop("recipe"),
    ],
    ids=["name", "no layers", "parameter", "engine gone", "extra", "recipe", "recipe gone"],
)
def test_a_lock_edited_by_hand_is_refused(edit):
    """A value that was changed, left out or added does not get past the recipe digest."""
    form = json.loads(lock_bytes(_lock()))
    edit(form)

    with pytest.raises(LockError) as caught:
        read_lock(json.dumps(form).encode())

    assert caught.value.problems[0].code == "LOCK_INVALID"


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{}", b"\xff", b'{"recipe": 1}'])
def test_what_is_no_lock_is_refused(data):
    """Anything that is not a lock is a problem, never a traceback."""
    with pytest.raises(LockError):
        read_lock(data)


PAIRS = {"source": "folder", "path": "data", "files": ["pairs.jsonl"]}

# Another allowed value for every field of the kit that a reader could set, by its path.
CHANGES_TO_ANSWERS = {
    "model.name": "another-model",
    "model.weights.0.files": ["model.safetensors"],
    "model.weights.0.into": "elsewhere",
    "prompts": {"passage": {"file": "prompts/query.jinja"}},
    "prompts.query.file": "prompts/other.jinja",
    "prompts.query.variables": ["text"],
    "system_prompt": {"prompt": "query", "placement": "before"},
    "hyperparameters.pooling": "cls",
    "hyperparameters.max_length": 128,
    "hyperparameters.normalize": False,
    "runtime.settings.threads": 2,
    "runtime.settings.graph": "other.onnx",
    "runtime.base.suite": "bookworm",
    "runtime.base": {"source": "image", "reference": "registry.invalid/base:1"},
    "runtime.python": "3.12",
    "runtime.requirements": ["tokenizers==0.1"],
    "runtime.exclude": ["sympy"],
    "runtime.code": ["handler.py"],
    "overrides": {"max_length": {"maximum": 256}},
    "hardware.architectures": ["arm64"],
    "data": {"inputs": {"text": {"length": {"maximum_characters": 9}}}},
}
# Part of the recipe, not of the salt digest; of requirements, the versions that they lead to are, and
# these are the same here.
MAY_CHANGE_ANSWERS = {
    *("model.name", "overrides", "runtime.base", "runtime.base.suite", "runtime.python"),
    *("runtime.exclude", "runtime.requirements", "hardware.architectures", "data"),
}
KEEPS_ANSWERS = {
    "datasets": {"pairs": PAIRS},
    "claims": [
        {
            "name": "table-1",
            "source": "Table 1",
            "metric": "spearman",
            "value": 0.8,
            "tolerance": {"absolute": 0.01},
        }
    ],
    "cases": [{"name": "greeting", "request": {"input": "Hello"}}],
    "tests_in_image": True,
    "ops": {"audit": {"texts": True}, "cost": {"cpu_hour": "0.10"}},
    "runtime.bytecode": False,
    "runtime.prepare": "make_wheels.sh",
    "name": "another",
    "version": "2.0.0",
    "description": "Something else.",
    "license": "MIT",
    "paper.title": "Another paper",
    "paper.arxiv": "2001.00001",
    "paper.doi": "10.1/y",
    "paper.url": "https://b.invalid",
    "paper": None,
    "owner.team": "others",
    "owner.contact": "https://others.invalid/help",
    "owner.support": "never",
    "owner": {"team": "a", "contact": "mailto:a@b.c", "support": "x"},
    "model.license": "Apache-2.0",
    "model.allow_pickle": True,
    "allow_secrets": ["notes.txt"],
    "model.weights.0.path": "elsewhere",
    "model.weights.0.sha256": {},
    "model.weights.0.mirrors": [],
    "prompts.query.description": "asks otherwise",
    "runtime.base.allow_unsigned": True,
    "hardware.memory": "2GiB",
    "hardware.disk": "9GiB",
    "serving.port": 9000,
    "serving.max_concurrency": 1,
    "serving.max_queue": 0,
    "serving.start_seconds": 5,
    "serving.canary_seconds": 0,
    "serving.max_body": "1MiB",
    "serving.timeout_seconds": 5,
    "serving.lame_duck_seconds": 0,
    "serving.keepalive_seconds": 0,
    "serving.model_aliases": ["gpt-4o-mini"],
    "serving.drain_seconds": 5,
    "serving.restarts": 0,
    "serving": {},
}


@pytest.mark.parametrize("path", CHANGES_TO_ANSWERS)
def test_what_changes_an_answer_changes_the_recipe(path):
    """Weights, prompts, sampling values, flags, packages, base: each is in the recipe digest."""
    changed = with_value(KIT, path, CHANGES_TO_ANSWERS[path])

    assert _lock(changed).recipe != _lock().recipe


@pytest.mark.parametrize("path", CHANGES_TO_ANSWERS)
def test_what_decides_an_answer_changes_the_salt(path):
    """Weights, prompts, values, flags, code; but not what is below the engine, nor a model's name."""
    changed = with_value(KIT, path, CHANGES_TO_ANSWERS[path])

    assert (_lock(changed).salt != _lock().salt) is (path not in MAY_CHANGE_ANSWERS)


@pytest.mark.parametrize("path", KEEPS_ANSWERS)
def test_what_keeps_answers_keeps_the_salt(path):
    """Description, owner, licence, places and limits are not in the salt digest."""
    changed = with_value(KIT, path, KEEPS_ANSWERS[path])

    assert _lock(changed).salt == _lock().salt


def test_every_part_of_the_system_prompt_is_in_the_salt():
    """Which prompt it is, where it goes, and the values of its variables."""
    pinned = {"prompt": "query", "placement": "before", "values": {"a": "b"}}
    base = _lock(with_value(KIT, "system_prompt", pinned))
    for name, other in {"placement": "instead", "values": {"a": "c"}}.items():
        changed = _lock(with_value(KIT, "system_prompt", {**pinned, name: other}))
        assert changed.salt != base.salt
        assert changed.recipe != base.recipe


def test_a_package_that_is_not_asked_for_keeps_the_salt():
    """Of the packages, the salt digest has the versions of those that engine and kit name."""
    lock = _lock()
    first = lock.engine.packages[0]

    def with_package(name: str, **changes: str) -> Lock:
        wheel = first.model_copy(update={"name": name, **changes})
        named = lock.engine.model_copy(update={"packages": (wheel,), "requested": ("asked",)})
        return lock.model_copy(update={"engine": named})

    assert with_package("below").salt == with_package("below", version="99").salt
    assert with_package("below").recipe != with_package("below", version="99").recipe
    assert with_package("asked").salt != with_package("asked", version="99").salt
    assert with_package("asked").salt == with_package("asked", filename="other.whl").salt


def test_a_lock_states_its_salt_and_no_other_one():
    """A lock whose text has another salt digest was edited by hand; older locks state none."""
    lock = _lock()
    form = json.loads(lock_bytes(lock))
    assert form["salt"] == str(lock.salt)
    with pytest.raises(LockError, match="its salt digest is"):
        read_lock(json.dumps({**form, "salt": str(lock.recipe)}).encode())
    older = {name: value for name, value in form.items() if name != "salt"}
    del older["engine"]["requested"]
    read = read_lock(json.dumps(older).encode())
    assert read.recipe == lock.recipe
    assert "salt" not in json.loads(lock_bytes(read))


@pytest.mark.parametrize("path", KEEPS_ANSWERS)
def test_what_keeps_answers_keeps_the_recipe(path):
    """Description, owner, licence, places and limits are not in the recipe digest."""
    changed = with_value(KIT, path, KEEPS_ANSWERS[path])

    assert _lock(changed).recipe == _lock().recipe


def test_changed_bytes_of_any_input_change_the_recipe():
    """Other weights, wheels or packages under the same names are another recipe."""
    assert resolve(parts_of(KIT), FixedInputs("other")).recipe != _lock().recipe


def test_another_mealkit_is_another_recipe():
    """The gateway that is in the image can change an answer."""
    assert _lock(mealkit_version="0.2.0").recipe != _lock().recipe


def test_a_prompts_text_is_in_the_recipe():
    """An edit of a prompt's file, not of its name, changes the recipe."""
    assert _lock(prompts={"query": "other\n"}).recipe != _lock().recipe


def test_an_edit_of_the_code_is_in_the_recipe():
    """The paper's own code is part of the recipe, by its text."""
    form = with_value(KIT, "runtime.code", ["handler.py"])
    assert _lock(form, code={"handler.py": "other\n"}).recipe != _lock(form).recipe


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """All models that a model is made of."""
    found: set[type[BaseModel]] = set()
    todo = [model]
    while todo:
        item = todo.pop()
        if item in found:
            continue
        found.add(item)
        for field in item.model_fields.values():
            stack = [field.annotation]
            while stack:
                kind = stack.pop()
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    todo.append(kind)
                stack.extend(getattr(kind, "__args__", ()))
    return found


@pytest.mark.parametrize("root", [Kit, Lock])
def test_every_field_is_classified(root):
    """A field that nobody classified fails here, before it can slip past the recipe digest."""
    unclassified = {"Requirements", "Demand"}  # KEEPS_ANSWERS as a whole, in Lock.requirements
    for model in _models(root):
        if model.__name__ not in unclassified:
            for name in model.model_fields:
                classification(model, name)


def test_every_field_of_the_kit_is_tried():
    """The two tables above name every field of the kit but those that only one value fits."""
    tried = {path.replace(".0", "") for path in (*CHANGES_TO_ANSWERS, *KEEPS_ANSWERS)}
    # Another source, engine, task, GPU or wheel needs more than one value to change; repo,
    # package and their like belong to sources that this kit does not use.
    fixed = {"apiVersion", "model.task", "runtime.engine", "runtime.wheels", "hardware.gpu"}
    # More packages of a base are in what the outside resolves it to.
    fixed |= {"model.weights.source", "runtime.base.source", "runtime.base.packages"}
    named = {
        f"{prefix}{name}"
        for prefix, part in [
            ("", kit_of(KIT)),
            ("paper.", kit_of(KIT).paper),
            ("owner.", kit_of(KIT).owner),
            ("model.", kit_of(KIT).model),
            ("model.weights.", kit_of(KIT).model.weights[0]),
            ("prompts.query.", kit_of(KIT).prompts["query"]),
            ("runtime.", kit_of(KIT).runtime),
            ("runtime.base.", kit_of(KIT).runtime.base),
            ("hardware.", kit_of(KIT).hardware),
            ("serving.", kit_of(KIT).serving),
        ]
        for name in part.model_dump(by_alias=True)
    }
    groups = {
        "model",
        "model.weights",
        "hyperparameters",
        "runtime",
        "runtime.settings",
        "hardware",
    }

    assert named - tried - fixed - groups == set()


def test_a_fresh_lock_is_kept_without_asking():
    """Nothing is asked of the outside when the kit asks for what it asked before."""
    lock, inputs = _lock(), FixedInputs("other")

    assert resolve(parts_of(KIT), inputs, lock) == lock
    assert inputs.asked == []


@pytest.mark.parametrize(
    ("upgrade", "asked"),
    [
        (Upgrade.BASE, ["base"]),
        (Upgrade.PYTHON, ["packages", "packages"]),
        (Upgrade.WEIGHTS, ["weights"]),
        (Upgrade.DATASETS, ["dataset pairs"]),
    ],
)
def test_an_upgrade_asks_for_its_part_alone(upgrade, asked):
    """--upgrade base|python|weights|datasets resolves that part anew and keeps the others."""
    form = with_value(KIT, "datasets", {"pairs": PAIRS})
    lock, inputs = _lock(form), FixedInputs("newer")

    upgraded = resolve(parts_of(form), inputs, lock, frozenset({upgrade}))

    assert inputs.asked == asked
    assert upgraded != lock
    # Data changes no answer.
    assert (upgraded.recipe == lock.recipe) is (upgrade is Upgrade.DATASETS)


def test_one_data_set_is_resolved_without_the_others():
    """An edit of one data set, or a new one, does not move the branch of another."""
    lock = _lock(with_value(KIT, "datasets", {"pairs": PAIRS, "old": PAIRS}))
    inputs = FixedInputs("newer")

    form = with_value(KIT, "datasets", {"pairs": PAIRS, "new": PAIRS})
    updated = resolve(parts_of(form), inputs, lock)

    assert inputs.asked == ["dataset new"]
    assert updated.datasets["pairs"] == lock.datasets["pairs"]
    assert [*updated.datasets] == ["pairs", "new"]
    assert read_lock(lock_bytes(updated)) == updated


def test_a_kit_without_tests_has_the_lock_it_always_had():
    """A lock without claims, cases and data has no field for them, and keeps its bytes."""
    form = json.loads(lock_bytes(_lock()))
    names = {"datasets", "claims", "cases", "tests_in_image", "test_packages", "data"}
    assert names.isdisjoint(form)
    assert set(form["requests"]) == {"weights", "packages", "gateway", "base"}


TESTED = with_value(
    with_value(KIT, "datasets", {"pairs": PAIRS}),
    "claims",
    [
        {
            **KEEPS_ANSWERS["claims"][0],
            "data": "pairs",
            "ask": {"kind": "similarity", "first": "a", "second": "b"},
        }
    ],
)


def test_the_image_gets_the_packages_of_the_kits_own_claims():
    """They are locked only where the kit asks for its tests in the image, and kept afterwards."""
    inputs = FixedInputs()
    assert resolve(parts_of(TESTED), inputs).test_packages == ()
    form = with_value(TESTED, "tests_in_image", True)
    lock = resolve(parts_of(form), inputs)
    assert inputs.requirements[-1] == ("scipy>=1.17",)
    assert [wheel.name for wheel in lock.test_packages] == ["scipy"]
    assert read_lock(lock_bytes(lock)) == lock
    again = FixedInputs("newer")
    assert resolve(parts_of(form), again, lock) == lock
    assert again.asked == []
    without = resolve(parts_of(TESTED), again, lock)
    assert without.test_packages == ()
    assert without.requests.test_packages is None
    assert again.asked == []
    # A claim with another metric needs other packages; the data stays.
    other = with_value(form, "claims.0.metric", "mrr")
    assert resolve(parts_of(other), again, lock).datasets == lock.datasets
    assert again.requirements == [("scikit-learn>=1.9", "scipy>=1.17")]


def test_each_architecture_has_its_own_packages_of_tests():
    """They are wheels for that architecture; the data is shared and resolved once."""
    form = with_value(TESTED, "tests_in_image", True)
    form = with_value(form, "hardware.architectures", ["amd64", "arm64"])
    inputs = FixedInputs()
    lock = resolve(parts_of(form), inputs)
    assert inputs.asked.count("dataset pairs") == 1
    assert inputs.requirements.count(("scipy>=1.17",)) == 2
    arm = plain_lock(lock, "arm64")
    assert arm.test_packages
    assert arm.datasets == lock.datasets
    assert drift(parts_of(form), lock) == []
    assert read_lock(lock_bytes(lock)) == lock


def test_the_tests_versions_are_those_of_mealkits_extra():
    """An image measures with the versions that mealkit is tested with."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    known = {*project["optional-dependencies"]["evaluation"], *project["dependencies"]}
    assert set(BOUNDS.values()) <= known
    assert {name for traits in METRICS.values() for name in traits.packages} <= set(BOUNDS)


def test_rouge_may_be_a_version_that_has_a_wheel():
    """Images get wheels only; 0.0.4 is the last version of rouge-score with one."""
    assert BOUNDS["rouge-score"] == "rouge-score>=0.0.4"


def test_the_files_of_a_data_set_lie_in_its_folder():
    """A lock in which a data set takes the place of another one's files is refused."""
    form = _lock(with_value(KIT, "datasets", {"pairs": PAIRS})).model_dump(mode="json")
    form["datasets"]["pairs"]["files"][0]["path"] = "others/pairs.jsonl"
    with pytest.raises(ValueError, match="not in the folder pairs"):
        Lock.model_validate_json(json.dumps(form))


def test_a_newer_gateway_leaves_the_engines_packages():
    """What mealkit itself needs is resolved anew; nothing that can change an answer moves."""
    lock, inputs = _lock(), FixedInputs("newer")
    newer = replace(parts_of(KIT), gateway_requirements=("starlette>=99",))

    upgraded = resolve(newer, inputs, lock)

    assert inputs.asked == ["packages"]
    assert upgraded.engine == lock.engine
    assert upgraded.gateway != lock.gateway


def test_a_bound_of_the_gateways_packages_leaves_locks_as_they_are():
    """A new lock is resolved within the bound; one that was made before it is still the kit's."""
    bounded = replace(parts_of(KIT), gateway_bounds=("uvicorn<0.55",))
    lock, inputs = _lock(), FixedInputs("newer")

    assert resolve(bounded, inputs, lock) == lock
    assert inputs.asked == []
    assert requests_of(bounded) == requests_of(parts_of(KIT))
    resolve(bounded, inputs)
    assert ("starlette", "uvicorn<0.55") in inputs.requirements


def test_modules_are_compiled_where_debian_is_the_base():
    """Unless the kit says otherwise, which takes less disk. What nobody has signed is not run."""
    base = {"source": "image", "reference": "registry.invalid/base:1"}
    compiled, bare = _lock(), _lock(with_value(KIT, "runtime.bytecode", False))
    assert compiled.runtime.bytecode
    assert not bare.runtime.bytecode
    assert compiled.requirements.disk_bytes > bare.requirements.disk_bytes
    assert not _lock(with_value(KIT, "runtime.base", base)).runtime.bytecode
    assert not _lock(with_value(KIT, "runtime.base.allow_unsigned", True)).runtime.bytecode


def test_wheels_are_chosen_for_the_c_library_that_an_image_is_said_to_have():
    """The lock cannot look inside an image's layers."""
    base = {"source": "image", "reference": "registry.invalid/base:1"}
    inputs = FixedInputs()
    locked = resolve(parts_of(with_value(KIT, "runtime.base", {**base, "glibc": "2.36"})), inputs)
    assert glibc_of(locked.runtime.base) == "2.36"
    assert glibc_of(_lock(with_value(KIT, "runtime.base", base)).runtime.base) == "2.28"


def test_a_prompt_edit_asks_nothing():
    """What the kit's own folder holds is locked without the network."""
    lock, inputs = _lock(), FixedInputs()

    edited = resolve(parts_of(KIT, prompts={"query": "new\n"}), inputs, lock)

    assert inputs.asked == []
    assert edited.prompts["query"].text == "new\n"


def test_what_the_kit_excludes_is_in_its_lock():
    """Names are passed to the resolver beside the engine's own, and recorded in order."""
    inputs = FixedInputs()
    lock = resolve(parts_of(with_value(KIT, "runtime.exclude", ["sympy", "mpmath"])), inputs)
    engines = parts_of(KIT).recipe.excludes
    assert inputs.excludes == [(*engines, "sympy", "mpmath"), ()]
    assert lock.engine.excluded == ("mpmath", "sympy")
    assert read_lock(lock_bytes(lock)) == lock


def test_a_lock_without_excludes_has_no_field_for_them():
    """A lock of a kit that leaves nothing out is the same as before there was such a field."""
    assert "excluded" not in json.loads(lock_bytes(_lock()))["engine"]


def test_an_exclude_that_nothing_requires_is_refused():
    """A misspelt name, or one that the packages no longer depend on, is named with an edit."""
    form = with_value(KIT, "runtime.exclude", ["sympy", "needless-one"])
    with pytest.raises(KitError) as caught:
        _lock(form)
    found = caught.value.problems[0]
    assert "names needless-one, which no package" in found.message
    assert found.hint == "delete needless-one from runtime.exclude, or correct the spelling"


@pytest.mark.parametrize(("salt", "asked"), [("", 0), ("other", 1)])
def test_excludes_are_looked_up_again_only_for_other_packages(salt, asked):
    """A lock whose packages stay is updated without the package index."""
    form = with_value(KIT, "runtime.exclude", ["sympy"])
    inputs = FixedInputs(salt)
    upgrade = frozenset({Upgrade.PYTHON}) if salt else frozenset[Upgrade]()
    edited = with_value(form, "runtime.settings.threads", 2)
    resolve(parts_of(edited), inputs, _lock(form), upgrade)
    assert inputs.asked.count("dependents") == asked
    # What the engine leaves out itself is no question.
    assert inputs.unquestioned == (parts_of(edited).recipe.excludes if asked else ())


def test_an_exclude_may_be_for_one_architecture():
    """A dependency that only one architecture's packages have can be left out."""
    form = with_value(KIT, "runtime.exclude", ["only-arm64"])
    both = with_value(form, "hardware.architectures", ["amd64", "arm64"])
    assert _lock(both).engine.excluded == ("only-arm64",)
    with pytest.raises(KitError, match="only-arm64"):
        _lock(form)
