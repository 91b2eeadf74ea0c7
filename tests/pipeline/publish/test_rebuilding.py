"""An auditor builds an image again from the lock inside it, and hears which file differs."""

import gzip
import io
import shutil
import tarfile
from dataclasses import replace

import pytest
from fakes.little import OFFLINE, Heard, edit_kit, little_base, little_kit, little_pair
from fakes.served import Registry

from mealkit import __version__
from mealkit.assembly.lean import lean_image
from mealkit.errors import MealkitError
from mealkit.oci.image import BytesBlob, packed_image
from mealkit.pipeline.audit.rebuilding import Proof, rebuild
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.outputs import Outputs
from mealkit.recipe.lock import lock_bytes
from mealkit.stores.layout import read_layout, write_layout

PAIRS = {"source": "folder", "path": "data", "files": ["pairs.jsonl"]}

pytestmark = pytest.mark.xdist_group("rebuilding")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """An author's kit in a registry and in a layout; what an auditor has of it are wheels and base."""
    folder = tmp_path_factory.mktemp("published")
    with Registry(folder / "registry") as registry, pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        patch.setenv("MEALKIT_PLAIN_HTTP", registry.host)
        kit = little_kit(folder / "author" / "kit")
        (kit / "data").mkdir()
        (kit / "data" / "pairs.jsonl").write_text('{"text": "a"}\n')
        edit_kit(kit, lambda form: form.update(datasets={"sts": PAIRS}))
        outputs = Outputs(output=[f"oci:{folder / 'layout'}"], push=[f"{registry.host}/kits/a:1"])
        home = home_at(folder / "author" / "home")
        report = build_kit(kit, frozen=False, outputs=outputs, home=home, progress=Heard())
        shutil.copytree(kit / "wheels", folder / "wheels")
        write_layout(little_base(), folder / "base", "base:1")
        shutil.rmtree(folder / "author")
        yield folder, f"{registry.host}/kits/a:1", report


@pytest.fixture
def audit(published, tmp_path):
    """Build a target again on the auditor's machine."""
    folder, _, _ = published

    def run(target, **changes):
        given = {"inputs": [folder / "wheels"], "base": f"oci:{folder / 'base'}"} | changes
        return rebuild(str(target), home_at(tmp_path / "auditor"), Heard(), **given)

    return run


def tampered(layout, target, number, change):
    """Write the image of a layout again, with a changed layer, and every digest made to fit."""
    image = read_layout(layout)
    layer = image.layers[number]
    data = io.BytesIO(b"".join(map(bytes, layer.blob.chunks())))
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=data) as before,
        tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as after,
    ):
        entries = [
            (item, before.extractfile(item).read() if item.isreg() else b"") for item in before
        ]
        for item, data in change(entries):
            item.size = len(data)
            after.addfile(item, io.BytesIO(data))
    blob = BytesBlob(out.getvalue())
    layers = list(image.layers)
    layers[number] = replace(layer, blob=blob, diff_id=blob.digest)
    config = image.config
    config["rootfs"]["diff_ids"] = [str(item.diff_id) for item in layers]
    write_layout(packed_image(config, tuple(layers), image.annotations), target, "a:1")
    return f"oci:{target}"


def edited(name, edit):
    """Return a change of one file: ``edit`` gets its header and its bytes."""

    def change(entries):
        return [edit(*entry) if entry[0].name == name else entry for entry in entries]

    return change


def moded(item, data):
    item.mode = 0o600
    return item, data


def only_problem(report):
    (found,) = report.problems
    return found


def test_an_auditor_without_the_author_gets_the_same_digest(published, audit):
    """From a registry, with a home of its own: each layer is made again, the weights are hashed."""
    _, reference, built = published
    report = audit(reference)
    assert report.problems == ()
    assert (report.digest, report.recipe) == (built.digest, built.recipe)
    assert [item.digest for item in report.layers] == [row.digest for row in built.images[0].layers]
    assert [item.proof for item in report.layers] == [Proof.BASE, *[Proof.REBUILT] * 6]
    assert set(report.from_image) == {"config.json", "model.safetensors", "sts/pairs.jsonl"}
    assert not report.without_weights


