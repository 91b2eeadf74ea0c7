"""The files for compose, Swarm's stacks and podman: the same bytes, and no text that escapes."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from fakes.deployments import IMAGE, workload
from fakes.served import need

from mealkit.deploy.compose import compose_files
from mealkit.deploy.quadlet import quadlet_files
from mealkit.deploy.swarm_stack import stack_files
from mealkit.errors import MealkitError

GOLDEN = Path(__file__).parent / "golden"

# What YAML, Docker, Swarm's templates, systemd and a shell could read as something else.
HOSTILE = (
    "a $HOME ${PATH} $$ {{.Node.ID}} %n %% \"q\" 'x' \\ ; | `id` #c: y",
    "yes",
    "1e3",
    "",
    "{a: b}",
    "- x",
    "\\n",
)


def stated(**more):
    environment = {f"HOSTILE_{index}": text for index, text in enumerate(HOSTILE)}
    return {"publish": {"address": "0.0.0.0"}, "environment": environment, **more}


@pytest.mark.parametrize(
    ("name", "files"),
    [("compose", compose_files), ("swarm", stack_files), ("quadlet", quadlet_files)],
)
@pytest.mark.parametrize("kit", ["rake", "tiny-chat-vllm"])
def test_the_files_are_those_of_the_repository(name, files, kit):
    """A reviewer sees every change; MEALKIT_WRITE_GOLDEN=1 writes them again."""
    of_gpu = kit == "tiny-chat-vllm"
    state = {"in": "disk" if of_gpu else "memory"}
    made = files(workload(kit, gpu=of_gpu, **stated(state=state)))
    text = "".join(f"# {path}\n{content}" for path, content in made.items())
    golden = GOLDEN / f"{name}-{kit}.txt"
    if os.environ.get("MEALKIT_WRITE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_compose_and_stacks_give_the_container_each_text_as_it_is():
    """Docker replaces $$ by $, and Swarm a quoted template by its text."""
    for files, name in ((compose_files, "compose.yaml"), (stack_files, "stack.yaml")):
        form = yaml.safe_load(files(workload(**stated()))[name])
        given = form["services"]["rake"]["environment"]
        for index, text in enumerate(HOSTILE):
            read = given[f"HOSTILE_{index}"].replace("$$", "$")
            assert read.replace('{{"{{"}}', "{{") == text


def test_units_give_the_container_each_text_as_it_is():
    """systemd expands specifiers and variables of a line, and unquotes its words."""
    files = quadlet_files(workload(**stated()))
    for line in files["rake.container"].splitlines():
        key, _, value = line.partition("=")
        if key == "Environment" and "HOSTILE_" in value:
            (word,) = shlex.split(value.replace("%%", "%").replace("$$", "$"))
            name, _, text = word.partition("=")
            assert text == HOSTILE[int(name.removeprefix("HOSTILE_"))]


SECRETS = {
    "audit_key": {"secret": "audit", "key": "audit.txt"},
    "secrets": {"MEALKIT_USAGE_DATABASE": {"secret": "budgets", "key": "url.txt"}},
}


def test_secrets_are_files_where_there_are_no_others():
    """The key of the audit log and the database's address, with the variables that name them."""
    paths = {
        "MEALKIT_AUDIT_KEY_FILE": "/run/secrets/mealkit-audit-key",
        "MEALKIT_USAGE_DATABASE_FILE": "/run/secrets/mealkit-usage-database",
    }
    found = workload(**SECRETS, user=1000)
    compose = yaml.safe_load(compose_files(found)["compose.yaml"])
    assert compose["secrets"]["mealkit-audit-key"] == {"file": "./audit.txt"}
    stack = yaml.safe_load(stack_files(found)["stack.yaml"])
    assert {*stack["secrets"]} == {"rake-keys", "audit", "budgets"}
    owners = {(item["uid"], item["mode"]) for item in stack["services"]["rake"]["secrets"]}
    assert owners == {("1000", 0o440)}
    for form in (compose, stack):
        service = form["services"]["rake"]
        assert paths.items() <= service["environment"].items()
        assert len(service["secrets"]) == 3
    for text in quadlet_files(found).values():
        if "Image=" in text or "podman run" in text:
            assert "audit,target=mealkit-audit-key,mode=0444" in text
            assert all(f"{name}={path}" in text for name, path in paths.items())


def test_podman_s_generator_reads_the_quadlets(tmp_path):
    """It makes services of them, whose command has each text as it is, and systemd accepts them."""
    for name, text in quadlet_files(workload(**stated())).items():
        if "/" not in name:
            (tmp_path / name).write_text(text)
    done = subprocess.run(
        [need("podman-quadlet"), "--dryrun", "--no-kmsg-log"],
        env={"PATH": os.environ["PATH"], "QUADLET_UNIT_DIRS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    units = dict(re.findall(r"---(\S+)---\n(.*?)(?=\n---|\Z)", done.stdout, re.DOTALL))
    assert set(units) == {"rake.service", "rake-network.service", "rake-state-volume.service"}
    line = re.search("^ExecStart=(.*)$", units["rake.service"], re.MULTILINE)
    assert line is not None
    words = shlex.split(line[1].replace("%%", "%").replace("$$", "$"))
    given = [word for word in words if word.startswith("HOSTILE_")]
    assert given == [f"HOSTILE_{index}={text}" for index, text in enumerate(HOSTILE)]
    assert "--sdnotify=healthy" in words
    assert "--read-only" in words
    assert words[-1] == IMAGE


def test_systemd_accepts_the_service_for_older_podman(tmp_path):
    """``systemd-analyze verify`` finds no fault in it."""
    unit = tmp_path / "rake.service"
    text = quadlet_files(workload(**stated()))["podman-4/rake.service"]
    # The check also wants the program to exist.
    unit.write_text(text.replace("/usr/bin/podman", "/usr/bin/env"))
    done = subprocess.run(
        [need("systemd-analyze"), "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if "rake.service" in line] == []
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("files", "field"),
    [
        (compose_files, {"replicas": 2}),
        (quadlet_files, {"weights": {"in": "pvc"}}),
        (compose_files, {"rollout": {"gate": "candidate"}}),
        (quadlet_files, {"secrets": {"TOKEN": {"secret": "one", "key": "two"}}}),
        (stack_files, {"publish": {"address": "10.0.0.1"}}),
        (stack_files, {"weights": {"in": "image-volume"}}),
    ],
)
def test_what_the_target_cannot_do_is_refused(files, field):
    """The message has the field of deploy.yaml."""
    with pytest.raises(MealkitError) as raised:
        files(workload(**field))
    (found,) = raised.value.problems
    assert found.code == "DEPLOY_UNFIT"
    assert found.message.startswith(f"{next(iter(field))}: ")


def test_every_image_is_named_by_its_digest():
    """A file that is applied twice starts the same bytes."""
    for files in (compose_files, stack_files, quadlet_files):
        assert IMAGE in "".join(files(workload()).values())
