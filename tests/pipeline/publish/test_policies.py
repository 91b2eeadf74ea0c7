"""The policies of a machine, which other users cannot change."""

import os
from pathlib import Path

import pytest

from mealkit.errors import MealkitError
from mealkit.pipeline.policy import policies
from mealkit.pipeline.policy.policies import policy_paths, require_unchangeable


@pytest.fixture
def users(tmp_path, monkeypatch) -> Path:
    """The place of the user's policy."""
    monkeypatch.delenv("MEALKIT_POLICY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "mealkit"
    folder.mkdir()
    return folder / "policy.yaml"


def test_the_policies_that_exist_are_found(users, tmp_path, monkeypatch):
    """The machine's policy is in /etc; the user's and the environment's are added to it."""
    assert Path("/etc/mealkit/policy.yaml") == policies.MACHINE
    there = tuple(path for path in (policies.MACHINE,) if path.exists())
    assert policy_paths() == there
    users.write_text("x")
    named = tmp_path / "named.yaml"
    named.write_text("x")
    monkeypatch.setenv("MEALKIT_POLICY", str(named))
    assert policy_paths() == (*there, users, named)
    monkeypatch.setenv("MEALKIT_POLICY", str(users))
    assert policy_paths() == (*there, users)


def test_a_variable_that_names_no_file_is_an_error(users, tmp_path, monkeypatch):
    """A misspelt MEALKIT_POLICY does not mean that there is no policy."""
    monkeypatch.setenv("MEALKIT_POLICY", str(tmp_path / "gone.yaml"))
    with pytest.raises(MealkitError) as caught:
        policy_paths()
    assert caught.value.problems[0].code == "POLICY_UNREADABLE"


def test_a_dangling_link_is_a_policy_that_cannot_be_read(users):
    """A link to a file that is gone counts as a policy, so that it refuses."""
    users.symlink_to(users.parent / "gone")
    assert users in policy_paths()
    with pytest.raises(MealkitError) as caught:
        require_unchangeable(users)
    assert caught.value.problems[0].code == "POLICY_UNREADABLE"


@pytest.mark.parametrize("who", ["everyone", "another user", "the folder's users"])
def test_a_policy_that_others_can_change_is_refused(users, who):
    """Owner and mode of the policy and of its folder are those of root or of this user."""
    users.write_text("x")
    require_unchangeable(users)
    match who:
        case "everyone":
            users.chmod(0o666)
        case "another user":
            if os.geteuid():
                pytest.skip("only root can give a file away")
            os.chown(users, 12345, 12345)
        case _:
            users.parent.chmod(0o777)
    with pytest.raises(MealkitError) as caught:
        require_unchangeable(users)
    assert caught.value.problems[0].code == "POLICY_UNREADABLE"
    assert str(users) in caught.value.problems[0].message