@pytest.mark.parametrize(
    ("number", "change", "said"),
    [
        (
            1,
            edited("opt/mealkit/engine/numpy.py", lambda item, _: (item, b"HERE = 'me!'")),
            ("layer engine onnx", "opt/mealkit/engine/numpy.py: content: expected sha256:"),
        ),
        (
            1,
            edited("opt/mealkit/engine/numpy.py", moded),
            ("opt/mealkit/engine/numpy.py: mode: expected 0644, found 0600",),
        ),
        (
            4,
            lambda entries: entries[:-1],
            ("layer gateway of mealkit", "presence: expected a file, found no such file"),
        ),
        (
            4,
            lambda entries: [
                *entries,
                (tarfile.TarInfo("opt/mealkit/lib/zz.py"), b"import os"),
            ],
            ("opt/mealkit/lib/zz.py: presence: expected no such file, found a file",),
        ),
        (
            4,
            lambda entries: [*entries[:-2], entries[-1], entries[-2]],
            ("order: expected here",),
        ),
        (
            6,
            edited("etc/mealkit/prompts/query", lambda item, _: (item, b"ignore {{ text }}")),
            ("etc/mealkit/prompts/query: size: expected 18, found 17",),
        ),
    ],
)
def test_a_file_that_was_changed_in_a_layer_is_named(
    published, audit, tmp_path, number, change, said
):
    """The digests of the image fit together, but not with its lock: the first difference is told."""
    folder, _, _ = published
    found = only_problem(audit(tampered(folder / "layout", tmp_path / "bad", number, change)))
    assert found.code == "REBUILD_DIFFERS"
    for text in said:
        assert text in found.message
    assert found.measured != found.required


@pytest.mark.parametrize(
    ("number", "name"),
    [(2, "models/model.safetensors"), (5, "opt/mealkit/datasets/sts/pairs.jsonl")],
)
def test_other_weights_and_data_are_refused_with_both_digests(
    published, audit, tmp_path, number, name
):
    """No source has the file that the lock pins, and the one in the image is another."""
    folder, _, _ = published
    swap = edited(name, lambda item, data: (item, data[:-1] + b"x"))
    with pytest.raises(MealkitError) as raised:
        audit(tampered(folder / "layout", tmp_path / "bad", number, swap))
    (found,) = raised.value.problems
    assert found.code == "REBUILD_DIFFERS"
    assert f"{name} is not the file that the lock pins" in found.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda config: config["config"]["Env"].insert(1, "PYTHONSTARTUP=/models/x"),
            "config.Env[1]: expected '",
        ),
        (
            lambda config: config["config"]["Env"].append("PYTHONSTARTUP=/models/x"),
            "]: expected nothing, found 'PYTHONSTARTUP=/models/x'",
        ),
        (
            lambda config: config["history"][2].update(created_by="make"),
            "history[2].created_by: expected 'mealkit: ",
        ),
        (lambda config: config["config"].update(User="0"), "expected '65532:65532', found '0'"),
    ],
    ids=["another variable", "one variable more", "history", "user"],
)
def test_another_config_is_named_by_its_field(published, audit, tmp_path, change, said):
    """All layers are equal, and the image would start something else, or says something else."""
    folder, _, _ = published
    image = read_layout(folder / "layout")
    config = image.config
    change(config)
    write_layout(packed_image(config, image.layers, image.annotations), tmp_path / "bad", "a:1")
    found = only_problem(audit(f"oci:{tmp_path / 'bad'}"))
    assert found.code == "REBUILD_DIFFERS"
    assert "every layer is equal, but the image's config differs: " in found.message
    assert said in found.message


def test_layers_that_a_client_compressed_are_told_by_their_digests(published, audit, tmp_path):
    """docker push compresses: the files are equal, the image has another digest."""
    folder, _, _ = published
    image = read_layout(folder / "layout")
    layers = [
        replace(
            layer,
            blob=BytesBlob(gzip.compress(b"".join(map(bytes, layer.blob.chunks())))),
            media_type=f"{layer.media_type}+gzip",
        )
        for layer in image.layers
    ]
    write_layout(packed_image(image.config, layers, image.annotations), tmp_path / "bad", "a:1")
    found = only_problem(audit(f"oci:{tmp_path / 'bad'}"))
    digests = f"layers[0].digest: expected '{image.layers[0].blob.digest}', found '{layers[0].blob.digest}'"
    assert f"every layer is equal, but the image's manifest differs: {digests}" in found.message


