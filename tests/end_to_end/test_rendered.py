"""What ``render`` writes, plain ``docker build`` turns into the files that ``build`` assembles."""

import contextlib
import hashlib
import os
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from fakes.little import OFFLINE, Heard, edit_kit, little_kit
from fakes.served import assert_serves, ended_of, published, wait_ready

from mealkit import __version__
from mealkit.errors import MealkitError
from mealkit.oci.image import Image
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit, render_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.stores.docker_load import load
from mealkit.stores.layout import read_layout
from mealkit.stores.local import LocalStore

GOLDEN = Path(__file__).parents[1] / "golden"

# What an engine adds to every export of a container.
_ENGINES_OWN = {"dev", "proc", "sys", ".dockerenv"}
_ENGINES_FILES = {"etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"}

# What the engine writes into a config beside what the Dockerfile says.
_CONFIG = (
    *("Entrypoint", "Env", "User", "WorkingDir", "Labels", "ExposedPorts", "StopSignal", "Cmd"),
    "Healthcheck",
)


@dataclass(frozen=True, slots=True)
class Item:
    """A path in a root as far as a kit depends on it."""

    kind: str
    mode: int
    owner: tuple[int, int]
    target: str
    sha256: str


def tree_of_tar(stream: Any) -> dict[str, Item]:
    """Read a tar as a tree; a later entry of a path replaces an earlier one."""
    found: dict[str, Item] = {}
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for entry in archive:
            path = entry.name.strip("/").removeprefix("./")
            if not path or path == ".":
                continue
            found[path] = _item(archive, entry, found)
    return found


def _item(archive: tarfile.TarFile, entry: tarfile.TarInfo, found: dict[str, Item]) -> Item:
    owner = (entry.uid, entry.gid)
    if entry.islnk():
        return found[entry.linkname.strip("/")]
    if entry.issym():
        return Item("link", 0, owner, entry.linkname, "")
    if entry.isdir():
        return Item("folder", entry.mode & 0o7777, owner, "", "")
    assert entry.isreg(), entry.name
    content = archive.extractfile(entry)
    assert content
    sha256 = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
    return Item("file", entry.mode & 0o7777, owner, "", sha256)


class _Chunks:
    """A blob's chunks as a stream to read."""

    def __init__(self, chunks: Any) -> None:
        self._chunks = iter(chunks)
        self._held = b""

    def read(self, size: int) -> bytes:
        while len(self._held) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._held += bytes(chunk)
        data, self._held = self._held[:size], self._held[size:]
        return data


def tree_of_image(image: Image) -> dict[str, Item]:
    """Lay the layers of an image over each other (no layer of ours deletes)."""
    found: dict[str, Item] = {}
    for layer in image.layers:
        found |= tree_of_tar(_Chunks(layer.blob.chunks()))
    return found


def tree_in_engine(sdk: Any, tag: str) -> dict[str, Item]:
    """Export a container that never ran, without what the engine adds by itself."""
    container = sdk.containers.create(tag, command=["/none"])
    try:
        found = tree_of_tar(_Chunks(container.export()))
    finally:
        container.remove(force=True)
    return {
        path: item
        for path, item in found.items()
        if path.split("/")[0] not in _ENGINES_OWN and path not in _ENGINES_FILES
    }


def assert_same_tree(built: dict[str, Item], assembled: dict[str, Item]) -> None:
    wanted = {
        path: item
        for path, item in assembled.items()
        if path.split("/")[0] not in _ENGINES_OWN and path not in _ENGINES_FILES
    }
    # An engine's export has the folders of the files that it adds.
    built = {path: item for path, item in built.items() if path in wanted or path != "etc"}
    differing = {
        path: (built.get(path), wanted.get(path))
        for path in sorted({*built, *wanted})
        if built.get(path) != wanted.get(path)
    }
    assert differing == {}


def assert_same_config(sdk: Any, tag: str, image: Image) -> None:
    theirs = sdk.images.get(tag).attrs["Config"]
    ours = image.config["config"]
    for name in _CONFIG:
        mine, other = ours.get(name) or None, theirs.get(name) or None
        if name == "Env":
            mine, other = sorted(mine or []), sorted(other or [])
        assert other == mine, name


