"""A new kit is whole, holds as it is written, and never takes the place of anything."""

import re
import shutil
import stat
import tomllib
from pathlib import Path

import jsonschema
import pytest
from fakes.served import ROOT

import mealkit
from mealkit.assembly.prompt_check import prompt_problems
from mealkit.assembly.templates import example_root, template_root
from mealkit.engines.registry import recipe_of
from mealkit.engines.typed_parts import check_engine_parts
from mealkit.engines.whole_schema import full_schema
from mealkit.errors import MealkitError
from mealkit.importing.scaffold import Template, new_engines, new_kits, write_new_kit
from mealkit.kit.document import read_document
from mealkit.kit.load import load_kit
from mealkit.lock.claim_check import claim_problems
from mealkit.lock.contract_check import contract_problems

TEMPLATES = pytest.mark.parametrize(
    "template", new_kits(), ids=lambda item: f"{item.engine}-{item.task}"
)


def write_ready(template: Template, folder: Path) -> Path:
    """Write a new kit, with an empty file for the wheel that its script would make."""
    path = write_new_kit(folder, template.engine, full_schema(), template.task)
    if template.prepare is not None:
        assert (folder / template.prepare).is_file()
        (folder / "wheels" / "made-1-py3-none-any.whl").write_bytes(b"x" * 2000)
    return path


def test_every_engine_and_task_has_a_template():
    """Each says in a line what it is, and no two are the same."""
    found = new_kits()
    known = {(name, task) for name in new_engines() for task in recipe_of(name).hyperparameters}
    assert {(item.engine, item.task) for item in found} == known
    assert len(found) == len(known)
    assert all(item.kit.what for item in found)


@TEMPLATES
def test_a_new_kit_is_valid_as_it_is_written(template, tmp_path):
    """By the loader, by its engine, and by the schema that lies beside it; it has every file."""
    path = write_ready(template, tmp_path / "soup")
    loaded = load_kit(path)
    assert loaded.kit.name == "soup"
    assert (loaded.kit.runtime.engine, loaded.kit.model.task) == (template.engine, template.task)
    assert check_engine_parts(loaded).problems == ()
    assert loaded.kit.runtime.prepare == template.prepare
    for place in loaded.kit.model.weights:
        if place.source == "folder":
            assert all((path.parent / place.path / name).is_file() for name in place.files)
    document, _ = read_document(path.read_text(), "kit.yaml")
    schema = read_document((path.parent / "kit.schema.json").read_text(), "schema")[0].data
    for dialect in (jsonschema.Draft202012Validator, jsonschema.Draft7Validator):
        assert list(dialect(schema).iter_errors(document.data)) == []


@TEMPLATES
def test_the_examples_of_claims_and_rules_fit_a_new_kit(template, tmp_path):
    """A reader removes the signs in front of them, and has a valid kit."""
    path = write_ready(template, tmp_path / "soup")
    kit, _, examples = path.read_text().partition("\n# What the paper promises")
    shown = re.findall(r"^# (claims:.*|data:.*| .*)$", examples, re.MULTILINE)
    path.write_text("\n".join([kit, *shown, ""]))
    loaded = load_kit(path)
    assert (len(loaded.kit.claims), len(loaded.kit.cases)) == (1, 1)
    assert loaded.kit.data is not None
    task = check_engine_parts(loaded).task
    assert claim_problems(loaded.kit, task, str) == []
    assert contract_problems(loaded.kit, task, str) == []


@TEMPLATES
def test_a_script_that_has_to_run_first_is_named(template, tmp_path):
    """While the wheel is missing, the problem's hint is the command that makes it."""
    path = write_new_kit(tmp_path / "my-kit", template.engine, {}, template.task)
    if template.prepare is None:
        assert load_kit(path).kit.runtime.prepare is None
        return
    with pytest.raises(MealkitError) as caught:
        load_kit(path.parent)
    (found,) = caught.value.problems
    assert found.code == "KIT_FILE_MISSING"
    assert found.message == "runtime.wheels[0]: wheels contains no wheel"
    assert found.hint.endswith(f"bash {path.parent / template.prepare}")


