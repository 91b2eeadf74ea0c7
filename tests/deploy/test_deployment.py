"""The file of a deployment: it is read back as it was, and hostile ones are refused."""

import json

import pytest

from mealkit.deploy.deployment import (
    MAX_REVISIONS,
    Deployment,
    Gate,
    GateResult,
    Revision,
    Settings,
    TestedClaim,
    read_deployment,
)
from mealkit.deploy.deployment_history import Event, EventKind, read_events
from mealkit.errors import DeploymentError, Owner
from mealkit.recipe.operations import Operations, ops_json

FAILED = GateResult(
    gate=Gate.CLAIMS,
    passed=False,
    reason="a case fails",
    code="TEST_FAILED",
    measured="2",
    required="1",
    owner=Owner.KIT_AUTHOR,
)
FIRST = Revision(
    number=1,
    reference="kits/rake",
    settings=Settings(keys="/etc/keys.txt", overrides={"HW_ECC": "an old card"}),
    user="cook",
    created_seconds=1.5,
    reason="the first",
    kit="rake:1.0.0",
    image="sha256:" + "a" * 64,
    recipe="sha256:" + "b" * 64,
    tested=(TestedClaim(name="speed", is_case=False, verdict="holds", measured=1.0),),
    gates=(FAILED,),
)
EMPTY = Deployment(name="web", id="0" * 16, address="127.0.0.1", port=8000, client="docker")
WHOLE = EMPTY.with_revision(FIRST).with_serving(1)


def test_a_deployment_is_read_back_as_it_was_written():
    """Every field survives the file."""
    assert read_deployment(WHOLE.as_bytes(), "here") == WHOLE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"serving": 7}, "is not that of a revision", id="serving"),
        pytest.param({"served": [9]}, "is not that of a revision", id="served"),
        pytest.param({"name": "../web"}, "name", id="name"),
        pytest.param({"port": 0}, "port", id="port"),
        pytest.param({"more": 1}, "more", id="unknown field"),
        pytest.param({"format": "mealkit.deployment/v2"}, "format", id="version"),
        pytest.param({"restart": "sometimes"}, "restart", id="restart"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(change, message):
    """The problem names the field; nothing is guessed."""
    form = {**json.loads(WHOLE.as_bytes()), **change}
    with pytest.raises(DeploymentError, match=message):
        read_deployment(json.dumps(form).encode(), "here")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"port": NaN}', b'{"name": "a", "name": "b"}', b"[" * 1000]
)
def test_bytes_that_are_not_a_deployment_are_refused(data):
    """They are refused as a problem of the platform, not with a crash."""
    with pytest.raises(DeploymentError, match="DEPLOYMENT_INVALID"):
        read_deployment(data, "here")


def test_sections_of_ops_that_are_not_stated_stay_those_of_the_kit():
    """A section that the file stated as null is none; one that it did not state is the kit's."""
    stated = Operations.model_validate({"audit": {}, "telemetry": False})
    revision = FIRST.model_copy(update={"settings": Settings(ops=stated)})
    written = EMPTY.with_revision(revision).as_bytes()
    read = read_deployment(written, "deployment.json").revision(revision.number).settings.ops
    assert read is not None
    assert read.model_fields_set == {"audit", "telemetry"}
    assert ops_json(read) == ops_json(stated)


def test_the_oldest_revisions_leave_the_file_first():
    """The file stays small however often a deployment is upgraded."""
    every = tuple(FIRST.model_copy(update={"number": n + 1}) for n in range(MAX_REVISIONS))
    full = EMPTY.model_copy(update={"revisions": every, "served": (1, 5)}).with_serving(7)
    found = full.with_revision(FIRST.model_copy(update={"number": MAX_REVISIONS + 1}))
    assert len(found.revisions) == MAX_REVISIONS
    assert found.revisions[0].number == 2
    assert found.served == (5, 7)
    assert read_deployment(found.as_bytes(), "here") == found


def test_a_history_with_a_cut_line_is_read_without_it():
    """A line that a loss of power cut, or that is not an event, does not hide the others."""
    event = Event(seconds=1, user="cook", kind=EventKind.ROLLED_BACK, revision=2, gate=FAILED)
    data = event.line + event.line[:20] + b"\n" + b'{"kind": "odd"}\n' + event.line
    assert list(read_events(data)) == [event, event]
