"""The user unit that starts a deployment with the machine."""

import os
import subprocess

import pytest
from deploy.test_deployment import WHOLE
from fakes.served import need

from mealkit.deploy.boot_unit import boot_unit, is_unit_of, unit_name


@pytest.mark.parametrize("client", ["sandbox", "podman"])
def test_systemd_accepts_the_unit(client, tmp_path):
    """``systemd-analyze --user verify`` finds no fault in it, and reads odd paths as they are."""
    home = tmp_path / "a %h home"
    deployment = WHOLE.model_copy(update={"client": client})
    text = boot_unit(deployment, ("/usr/bin/env", "-m", "mealkit", "--home", str(home)))
    unit = tmp_path / unit_name("web")
    unit.write_text(text)
    # What podman's package has.
    (tmp_path / "podman.socket").write_text("[Socket]\nListenStream=%t/podman/podman.sock\n")
    (tmp_path / "podman.service").write_text("[Service]\nExecStart=/usr/bin/env\n")
    done = subprocess.run(
        [need("systemd-analyze"), "--user", "verify", "--man=no", str(unit)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []
    assert done.returncode == 0
    assert f'--home "{home}" status'.replace("%", "%%") in text
    assert ("After=podman.socket" in text) == (client == "podman")


def test_a_unit_says_whose_it_is():
    """A deployment of the same name in another home has another one."""
    text = boot_unit(WHOLE, ("mealkit",))
    assert is_unit_of(text, WHOLE)
    assert not is_unit_of(text, WHOLE.model_copy(update={"id": "f" * 16}))