@pytest.mark.parametrize("created", ["9999-12-31T23:59:59Z", "1960-01-01T00:00:00Z", "yesterday"])
def test_a_time_that_no_build_has_is_a_difference(published, audit, tmp_path, created):
    """The time of the image is taken from its config, if a tar can have it."""
    folder, _, _ = published
    image = read_layout(folder / "layout")
    changed = packed_image({**image.config, "created": created}, image.layers, image.annotations)
    write_layout(changed, tmp_path / "bad", "a:1")
    found = only_problem(audit(f"oci:{tmp_path / 'bad'}"))
    assert found.code == "REBUILD_DIFFERS"
    assert "time: expected 253402300799" in found.message or "differs: created" in found.message


def test_a_layer_without_its_inputs_is_taken_from_the_image_and_said_to_be_unproven(
    published, audit
):
    """Without the author's wheels two layers are not made again; all others are, and the rest fits."""
    report = audit(published[1], inputs=())
    assert {item.code for item in report.problems} == {"REBUILD_UNPROVEN"}
    assert [item.message.partition(" was ")[0] for item in report.problems] == [
        "layer engine onnx",
        "layer gateway of mealkit 0.1.0",
    ]
    assert [item.proof for item in report.layers] == [
        Proof.BASE,
        Proof.TAKEN,
        Proof.REBUILT,
        Proof.REBUILT,
        Proof.TAKEN,
        Proof.REBUILT,
        Proof.REBUILT,
    ]


def test_a_base_that_no_place_has_is_asked_for(published, audit):
    """Only its digest is in the lock, so the caller says where it is."""
    with pytest.raises(MealkitError) as raised:
        audit(published[1], base=None)
    (found,) = raised.value.problems
    assert (found.code, found.hint) == ("IMAGE_NOT_FOUND", "name where it is: --base REF")


def test_every_architecture_and_the_index_are_built_again(tmp_path, home, monkeypatch):
    """The lock of each image is joined, so the index is compared, too."""
    kit = little_pair(tmp_path / "kit")
    outputs = Outputs(output=[f"oci:{tmp_path / 'layout'}"])
    built = build_kit(kit, frozen=False, outputs=outputs, home=home, progress=Heard())
    report = rebuild(
        f"oci:{tmp_path / 'layout'}",
        home_at(tmp_path / "auditor"),
        Heard(),
        inputs=[kit / "wheels"],
        base=f"oci:{kit / 'both'}",
    )
    assert (report.digest, report.problems) == (built.digest, ())
    assert {item.architecture for item in report.layers} == {"amd64", "arm64"}


def test_another_mealkit_is_asked_for_by_its_version(published, audit, tmp_path):
    """Its own library is in the image, so only the same version can make the layer again."""
    folder, _, _ = published
    lock = lock_of(read_layout(folder / "layout")).model_copy(update={"mealkit_version": "9.9"})
    older = edited("etc/mealkit/kit.lock", lambda item, _: (item, lock_bytes(lock)))
    with pytest.raises(MealkitError) as raised:
        audit(tampered(folder / "layout", tmp_path / "older", 6, older))
    (found,) = raised.value.problems
    assert (found.code, found.measured, found.required) == ("REBUILD_VERSION", __version__, "9.9")


def test_a_lean_image_is_compared_without_its_weights(published, audit, tmp_path):
    """Its weights are delivered otherwise; the lock inside pins them."""
    folder, _, built = published
    lean = lean_image(read_layout(folder / "layout"))
    write_layout(lean, tmp_path / "lean", "a:1")
    report = audit(f"oci:{tmp_path / 'lean'}")
    assert (report.digest, report.problems) == (built.images[0].lean_digest, ())
    assert report.without_weights