def test_a_kit_of_a_wheel_has_its_examples(tmp_path):
    """Every example file that a template copies is in the wheel of mealkit, by pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text()
    packed = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for template in new_kits():
        for example in template.kit.files.values():
            inside = [
                target
                for folder, target in packed.items()
                if f"kits/{example}".startswith(f"{folder}/")
                and target == f"mealkit/_templates/{folder}"
            ]
            assert inside, example


def test_an_editor_finds_the_schema_without_a_network(tmp_path):
    """The first line names a file beside the kit."""
    path = write_new_kit(tmp_path / "soup", "onnx", full_schema())
    first = path.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=kit.schema.json"
    assert (path.parent / "kit.schema.json").is_file()


def test_every_file_is_there_and_no_template_is_left(tmp_path):
    """Prompts are templates of the kit itself, and are copied as they are."""
    folder = write_new_kit(tmp_path / "soup", "onnx", full_schema()).parent
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "README.md",
        "graph/README.md",
        "graph/model.onnx",
        "kit.schema.json",
        "kit.yaml",
        "prompts/query.jinja",
    }
    assert (folder / "prompts/query.jinja").read_text() == "{{ text }}\n"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("name", ["1.0", "true", "null", "0x10", "a.b-c_d"])
def test_names_that_look_like_other_values_are_kept(name, tmp_path):
    """A kit may be named 1.0."""
    assert load_kit(write_new_kit(tmp_path / name, "onnx", full_schema())).kit.name == name


@pytest.mark.parametrize("name", ["Soup", "a b", "-a", "a..b", "ä", "x" * 129])
def test_a_name_that_no_kit_may_have_is_refused(name, tmp_path):
    """Before anything is written."""
    with pytest.raises(MealkitError, match="is not a valid name for a kit") as caught:
        write_new_kit(tmp_path / name, "onnx", {})
    assert caught.value.problems[0].code == "KIT_INVALID"
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_engine_is_refused(tmp_path):
    """With the engines that there are."""
    with pytest.raises(MealkitError) as caught:
        write_new_kit(tmp_path / "soup", "other", {})
    assert "onnx" in caught.value.problems[0].hint


@pytest.mark.parametrize(
    ("engine", "task", "message", "hint"),
    [
        (None, "soups", "there is no task 'soups'", "choose one of embeddings"),
        (
            "vllm",
            "reranking",
            "there is no template for reranking with the engine vllm",
            "--engine onnx or transformers has one; vllm has one for generation, embeddings",
        ),
    ],
)
def test_a_template_that_does_not_exist_is_refused(engine, task, message, hint, tmp_path):
    """With those that there are."""
    with pytest.raises(MealkitError) as caught:
        write_new_kit(tmp_path / "soup", engine, {}, task)
    (found,) = caught.value.problems
    assert (found.code, found.message) == ("KIT_INVALID", message)
    assert found.hint.startswith(hint)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(tmp_path):
    """A folder with anything in it, or a file, is not touched."""
    (tmp_path / "soup").mkdir()
    (tmp_path / "soup" / "notes").write_text("mine")
    (tmp_path / "stew").write_text("mine")
    for name in ("soup", "stew"):
        with pytest.raises(MealkitError) as caught:
            write_new_kit(tmp_path / name, "onnx", {})
        assert caught.value.problems[0].code == "KIT_EXISTS"
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["soup", "notes", "stew"]


def test_an_empty_folder_may_become_a_kit(tmp_path):
    """``mkdir soup`` before ``mealkit new soup`` is no mistake."""
    (tmp_path / "soup").mkdir()
    assert write_new_kit(tmp_path / "soup", "onnx", full_schema()).is_file()


def test_a_place_that_cannot_be_written_is_a_problem(tmp_path):
    """A file where a folder is needed, which stops even root."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MealkitError) as caught:
        write_new_kit(tmp_path / "file" / "soup", "onnx", {})
    assert caught.value.problems[0].code == "DISK_DENIED"


def test_files_can_be_read_by_others(tmp_path):
    """A kit is made to be shared: no private modes."""
    folder = write_new_kit(tmp_path / "soup", "onnx", full_schema()).parent
    assert stat.S_IMODE((folder / "kit.yaml").stat().st_mode) & 0o044


def test_templates_are_found_in_a_checkout():
    """Beside the package."""
    root = template_root()
    package = Path(mealkit.__file__).parent
    assert root in {package / "_templates", package.parent / "templates"}
    assert (root / "Dockerfile.jinja").is_file()


def test_templates_are_found_in_a_wheel(tmp_path):
    """Inside the package, which wins over whatever lies beside it."""
    package = tmp_path / "site-packages" / "mealkit"
    (package / "_templates").mkdir(parents=True)
    (tmp_path / "site-packages" / "templates").mkdir()
    assert template_root(package) == package / "_templates"
    (package / "_templates" / "kits").mkdir()
    assert example_root(package) == package / "_templates" / "kits"
    shutil.rmtree(package / "_templates")
    assert example_root(package) == tmp_path / "site-packages" / "kits"
    assert template_root(package) == tmp_path / "site-packages" / "templates"


def test_prompts_that_are_no_templates_name_their_line(tmp_path):
    """Each with its own file and line."""
    path = write_new_kit(tmp_path / "soup", "onnx", full_schema())
    text = path.read_text().replace(
        "prompts: {}", "prompts: {query: {file: prompts/query.jinja, variables: [text]}}"
    )
    path.write_text(text)
    loaded = load_kit(path)
    assert prompt_problems(loaded.kit, loaded.prompts) == []
    (path.parent / "prompts/query.jinja").write_text("one\n{% if x %}\n{{ y }\n")
    loaded = load_kit(path)
    (found,) = prompt_problems(loaded.kit, loaded.prompts)
    assert (found.code, found.where) == ("KIT_PROMPT_INVALID", "prompts/query.jinja:3")


def test_prompts_take_the_variables_that_the_kit_declares(tmp_path):
    """One that is taken and not declared, or declared and not taken, is named."""
    path = write_new_kit(tmp_path / "soup", "onnx", full_schema())
    prompt = "prompts: {query: {file: prompts/query.jinja, variables: [salt]}}"
    path.write_text(path.read_text().replace("prompts: {}", prompt))
    loaded = load_kit(path)
    taken, declared = prompt_problems(loaded.kit, loaded.prompts)
    assert (taken.code, declared.code) == ("KIT_PROMPT_INVALID", "KIT_PROMPT_INVALID")
    assert "'text'" in taken.message
    assert "'salt'" in declared.message
