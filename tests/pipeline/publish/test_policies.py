"""The policies of a machine, which other users cannot change."""

import os
import pwd
from pathlib import Path

import pytest

from mealkit.errors import MealkitError
from mealkit.pipeline.policy import policies
from mealkit.pipeline.policy.admitting import policy_at
from mealkit.pipeline.policy.policies import policy_paths, require_unchangeable
from mealkit.trust.signing_keys import Algorithm, new_key

POLICY = """
version: mealkit.policy/v1
keys: {release: {file: release.pub}}
identities: {ci: {identity: x, issuer: y, trusted_root: root.json}}
vulnerabilities: {osv: [osv], vex: [vex.json]}
"""


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


@pytest.mark.parametrize(
    "who", ["everyone", "a group", "another user", "the folder's users", "a link's target"]
)
def test_a_policy_that_others_can_change_is_refused(users, who):
    """Owner and mode of the policy and of its folder are those of root or of this user."""
    users.write_text("x")
    require_unchangeable(users)
    opened_for(who, users)
    with pytest.raises(MealkitError) as caught:
        require_unchangeable(users)
    assert caught.value.problems[0].code == "POLICY_UNREADABLE"
    assert str(users) in caught.value.problems[0].message


@pytest.mark.parametrize("named", ["release.pub", "osv", "osv/1.json", "vex.json", "root.json"])
@pytest.mark.parametrize("who", ["everyone", "a group"])
def test_a_file_that_a_policy_names_is_as_safe_as_the_policy(users, named, who):
    """Who can replace a key, or an exception, decides as the one who writes the policy."""
    folder = users.parent
    (folder / "osv").mkdir()
    for name in ("osv/1.json", "vex.json", "root.json"):
        (folder / name).write_text("{}")
    (folder / "release.pub").write_bytes(new_key(Algorithm.ECDSA_P256, None)[1])
    users.write_text(POLICY)
    assert policy_at(users).keys
    opened_for(who, folder / named)
    with pytest.raises(MealkitError) as caught:
        policy_at(users)
    assert caught.value.problems[0].code == "POLICY_UNREADABLE"
    assert str(folder / named) in caught.value.problems[0].message


def opened_for(who: str, path: Path) -> None:
    """Let other users change a file or folder."""
    match who:
        case "everyone":
            path.chmod(0o777)
        case "a group":
            if os.geteuid():
                pytest.skip("only root can give a file to a group of others")
            os.chown(path, 0, pwd.getpwnam("nobody").pw_gid)
            path.chmod(0o775)
        case "another user":
            if os.geteuid():
                pytest.skip("only root can give a file away")
            os.chown(path, 12345, 12345)
        case "the folder's users":
            path.parent.chmod(0o777)
        case _:
            inner = path.parent / "open"
            inner.mkdir()
            path.rename(inner / "real")
            inner.chmod(0o777)
            path.symlink_to(inner / "real")
