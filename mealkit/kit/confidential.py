"""Finds what looks like a secret, by a file's name or its content: it must not be in a kit.

The names are those of files in which well-known programs store credentials. The patterns for
contents are token formats that their issuers publish for scanners; a word such as "password" is
not a pattern. Never returns the secret itself. No I/O.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import PurePosixPath

from mealkit.errors import Problem, problem

MAX_SCANNED_BYTES = 1024 * 1024
"""Larger files are checked by name only: no file of keys or settings is that large."""

# Every file below such a folder.
_FOLDERS = {
    ".git": "the history of git",
    ".hg": "the history of Mercurial",
    ".svn": "the history of Subversion",
    ".ssh": "keys and settings of ssh",
    ".gnupg": "keys of GnuPG",
    ".aws": "credentials of AWS",
    ".azure": "credentials of Azure",
    ".kube": "credentials of Kubernetes",
    ".password-store": "passwords of pass",
}
# The end of a path, in lower case: a name, or a name with the folders that identify it.
_PATHS = {
    ".docker/config.json": "credentials of Docker",
    ".config/gcloud/*": "credentials of Google Cloud",
    ".config/gh/hosts.yml": "a token of GitHub",
    "containers/auth.json": "credentials of registries",
    "huggingface/token": "a token of Hugging Face",
    "huggingface/stored_tokens": "tokens of Hugging Face",
    ".huggingface/token": "a token of Hugging Face",
    ".kaggle/kaggle.json": "a token of Kaggle",
    "kaggle.json": "a token of Kaggle",
    ".env": "settings of an environment",
    ".env.*": "settings of an environment",
    ".env_*": "settings of an environment",
    ".env-*": "settings of an environment",
    "?*.env": "settings of an environment",
    ".envrc": "settings of an environment",
    ".netrc": "passwords of netrc",
    "_netrc": "passwords of netrc",
    ".pgpass": "passwords of PostgreSQL",
    ".my.cnf": "a password of MySQL",
    ".mylogin.cnf": "a password of MySQL",
    ".git-credentials": "credentials of git",
    ".htpasswd": "hashes of passwords",
    ".dockercfg": "credentials of Docker",
    ".dockerconfigjson": "credentials of Docker",
    ".s3cfg": "credentials of S3",
    ".boto": "credentials of AWS",
    ".vault-token": "a token of Vault",
    ".vault_pass*": "a password of Ansible",
    "rclone.conf": "credentials of rclone",
    "kubeconfig": "credentials of Kubernetes",
    "credentials.json": "credentials",
    "credentials.tfrc.json": "credentials of Terraform",
    "application_default_credentials.json": "credentials of Google Cloud",
    "client_secret*.json": "credentials of Google Cloud",
    "service?account*.json": "credentials of Google Cloud",
    "*.tfstate": "state of Terraform",
    "*.tfstate.backup": "state of Terraform",
    "secrets.json": "secrets",
    "secrets.toml": "secrets",
    "secrets.yaml": "secrets",
    "secrets.yml": "secrets",
    "id_rsa": "a private key of ssh",
    "id_dsa": "a private key of ssh",
    "id_ecdsa": "a private key of ssh",
    "id_ecdsa_sk": "a private key of ssh",
    "id_ed25519": "a private key of ssh",
    "id_ed25519_sk": "a private key of ssh",
    "*.key": "a private key",
    "*.p12": "a private key",
    "*.pfx": "a private key",
    "*.ppk": "a private key of PuTTY",
    "*.jks": "a store of private keys",
    "*.keystore": "a store of private keys",
    "*.kdbx": "a store of passwords",
}
# Suffixes that editors and people append to the name of a copy.
_COPY = re.compile(r"(?:~|\.bak|\.backup|\.old|\.orig|\.save|\.swp|\.copy| copy)+$")
# Samples show what to set, and are meant to be shared; their content is still checked.
_SAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist", ".env.defaults")

# Token formats. Sources: docs.github.com "About authentication to GitHub", docs.gitlab.com
# "Token overview", docs.aws.amazon.com IAM "unique identifiers", api.slack.com "token types",
# docs.stripe.com "API keys", PyPI "API tokens", docs.npmjs.com "access tokens",
# cloud.google.com "API keys", and the public rules of gitleaks and GitHub's secret scanning.
# A pattern is tried only at its literal prefixes, which makes the search fast.
_SHAPES = tuple(
    (what, tuple(beginnings.split()), re.compile(shape))
    for what, beginnings, shape in (
        ("an access key of AWS", "AKIA ASIA", r"(?:AKIA|ASIA)[A-Z0-9]{16}"),
        ("a token of GitHub", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{36,255}"),
        ("a token of GitHub", "github_pat_", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
        (
            "a token of GitLab",
            "glpat- glptt- gldt- glrt- glsoat- glagent- glimt- glft-",
            r"gl(?:pat|ptt|dt|rt|soat|agent|imt|ft)-[A-Za-z0-9_.-]{20,300}",
        ),
        ("a token of Slack", "xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,250}"),
        ("a token of Slack", "xapp-", r"xapp-[0-9]-[A-Za-z0-9-]{20,250}"),
        ("a token of Hugging Face", "hf_ api_org_", r"(?:hf|api_org)_[A-Za-z]{34}"),
        ("a key of Anthropic", "sk-ant-", r"sk-ant-[a-z]{3,8}[0-9]{2}-[A-Za-z0-9_-]{20,200}"),
        (
            "a key of OpenAI",
            "sk-proj- sk-svcacct- sk-admin- sk-None-",
            r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,250}",
        ),
        ("a key of OpenAI", "sk-", r"sk-[A-Za-z0-9]{48}"),
        ("a key of OpenRouter", "sk-or-v1-", r"sk-or-v1-[a-f0-9]{64}"),
        ("a key of Google", "AIza", r"AIza[A-Za-z0-9_-]{35}"),
        ("a key of Google", "GOCSPX-", r"GOCSPX-[A-Za-z0-9_-]{28}"),
        ("a key of Stripe", "k_live_", r"[rs]k_live_[A-Za-z0-9]{16,250}"),
        ("a token of PyPI", "pypi-AgE", r"pypi-AgE[A-Za-z0-9_-]{40,250}"),
        ("a token of npm", "npm_", r"npm_[A-Za-z0-9]{36}"),
        ("a token of Docker Hub", "dckr_", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{24,60}"),
        ("a token of DigitalOcean", "_v1_", r"do[opr]_v1_[a-f0-9]{64}"),
        ("a token of Databricks", "dapi", r"dapi[a-f0-9]{32}(?:-[0-9])?"),
        ("a token of Replicate", "r8_", r"r8_[A-Za-z0-9]{37}"),
        ("a key of Groq", "gsk_", r"gsk_[A-Za-z0-9]{52}"),
        ("a key of SendGrid", "SG.", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
        ("a token of Vault", "hvs. hvb. hvr.", r"hv[bsr]\.[A-Za-z0-9_-]{24,300}"),
        ("a key of age", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
        (
            "a secret key of AWS",
            "aws_secret_access_key AWS_SECRET_ACCESS_KEY SecretAccessKey secretAccessKey",
            r"(?i)(?:aws_)?secret_?access_?key[\"']?\s{0,4}[:=]\s{0,4}[\"']?[a-z0-9/+]{40}",
        ),
        ("a key of Azure Storage", "AccountKey=", r"AccountKey=[A-Za-z0-9/+]{80,90}={0,2}"),
    )
)
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
# Files that are harmless without such a line.
_LINES = {
    ".npmrc": re.compile(
        r"(?m)^[ \t]{0,8}[^\s=]{0,200}_(?:authToken|auth|password)[ \t]{0,4}=[ \t]{0,4}[^\s$]"
    ),
    ".pypirc": re.compile(r"(?m)^[ \t]{0,8}password[ \t]{0,4}[:=][ \t]{0,4}[^\s]"),
}
_MOST_KEYS = 100
_BEGIN = re.compile(
    r"(?:-----BEGIN (?:[A-Z0-9]{2,10} ){0,2}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d:)"
)
# The rest of a key, also in a string of a program or of JSON: its lines, perhaps headers.
_KEY_BODY = re.compile(
    r"(?:\\[rn]|[\s\"'+,]){1,40}(?:[A-Za-z-]{3,20}: ?[^\n\\]{0,80}(?:\\[rn]|\s){1,8}){0,4}"
    r"[A-Za-z0-9+/]{16}"
)
_KEY_LINE = re.compile(r"[ \t]*\r?\n")
_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]{1,20}://[^\s/@:\"']{0,200}:[^\s/@\"'${<]{1,200}@[^\s/@]", re.IGNORECASE
)
_SECRET_NAME = re.compile(
    r"(?i)(?:^|[_-])(?:(?:api|access|auth|private|secret|signing|encryption|service)?[_-]?keys?"
    r"|token|secrets?|pass(?:word|wd|phrase)?|pwd|credentials?|pat|dsn)(?:[_-](?:id|base64|b64))?$"
)
# Tokens of a vocabulary.
_NO_SECRET_NAME = re.compile(r"(?i)(?:^|_)(?:pad|eos|bos|unk|sep|cls|mask|stop|special|end)_token$")
_NO_SECRET_VALUE = re.compile(r"(?i)|true|false|yes|no|none|null|[0-9.]{1,6}")


# A variable with a value, in a command or in settings.
_ASSIGNED = re.compile(
    r"(?<![A-Za-z0-9_])([A-Za-z_][A-Za-z0-9_]{0,100})([=:] ?)([^\s\"';&|]{1,400})"
)


@dataclass(frozen=True, slots=True)
class Sight:
    """A suspected secret: what it looks like, and its line."""

    what: str
    line: int


def secret_name(path: str) -> str | None:
    """Return what kind of file a path names, if files of that name contain credentials."""
    parts = PurePosixPath(_COPY.sub("", path.lower())).parts
    for part in parts:
        if part in _FOLDERS:
            return _FOLDERS[part]
    if not parts or parts[-1] in _SAMPLES:
        return None
    for pattern, what in _PATHS.items():
        length = pattern.count("/") + 1
        if len(parts) >= length and fnmatchcase("/".join(parts[-length:]), pattern):
            return what
    return None


def secrets_in(text: str, name: str = "") -> Iterator[Sight]:
    """Yield suspected secrets in a text, the first of each format; ``name`` is the file's name."""
    for what, beginnings, shape in _SHAPES:
        if any(beginning in text for beginning in beginnings):
            for found in shape.finditer(text):
                if _stands_alone(text, found) and not _is_sample(found[0]):
                    yield _sight(text, what, found.start())
                    break
    if (shape_of_line := _LINES.get(PurePosixPath(name.lower()).name)) and (
        line := shape_of_line.search(text)
    ):
        yield _sight(text, "credentials of a package index", line.start())
    if (begin := _private_key(text)) is not None:
        yield _sight(text, "a private key", begin)