def build_plainly(sdk: Any, builder: str, context: Path, tag: str) -> None:
    """Build with the engine's old builder through the SDK, or with BuildKit by the docker CLI."""
    if builder == "legacy":
        sdk.images.build(path=str(context), tag=tag, rm=True, forcerm=True)
        return
    program = buildkit_cli()
    if program is None:
        pytest.skip("no docker CLI here builds with BuildKit")
    done = subprocess.run(
        [program, "build", "--quiet", "--network", "none", "--tag", tag, str(context)],
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def buildkit_cli() -> str | None:
    """Find a docker CLI that has BuildKit: built in until version 22, else with buildx."""
    for program in ("/usr/bin/docker", "/usr/local/bin/docker"):
        if not Path(program).exists():
            continue
        version = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False
        )
        if not version.stdout.startswith("Docker version "):
            continue
        major = int(version.stdout.split()[2].partition(".")[0])
        plugin = subprocess.run([program, "buildx", "version"], capture_output=True, check=False)
        if major < 23 or plugin.returncode == 0:
            return program
    return None


@pytest.fixture(scope="session")
def rendered(demo, tmp_path_factory):
    """The example kit's context and Dockerfile."""
    target = tmp_path_factory.mktemp("rendered") / "context"
    return render_kit(demo.kit, target, frozen=True, home=demo.home, progress=Heard())


@pytest.mark.docker
@pytest.mark.online
@pytest.mark.xdist_group("demo")
@pytest.mark.parametrize("builder", ["legacy", "buildkit"])
def test_plain_docker_build_gives_the_same_files_and_they_serve(
    demo, rendered, builder, sdk, unique, started
):
    """Names, types, modes, owners, links and contents agree, and the image answers alike."""
    tag = f"{unique(builder)}:1"
    try:
        build_plainly(sdk, builder, rendered, tag)
        assert_same_tree(tree_in_engine(sdk, tag), tree_of_image(demo.image))
        assert_same_config(sdk, tag, demo.image)

        container = started(tag, ports={"8000/tcp": ("127.0.0.1", 0)})
        url = published(container)
        wait_ready(url, ended_of(container))
        assert assert_serves(url)["X-Mealkit-Recipe"] == str(demo.report.recipe)
        container.remove(force=True)
    finally:
        sdk.images.remove(tag, force=True)


