"""A question without a port, in docker and in the sandbox; replacing a kit; a name that is taken."""

import socket
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from fakes.little import Heard
from fakes.served import Demo

from mealkit.containers.container import LABEL_HOME, LABEL_IMAGE
from mealkit.errors import MealkitError
from mealkit.pipeline.ask.asked_kit import AskRequest, asked_kit
from mealkit.pipeline.ask.embedding_texts import embed
from mealkit.pipeline.ask.predicting import inputs_of, predict
from mealkit.pipeline.home import home_at
from mealkit.pipeline.machine.clients import kits_of_home, running_kits, stop_kit
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import run_kit
from mealkit.recipe.kit import Task

pytestmark = [pytest.mark.docker, pytest.mark.online, pytest.mark.xdist_group("demo")]

CLIENTS = ["docker", "sandbox"]


@pytest.fixture
def name(unique, demo: Demo):
    """A name that no other run uses; what has it is stopped at the end."""
    chosen = unique("asked")
    yield chosen
    with suppress(MealkitError):
        stop_kit(chosen, timeout_seconds=10, home=demo.home)


@contextmanager
def taken_port(port: int):
    """The kit's own port, which another program has."""
    with socket.socket() as listener:
        with suppress(OSError):  # another program of this machine has it already
            listener.bind(("127.0.0.1", port))
            listener.listen()
        yield


@pytest.mark.parametrize("client", CLIENTS)
def test_a_question_needs_no_port(demo: Demo, client):
    """The kit has none while it answers, also for several questions, and is gone at the end."""
    request = AskRequest(RunRequest(str(demo.kit), client=client), task=Task.EMBEDDINGS)
    with taken_port(8000), asked_kit(request, demo.home, Heard()) as kit:
        (running,) = [item for item in kits_of_home(demo.home) if item.name.startswith("ask-")]
        assert (running.client, running.port, running.url) == (client, 0, "")
        found = embed(kit, ["a soup", "a ship"], None)
        again = predict(kit, inputs_of(None, ("input=a soup",)))
    assert [len(vector) for vector in found.vectors] == [384, 384]
    assert found.recipe == again.recipe == demo.report.recipe
    assert [item for item in kits_of_home(demo.home) if item.name.startswith("ask-")] == []


@pytest.mark.parametrize("client", CLIENTS)
def test_a_question_that_fails_leaves_nothing(demo: Demo, client):
    """Whatever ends it, and the error is the kit's own."""
    request = AskRequest(RunRequest(str(demo.kit), client=client))
    with (
        pytest.raises(MealkitError) as raised,
        asked_kit(request, demo.home, Heard()) as kit,
    ):
        predict(kit, inputs_of('{"input": 3}', ()))
    assert raised.value.problems[0].code == "REQUEST_INVALID"
    with pytest.raises(KeyboardInterrupt), asked_kit(request, demo.home, Heard()):
        raise KeyboardInterrupt
    assert [item for item in kits_of_home(demo.home) if item.name.startswith("ask-")] == []


def test_the_verb_for_another_task_starts_nothing(demo: Demo):
    """The kit's folder says its task."""
    heard = Heard()
    request = AskRequest(RunRequest(str(demo.kit)), task=Task.GENERATION)
    with (
        pytest.raises(MealkitError, match="for embeddings"),
        asked_kit(request, demo.home, heard),
    ):
        pass
    assert not [text for text in heard.phases if "starting" in text]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_running_kit_is_asked_and_stays(demo: Demo, client, name):
    """By its name; and by its folder, if the same recipe runs under the kit's name."""
    report = run_kit(
        RunRequest(str(demo.kit), client=client, name=name, port=0), demo.home, Heard()
    )
    heard = Heard()
    with asked_kit(AskRequest(RunRequest(name)), demo.home, heard) as kit:
        assert len(embed(kit, ["a"], None).vectors) == 1
    assert heard.phases == []
    (running,) = [item for item in kits_of_home(demo.home) if item.name == name]
    assert running.url == report.url
    assert running.labels[LABEL_IMAGE] == report.image


@pytest.mark.parametrize("client", CLIENTS)
def test_a_taken_name_is_found_before_the_build(demo: Demo, client, name, tmp_path):
    """With the kit that has it, and the commands that free it; --replace then takes the place."""
    first = RunRequest(str(demo.kit), client=client, name=name, port=0)
    before = run_kit(first, demo.home, Heard())
    heard = Heard()
    with pytest.raises(MealkitError) as raised:
        run_kit(first, demo.home, heard)
    (found,) = raised.value.problems
    assert (found.code, found.owner) == ("CONTAINER_EXISTS", "caller")
    assert f"{client} has a kit named {name}: sbert-minilm:1.0.0, which runs" in found.message
    assert f"mealkit stop {name}" in found.hint
    assert "--replace" in found.hint
    assert heard.phases == []

    after = run_kit(replace(first, port=None, replaces=True), demo.home, Heard())
    assert (after.name, after.url) == (before.name, before.url)
    (running,) = [item for item in kits_of_home(demo.home) if item.name == name]
    assert running.exit is None
    assert [item for item in kits_of_home(demo.home) if item.name.startswith("try-")] == []


def test_a_new_kit_that_does_not_start_replaces_nothing(demo: Demo, name):
    """The old one answers all the time."""
    first = RunRequest(str(demo.kit), client="sandbox", name=name, port=0)
    before = run_kit(first, demo.home, Heard())
    with pytest.raises(MealkitError):
        run_kit(replace(first, replaces=True, timeout_seconds=0.01), demo.home, Heard())
    (running,) = [item for item in kits_of_home(demo.home) if item.name == name]
    assert (running.url, running.exit) == (before.url, None)
    assert [item for item in kits_of_home(demo.home) if item.name.startswith("try-")] == []


def test_a_foreign_container_is_never_replaced(demo: Demo, name, sdk, demo_tag):
    """It is found before the build too, and its owner is not mealkit."""
    theirs = sdk.containers.create(demo_tag, name=name)
    try:
        for replaces in (False, True):
            request = RunRequest(
                str(demo.kit), client="docker", name=name, port=0, replaces=replaces
            )
            with pytest.raises(MealkitError, match="mealkit did not start") as raised:
                run_kit(request, demo.home, Heard())
            assert raised.value.problems[0].code == "CONTAINER_EXISTS"
        theirs.reload()
    finally:
        theirs.remove(force=True)


def test_each_home_lists_its_own_kits(demo: Demo, name, tmp_path):
    """Those of another home are there for who asks for all."""
    run_kit(RunRequest(str(demo.kit), client="docker", name=name, port=0), demo.home, Heard())
    other = home_at(tmp_path / "other")
    assert name not in [item.name for item in kits_of_home(other)]
    (seen,) = [item for item in running_kits(other) if item.name == name]
    assert seen.labels[LABEL_HOME] == demo.home.id != other.id
    third = home_with_the_files_of(demo, tmp_path)
    request = RunRequest(str(demo.kit), client="docker", name=name, port=0, replaces=True)
    with pytest.raises(MealkitError, match="of another home"):
        run_kit(request, third, Heard())


def home_with_the_files_of(demo: Demo, folder):
    home = home_at(folder / "third")
    home.files.symlink_to(demo.home.files)
    return home
