"""A plan becomes an image: the same bytes everywhere, weights never copied."""

import os
import time
from dataclasses import replace

import pytest
from fakes.builds import little_lock

from mealkit.assembly.assemble import assemble, kept_layers
from mealkit.assembly.lean import lean_image, weight_layers
from mealkit.errors import BuildError, SourceError
from mealkit.oci.image import BytesBlob, Layer, image_of
from mealkit.oci.tar import TarFile, tar_chunks
from mealkit.oci.validate import validate
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.layer_store import LocalLayerStore
from mealkit.plan.planning import plan_image
from mealkit.stores.local import LocalStore

LIBRARY = {"mealkit/__init__.py": b'"""Kit."""\n'}


def _base():
    data = b"".join(bytes(chunk) for chunk in tar_chunks([TarFile.of("etc/base", b"base\n")]))
    blob = BytesBlob(data)
    layer = Layer("application/vnd.oci.image.layer.v1.tar", blob, blob.digest, "base")
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["BASE=1", "LANG=C"]}}
    return image_of(config, (layer,), {})


def _built(folder, store_root, *, base=None, **changes):
    base = base or _base()
    lock, paths = little_lock(folder, **changes)
    plan = plan_image(lock, LIBRARY)
    plan = replace(plan, base=replace(plan.base, digest=base.digest))
    store = LocalStore(store_root)
    with store.use():
        layers = LocalLayerStore(store)
        kept = kept_layers(plan, layers)
        assembly = assemble(plan, kept, paths, layers, base)
        store.put(assembly.image, ["little:1.0.0"])
    return assembly, store, lock, plan


def test_an_assembled_image_is_valid(tmp_path):
    """Every digest, size and diff id of the image and of the lean one holds."""
    assembly, _, lock, _ = _built(tmp_path / "kit", tmp_path / "store")

    assert validate(assembly.image) == []
    assert validate(assembly.lean) == []
    assert lock_of(assembly.image) == lock


def test_two_builds_give_one_digest(tmp_path, monkeypatch):
    """Another folder, umask, locale, time zone and file order give the same manifest digest."""
    first, *_ = _built(tmp_path / "one", tmp_path / "store-one")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TZ", "Pacific/Apia")
    time.tzset()
    old = os.umask(0o077)
    try:
        second, *_ = _built(tmp_path / "another" / "deeper", tmp_path / "store-two")
    finally:
        os.umask(old)
        monkeypatch.undo()
        time.tzset()

    assert second.image.digest == first.image.digest
    assert second.lean.digest == first.lean.digest


def test_a_prompt_edit_changes_only_the_kit_layer(tmp_path):
    """After an edit of a prompt, all layers but the topmost are those of before."""
    before, *_ = _built(tmp_path / "kit", tmp_path / "store")
    after, *_ = _built(tmp_path / "kit", tmp_path / "store", prompt="other: {{ text }}\n")

    same = [
        old.layer.blob.digest == new.layer.blob.digest
        for old, new in zip(before.layers, after.layers, strict=True)
    ]
    assert same == [True] * (len(same) - 1) + [False]
    assert [item.reused for item in after.layers] == same


def test_weights_are_not_copied(tmp_path):
    """The store grows by kilobytes; the layer's bytes are still the file's, at offset 4096."""
    assembly, store, lock, _ = _built(tmp_path / "kit", tmp_path / "store")
    (weight,) = weight_layers(assembly.image)
    stored = sum(path.stat().st_size for path in store.root.rglob("*") if path.is_file())
    data = b"".join(bytes(chunk) for chunk in store.blob(weight.layer.blob.digest).chunks())
    original = (tmp_path / "kit" / "weights" / "model.safetensors").read_bytes()

    assert stored < 150_000 < lock.weights_bytes
    assert data[4096 : 4096 + len(original)] == original


def test_a_flipped_byte_in_the_weights_is_refused(tmp_path):
    """Weights that are not the locked ones never get into an image."""
    folder = tmp_path / "kit"
    lock, paths = little_lock(folder)
    path = folder / "weights" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    base = _base()
    plan = plan_image(lock, LIBRARY)
    plan = replace(plan, base=replace(plan.base, digest=base.digest))
    store = LocalStore(tmp_path / "store")

    with store.use(), pytest.raises(SourceError) as caught:
        assemble(plan, {}, paths, LocalLayerStore(store), base)

    (problem,) = caught.value.problems
    assert problem.code == "SOURCE_DIGEST"
    assert "expected sha256:" in problem.message
    assert ", found sha256:" in problem.message


def test_only_kept_layers_need_inputs(tmp_path):
    """Once built, a plan is assembled again without any of its inputs."""
    assembly, store, _, plan = _built(tmp_path / "kit", tmp_path / "store")

    with store.use():
        layers = LocalLayerStore(store)
        kept = kept_layers(plan, layers)
        assert set(kept) == set(plan.layers)
        again = assemble(plan, kept, {}, layers, _base())

    assert again.image.digest == assembly.image.digest


def test_an_input_that_was_not_handed_over_is_named(tmp_path):
    """A build that lacks an input says which."""
    lock, _ = little_lock(tmp_path / "kit")
    base = _base()
    plan = plan_image(lock, LIBRARY)
    plan = replace(plan, base=replace(plan.base, digest=base.digest))
    store = LocalStore(tmp_path / "store")

    with store.use(), pytest.raises(BuildError, match="is missing"):
        assemble(plan, {}, {}, LocalLayerStore(store), base)


def test_the_lean_image_lacks_only_the_weights(tmp_path):
    """The lean image has the same other layers, in the same order, and the same lock."""
    assembly, _, lock, _ = _built(tmp_path / "kit", tmp_path / "store")
    (weight,) = weight_layers(assembly.image)

    kept = [layer.blob.digest for layer in assembly.lean.layers]
    full = [layer.blob.digest for layer in assembly.image.layers]

    assert [item for item in full if item != weight.layer.blob.digest] == kept
    assert lock_of(assembly.lean) == lock
    assert lean_image(assembly.lean).digest == assembly.lean.digest


def test_the_base_is_kept_as_it_is(tmp_path):
    """The base's layers come first, its environment stays where the kit says nothing else."""
    assembly, *_ = _built(tmp_path / "kit", tmp_path / "store")
    base = _base()
    environment = assembly.image.config["config"]["Env"]

    assert assembly.image.layers[0].blob.digest == base.layers[0].blob.digest
    assert "BASE=1" in environment
    assert "LANG=C.UTF-8" in environment
    assert "LANG=C" not in environment


@pytest.mark.parametrize(
    ("change", "text"),
    [({"architecture": "arm64"}, "linux/arm64"), ({"os": "windows"}, "windows/amd64")],
    ids=["architecture", "system"],
)
def test_a_base_for_another_platform_is_refused(tmp_path, change, text):
    """A kit for amd64 is not put on a base for anything else."""
    other = _base()
    other = image_of({**other.config, **change}, other.layers, {})

    with pytest.raises(BuildError, match=text):
        _built(tmp_path / "kit", tmp_path / "store", base=other)


def test_labels_and_annotations_say_what_a_server_needs(tmp_path):
    """Kit, recipe, owner and requirements stand in the labels and in the manifest."""
    assembly, _, lock, _ = _built(tmp_path / "kit", tmp_path / "store")

    for found in (assembly.image.labels, assembly.image.annotations):
        assert found["dev.mealkit.kit"] == "little:1.0.0"
        assert found["dev.mealkit.recipe"] == lock.recipe
        assert "cooks@kitchen.invalid" in found["dev.mealkit.owner"]
        assert '"memory_bytes":' in found["dev.mealkit.requirements"]