@pytest.mark.online
@pytest.mark.xdist_group("demo")
def test_the_checksums_of_the_context_hold(rendered):
    """The command in the Dockerfile's head is enough to check the whole context."""
    sums = (rendered / "SHA256SUMS").read_text().splitlines()
    named = {line.split("  ", 1)[1] for line in sums}
    there = {
        path.relative_to(rendered).as_posix() for path in rendered.rglob("*") if path.is_file()
    }
    assert named == there - {"SHA256SUMS"}
    command = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    done = subprocess.run(command, cwd=rendered, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.fixture
def little(tmp_path, monkeypatch):
    """A little kit and its home; nothing is asked of a network."""
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    return little_kit(tmp_path / "kit"), home_at(tmp_path / "home")


def content_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


def test_rendering_twice_gives_the_same_bytes(little, tmp_path):
    """Same lock, same context: whatever the umask, and in whatever folder."""
    kit, home = little
    first = render_kit(kit, tmp_path / "one", frozen=False, home=home, progress=Heard())
    before = os.umask(0o077)
    try:
        second = render_kit(
            kit, tmp_path / "two", frozen=True, home=home_at(tmp_path / "h2"), progress=Heard()
        )
    finally:
        os.umask(before)
    one, two = content_of(first), content_of(second)
    assert {path: data for path, (_, data) in one.items()} == {
        path: data for path, (_, data) in two.items()
    }
    inside = {path for path in one if path.startswith("layers/") and path.count("/") > 1}
    assert {path: one[path][0] for path in inside} == {path: two[path][0] for path in inside}


def test_the_dockerfile_of_a_little_kit_is_this_one(little, tmp_path):
    """A reviewer sees every change of the template; MEALKIT_WRITE_GOLDEN=1 writes it again."""
    kit, home = little
    target = render_kit(kit, tmp_path / "out", frozen=False, home=home, progress=Heard())
    # Digests of wheels made here depend on the zlib at hand; their number does not.
    text = re.sub(r"\b[0-9a-f]{64}\b", "0" * 64, (target / "Dockerfile").read_text())
    text = text.replace(f"mealkit {__version__}", "mealkit VERSION")
    golden = GOLDEN / "little.Dockerfile"
    if os.environ.get("MEALKIT_WRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_a_dockerfile_says_everything_in_one_line_each(little, tmp_path):
    """Values of a kit with quotes, dollars and newlines cannot add an instruction."""
    kit, home = little
    bad = 'a "b" $PATH \\ c\nRUN touch /evil\n'
    edit_kit(kit, lambda form: form.update(description=bad))
    edit_kit(kit, lambda form: form["owner"].update(team=bad.replace("\n", " "), support=bad))
    target = render_kit(kit, tmp_path / "out", frozen=False, home=home, progress=Heard())
    text = (target / "Dockerfile").read_text()
    assert not any(line.startswith("RUN") for line in text.splitlines())


@pytest.mark.docker
@pytest.mark.parametrize("builder", ["legacy", "buildkit"])
def test_awkward_values_reach_the_config_as_they_are(little, tmp_path, builder, sdk, unique):
    """A kit over a base image, with awkward words, gives the same config and the same files."""

    kit, home = little
    edit_kit(kit, lambda form: form.update(description="a \"b\" $PATH ${HOME} 'c' \\ #d"))
    report = build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=Heard())
    image = LocalStore(home.store).image(str(report.digest))
    base, tag = f"{unique('base')}:1", f"{unique('little')}:1"
    target = render_kit(kit, tmp_path / "out", frozen=True, home=home, progress=Heard())
    dockerfile = target / "Dockerfile"
    lines = dockerfile.read_text().splitlines()
    # The base is in no registry: the engine has it under a name of this test.
    dockerfile.write_text(
        "\n".join(f"FROM {base}" if line.startswith("FROM ") else line for line in lines) + "\n"
    )
    load(read_layout(kit / "base"), [base], sdk)
    try:
        build_plainly(sdk, builder, target, tag)
        assert_same_tree(tree_in_engine(sdk, tag), tree_of_image(image))
        assert_same_config(sdk, tag, image)
    finally:
        for name in (tag, base):
            sdk.images.remove(name, force=True)


# What shells, Dockerfiles and jinja would read as theirs, and a kit may have all the same.
_NASTY = (
    "$HOME ${PATH} $(id) `id`",
    "\"double\" 'single'",
    "# escape=` <<EOF",
    '--chown=0:0 ["a", "b"] * ? !x',
    "{{ recipe }} {% raw %}",
    "Ünï çødé 日本語 🍲",
    "RUN id && true; FROM scratch AS x",
)


def nasty_kit(folder):
    """A kit whose file names and sentences look like instructions to whoever reads them badly."""
    kit = little_kit(folder)
    for name in _NASTY:
        (kit / "weights" / f"{name}.json").write_text("{}")
    large = kit / "weights" / "model.safetensors"
    large.rename(kit / "weights" / f"{_NASTY[0]} {_NASTY[2]}.safetensors")
    sentence = " ".join(_NASTY) + " \\"

    def change(form):
        form["description"] = f"{sentence}\nRUN id\n"
        form["license"] = sentence
        form["owner"] |= {"team": sentence, "support": f"{sentence}\nUSER root"}
        form["model"] |= {"name": sentence, "license": sentence}
        form["model"]["weights"][0]["files"] = ["*"]

    edit_kit(kit, change)
    return kit


# Comments, and the instructions that the template has.
_LINE = re.compile(
    r"|#.*|(FROM base@sha256:[0-9a-f]{64}|COPY layers/[0-9]{2}-[a-z]+/ /"
    r"|ADD layers/[0-9]{2}-[a-z]+(-folders)?\.tar /|CMD \[\]"
    r"|(ENV [A-Z_]+|LABEL [a-z.]+)=\"([^\"\\]|\\.)*\""
    r"|USER 65532:65532|WORKDIR /|EXPOSE 8000|STOPSIGNAL SIGTERM"
    r"|(HEALTHCHECK --interval=5s --timeout=5s --start-period=3600s --retries=6 CMD|ENTRYPOINT)"
    r" \[\"[^\"]*\"(, \"[^\"]*\")*\])"
)


def test_hostile_names_add_no_instruction_to_a_dockerfile(tmp_path, monkeypatch):
    """Every line is one of the template's; no directive of the parser stands at its head."""
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    target = render_kit(
        nasty_kit(tmp_path / "kit"),
        tmp_path / "out",
        frozen=False,
        home=home_at(tmp_path / "home"),
        progress=Heard(),
    )
    lines = (target / "Dockerfile").read_text().split("\n")
    assert [line for line in lines if not _LINE.fullmatch(line)] == []
    assert "=" not in lines[0]
    counted = {word: sum(line.startswith(word) for line in lines) for word in ("FROM", "USER")}
    assert counted == {"FROM": 1, "USER": 1}


@pytest.mark.parametrize(
    "name", ["a\nRUN id.json", "a\rb.json", "a\x1b[2Jb.json", "a\u2028b.json", "a\u202eb.json"]
)
def test_a_file_whose_name_ends_a_line_is_refused(little, tmp_path, name):
    """Whoever supplies a file with such a name, nothing is written of the kit."""
    kit, home = little
    (kit / "weights" / name).write_text("{}")
    edit_kit(kit, lambda form: form["model"]["weights"][0].update(files=["*"]))
    with pytest.raises(MealkitError, match="SOURCE_ANSWER"):
        render_kit(kit, tmp_path / "out", frozen=False, home=home, progress=Heard())
    assert not (tmp_path / "out").exists()
    assert not (kit / "kit.lock").exists()


@pytest.mark.parametrize("name", ["a b", "Base", 'a"b', "x AS y", "$BASE", "-f"])
def test_a_base_that_no_dockerfile_can_name_is_refused(little, tmp_path, name):
    """A folder's name stands behind FROM, so it must be the name of an image."""
    kit, home = little
    (kit / "base").rename(kit / name)
    edit_kit(kit, lambda form: form["runtime"]["base"].update(reference=f"oci:{name}"))
    with pytest.raises(MealkitError, match="BASE_INVALID"):
        render_kit(kit, tmp_path / "out", frozen=False, home=home, progress=Heard())


@pytest.mark.docker
@pytest.mark.parametrize("builder", ["legacy", "buildkit"])
def test_nasty_names_are_the_same_files_in_docker(tmp_path, monkeypatch, builder, sdk, unique):
    """Dollar signs, quotes, backticks and other scripts are data to docker build, too."""
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    kit, home = nasty_kit(tmp_path / "kit"), home_at(tmp_path / "home")
    report = build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=Heard())
    image = LocalStore(home.store).image(str(report.digest))
    target = render_kit(kit, tmp_path / "out", frozen=True, home=home, progress=Heard())
    base, tag = f"{unique('base')}:1", f"{unique(builder)}:1"
    try:
        load(read_layout(kit / "base"), [base], sdk)
        file = target / "Dockerfile"
        file.write_text(
            re.sub(r"^FROM base@.*$", f"FROM {base}", file.read_text(), flags=re.MULTILINE)
        )
        build_plainly(sdk, builder, target, tag)
        assert_same_tree(tree_in_engine(sdk, tag), tree_of_image(image))
        assert_same_config(sdk, tag, image)
    finally:
        for name in (tag, base):
            with contextlib.suppress(docker.errors.ImageNotFound):
                sdk.images.remove(name, force=True)
    sums = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"],
        cwd=target,
        capture_output=True,
        check=False,
    )
    # The line of the Dockerfile that was changed here is the only difference.
    assert sums.stdout.splitlines() == [b"Dockerfile: FAILED"]
