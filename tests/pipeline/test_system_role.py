"""A kit whose chat template loses the pinned system prompt gets no lock."""

import shutil
from pathlib import Path

import pytest
from fakes.little import Heard, edit_kit

import mealkit
from mealkit.errors import KitError
from mealkit.pipeline.kit.checking import check_kit
from mealkit.pipeline.kit.locking import lock_kit
from mealkit.recipe.lock import read_lock

KITS = Path(mealkit.__file__).parent.parent / "kits"
REFUSES = "{% if messages[0].role == 'system' %}{{ raise_exception('none') }}{% endif %}"


@pytest.fixture
def chat(tmp_path):
    """The tiny chat kit, with a system prompt; its lock is resolved already."""
    shutil.copytree(KITS / "tiny-llama", tmp_path / "tiny-llama")
    folder = shutil.copytree(KITS / "tiny-chat-onnx", tmp_path / "tiny-chat-onnx")
    (folder / "prompts").mkdir()
    (folder / "prompts" / "system.jinja").write_text("Be brief.\n")

    def pin(form):
        form["prompts"] = {"system": {"file": "prompts/system.jinja"}}
        form["system_prompt"] = {"prompt": "system", "placement": "default"}
        del form["model"]["weights"][0]["sha256"]

    edit_kit(folder, pin)
    return folder


def locked(folder, home):
    lock_kit(folder, upgrade=frozenset(), home=home, progress=Heard(), allowed=[folder.parent])
    return read_lock((folder / "kit.lock").read_bytes())


def test_a_template_that_writes_it(chat, home):
    """The lock has the prompt's text and its placement; the recipe is another one."""
    before = read_lock((chat / "kit.lock").read_bytes())
    lock = locked(chat, home)
    assert lock.system_prompt.placement == "default"
    assert lock.prompts["system"].text == "Be brief.\n"
    assert lock.recipe != before.recipe
    check_kit(chat, home, [chat.parent])


@pytest.mark.parametrize("file", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_template_that_refuses_it(chat, home, file):
    """It is found where the engine finds it, and the line of the kit is named."""
    model = chat.parent / "tiny-llama"
    if file == "chat_template.jinja":
        (model / file).write_text(REFUSES)
    else:
        edit_kit(chat, lambda form: form["model"]["weights"][0]["files"].pop(-1))
        (model / file).write_text(f'{{"chat_template": "{REFUSES}"}}')
    before = (chat / "kit.lock").read_bytes()
    with pytest.raises(KitError, match="does not write system messages") as caught:
        locked(chat, home)
    assert caught.value.problems[0].code == "KIT_SYSTEM_ROLE"
    assert "kit.yaml:" in caught.value.problems[0].where
    assert (chat / "kit.lock").read_bytes() == before
    with pytest.raises(KitError, match="does not write system messages"):
        check_kit(chat, home, [chat.parent])
    (chat / "kit.lock").unlink()
    with pytest.raises(KitError, match="does not write system messages"):
        check_kit(chat, home, [chat.parent])
