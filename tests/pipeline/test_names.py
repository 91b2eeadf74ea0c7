"""What an image says of itself never takes a name from another image: in the store, or in Docker."""

import os
import shutil
from contextlib import suppress

import docker
import pytest
from fakes.engine_images import image_tags, images_with_labels, remove_tags
from fakes.little import Heard, edit_kit, little_base

from mealkit.errors import MealkitError
from mealkit.oci.image import image_of
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.naming_builds import Taken
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import run_kit
from mealkit.stores.docker_load import load
from mealkit.stores.layout import write_layout
from mealkit.stores.local import LocalStore


@pytest.fixture
def strange(kit, tmp_path):
    """A layout and an archive of a stranger's kit, which has the name of the user's own."""
    other = tmp_path / "other"
    shutil.copytree(kit, other)
    (other / "prompts" / "query.jinja").write_text("obey {{ text }}\n")
    build_kit(
        other,
        frozen=False,
        outputs=Outputs(output=[f"oci:{tmp_path}/strange"]),
        home=home_at(tmp_path / "elsewhere"),
        progress=Heard(),
    )
    report = build_kit(
        other,
        frozen=False,
        outputs=Outputs(output=[f"oci-archive:{tmp_path}/strange.tar"]),
        home=home_at(tmp_path / "elsewhere"),
        progress=Heard(),
    )
    return {
        "digest": report.digest,
        "layout": f"oci:{tmp_path}/strange",
        "archive": f"oci-archive:{tmp_path}/strange.tar",
    }


def run(target, home, **options):
    """Try to run; the little image has nothing that starts."""
    heard = Heard()
    with suppress(MealkitError):
        request = RunRequest(target, **{"client": "sandbox", "port": 0, **options})
        run_kit(request, home, heard)
    return heard


@pytest.mark.parametrize("form", ["layout", "archive"])
def test_an_image_from_elsewhere_does_not_take_over_a_name(kit, build, home, strange, form):
    """The user's own kit keeps its name; the stranger's has its digest, and the user is told."""
    own = build(kit)
    heard = run(strange[form], home)
    store = LocalStore(home.store)
    assert store.resolve("little:1.0.0").digest == own.digest
    assert store.resolve("little").digest == own.digest
    assert store.resolve(str(strange["digest"])).digest == strange["digest"]
    assert store.index().names(strange["digest"]) == ()
    note = next(phase for phase in heard.phases if phase.startswith("note: its name"))
    assert "little:1.0.0" in note
    assert str(strange["digest"]) in note


def test_a_name_that_is_free_is_given(home, strange):
    """Where no other image has the name there is nothing to take; a second run changes nothing."""
    for _ in range(2):
        heard = run(strange["layout"], home)
        assert not any(phase.startswith("note: its name") for phase in heard.phases)
        assert LocalStore(home.store).resolve("little:1.0.0").digest == strange["digest"]


def test_a_build_says_when_its_name_moves(kit, home):
    """The owner's next build has the name; the one before is named by its digest, and stays."""

    def built(taken=Taken.REFUSED):
        heard = Heard()
        report = build_kit(
            kit, frozen=False, outputs=Outputs(), home=home, progress=heard, taken=taken
        )
        return report.digest, [
            item for item in heard.phases if "little:1.0.0 now names the new image" in item
        ]

    first, notes = built()
    assert notes == []
    assert built() == (first, [])
    edit_kit(kit, lambda form: form["hyperparameters"].update(pooling="cls"))
    with pytest.raises(MealkitError, match=r"kit\.lock differs: hyperparameters\.pooling$"):
        built()
    second, notes = built(Taken.REPLACED)
    assert first != second
    assert len(notes) == 1
    assert str(first) in notes[0]


def test_another_image_of_a_version_is_refused_before_its_inputs_are_fetched(kit, home, build):
    """The refusal comes before the weights are read, and the image that exists keeps its name."""
    first = build(kit).digest
    edit_kit(kit, lambda form: form["hyperparameters"].update(pooling="cls"))
    heard = Heard()
    with pytest.raises(MealkitError) as error:
        build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=heard)
    problem = error.value.problems[0]
    assert (problem.code, problem.where) == ("VERSION_EXISTS", "little:1.0.0")
    assert "--replace" in problem.hint
    assert LocalStore(home.store).resolve("little:1.0.0").digest == first
    assert len(LocalStore(home.store).images()) == 1


def test_the_same_lock_with_other_bytes_is_refused_at_the_end(kit, home, build, monkeypatch):
    """Where only the result shows that the bytes differ, the name stays, too."""
    first = build(kit).digest
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    with pytest.raises(MealkitError, match="is already the name of") as error:
        build(kit)
    assert error.value.problems[0].code == "VERSION_EXISTS"
    assert LocalStore(home.store).resolve("little:1.0.0").digest == first


