"""docs/how-to/keep-a-catalogue.md carried out: every command succeeds, in its order."""

import json
import shlex

import pytest
import yaml
from fakes.how_to import Shell, commands_in, file_in
from fakes.little import OFFLINE, little_kit
from fakes.served import Registry

PAGE = "how-to/keep-a-catalogue.md"
PASSPHRASE = "seven dry words"


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory):
    """What each command printed; the folder in which the page was followed."""
    folder = tmp_path_factory.mktemp("page")
    kit = little_kit(folder / "my-kit", name="my-kit")
    (kit / "README.md").write_text("# My kit\n")
    (folder / "passphrase.txt").write_text(PASSPHRASE)
    configured = folder / "config" / "mealkit" / "config.yaml"
    configured.parent.mkdir(parents=True)
    variables = {"MEALKIT_HOME": folder / "home", "XDG_CONFIG_HOME": folder / "config"}
    shell = Shell({**OFFLINE, **{name: str(value) for name, value in variables.items()}})
    printed = {}
    with pytest.MonkeyPatch.context() as patch, Registry(folder / "registry") as registry:
        patch.chdir(folder)
        text = file_in(PAGE, "catalogs:").replace("registry.example.org", registry.host)
        (first, _) = yaml.safe_load(text)["catalogs"]
        # The second one is a folder that this machine does not have.
        configured.write_text(yaml.safe_dump({"catalogs": [first]}))
        shell.run("mealkit keygen team.key --passphrase-file passphrase.txt")
        removal = None
        for line in commands_in(PAGE):
            here = line.replace("registry.example.org", registry.host)
            match shlex.split(line)[1:]:
                case ["run", "my-kit"]:
                    # It runs in tests/end_to_end/test_sharing.py; this kit's engine is empty.
                    patch.chdir(configured.parent)  # where no folder has the kit's name
                    printed[line] = shell.run(here.replace("run", "inspect"))
                    patch.chdir(folder)
                case ["catalog", "remove", *_]:
                    removal = here  # it would leave nothing to find
                case _:
                    printed[line] = shell.run(here)
        # Without keys, what is known about signatures stays.
        again = next(line for line in printed if "catalog add" in line).partition(" --readme")[0]
        shell.run(again.replace("registry.example.org", registry.host))
        kept = json.loads(shell.run("mealkit catalog show my-kit --json"))
        assert len(kept["trust"]["signers"]) == 1
        shell.run(removal)
        left = json.loads(shell.run("mealkit catalog list --json"))
    return printed, folder, left


def test_every_command_of_the_page(carried_out):
    """The kit is listed with its signature, found, opened by its name, shown, and removed."""
    printed, _, left = carried_out
    found = json.loads(printed["mealkit catalog search --memory 24GiB --json"])
    (kit,) = found["kits"]
    assert (kit["name"], kit["fit"], len(kit["trust"]["signers"])) == ("my-kit", "fits", 1)
    assert "my-kit:1.0.0" in printed["mealkit catalog search --here"]
    assert "my-kit:1.0.0" not in printed["mealkit catalog search keywords"]
    assert kit["digest"] in printed["mealkit run my-kit"]
    assert left["kits"] == []


def test_the_site_is_written(carried_out):
    """With the README, the signature and the SBOM of the kit."""
    _, folder, _ = carried_out
    page = (folder / "public" / "kits" / "my-kit" / "1.0.0.html").read_text()
    assert "<h3>My kit</h3>" in page
    assert "these signatures of its digest were verified" in page
    assert (folder / "public" / "kits" / "my-kit" / "1.0.0.cdx.json").is_file()
