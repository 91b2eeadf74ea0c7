"""Preflight before anything is pulled: from locks, images and manifests, for here and elsewhere."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fakes.little import (
    Heard,
    base_of,
    edit_kit,
    layer_of,
    little_form,
    little_kit,
    offline_environment,
)
from fakes.machines import made_facts
from fakes.needs import GIB, SEVENTY, cpu_needs, gpu_needs

from mealkit.digest import canonical_json
from mealkit.errors import LockError, MealkitError, PreflightError
from mealkit.oci.tar import TarDirectory, TarFile, TarSymlink
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.machine.clients import running_kits, stop_kit
from mealkit.pipeline.machine.preflighting import PreflightRequest, preflight_target
from mealkit.pipeline.machine.stated_needs import Stated, bytes_to_write, open_recipe, stated_by
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import run_kit
from mealkit.preflight.finding import Severity, Verdict
from mealkit.preflight.nvidia import Access, Nvidia, NvidiaGpu
from mealkit.progress import SILENT, Progress
from mealkit.recipe.requirements import Requirements
from mealkit.stores.layout import write_layout

MIB = 2**20


def stated(target: Path | str, home: Home, progress: Progress = SILENT) -> Stated:
    """What a target states, as ``preflight`` asks for it."""
    return stated_by(open_recipe(str(target), home, (), progress), "amd64", home)


def recording(folder: Path, name: str, **changes) -> Path:
    """A file as ``mealkit host --json`` writes it."""
    facts = made_facts(host=name, **changes)
    path = folder / f"{name}.json"
    path.write_text(facts.model_dump_json())
    return path


def with_gpus(count: int, mebibytes: int, driver: str = "550.54.15") -> dict:
    gpus = tuple(
        NvidiaGpu(
            index=index,
            lost=False,
            name="A100",
            compute_capability=(8, 0),
            memory_total_bytes=mebibytes * MIB,
            memory_free_bytes=mebibytes * MIB,
            mig_enabled=False,
            ecc_enabled=True,
            ecc_uncorrected=0,
        )
        for index in range(count)
    )
    nvidia = Nvidia(
        access=Access.OK,
        reason=None,
        driver=driver,
        cuda=(12, 4),
        libcuda=True,
        count=count,
        gpus=gpus,
    )
    return {
        "nvidia": nvidia,
        "memory_total_bytes": 256 * GIB,
        "memory_available_bytes": 250 * GIB,
    }


class OneManifest:
    """A registry that has one manifest and no blob at all, and remembers what it was asked for."""

    def __init__(self, requirements: Requirements, **annotations: str) -> None:
        stated = {
            "dev.mealkit.kit": "lunch:1.0.0",
            "dev.mealkit.owner": json.dumps(little_form()["owner"]),
            "dev.mealkit.requirements": canonical_json(
                requirements.model_dump(mode="json")
            ).decode(),
            **annotations,
        }
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": f"sha256:{'0' * 64}",
                    "size": 4096,
                },
                "layers": [],
                "annotations": stated,
            }
        ).encode()
        self.asked: list[str] = []
        self.sent_bytes = 0

    @contextmanager
    def served(self) -> Iterator[str]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.asked.append(self.path)
                found = "/manifests/" in self.path
                body = registry.manifest if found else b"{}"
                registry.sent_bytes += len(body)
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
                self.send_header("Content-Length", str(len(body)))
                digest = hashlib.sha256(body).hexdigest()
                self.send_header("Docker-Content-Digest", f"sha256:{digest}")
                self.end_headers()
                self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815  the server's own naming

            def log_message(self, *arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}/team/lunch:1"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


# Whether it is a registry, and the manifest.
# More memory than any machine has, so that the preflight blocks everywhere.
TOO_MUCH = 1 << 50
MANIFEST_ONLY = ["/v2/", "/v2/team/lunch/manifests/1"]


def test_a_registry_is_asked_for_the_manifest_alone(home, tmp_path):
    """Nothing is pulled, not even the config: a few KB, and one request for machines alike."""
    registry = OneManifest(gpu_needs(SEVENTY, flags={"tensor_parallel_size": 2}))
    hosts = (
        recording(tmp_path, "small", **with_gpus(2, 40_000)),
        recording(tmp_path, "large", **with_gpus(2, 100_000)),
    )
    with registry.served() as reference:
        answer = preflight_target(PreflightRequest(reference, hosts), home)
    assert registry.asked == MANIFEST_ONLY
    assert registry.sent_bytes < 4096
    assert (answer.name, answer.owner.team) == ("lunch:1.0.0", "cooks")
    verdicts = {item.name: item.report.verdict for item in answer.machines}
    # 131.4 GiB of weights on two cards: 65.7 each; 90 % of 39.1 GiB, and of 97.7 GiB.
    assert verdicts == {"small": Verdict.DOES_NOT_FIT, "large": Verdict.FITS}
    assert answer.verdict is Verdict.FITS
    assert not list(home.root.iterdir())


def test_run_asks_before_it_pulls(home):
    """A kit that does not fit is refused with its numbers, and nothing of it was fetched."""
    registry = OneManifest(cpu_needs(memory_bytes=TOO_MUCH, weights_bytes=TOO_MUCH))
    with registry.served() as reference, pytest.raises(PreflightError) as caught:
        run_kit(RunRequest(reference, port=0), home, Heard())
    (problem,) = [item for item in caught.value.problems if item.code == "HOST_MEMORY"]
    assert problem.measured
    assert problem.required.startswith("1024.0 TiB")
    assert registry.asked == MANIFEST_ONLY


def test_run_names_whom_to_ask(home):
    """What the kit's author owns comes with the contact, though only the manifest is known."""
    needs = gpu_needs(SEVENTY, flags={"tensor_parallel_size": 3})
    registry = OneManifest(needs)
    with registry.served() as reference, pytest.raises(MealkitError) as caught:
        run_kit(RunRequest(reference, port=0), home, Heard())
    heads = next(item for item in caught.value.problems if item.code == "FIT_HEADS")
    assert heads.contact.team == "cooks"
    assert registry.asked == MANIFEST_ONLY


