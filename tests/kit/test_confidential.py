"""What looks like a secret does not get into a kit, unless the kit says that it may."""

import pytest

from mealkit.errors import KitError
from mealkit.kit.confidential import is_secret_setting, masked, secret_name, secrets_in
from mealkit.kit.load import load_kit

_LETTERS = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
_PEM = (
    "-----BEGIN {}PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END {}PRIVATE KEY-----\n"
)
# Put together here, so that no scanner takes this file for a leak.
TOKENS = {
    "aws": "AKI" + "A" + "Q3EGUZ7TH5WN2JKL",
    "github": "gh" + "p_" + _LETTERS[:36],
    "github fine": "github_" + "pat_" + _LETTERS[:22] + "_" + _LETTERS[:59],
    "gitlab": "glp" + "at-" + _LETTERS[:20],
    "slack": "xox" + "b-123456789012-" + _LETTERS[:24],
    "hugging face": "h" + "f_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "anthropic": "sk-" + "ant-api03-" + _LETTERS[:40],
    "openai": "sk-" + "proj-" + _LETTERS[:48],
    "google": "AI" + "za" + _LETTERS[:35],
    "stripe": "sk_" + "live_" + _LETTERS[:24],
    "pypi": "pypi-" + "AgEIcHlwaS5vcmc" + _LETTERS[:50],
    "aws secret": "aws_secret_access_key = " + _LETTERS[:40],
    "pem": _PEM.format("", ""),
    "openssh": _PEM.format("OPENSSH ", "OPENSSH "),
    "a string of a program": "KEY = '-----BEGIN RSA PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0B'",
    "a service account": '{"private_key": "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w"}',
}
HARMLESS = [
    "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "AKIAIOSFODNN7EXAMPLE",
    "token = os.environ['HF_TOKEN']",
    "password: str = Field(...)",
    "-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END CERTIFICATE-----\n",
    "if line == '-----BEGIN PRIVATE KEY-----':\n    pass\n",
    "sk-learn",
    "task-oriented-dialogue-system-with-long-names-of-many-words-in-it-000000",
    "sha256: 53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "git-commit 8f14e45fceea167a5a36dedd4bea2543c1a2b3c4",
]
NAMES = [
    ".env", ".env.production", "conf/.ENV", "id_rsa", "keys/id_ed25519", "tls/server.key",
    "prod.env", ".env.local~", ".env_prod", "id_rsa.bak", "credentials.json.old", ".netrc", ".pgpass", ".aws/credentials", ".git/config", "lib/.git/HEAD", ".ssh/known_hosts",
    ".kube/config", ".docker/config.json", "credentials.json", "service-account.json", "a.p12",
    "release.keystore", ".htpasswd", "terraform.tfstate", ".cache/huggingface/token",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_files_that_credentials_are_kept_in_are_known_by_name(name):
    """Wherever they lie, in any case of letters."""
    assert secret_name(name)


@pytest.mark.parametrize(
    "name",
    [".env.example", "env.py", "tokenizer.json", "config.json", "key.py", "token.py", "keys.json",
     ".gitattributes", ".gitignore", "docker/config.json", "cert.pem", "environment.yml"],
)  # fmt: skip
def test_other_names_are_no_secrets(name):
    """What a paper's code is full of."""
    assert secret_name(name) is None


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_tokens_are_known_by_the_shape_that_their_issuers_publish(token):
    """With the line that they stand on."""
    (found,) = secrets_in(f"# a\nvalue = 1\nx = 2\n{token}\n")
    assert found.line == 4


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_resembles_a_secret_is_let_pass(text):
    """Placeholders of documentation, words, digests, certificates."""
    assert not list(secrets_in(f"x = 1\n{text}\n"))


def test_every_file_that_a_pattern_takes_is_looked_at(write_kit, good):
    """By name and by content, each with the line of the kit and the line that lifts it."""
    folder = write_kit(good.replace("  requirements:", "  code: ['**/*']\n  requirements:"))
    (folder / ".env").write_text("A=1\n")
    (folder / "lib").mkdir()
    (folder / "lib" / "a.py").write_text(f"x = 1\nTOKEN = {TOKENS['github']!r}\n")
    with pytest.raises(KitError) as caught:
        load_kit(folder)
    by_name = {item.message.partition(" ")[0]: item for item in caught.value.problems}
    assert set(by_name) == {".env", "lib/a.py"}
    assert {item.code for item in by_name.values()} == {"KIT_SECRET"}
    assert all("kit.yaml:" in (item.where or "") for item in by_name.values())
    assert "its line 2" in by_name["lib/a.py"].message
    assert TOKENS["github"] not in str(caught.value)
    lines = [item.hint.rpartition("kit.yaml: ")[2] for item in by_name.values()]
    assert lines == ["allow_secrets: [.env]", "allow_secrets: [lib/a.py]"]
    with (folder / "kit.yaml").open("a") as stream:
        stream.write("allow_secrets: [.env, lib/a.py]\n")
    assert {".env", "lib/a.py"} <= set(load_kit(folder).code)


def test_a_prompt_and_the_kit_itself_are_looked_at(write_kit, good):
    """A token that was pasted into a prompt, a setting, a comment, or an address."""
    folder = write_kit(
        good.replace("settings: {threads: 2}", "settings: {threads: 2} # " + TOKENS["google"])
    )
    (folder / "prompts" / "query.jinja").write_text(TOKENS["slack"])
    with pytest.raises(KitError) as caught:
        load_kit(folder)
    assert [item.code for item in caught.value.problems] == ["KIT_SECRET"] * 2
    assert not any(token in str(caught.value) for token in TOKENS.values())
    text = good.replace(
        "requirements: [numpy<3]", "requirements: ['a @ https://me:pw1@host/a.whl']"
    )
    with pytest.raises(KitError) as caught:
        load_kit(write_kit(text))
    assert "an address with a password" in str(caught.value)
    assert "pw1" not in str(caught.value)
    with pytest.raises(KitError) as caught:
        load_kit(write_kit("allow_secrets: [kit.yaml, prompts/query.jinja]\n" + text))
    # It is open, and still no requirement that a lock can contain.
    assert [item.code for item in caught.value.problems] == ["KIT_INVALID"]
    assert "pw1" not in str(caught.value)


def test_a_link_does_not_hide_a_secrets_name(write_kit, good):
    """The content counts under every name."""
    folder = write_kit(good.replace("  requirements:", "  code: [a.py]\n  requirements:"))
    (folder / "real").write_text(TOKENS["openssh"])
    (folder / "a.py").symlink_to("real")
    with pytest.raises(KitError, match="KIT_SECRET"):
        load_kit(folder)


def test_looking_for_secrets_is_linear():
    """Texts made of what the shapes begin with cost no more than their length."""
    for piece in (
        "AKIA",
        "-----BEGIN PRIVATE KEY-----",
        "ghp_a",
        "sk-",
        "aws_secret_access_key ",
        "eyJ",
    ):
        list(secrets_in(piece * (400_000 // len(piece))))


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("SERVICE_API_KEY", "placeholder-key-0123", True),
        ("HF_TOKEN", "abcdefgh", True),
        ("DB_PASSWORD", "hunter2", True),
        ("DATABASE_URL", "postgres://me:pw@host/db", True),
        ("OTHER", TOKENS["github"], True),
        ("HF_HOME", "/src/cache", False),
        ("MAX_TOKENS", "512", False),
        ("PAD_TOKEN", "<pad>", False),
        ("TOKENIZERS_PARALLELISM", "false", False),
        ("PATH", "/usr/bin", False),
    ],
)
def test_variables_are_judged_by_name_and_value(name, value, secret):
    """As those of other tools' projects are."""
    assert is_secret_setting(name, value) is secret


def test_secrets_are_shown_as_stars():
    """In addresses, as tokens, and as the values of variables."""
    assert masked("-i https://me:pw@host/x y") == "-i https://***@host/x y"
    assert masked(f"hf login {TOKENS['hugging face']} -q") == "hf login *** -q"
    assert masked("API_KEY=abcdef PAD_TOKEN=<pad> make") == "API_KEY=*** PAD_TOKEN=<pad> make"
