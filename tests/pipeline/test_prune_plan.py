"""A plan of pruning names what can go, and nothing of others."""

import os
import subprocess
import sys
from contextlib import suppress

import pytest
from fakes.little import Heard, little_base

from mealkit.containers.docker import DockerClient
from mealkit.containers.running_names import running_names
from mealkit.pipeline.disk.prune_plan import carry_out, plan_pruning
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.inspecting import images
from mealkit.pipeline.image.loaded_images import note_loaded
from mealkit.pipeline.publish.removing import remove_stored, unneeded_store_bytes
from mealkit.pipeline.run.names_of_own import is_left, name_of_own, remove_left
from mealkit.stores.docker_load import load
from mealkit.stores.local import LocalStore


def planned(home, *, nameless=True):
    return plan_pruning(home, nameless=nameless)


def pruned(home, plan):
    return carry_out(plan, damaged=False, home=home, progress=Heard())


def test_an_empty_home_has_nothing_to_delete(home):
    """And gets no folders."""
    assert planned(home).is_empty
    assert not list(home.root.iterdir())


def test_a_plan_says_what_is_freed(kit, home, build):
    """The files of a removed image: as many bytes as pruning frees in the store."""
    build(kit)
    assert unneeded_store_bytes(home) == 0
    (name,) = images(home)[0].names
    remove_stored([name], home)
    assert unneeded_store_bytes(home) > 0
    plan = planned(home)
    assert plan.file_bytes >= unneeded_store_bytes(home)
    assert images(home) == []
    freed = pruned(home, plan)
    assert plan.file_bytes <= freed < plan.file_bytes + 20_000  # records of caches come on top
    assert planned(home).is_empty


def test_images_without_a_name_go_only_if_the_plan_has_them(kit, home, build):
    """The plan that a script gets leaves them."""
    old = build(kit).digest
    (kit / "prompts" / "query.jinja").write_text("other {{ text }}\n")
    new = build(kit, again=True).digest
    pruned(home, planned(home, nameless=False))
    assert {item.digest for item in images(home)} == {old, new}
    plan = planned(home)
    assert [item.digest for item in plan.nameless] == [old]
    assert plan.file_bytes > 0
    pruned(home, plan)
    assert [item.digest for item in images(home)] == [new]


def test_an_image_knows_when_it_was_stored(home):
    """Later ones later; one that comes back after it was removed, anew. Its bytes stay the same."""
    store = LocalStore(home.store)
    first = little_base("first")
    store.put(first, ["first:1"])
    path = store.blobs.folder / first.digest.hex
    before = path.read_bytes()
    os.utime(path, (1_000, 1_000))
    store.put(first, ["also:1"])  # it was there
    assert [item.stored_seconds for item in store.images()] == [1_000]
    store.remove(str(first.digest))
    store.put(first, ["first:1"])
    assert store.images()[0].stored_seconds > 1_000
    assert path.read_bytes() == before


@pytest.fixture
def sdk():
    import docker  # noqa: PLC0415

    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def copied(home, sdk, tmp_path):
    """An image of this home that was loaded into Docker, and is not in the store."""
    image = little_base(f"copy {tmp_path}")
    name = f"mealkit-run/{tmp_path.name.lower().replace('_', '-')}:1"
    identity = load(image, [name], sdk).image_id
    note_loaded("docker", identity, image.digest, home)
    yield identity, name
    from docker.errors import DockerException  # noqa: PLC0415

    with suppress(DockerException):
        sdk.images.remove(identity, force=True)


def has(sdk, identity):
    from docker.errors import ImageNotFound  # noqa: PLC0415

    try:
        sdk.images.get(identity)
    except ImageNotFound:
        return False
    return True


@pytest.mark.docker
def test_a_copy_in_docker_goes_with_its_image(home, sdk, copied):
    """With its name and size in the plan; another home knows nothing of it."""
    identity, name = copied
    (copy,) = planned(home, nameless=False).copies
    assert (copy.image.id, copy.image.names) == (identity, (name,))
    assert pruned(home, planned(home, nameless=False)) >= copy.image.size_bytes > 0
    assert not has(sdk, identity)
    assert planned(home).copies == ()


@pytest.mark.docker
def test_a_copy_that_others_use_stays(home, sdk, copied):
    """A name that mealkit did not give, or a container that was made from it."""
    identity, name = copied
    sdk.api.tag(identity, f"someone/{name.partition('/')[2].partition(':')[0]}", "kept")
    assert planned(home).copies == ()
    sdk.images.remove(f"someone/{name.partition('/')[2].partition(':')[0]}:kept")
    container = sdk.containers.create(identity, command=["/usr/bin/tool"])
    try:
        assert planned(home).copies == ()
    finally:
        container.remove()
    assert len(planned(home).copies) == 1


@pytest.mark.docker
def test_a_copy_of_a_stored_image_stays(home, sdk, copied):
    """The store may run it again at once."""
    image = little_base(f"copy {home.root.parent}")
    LocalStore(home.store).put(image, ["kept:1"])
    assert planned(home).copies == ()


@pytest.mark.docker
def test_a_taken_name_is_whoevers_container(sdk, copied):
    """Also one that never started; a prefix of an id is no name."""
    identity, _ = copied
    container = sdk.containers.create(identity, command=["/usr/bin/tool"])
    try:
        client = DockerClient()
        holder = client.holder(container.name)
        assert holder is not None
        assert (holder.id, holder.labels.get("dev.mealkit.run")) == (container.id, None)
        assert client.holder(container.id[:12]) is None
    finally:
        container.remove()


_HOLDER = """
import sys, time
from pathlib import Path
from mealkit.pipeline.home import Home
from mealkit.pipeline.run.names_of_own import name_of_own
with name_of_own("ask", Home(Path(sys.argv[1]))) as name:
    print(name, flush=True)
    time.sleep(600)
"""


def test_a_container_of_a_killed_command_is_known(tmp_path):
    """By the lock that the kernel takes from it, whatever process has its number now."""
    home = Home(tmp_path)
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        name = process.stdout.readline().strip()
        assert not is_left(name, home)
        process.kill()
    assert is_left(name, home)
    remove_left(home)
    assert not list(home.own_names.iterdir())
    assert is_left(name, home)
    with name_of_own("try", home) as name:
        assert not is_left(name, home)
        assert not is_left("ask-12", home)
    assert not list(home.own_names.iterdir())


def test_names_of_an_engine_that_is_silent_are_none(tmp_path):
    """A file in the socket's place, or nothing."""
    (tmp_path / "file.sock").write_text("")
    for name in ("file.sock", "none.sock"):
        address = {"DOCKER_HOST": f"unix://{tmp_path / name}", "CONTAINER_HOST": "tcp://other:1"}
        assert running_names(tmp_path, "home", address) == []
