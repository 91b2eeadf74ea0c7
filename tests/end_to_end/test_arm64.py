"""Kits for amd64 and arm64, from the build to the answer: on amd64, an emulator runs arm64."""

import json
import shutil
import subprocess
import urllib.request
from contextlib import suppress

import pytest
from fakes.engine_images import engine_tags, remove_tags
from fakes.little import Heard, edit_kit
from fakes.served import ROOT, Demo, embed, get, golden, need
from tokenizers import Tokenizer

from mealkit.assembly.contents import _interpreter
from mealkit.assembly.shipped import shipped_library
from mealkit.containers.interpreter import compile_modules
from mealkit.errors import MealkitError
from mealkit.oci.tar import TarFile
from mealkit.oci.tar_source import StreamSource
from mealkit.oci.untar import Kind, TarStream
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.fetching_inputs import fetch_inputs
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.pipeline.machine.clients import read_logs, stop_kit
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import run_kit
from mealkit.plan.layers import Bytecode
from mealkit.plan.planning import plan_image
from mealkit.recipe.lock import read_lock
from mealkit.recipe.variant import plain_locks
from mealkit.stores.local import LocalStore

pytestmark = [pytest.mark.arm64, pytest.mark.online, pytest.mark.xdist_group("arm64")]

# ELF header: what a program or library is compiled for (elf.h).
MACHINES = {"amd64": 62, "arm64": 183}
# The largest difference of a component of a vector of length 1, see build-for-two-architectures.md.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def home(tmp_path_factory, home_with_files):
    return home_with_files(tmp_path_factory.mktemp("arm64") / "home")


@pytest.fixture(scope="module")
def build(tmp_path_factory, home, unique):
    """Build an example kit for both architectures, with bytecode."""

    def build_both(name, push=()) -> Demo:
        kit = tmp_path_factory.mktemp("kits") / name
        shutil.copytree(ROOT / "kits" / name, kit)

        def change(form):
            form["name"] = unique(name)
            form["hardware"]["architectures"] = ["amd64", "arm64"]
            form["runtime"]["bytecode"] = True

        edit_kit(kit, change)
        outputs = Outputs(push=list(push))
        report = build_kit(kit, frozen=False, outputs=outputs, home=home, progress=Heard())
        return Demo(kit, home, report)

    return build_both


@pytest.fixture(scope="module")
def reference(registry, unique) -> str:
    return f"{registry.host}/kits/{unique('rake')}:1"


@pytest.fixture(scope="module")
def rake(build, reference) -> Demo:
    """A kit of the engine ``python``, also pushed to a registry."""
    return build("rake", [reference])


@pytest.fixture(scope="module")
def run(unique):
    """Run a kit; return its report and what the start told. It is stopped after the module."""
    names, tags, before = [], set(), engine_tags()

    def start(target, home, **wanted):
        name, heard = unique("arm64"), Heard()
        names.append((name, home))
        report = run_kit(RunRequest(str(target), name=name, port=0, **wanted), home, heard)
        tags.add(f"mealkit-run/{report.kit}")
        return report, heard

    yield start
    for name, home in names:
        with suppress(MealkitError):
            stop_kit(name, timeout_seconds=10, home=home)
    remove_tags(tags & (engine_tags() - before))


@pytest.fixture(scope="module")
def embedder(build, run, home):
    """The example kit for embeddings in Docker, as arm64."""
    demo = build("sbert-minilm")
    return *run(demo.kit, home, client="docker", architecture="arm64"), home


def post(url, body):
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def files_in(image):
    """Yield the path and the first bytes of every file of an image."""
    for layer in image.layers:
        stream = TarStream(StreamSource(layer.blob.chunks()), max_entries=100_000)
        for member in stream.members():
            if member.kind is Kind.FILE:
                yield member.path.decode(), b"".join(bytes(piece) for piece in stream.data())[:20]


def test_each_image_has_its_own_programs_and_the_bytecode_of_all_modules(rake):
    """Debian's packages and wheels are those of each architecture; this machine compiles for both."""
    for image in LocalStore(rake.home.store).content(str(rake.report.digest)).images:
        heads = dict(files_in(image))
        elf = [head for head in heads.values() if head[:4] == b"\x7fELF"]
        found = {int.from_bytes(head[18:20], "little") for head in elf}
        assert found == {MACHINES[image.platform.architecture]}
        library = [path for path in heads if path.startswith("opt/mealkit/lib/mealkit/")]
        sources = {path for path in library if path.endswith(".py")}
        compiled = {path for path in library if path.endswith(".cpython-313.pyc")}
        assert len(compiled) == len(sources) > 100