def test_an_override_goes_on_to_the_pull(home):
    """Only then is more asked for, and what was overridden is told."""
    registry = OneManifest(cpu_needs(memory_bytes=TOO_MUCH, weights_bytes=TOO_MUCH))
    heard = Heard()
    overrides = {"HOST_MEMORY": "the estimate is wrong"}
    with registry.served() as reference, pytest.raises(MealkitError) as caught:
        run_kit(RunRequest(reference, port=0, overrides=overrides), home, heard)
    assert caught.value.problems[0].code != "HOST_MEMORY"
    assert len(registry.asked) > 1
    told = [item.message for item in heard.notices if item.code == "HOST_MEMORY"]
    assert [text.partition(", ")[2] for text in told] == ["overridden: the estimate is wrong"]


def test_an_architecture_that_the_kit_does_not_have(home):
    """Asking for it is refused before anything is pulled, and the hint names what there is."""
    registry = OneManifest(cpu_needs())
    with registry.served() as reference, pytest.raises(MealkitError) as caught:
        run_kit(RunRequest(reference, port=0, architecture="arm64"), home, Heard())
    (problem,) = caught.value.problems
    assert problem.code == "USAGE"
    assert "lunch:1.0.0 is not built for arm64" in problem.message
    assert "--architecture amd64" in problem.hint
    assert registry.asked == MANIFEST_ONLY


@pytest.mark.parametrize("requirements", ["", "{}", '{"gpu": "required", "quantum": 1}'])
def test_an_image_that_states_nothing_readable(home, tmp_path, requirements):
    """Is refused, not passed."""
    registry = OneManifest(cpu_needs(), **{"dev.mealkit.requirements": requirements})
    hosts = (recording(tmp_path, "here"),)
    with registry.served() as reference, pytest.raises(MealkitError) as caught:
        preflight_target(PreflightRequest(reference, hosts), home)
    assert caught.value.problems[0].code == "IMAGE_INVALID"
    assert caught.value.problems[0].where == reference


