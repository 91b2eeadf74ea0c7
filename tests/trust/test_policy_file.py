"""A policy is read strictly: every mistake is a problem with its line and an edit."""

import os

import pytest

from mealkit.errors import MealkitError, Problem
from mealkit.trust.policy_file import load_policy

HEAD = "version: mealkit.policy/v1\n"


@pytest.fixture
def problems(tmp_path, public_keys):
    """Write a policy after its first lines, and return what is wrong with it."""
    indented = public_keys["a"].replace("\n", "\n      ")
    start = f"{HEAD}keys:\n  a:\n    pem: |\n      {indented}\n"

    def read(text: str, *, whole: bool = False) -> tuple[Problem, ...]:
        path = tmp_path / "policy.yaml"
        path.write_text(text if whole else start + text)
        with pytest.raises(MealkitError) as caught:
            load_policy(path)
        assert caught.value.exit_code == 13
        return caught.value.problems

    return read


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("engine: [onnx]", "the field engine does not exist", "'engines'"),
        ("engines: onnx", "expected a list", "engines: [onnx]"),
        ("engines: [onx]", "there is no engine onx", "onnx"),
        ("engines: [onnx]\nengines: [onnx]", "appears twice", "delete line"),
        ("local_builds: yes", "local_builds is 'yes'", "allow, refuse"),
        ("signatures: {at_least: 0}", "expected at least 1", "at least 1"),
        (
            "signatures: {at_least: 2}",
            "signatures needs 2 signers, and 1 may sign",
            "lower at_least",
        ),
        ("registries: {r.org: {at_least: 3}}", "registries.r.org needs 3 signers", "signed_by"),
        ("signatures: {signed_by: [b]}", "b is neither a key nor an identity", "write one of a"),
        ("signatures: {signed_by: []}", "signed_by is empty", "the keys and identities"),
        ("attestations: {sbom: {signed_by: [b]}}", "b is neither", "write one of a"),
        ("registries: {'r.org/X': {}}", "is not a valid name", "lower-case"),
        ("registries: {r.org: {signed_by: [b]}}", "b is neither", "write one of a"),
        ("attestations: {sbom: {max_age_days: 1.5}}", "expected a number", "whole number"),
        ("vulnerabilities: {severity: high}", "osv is missing", "add `osv:`"),
        ("names: [match", "", ""),
        (
            "identities: {a: {identity: x, issuer: y, trusted_root: z}}",
            "a is the name of a key",
            "",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line_and_an_edit(problems, text, message, hint):
    """Unknown fields, wrong types, duplicates and unknown names each have a line and a hint."""
    found = problems(text)
    assert {item.code for item in found} == {"POLICY_INVALID"}
    assert message in found[0].message
    assert hint in found[0].hint
    assert "policy.yaml:" in (found[0].where or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the policy is empty"),
        ("- a", "the policy is a list"),
        (f"{HEAD}keys: {{}}", "it has neither keys nor identities"),
        ("version: mealkit.policy/v2\nkeys: {a: {pem: x}}", "mealkit.policy/v1"),
        (f"{HEAD}keys: {{a: {{}}}}", "write either file: or pem:"),
        (f"{HEAD}keys: {{a: {{pem: x}}}}", "is not a public key in PEM"),
        (f"{HEAD}keys: {{a: {{pem: 'BEGIN PRIVATE KEY'}}}}", "is a private key"),
        (f"{HEAD}keys: {{a: {{pem: x, valid_from: 2026-13-01}}}}", "expected a day"),
        (f"{HEAD}registries: {{'*.example.org/team': {{allow: false}}}}", "*.example.org/team"),
        (f"{HEAD}registries: {{registry.example.org/: {{}}}}", "registry.example.org/"),
        (f"{HEAD}keys: {{a: {{pem: x, valid_from: 20260101}}}}", "expected a day"),
        (
            f"{HEAD}keys: {{a: {{pem: x, valid_from: 2026-02-01, valid_until: 2026-01-01}}}}",
            "is before valid_from",
        ),
        (f"{HEAD}x: &x [1]\n" + "\n".join(f"y{i}: &y{i} [*x, *x]" for i in range(3)), "x"),
    ],
)
def test_a_policy_that_could_accept_nothing_or_everything_is_refused(problems, text, message):
    """Emptiness, another version and keys that are none do not become an open policy."""
    found = problems(text, whole=True)
    assert any(message in item.message for item in found)


def test_aliases_that_expand_are_bounded(problems):
    """A few lines of aliases do not expand to billions of values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    (found,) = problems("\n".join(lines), whole=True)
    assert "expand" in found.message


@pytest.mark.parametrize("kind", ["absent", "folder", "fifo", "large", "not text"])
def test_what_cannot_be_read_is_an_error(tmp_path, kind):
    """A policy that is not a readable file is a problem, not the absence of a policy."""
    path = tmp_path / "policy.yaml"
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "large":
            path.write_bytes(b"#" * (1024 * 1024 + 1))
        case "not text":
            path.write_bytes(b"\xff")
        case _:
            pass
    with pytest.raises(MealkitError) as caught:
        load_policy(path)
    code = "POLICY_INVALID" if kind == "not text" else "POLICY_UNREADABLE"
    assert caught.value.problems[0].code == code


def test_a_key_that_cannot_be_read_is_named_with_the_line_of_the_policy(problems):
    """The problem of a key's file is at the line that names it."""
    (found,) = problems(f"{HEAD}keys:\n  a:\n    file: gone.pub\n", whole=True)
    assert found.code == "POLICY_UNREADABLE"
    assert (found.where or "").endswith("policy.yaml:4")