def test_python_compiles_the_same_bytes_on_both_architectures(rake, tmp_path):
    """So it does not matter which of the two compiles. The emulator works in the build sandbox."""
    library = shipped_library("python")
    modules = [
        TarFile.of(f"opt/{path}", data)
        for path, data in sorted(library.items())
        if path.startswith(("mealkit/memory/", "mealkit/runtime/life/"))
    ]
    assert len(modules) > 10
    found = []
    for lock in plain_locks(read_lock((rake.kit / "kit.lock").read_bytes())):
        base = plan_image(lock, library).layers[0]
        (content,) = [item for item in base.contents if isinstance(item, Bytecode)]
        inputs = fetch_inputs(open_kit(rake.kit, rake.home), lock, [base], rake.home, Heard())
        folder = tmp_path / lock.runtime.architecture
        folder.mkdir()
        root = _interpreter(content, inputs, folder)
        codes = compile_modules(root, content.python, modules, folder)
        found.append([code and code.read_bytes() for code in codes])
    assert found[0] == found[1]
    assert all(found[0])


def test_other_tools_choose_by_platform(rake, reference):
    """docker and skopeo get the image that they ask for, and their own by default."""
    digests = {item.architecture: str(item.digest) for item in rake.report.images}
    inspect = [need("skopeo"), "inspect", "--tls-verify=false"]
    for name in digests:
        command = [*inspect, "--override-arch", name, "--config", f"docker://{reference}"]
        shown = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        assert shown["architecture"] == name
    listed = subprocess.run(
        [*inspect, "--raw", f"docker://{reference}"], check=True, capture_output=True
    ).stdout
    assert {item["digest"] for item in json.loads(listed)["manifests"]} == set(digests.values())


@pytest.mark.docker
def test_docker_pulls_the_image_of_each_platform(rake, reference, sdk):
    """What it pulls and saves is for that architecture."""
    try:
        for name in MACHINES:
            pulled = sdk.images.pull(reference, platform=f"linux/{name}")
            assert pulled.attrs["Architecture"] == name
    finally:
        sdk.images.remove(reference, force=True)


@pytest.mark.docker
def test_docker_serves_the_same_vectors_from_arm64(embedder, minilm_files):
    """Those that torch gives on amd64, within the documented tolerance, and the same token ids."""
    report, _, _ = embedder
    # The emulator computes for about a second for each token.
    cases = [case for case in golden() if len(case[0]) <= 13]
    assert len(cases) >= 3
    texts = [text for text, _ in cases]
    vectors, _ = embed(report.url, texts)
    for (_, expected), vector in zip(cases, vectors, strict=True):
        assert max(abs(a - b) for a, b in zip(expected, vector, strict=True)) <= TOLERANCE
    tokenizer = Tokenizer.from_file(str(minilm_files / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for text in texts:
        body = {"model": "all-MiniLM-L6-v2", "prompt": text}
        assert post(f"{report.url}/v1/tokenize", body)["tokens"] == tokenizer.encode(text).ids


@pytest.mark.docker
def test_an_emulated_kit_says_what_it_is_and_what_is_less_isolated(embedder, sdk):
    """Before the start and in the log: qemu installs no filter of system calls."""
    report, heard, home = embedder
    (warning,) = [item for item in heard.notices if item.code == "HOST_ARCHITECTURE"]
    assert "an emulator runs it" in warning.message
    assert (warning.measured, warning.required) == ("amd64", "arm64")
    assert get(f"{report.url}/v1/manifest")[0]["runtime"]["architecture"] == "arm64"
    lines = map(json.loads, read_logs(report.name, follow=False, tail=None, home=home))
    (isolation,) = [line["missing"] for line in lines if line["event"] == "isolation"]
    assert isolation == "the kernel refuses a filter of system calls: Invalid argument"
    container = sdk.containers.get(report.name)
    check = container.attrs["Config"]["Healthcheck"]["Test"][1:]
    assert container.exec_run(check).exit_code == 0


def test_the_sandbox_pulls_the_image_for_arm64_and_runs_it(rake, reference, run, tmp_path):
    """The answer is the one that the paper prints, and that the kit gives on amd64."""
    home = home_at(tmp_path / "other")
    report, heard = run(reference, home, client="sandbox", architecture="arm64")
    example = json.loads((rake.kit / "example.json").read_text())
    answer = post(f"{report.url}/v1/predict", {"model": "rake", "input": {"text": example["text"]}})
    found = [[item["keyword"], round(item["score"], 1)] for item in answer["output"]]
    assert found == example["published"]
    assert get(f"{report.url}/v1/manifest")[0]["runtime"]["architecture"] == "arm64"
    assert [item.code for item in heard.notices].count("HOST_ARCHITECTURE") == 1
