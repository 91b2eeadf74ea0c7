"""Pruning deletes what no image needs, on every shelf of the home, and nothing else."""

import fcntl

import pytest
from fakes.little import Heard, little_kit

from mealkit.deploy.deployment import Deployment, Revision, Settings, State
from mealkit.errors import StoreError
from mealkit.oci.validate import validate
from mealkit.pipeline.deployment_files import DeploymentFiles
from mealkit.pipeline.disk.pruning import prune
from mealkit.pipeline.image.inspecting import images
from mealkit.pipeline.publish.removing import remove_stored
from mealkit.stores.local import LocalStore


def pruned(home, *, damaged=False, nameless=True):
    return prune(damaged=damaged, nameless=nameless, home=home, progress=Heard())


def test_an_empty_home_is_left_empty(home):
    """Pruning makes nothing."""
    assert pruned(home) == 0
    assert not list(home.root.iterdir())


def test_images_that_are_named_keep_all_they_need(kit, home, build):
    """The image is as valid after as before; a second time there is nothing to free."""
    report = build(kit)
    pruned(home)
    assert validate(LocalStore(home.store).image(str(report.digest))) == []
    assert pruned(home) == 0
    assert build(kit).digest == report.digest


def test_an_image_that_lost_its_name_is_given_up_only_if_asked(kit, home, build):
    """An edit takes the name; its old image goes with ``nameless``."""
    old = build(kit).digest
    (kit / "prompts" / "query.jinja").write_text("other {{ text }}\n")
    new = build(kit, again=True).digest
    pruned(home, nameless=False)
    assert {stored.digest for stored in images(home)} == {old, new}
    assert pruned(home) > 0
    assert [stored.digest for stored in images(home)] == [new]
    assert validate(LocalStore(home.store).image(str(new))) == []


@pytest.mark.parametrize("state", [State.SERVING, State.KEPT, State.REMOVED])
def test_an_image_of_a_deployment_stays_without_a_name(kit, home, build, state):
    """It is needed to go on or to go back; after its revision was removed it may go."""
    old = build(kit).digest
    (kit / "prompts" / "query.jinja").write_text("other {{ text }}\n")
    new = build(kit, again=True)
    deployed(home, str(old), state)
    pruned(home)
    left = {stored.digest for stored in images(home)}
    if state is State.REMOVED:
        assert left == {new.digest}
    else:
        assert left == {old, new.digest}
        assert validate(LocalStore(home.store).image(str(old))) == []
        with pytest.raises(StoreError, match=f"the image of revision 1 of web, which is {state}"):
            remove_stored([str(old)], home)


def test_a_name_of_an_image_that_a_deployment_runs_can_go_with_another_left(kit, home, build):
    """Only the last name takes the image with it."""
    digest = build(kit).digest
    deployed(home, str(digest), State.SERVING)
    store = LocalStore(home.store)
    (name,) = store.index().names(digest)
    store.tag(name, "other:1")
    remove_stored(["other:1"], home)
    with pytest.raises(StoreError, match="IMAGE_IN_USE"):
        remove_stored([name], home)


def deployed(home, image, state):
    """Let the deployment "web" have one revision."""
    revision = Revision(
        number=1,
        reference="kit",
        settings=Settings(),
        user="cook",
        created_seconds=0,
        image=image,
        state=state,
    )
    found = Deployment(name="web", id="0" * 16, address="127.0.0.1", port=8000, client="docker")
    DeploymentFiles(home, "web").write(found.with_revision(revision))


def test_files_that_no_image_needs_are_deleted(kit, home, build):
    """An unused input, a stale index and an unpacked root are gone; the bytes are counted."""
    build(kit)
    unused = home.files / "sha256" / ("ab" * 32)
    unused.parent.mkdir(parents=True, exist_ok=True)
    unused.write_bytes(bytes(5000))
    left = home.files / "parts" / "left-by-a-killed-download.part"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(bytes(2000))
    index = home.indexes / "old"
    index.parent.mkdir(parents=True)
    index.write_bytes(bytes(3000))
    killed = home.root / "rebuild-killed" / "blobs"
    killed.mkdir(parents=True)
    (killed / "x").write_bytes(bytes(4000))
    root = home.roots / ("cd" * 32)
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "x").write_bytes(bytes(1000))
    (root / "etc").chmod(0o555)
    assert pruned(home) >= 15000
    assert not killed.parent.exists()
    assert not unused.exists()
    assert not left.exists()
    assert not index.exists()
    assert not root.exists()


def test_a_damaged_blob_is_deleted_and_the_next_build_puts_it_back(kit, home, build):
    """``--damaged`` reads every blob; the image is whole again after a build."""
    report = build(kit)
    blob = home.store / "blobs" / "sha256" / report.images[0].layers[1].digest.hex
    data = bytearray(blob.read_bytes())
    data[-1200] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)

    assert pruned(home, damaged=True) > 0
    assert not blob.exists()
    assert build(kit).digest == report.digest
    assert validate(LocalStore(home.store).image(str(report.digest))) == []


def test_a_home_in_use_is_not_pruned(kit, home, build):
    """A build holds the store: pruning says that it is busy, and deletes nothing."""
    report = build(kit)
    with (home.store / "lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        with pytest.raises(StoreError) as raised:
            pruned(home)
    assert raised.value.problems[0].code == "STORE_BUSY"
    assert validate(LocalStore(home.store).image(str(report.digest))) == []


def test_weights_beside_the_kit_are_never_deleted(home, build, tmp_path):
    """What an author wrote is not mealkit's to delete, even when the image goes."""
    kit = little_kit(tmp_path / "kit")
    report = build(kit)
    LocalStore(home.store).remove(str(report.digest))
    pruned(home)
    assert images(home) == []
    assert (kit / "weights" / "model.safetensors").exists()
    assert build(kit).digest == report.digest
