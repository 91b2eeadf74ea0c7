"""A stranger's prompts: every verb that reads them computes nothing, and ends with a problem."""

import json

import pytest


@pytest.fixture
def prompt(kit):
    """Write the kit's one prompt, and name it as often as is asked for."""

    def write(text, variables=("text",), count=1):
        (kit / "prompts" / "query.jinja").write_text(text)
        form = {"file": "prompts/query.jinja", "variables": list(variables)}
        prompts = {f"query{number}": form for number in range(count)}
        file = kit / "kit.yaml"
        file.write_text(file.read_text().replace("prompts: {}", f"prompts: {json.dumps(prompts)}"))

    return write


@pytest.mark.parametrize("verb", ["check", "lock", "build", "preflight"])
def test_a_prompt_runs_nothing_on_the_host(mealkit, prompt, tmp_path, verb):
    """What leads from a filter to Python's own modules is refused, and was not followed."""
    ran = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(ran)!r}).touch()"
    prompt(f"{{{{ text }}}}{{{{ (1|abs).__class__.__base__ }}}}{{{{ [{code!r}][0] }}}}")
    result = mealkit(verb, "soup")
    assert result.returncode == 3, result.stderr
    assert "KIT_PROMPT_INVALID" in result.stderr
    assert "Traceback" not in result.stderr
    assert not ran.exists()


@pytest.mark.parametrize(
    "text",
    [
        "{{ text }}{{ 'a' * 4000000000 }}",
        "{{ text }}{{ 9 ** 9999999999 }}",
        "{{ text }}{{ 'a' | center(4000000000) }}",
        "{{ text }}{{ ([] | map('upper')).gi_frame.f_builtins }}",
    ],
)
def test_a_prompt_computes_nothing_on_the_host(mealkit, prompt, text):
    """Constants that would fill the memory, or lead to Python's insides, are left as they are."""
    prompt(text)
    result = mealkit("check", "soup")
    assert "KIT_PROMPT_INVALID" not in result.stderr, result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        "{{ " + "(" * 5_000 + " }}",
        "{{ text" + ".a" * 9_000 + " }}",
        "{{ " + "1" * 100_000 + " }}",
        "{% if text %}" * 4_000,
        "{{ text }}{% include 'other' %}",
        "{{ text | random }}",
    ],
    ids=["brackets", "attributes", "digits", "statements", "include", "random"],
)
def test_what_the_gateway_would_refuse_is_refused_here(mealkit, prompt, text):
    """Limits and missing constructs are told with the file, by the kit's author's code."""
    prompt(text)
    result = mealkit("check", "soup")
    assert result.returncode == 3
    assert "KIT_PROMPT_INVALID" in result.stderr
    assert "prompts/query.jinja" in result.stderr
    assert "Traceback" not in result.stderr


def test_one_file_that_many_prompts_name(mealkit, prompt):
    """A large file is not multiplied by the prompts that name it."""
    prompt("{{ text }}" + "a" * 1_000_000, count=300)
    result = mealkit("check", "soup")
    assert result.returncode == 3
    assert "all prompts together have more than" in result.stderr


def test_many_costly_prompts(mealkit, kit):
    """Looking at the prompts of one kit is bounded in all."""
    file = kit / "kit.yaml"
    prompts = {}
    for number in range(40):
        name = f"p{number}"
        (kit / "prompts" / f"{name}.jinja").write_text(
            "".join(f"{{% if a %}}{{% set b{i} = {number} %}}{{% endif %}}" for i in range(900))
        )
        prompts[name] = {"file": f"prompts/{name}.jinja", "variables": ["a"]}
    file.write_text(file.read_text().replace("prompts: {}", f"prompts: {json.dumps(prompts)}"))
    result = mealkit("check", "soup")
    assert result.returncode == 3
    assert "parts together" in result.stderr