def test_a_kit_is_read_as_it_is_written_now(kit, build, home, tmp_path):
    """An edit of the kit counts at once; one that asks for other inputs must be locked first."""
    with pytest.raises(LockError) as caught:
        stated(kit, home)
    assert caught.value.problems[0].code == "LOCK_MISSING"
    build(kit)
    before = stated(kit, home).requirements
    edit_kit(kit, lambda form: form.setdefault("hardware", {}).update(memory="3GiB"))
    after = stated(kit / "kit.yaml", home).requirements
    assert (before.memory_bytes == after.memory_bytes, after.memory_bytes) == (False, 3 * GIB)
    # The lock file itself says what it said.
    assert stated(kit / "kit.lock", home).requirements == before
    edit_kit(kit, lambda form: form["runtime"].update(requirements=["numpy>1"]))
    with pytest.raises(LockError) as caught:
        stated(kit, home)
    assert caught.value.problems[0].code == "LOCK_STALE"


def test_a_stale_lock_is_told_of(kit, build, home):
    """What is checked is the kit as it is written, and the lock that differs is named."""
    build(kit)
    edit_kit(kit, lambda form: form.setdefault("hardware", {}).update(memory="3GiB"))
    heard = Heard()
    preflight_target(PreflightRequest(str(kit)), home, heard)
    (notice,) = heard.notices
    assert (notice.code, notice.where) == ("LOCK_STALE", str(kit / "kit.lock"))
    assert "requirements.memory_bytes" in notice.message


def test_an_edited_weight_file_is_told_of_and_counted(kit, build, home):
    """The requirements are those of the folder as it is now."""
    build(kit)
    before = stated(kit, home).requirements
    (kit / "weights" / "config.json").write_text('{"model_type": "bert", "hidden_size": 4444}')
    heard = Heard()
    now = stated(kit, home, heard).requirements
    (notice,) = heard.notices
    assert notice.code == "LOCK_STALE"
    assert "model.files.config.json (locked sha256:" in notice.message
    assert now.weights_bytes != before.weights_bytes


def test_kits_and_images_state_the_same(kit, build, home, tmp_path):
    """Folder, lock, store, layout and archive give one answer."""
    outputs = Outputs(output=[f"oci-archive:{tmp_path}/kit.tar"])
    report = build(kit, outputs)
    build(kit, Outputs(output=[f"oci:{tmp_path}/layout"]))
    names = (
        str(kit),
        str(kit / "kit.lock"),
        "little:1.0.0",
        str(report.digest),
        f"oci:{tmp_path}/layout",
        f"oci-archive:{tmp_path}/kit.tar",
    )
    found = [stated(name, home) for name in names]
    assert {item.requirements.model_dump_json() for item in found} == {
        found[0].requirements.model_dump_json()
    }
    assert {item.name for item in found} == {"little:1.0.0"}
    assert {item.owner.team for item in found} == {"cooks"}
    assert all(item.is_here for item in found)


def test_this_machine(kit, build, home):
    """Without files, this machine is asked, where the kit would run."""
    build(kit)
    answer = preflight_target(PreflightRequest(str(kit)), home)
    (machine,) = answer.machines
    assert machine.name == socket.gethostname()
    codes = {item.code for item in machine.report.findings}
    assert {"HOST_ARCHITECTURE", "HOST_MEMORY", "HOST_DISK", "PORT_TAKEN"} <= codes
    assert answer.verdict is not Verdict.DOES_NOT_FIT


def test_two_machines_of_one_name(kit, build, home, tmp_path):
    """Are told apart by their files."""
    build(kit)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    hosts = (recording(tmp_path / "a", "node"), recording(tmp_path / "b", "node"))
    answer = preflight_target(PreflightRequest(str(kit), hosts), home)
    assert [item.name for item in answer.machines] == [str(path) for path in hosts]


def test_files_without_facts(kit, build, home, tmp_path):
    """Are named."""
    build(kit)
    for content in (None, "[]", '{"format": "mealkit.facts/v2"}'):
        path = tmp_path / "host.json"
        if content is not None:
            path.write_text(content)
        with pytest.raises(PreflightError) as caught:
            preflight_target(PreflightRequest(str(kit), (path,)), home)
        (problem,) = caught.value.problems
        assert (problem.code, problem.where) == ("FACTS_INVALID", str(path))


@pytest.mark.parametrize(
    ("is_here", "embedded", "gib"),
    [(True, False, 6), (True, True, 10), (False, False, 16), (False, True, 20)],
)
def test_bytes_to_write(is_here, embedded, gib):
    """10 GiB unpacked, 4 of them weights: pulled once, the rest unpacked once, weights mounted."""
    stated = Stated("kit:1", cpu_needs(), None, is_here=is_here)
    assert bytes_to_write(stated, embedded=embedded) == gib * GIB


