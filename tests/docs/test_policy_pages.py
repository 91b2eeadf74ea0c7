"""The commands of the pages about policies, run one after the other as a reader would."""

import re
from pathlib import Path

import pytest
from fakes.policies import kit_image
from fakes.quirky_registry import QuirkyRegistry
from fakes.served import ROOT
from typer.testing import CliRunner

from mealkit.cli.program import app
from mealkit.oci.reference import Reference
from mealkit.recipe.lock import read_lock
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs/how-to" / page).read_text()
    return [body for kind, body in BLOCK.findall(text) if kind == language]


def commands(page: str) -> list[str]:
    lines = (line for body in blocks(page, "") for line in body.splitlines())
    return [line for line in lines if line.startswith("mealkit ")]


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """Runs commands in a folder with a key, against a registry that has the page's kit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MEALKIT_HOME", str(tmp_path / "home"))
    etc = tmp_path / "etc/mealkit"
    etc.mkdir(parents=True)
    server = QuirkyRegistry()
    names = {"registry.example.org": server.host, "/etc/mealkit": str(etc)}

    def real(text: str) -> str:
        for name, ours in names.items():
            text = text.replace(name, ours)
        return text

    def run(command: str) -> tuple[int, str]:
        _, *arguments = real(command).split()
        done = CliRunner().invoke(app, arguments)
        return done.exit_code, done.output

    assert run("mealkit keygen release.key --unencrypted")[0] == 0
    image = kit_image(read_lock((ROOT / "kits/rake/kit.lock").read_bytes()))
    with Registries.from_environment() as registries:
        push(image, Reference(server.host, "models/rake", "1.0.0"), registries)
    run.real, run.etc = real, etc
    yield run
    server.close()


def test_set_a_policy(reader, monkeypatch):
    """A policy is written, checked, asked, obeyed by run, and satisfied by a signature."""
    new, check, *rest = commands("set-a-policy.md")
    path = reader.etc / "policy.yaml"
    assert reader(new)[0] == 0
    assert "release.key.pub" in path.read_text()
    path.write_text(reader.real(blocks("set-a-policy.md", "yaml")[0]))
    (reader.etc / "release.key.pub").write_bytes(Path("release.key.pub").read_bytes())
    code, output = reader(check)
    assert (code, "key release  sha256:" in output) == (0, True)
    monkeypatch.setenv("MEALKIT_POLICY", str(path))
    refused, started, sign, accepted = rest
    code, output = reader(refused)
    assert (code, "POLICY_UNSIGNED" in output) == (13, True)
    (shown,) = (body for body in blocks("set-a-policy.md", "") if "refused by the rule" in body)
    code, output = reader(started)
    assert code == 13
    assert [line for line in reader.real(shown).splitlines() if line not in output] == [], output
    assert reader(sign)[0] == 0
    code, output = reader(accepted)
    assert (code, "refused" in output) == (0, False)


def test_every_policy_on_the_page_is_valid(reader):
    """The examples of fields belong to the format, joined with the keys that they need."""
    pem = Path("release.key.pub").read_text().replace("\n", "\n      ")
    for body in blocks("set-a-policy.md", "yaml"):
        text = re.sub(r"file: \S+?\.pub", "file: release.key.pub", body)
        text = text if text.startswith("version:") else f"version: mealkit.policy/v1\n{text}"
        names = ("ci", "qa") if "\nkeys:" in text else ("ci", "qa", "release")
        keys = "".join(f"  {name}:\n    pem: |\n      {pem}\n" for name in names)
        has_keys = "\nkeys:\n" in text
        text = text.replace("\nkeys:\n", f"\nkeys:\n{keys}") if has_keys else f"{text}keys:\n{keys}"
        Path("example.yaml").write_text(text)
        code, output = reader("mealkit policy check example.yaml")
        assert (code, "is valid" in output) == (0, True), output


def test_admit_kits_in_a_cluster(reader):
    """The policy of the page is written for all three tools."""
    Path("policy.yaml").write_text(blocks("admit-kits-in-a-cluster.md", "yaml")[0])
    found = commands("admit-kits-in-a-cluster.md")
    assert [reader(command)[0] for command in found] == [0, 0, 0]
    written = ("cluster/kyverno.yaml", "cluster/policy-controller.yaml", "containers/policy.json")
    assert all(Path(name).is_file() for name in written)
    assert Path("containers/registries.d/mealkit.yaml").is_file()
