"""What a caller names is read in one way, whichever command it is for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.little import edit_kit, little_base, little_kit, offline_environment
from typer.testing import CliRunner

from mealkit.cli.program import app
from mealkit.errors import KitError, MealkitError
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.targets import (
    ArchiveFile,
    Here,
    HubModel,
    KitFolder,
    LayoutFolder,
    LockFile,
    RegistryReference,
    StoredDigest,
    StoredName,
    WeightFiles,
    image_named,
    kit_named,
    kit_or_image_named,
    output_named,
    read_target,
    recipe_named,
    registry_named,
    target_of,
)
from mealkit.progress import SILENT
from mealkit.stores.layout import write_layout

# What every verb is called with, the target in the place of {}.
COMMANDS = (
    "check {}",
    "lock {}",
    "lock {} --check",
    "build {}",
    "render {}",
    "run {}",
    "inspect {}",
    "preflight {}",
    "estimate {}",
    "diff {} little:1.0.0",
    "diff {kit} {}",
)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A folder with an image in it."""
    write_layout(little_base(), tmp_path / "layout", "base:1")
    return tmp_path / "layout"


def told(*arguments: str, home: Path) -> dict[str, str]:
    """What a command that fails says, by the heads of its lines."""
    result = CliRunner().invoke(app, ["--home", str(home), *arguments])
    assert result.exit_code != 0
    return dict(line.split(maxsplit=1) for line in result.stderr.splitlines())


@pytest.mark.parametrize(
    ("text", "here", "kind"),
    [
        ("my-kit", Here.KIT, KitFolder),
        ("my-kit", Here.FOLDER, WeightFiles),
        ("my-kit", Here.NOTHING, StoredName),
        ("my-kit:1.0.0", Here.NOTHING, StoredName),
        ("team/my-kit:1.0.0", Here.NOTHING, StoredName),
        ("./my-kit", Here.NOTHING, KitFolder),
        ("../kits/my-kit", Here.NOTHING, KitFolder),
        ("/kits/my-kit", Here.NOTHING, KitFolder),
        ("other.yaml", Here.NOTHING, KitFolder),
        ("other.yml", Here.FILE, KitFolder),
        ("my-kit/kit.lock", Here.FILE, LockFile),
        ("my-kit.tar", Here.FILE, ArchiveFile),
        ("model.gguf", Here.FILE, WeightFiles),
        ("4f53cd", Here.NOTHING, StoredDigest),
        (f"sha256:{64 * 'a'}", Here.NOTHING, StoredDigest),
        ("4f5", Here.NOTHING, StoredName),
        ("registry.example.org/team/my-kit:1.0.0", Here.NOTHING, RegistryReference),
        ("localhost:5000/my-kit", Here.NOTHING, RegistryReference),
        (f"localhost/my-kit@sha256:{64 * 'a'}", Here.NOTHING, RegistryReference),
        ("My Kit", Here.NOTHING, StoredName),
    ],
)
def test_a_text_is_read_by_what_lies_at_its_path(text, here, kind):
    """A path that is there is that path; everything else is an image's name."""
    assert type(target_of(text, Path(text), here)) is kind


def test_a_file_of_a_kit_is_no_archive(kit):
    """Its author named the file that was open; the answer names the kit."""
    (kit / "handler.py").write_text("")
    with pytest.raises(KitError) as caught:
        read_target(str(kit / "handler.py"))
    (found,) = caught.value.problems
    assert (found.code, found.owner) == ("TARGET_UNFIT", "caller")
    assert found.hint == f"name the kit's folder: {kit}"


def test_a_kit_file_with_another_name_gets_a_command(kit):
    """The command makes it a kit."""
    (kit / "kit.yaml").rename(kit / "kit.yml")
    with pytest.raises(KitError) as caught:
        kit_named(str(kit))
    (found,) = caught.value.problems
    assert found.code == "KIT_NOT_FOUND"
    subprocess.run(found.hint.split(), check=True)
    assert kit_named(str(kit)).path == kit


def test_a_scheme_is_enough(tmp_path):
    """Whatever lies there."""
    assert read_target("oci:out", tmp_path) == LayoutFolder("oci:out", tmp_path / "out")
    assert read_target("oci-archive:a.tar", tmp_path) == ArchiveFile(
        "oci-archive:a.tar", tmp_path / "a.tar"
    )
    assert read_target("hub:OWNER/REPO") == HubModel("hub:OWNER/REPO")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_layout_without_its_scheme_gets_one_answer_from_every_command(command, layout, kit, home):
    """It says what to write instead."""
    words = [str(layout) if word == "{}" else word for word in command.split()]
    words = [str(kit) if word == "{kit}" else word for word in words]
    problem = told(*words, home=home.root)
    message = f"{layout} is an OCI layout, but oci: is missing in front of it"
    assert problem["error[TARGET_UNFIT]"] == message
    assert problem["hint"] == f"write oci:{layout}, as in: mealkit inspect oci:{layout}"