def test_a_port_that_is_taken(kit, build, home):
    """Who only asks is warned, a start is refused before anything is unpacked."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        edit_kit(kit, lambda form: form.setdefault("serving", {}).update(port=port))
        build(kit)
        (machine,) = preflight_target(PreflightRequest(str(kit)), home).machines
        found = next(item for item in machine.report.findings if item.code == "PORT_TAKEN")
        assert found.severity is Severity.WARNS
        with pytest.raises(MealkitError) as caught:
            run_kit(RunRequest(str(kit)), home, Heard())
    assert [item.code for item in caught.value.problems] == ["PORT_TAKEN"]


PAUSES = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n"


def test_overrides_are_recorded_in_the_containers_labels(tmp_path, home):
    """Also those that only the container's own preflight may need."""
    source, program = tmp_path / "program.c", tmp_path / "program"
    source.write_text(PAUSES)
    subprocess.run(["gcc", "-w", "-static", "-o", program, source], check=True)
    folder = little_kit(tmp_path / "kit", base="oci:own")
    interpreter = TarFile.of("usr/bin/python3.13", program.read_bytes(), 0o755)
    links = TarDirectory("tmp", 0o1777), TarSymlink("bin", "usr/bin")
    write_layout(base_of(layer_of("base", interpreter, *links)), folder / "own", "own:1")
    name = f"mealkit-test-{os.getpid()}"
    overrides = {"HOST_ULIMIT": "tested with these limits"}
    heard = Heard()
    request = RunRequest(
        str(folder), "sandbox", name, port=0, timeout_seconds=1, overrides=overrides
    )
    with pytest.raises(MealkitError) as caught:
        run_kit(request, home, heard)
    assert caught.value.problems[0].code == "CONTAINER_TIMEOUT"
    try:
        (container,) = [item for item in running_kits(home) if item.name == name]
        assert container.labels["dev.mealkit.override.HOST_ULIMIT"] == "tested with these limits"
    finally:
        stop_kit(name, timeout_seconds=0, home=home)
    assert any(item.code == "HOST_ULIMIT" for item in heard.notices)


def mealkit(home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mealkit", "preflight", *arguments],
        env=offline_environment(home.root),
        capture_output=True,
        text=True,
        check=False,
    )


def test_exit_codes_and_output(kit, build, home, tmp_path):
    """0 fits, 20 is uncertain, 10 does not fit; of several the best decides; stdout has it all."""
    build(kit)
    fits = recording(tmp_path, "fits")
    doubtful = recording(tmp_path, "doubtful", memory_available_bytes=MIB)
    other = recording(tmp_path, "other", architecture="arm64")

    def ask(*hosts: Path, options: tuple[str, ...] = ()):
        given = [item for path in hosts for item in ("--host", str(path))]
        return mealkit(home, str(kit), *given, *options)

    assert ask(fits).returncode == 0
    assert ask(doubtful).returncode == 20
    refused = ask(other)
    assert (refused.returncode, refused.stderr) == (10, "")
    assert "measured" in refused.stdout
    assert "owner: platform" in refused.stdout
    assert "little:1.0.0 on other: does not fit" in refused.stdout
    several = ask(other, doubtful, fits)
    assert several.returncode == 0
    rows = [line.split() for line in several.stdout.splitlines()[1:4]]
    assert [row[0] for row in rows] == ["other", "doubtful", "fits"]
    assert rows[0][1:5] == ["does", "not", "fit", "HOST_ARCHITECTURE"]
    assert ask(other, doubtful).returncode == 20
    form = json.loads(ask(other, fits, options=("--json",)).stdout)
    assert (form["kit"], form["verdict"]) == ("little:1.0.0", "fits")
    first, _ = form["machines"]
    assert (first["machine"], first["verdict"]) == ("other", "does-not-fit")
    assert first["findings"][0]["required"] == "amd64"
    lifted = ask(other, options=("--override", "HOST_ARCHITECTURE", "--reason", "an emulator"))
    assert lifted.returncode == 20
    assert "overridden: an emulator" in lifted.stdout
    wrong = ask(other, options=("--override", "HOST_ARCHITECTURE"))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--reason" in wrong.stderr