def addresses_with_passwords(text: str) -> Iterator[Sight]:
    """Yield addresses that contain a user and a password."""
    for found in _ADDRESS.finditer(text):
        yield _sight(text, "an address with a password", found.start())


def is_secret_setting(name: str, value: str) -> bool:
    """Return whether a variable looks like a secret, by its name or by its value."""
    if any(secrets_in(value)) or any(addresses_with_passwords(value)):
        return True
    if _NO_SECRET_NAME.search(name) or _NO_SECRET_VALUE.fullmatch(value):
        return False
    return _SECRET_NAME.search(name) is not None


def masked(text: str) -> str:
    """Replace tokens, passwords in addresses, and values of secret variables in a text with ***."""
    text = re.sub(r"(://)[^\s/@]{1,400}@", r"\1***@", text)
    for _, beginnings, shape in _SHAPES:
        if any(beginning in text for beginning in beginnings):
            text = shape.sub("***", text)
    return _ASSIGNED.sub(_masked_value, text)


def _private_key(text: str) -> int | None:
    if "PRIVATE KEY" not in text and "PuTTY-User-Key-File-" not in text:
        return None
    last_end = text.rfind("-----END")
    for begin in islice(_BEGIN.finditer(text), _MOST_KEYS):
        is_line = begin.start() == 0 or text[begin.start() - 1] == "\n"
        is_block = is_line and _KEY_LINE.match(text, begin.end()) and last_end > begin.end()
        if is_block or _KEY_BODY.match(text, begin.end()):
            return begin.start()
    return None


def _masked_value(found: "re.Match[str]") -> str:
    is_secret = is_secret_setting(found[1], found[3])
    return f"{found[1]}{found[2]}***" if is_secret else found[0]


def _stands_alone(text: str, found: "re.Match[str]") -> bool:
    """Return whether a token is not part of a longer word."""
    before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
    return before not in _WORD and after not in _WORD


def _is_sample(token: str) -> bool:
    """Return whether a token is a placeholder from documentation, such as one made of x only."""
    body = re.split(r"[_-]|(?<=AKIA)|(?<=ASIA)", token)[-1]
    return token.endswith("EXAMPLE") or (len(set(body.lower())) == 1 and body[0] in "xX0")


def _sight(text: str, what: str, position: int) -> Sight:
    return Sight(what, text.count("\n", 0, position) + 1)


def secret_problem(name: str, what: str, where: str | None) -> Problem:
    """Return the problem that a file looks like a secret; the hint has the line that allows it."""
    word = name if name.replace("/", "").replace(".", "").isalnum() else json.dumps(name)
    return problem(
        "KIT_SECRET",
        f"{name} looks like {what}",
        hint=f"remove it from the kit; or, if it may be public, "
        f"write into kit.yaml: allow_secrets: [{word}]",
        where=where,
    )