def test_a_layout_without_its_scheme_is_no_output_and_no_base_either(layout, tmp_path, home):
    """Before anything is built, or looked for in a registry."""
    folder = little_kit(tmp_path / "kit")
    with pytest.raises(KitError) as raised:
        build(folder, home, Outputs(output=[str(layout)]))
    assert raised.value.problems[0].hint.startswith(f"write oci:{layout}")
    assert not (folder / "kit.lock").exists()
    edit_kit(folder, lambda form: form["runtime"]["base"].update(reference="base"))
    with pytest.raises(KitError) as raised:
        build(folder, home)
    assert raised.value.problems[0].hint.startswith("write oci:base")


def build(folder: Path, home, outputs: Outputs | None = None):
    return build_kit(folder, frozen=False, outputs=outputs or Outputs(), home=home, progress=SILENT)


@pytest.mark.parametrize(
    ("read", "text", "hint"),
    [
        (kit_named, "little:1.0.0", "mealkit inspect little:1.0.0, or: mealkit run little:1.0.0"),
        (kit_named, "oci:layout", "mealkit inspect oci:layout, or: mealkit run oci:layout"),
        (kit_named, "localhost:5000/a:1", "mealkit inspect localhost:5000/a:1"),
        (kit_named, "hub:a/b", "mealkit estimate hub:a/b, or: mealkit new NAME --from hub a/b"),
        (kit_named, "{kit}/kit.lock", "name the kit's folder instead: {kit}"),
        (kit_named, "{kit}/weights/model.safetensors", "mealkit estimate {kit}/weights/model"),
        (kit_named, "{kit}/prompts/query.jinja", "name the kit's folder: {kit}"),
        (image_named, "{kit}", "mealkit build {kit} builds its image and prints its digest"),
        (image_named, "{kit}/kit.lock", "name the kit's folder instead: {kit}"),
        (kit_or_image_named, "{kit}/kit.lock", "name the kit's folder instead: {kit}"),
        (recipe_named, "hub:a/b", "mealkit estimate hub:a/b"),
        (output_named, "out", "write oci:out"),
        (output_named, "out.tar", "write oci-archive:out.tar"),
        (output_named, "localhost:5000/a:1", "write oci:localhost:5000/a:1"),
        (registry_named, "team/a:1", "write REGISTRY/team/a:1"),
    ],
)
def test_what_a_command_does_not_take_comes_with_a_suggestion(read, text, hint, kit):
    """One code and one form of words, whichever the command is."""
    (kit / "kit.lock").touch()
    with pytest.raises(MealkitError) as raised:
        read(text.format(kit=kit))
    (problem,) = raised.value.problems
    assert problem.code == "TARGET_UNFIT"
    assert problem.hint.startswith(hint.format(kit=kit))


@pytest.mark.parametrize(
    ("read", "text", "code"),
    [
        (kit_named, "nothing", "KIT_NOT_FOUND"),
        (kit_named, "kits/nothing", "KIT_NOT_FOUND"),
        (kit_named, "facade", "KIT_NOT_FOUND"),
        (kit_named, "{kit}/weights", "KIT_NOT_FOUND"),
        (image_named, "./nothing", "IMAGE_NOT_FOUND"),
        (image_named, "/nothing.yaml", "IMAGE_NOT_FOUND"),
        (registry_named, "My Kit", "REFERENCE_INVALID"),
    ],
)
def test_what_is_not_there_is_said_so(read, text, code, kit):
    """A name that nothing has is no wrong kind of thing."""
    with pytest.raises(MealkitError) as raised:
        read(text.format(kit=kit))
    assert raised.value.problems[0].code == code


_COUNTING = """
import os, sys
from pathlib import Path
opened = []
def note(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        if os.fsdecode(arguments[0]).rpartition("/")[2] == "kit.yaml":
            opened.append(arguments[0])
sys.addaudithook(note)
from mealkit.cli.program import app
try:
    app(sys.argv[1:], standalone_mode=False)
except BaseException as error:
    print(type(error).__name__, error, file=sys.stderr)
finally:
    print(len(opened), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "command",
    [
        "check KIT",
        "lock KIT",
        "build KIT",
        "diff KIT little:1.0.0",
        "preflight KIT",
        "preflight KIT --host HOST --host OTHER",
        "run KIT --client sandbox --port 0 --timeout 5",
    ],
)
def test_a_kit_is_opened_once(command, kit, home, tmp_path):
    """However many steps a command has, and although its lock is stale."""
    build(kit, home)
    (kit / "prompts" / "query.jinja").write_text("question: {{ text }}\n")
    facts = subprocess.run(
        [sys.executable, "-m", "mealkit", "host", "--json"],
        env=offline_environment(home.root),
        capture_output=True,
        check=True,
    ).stdout
    other = {**json.loads(facts), "host": "other", "architecture": "arm64"}
    (tmp_path / "host.json").write_bytes(facts)
    (tmp_path / "other.json").write_text(json.dumps(other))
    names = {"KIT": kit, "HOST": tmp_path / "host.json", "OTHER": tmp_path / "other.json"}
    words = [str(names.get(word, word)) for word in command.split()]
    result = subprocess.run(
        [sys.executable, "-c", _COUNTING, *words],
        env=offline_environment(home.root),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr.splitlines()[-1] == "1", result.stderr