@pytest.mark.parametrize("version", ["1.0.0", "dev"])
def test_a_run_after_an_edit_takes_the_new_image_and_leaves_the_name(kit, home, build, version):
    """The author's loop goes on: the new image runs by its digest; a tag like dev moves."""
    edit_kit(kit, lambda form: form.update(version=version))
    first = build(kit).digest
    edit_kit(kit, lambda form: form["hyperparameters"].update(pooling="cls"))
    heard = Heard()
    report = build_kit(
        kit, frozen=False, outputs=Outputs(), home=home, progress=heard, taken=Taken.KEPT
    )
    store, name = LocalStore(home.store), f"little:{version}"
    assert report.digest != first
    assert store.image(str(report.digest)).digest == report.digest
    assert store.resolve(name).digest == (first if version == "1.0.0" else report.digest)
    (note,) = [item for item in heard.phases if item.startswith("note: little:")]
    assert ("mealkit build --replace" in note) == (version == "1.0.0")


def test_names_and_digits_of_digests_do_not_hide_each_other(home):
    """A digest that was made to begin like a name, or a name like a digest, is not chosen for it."""
    store = LocalStore(home.store)
    one = little_base("one")
    store.put(one, ["own:1"])
    prefix = one.digest.hex[:6]
    store.put(little_base("two"), [f"{prefix}:1"])
    with pytest.raises(MealkitError, match="fits 2 images"):
        store.resolve(prefix)
    assert store.resolve(one.digest.hex[:7]).digest == one.digest
    assert store.resolve(f"{prefix}:1").digest == little_base("two").digest


@pytest.fixture
def engine():
    """Docker, and names of this test alone."""
    client = docker.from_env()
    name = f"mealkit-test-name-{os.urandom(4).hex()}"
    yield client, name
    remove_tags({tag for tag in image_tags(client) if name in tag})
    client.close()


@pytest.mark.docker
def test_an_image_from_elsewhere_does_not_take_over_a_name_in_docker(kit, home, strange, engine):
    """The tag stays with the image that has it; the stranger's is named by its digest."""
    client, name = engine
    edit_kit(kit, lambda form: form.update(name=name))
    build_kit(
        kit,
        frozen=False,
        outputs=Outputs(output=[f"oci:{home.root.parent}/mine"]),
        home=home,
        progress=Heard(),
    )
    load(little_base("owner"), [f"mealkit-run/{name}:1.0.0"], client)
    before = client.images.get(f"mealkit-run/{name}:1.0.0").id
    run(f"oci:{home.root.parent}/mine", home, client="docker", embedded=True, name=name)
    assert client.images.get(f"mealkit-run/{name}:1.0.0").id == before
    by_digest = [
        tag
        for image in images_with_labels(client)
        for tag in image["RepoTags"] or ()
        if tag.startswith("mealkit-run/by-digest:")
        and (image["Labels"] or {}).get("dev.mealkit.kit") == f"{name}:1.0.0"
    ]
    assert len(by_digest) == 1
    for tag in by_digest:
        client.images.remove(tag, force=True)


@pytest.mark.docker
def test_a_build_does_not_take_over_what_is_not_its_kits(kit, home, engine):
    """A kit that is called like someone's image cannot be loaded over it; over its own it can."""
    client, name = engine
    load(little_base("owner"), [f"{name}:1.0.0"], client)
    before = client.images.get(f"{name}:1.0.0").id
    edit_kit(kit, lambda form: form.update(name=name))
    outputs = Outputs(load=True)
    with pytest.raises(MealkitError) as error:
        build_kit(kit, frozen=False, outputs=outputs, home=home, progress=Heard())
    assert error.value.problems[0].code == "CLIENT_REFUSED"
    assert client.images.get(f"{name}:1.0.0").id == before
    client.images.remove(f"{name}:1.0.0", force=True)
    build_kit(kit, frozen=False, outputs=outputs, home=home, progress=Heard())
    edit_kit(kit, lambda form: form["hyperparameters"].update(pooling="cls"))
    report = build_kit(
        kit,
        frozen=False,
        outputs=outputs,
        home=home,
        progress=Heard(),
        taken=Taken.REPLACED,
    )
    assert "before" in report.delivered[0]


@pytest.mark.docker
def test_a_container_is_found_by_its_own_name_alone(engine):
    """Neither the digits of an id nor a label that an image brings make a container mealkit's."""
    from mealkit.containers.docker import DockerClient  # noqa: PLC0415

    client, name = engine
    base = little_base("labels")
    labels = {**base.config, "config": {"Cmd": ["/x"], "Labels": {"dev.mealkit.run": "other"}}}
    load(image_of(labels, base.layers, {}), [f"{name}:1"], client)
    by_hand = client.containers.create(f"{name}:1", name=name)
    try:
        ours = DockerClient()
        assert name not in {item.name for item in ours.list()}
        for asked in (name, by_hand.id, by_hand.id[:12], "other"):
            with pytest.raises(MealkitError) as error:
                ours.state(asked)
            assert error.value.problems[0].code == "CONTAINER_NOT_FOUND"
    finally:
        by_hand.remove(force=True)


def test_the_name_of_a_layout_is_not_the_stores(kit, build, home, tmp_path):
    """A reference name in a stranger's index names nothing outside of it."""
    own = build(kit)
    write_layout(LocalStore(home.store).image(str(own.digest)), tmp_path / "out", "evil:9")
    run(f"oci:{tmp_path}/out", home)
    assert LocalStore(home.store).index().names() == ("little:1.0.0",)
