"""Problems, the error tree, and the catalogue of every code with its owner.

Raises KeyError for a code that is not in the catalogue. Imports only the standard library, because
the gateway in the image uses it, too.

The tree, with exit codes (1 is an unexpected error, 2 is a usage error of the command line)::

    MealkitError
    ├── KitError         3   the kit file is wrong
    ├── LockError        4   the lock is missing, stale or wrong
    ├── SourceError      5   an input cannot be fetched, or is not the pinned one
    ├── StoreError       6   the local store, a layout or an image is damaged or missing
    ├── RegistryError    7   a registry refuses or cannot be reached
    ├── BuildError       8   an image cannot be assembled
    ├── ContainerError   9   a container client cannot do what the command needs
    ├── PreflightError  10   this machine does not fit the kit
    ├── EngineError     11   the engine did not start, or died
    ├── RequestError    12   a caller's request is refused
    ├── TrustError      13   a signature is missing or wrong, or a policy refuses an image
    ├── AcceptanceError 14   a claim or a case does not hold
    ├── DataError       15   data does not fit the kit's contract
    ├── DeploymentError 16   a deployment did not become what was asked
    └── AuditError      17   an audit log was changed, or cannot be written
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, ClassVar

# Longer messages from untrusted sources, such as a log, are truncated.
_MESSAGE_CHARACTERS = 16384

QUOTED = "| "
"""The prefix of each line of a message that is quoted from a log."""


class Owner(StrEnum):
    """Who can solve a problem."""

    KIT_AUTHOR = "kit-author"
    PLATFORM = "platform"
    HARDWARE = "hardware"
    CALLER = "caller"
    UPSTREAM = "upstream"

    @property
    def who(self) -> str:
        """The role, in words."""
        return _WHO[self]


_WHO = {
    Owner.KIT_AUTHOR: "the kit's author; kit.yaml names the contact",
    Owner.PLATFORM: "the team that runs the machine, its container client, network and registry",
    Owner.HARDWARE: "the team that provides the machine and its GPUs",
    Owner.CALLER: "the person or program that ran the command or sent the request",
    Owner.UPSTREAM: "the publisher of an input of the kit, or mealkit itself",
}


class MealkitError(Exception):
    """One or more problems that stop a command or a request; ``problems`` is never empty."""

    exit_code: ClassVar[int] = 1

    def __init__(self, *problems: "Problem") -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(f"{item.code}: {item.sentence}" for item in self.problems)


class KitError(MealkitError):
    """The kit file, or a file it names, is wrong."""

    exit_code = 3


class UsageError(KitError):
    """The command line is wrong, as its exit code says for what click finds, too."""

    exit_code = 2


class LockError(MealkitError):
    """The lock is missing, stale or wrong."""

    exit_code = 4


class SourceError(MealkitError):
    """An input cannot be fetched, or its bytes are not the pinned ones."""

    exit_code = 5


class StoreError(MealkitError):
    """An image or a blob in a store or a layout is missing or damaged."""

    exit_code = 6


class RegistryError(MealkitError):
    """A registry refuses a request, or cannot be reached."""

    exit_code = 7


class BuildError(MealkitError):
    """An image cannot be assembled or rendered."""

    exit_code = 8


class ContainerError(MealkitError):
    """A container client cannot do what the command needs."""

    exit_code = 9


class PreflightError(MealkitError):
    """This machine does not fit the kit."""

    exit_code = 10


class EngineError(MealkitError):
    """The engine did not start, or died."""

    exit_code = 11


class RequestError(MealkitError):
    """A caller's request is refused."""

    exit_code = 12


class TrustError(MealkitError):
    """A signature is missing or wrong, or a policy refuses an image."""

    exit_code = 13


class AcceptanceError(MealkitError):
    """A claim or a case does not hold, or cannot be measured."""

    exit_code = 14


class DataError(MealkitError):
    """Data does not fit the kit's contract."""

    exit_code = 15


class DeploymentError(MealkitError):
    """A deployment did not become what was asked, or a cluster refuses it."""

    exit_code = 16


class AuditError(MealkitError):
    """An audit log is damaged, was changed, or cannot be written."""

    exit_code = 17


@dataclass(frozen=True, slots=True)
class Entry:
    """A code's entry in the catalogue: meaning, owner, class, HTTP status and usual fix."""

    meaning: str
    owner: Owner
    error: type[MealkitError]
    http_status: int
    fix: str


@dataclass(frozen=True, slots=True)
class OwnerContact:
    """The contact for a kit, as its author states it."""

    team: str
    contact: str
    support: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem: what is wrong (with the value), where, its owner, and a hint (a command or an edit)."""

    code: str
    message: str
    hint: str
    where: str | None
    owner: Owner
    measured: str | None = None
    """The measured value, if the problem is that it differs from ``required``."""
    required: str | None = None
    contact: OwnerContact | None = None
    """The contact, if the owner is the kit's author and the kit is known."""

    @property
    def sentence(self) -> str:
        """The message; its first line also states the measured and the required value."""
        first, *rest = self.message.split("\n")
        sides = {"measured": self.measured, "required": self.required}
        numbers = ", ".join(f"{name} {value}" for name, value in sides.items() if value)
        return "\n".join([f"{first}: {numbers}" if numbers else first, *rest])

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form: the same fields on the command line, in HTTP bodies and logs.

        ``measured``, ``required`` and ``contact`` (team, contact, support) are present if known.
        """
        form: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "where": self.where,
            "owner": self.owner.value,
        }
        if self.measured:
            form["measured"] = self.measured
        if self.required:
            form["required"] = self.required
        if self.contact:
            form["contact"] = asdict(self.contact)
        return form


def problem(
    code: str,
    message: str,
    *,
    hint: str | None = None,
    where: str | None = None,
    measured: str | None = None,
    required: str | None = None,
) -> Problem:
    """Return a problem with a code of the catalogue, which also gives the owner and the default hint.

    Raises:
        KeyError: the code is not in the catalogue.
    """
    entry = CATALOGUE[code]
    return Problem(code, message, hint or entry.fix, where, entry.owner, measured, required)


def problem_of_json(form: Any) -> Problem | None:
    """Parse the JSON form of a problem from an untrusted source; return None for anything else.

    The owner is taken from the catalogue, so a log cannot change it. The lines after a message's
    first are marked as quoted, and all other fields are put on one line, so that no text can look
    like another field of a problem.
    """
    if not isinstance(form, Mapping):
        return None
    code, message = form.get("code"), form.get("message")
    if not (isinstance(code, str) and code in CATALOGUE and isinstance(message, str)):
        return None
    names = ("hint", "where", "measured", "required")
    texts = {name: _one_line(form[name]) for name in names if isinstance(form.get(name), str)}
    first, *rest = message[:_MESSAGE_CHARACTERS].splitlines() or [""]
    marked = [line if line.startswith(QUOTED) else QUOTED + line for line in rest]
    return problem(code, "\n".join([first, *marked]), **texts)


def _one_line(text: str) -> str:
    return " ".join(text[:_MESSAGE_CHARACTERS].split())


def failure(
    code: str,
    message: str,
    *,
    hint: str | None = None,
    where: str | None = None,
    measured: str | None = None,
    required: str | None = None,
) -> MealkitError:
    """Return an error with one problem, of the class that the catalogue names."""
    made = problem(code, message, hint=hint, where=where, measured=measured, required=required)
    return CATALOGUE[code].error(made)


def failures(problems: list[Problem]) -> MealkitError:
    """Return one error for several problems; the first problem decides its class and exit code."""
    return CATALOGUE[problems[0].code].error(*problems)


_AUTHOR, _PLATFORM, _HARDWARE, _CALLER, _UPSTREAM = Owner

CATALOGUE: dict[str, Entry] = {
    # The kit file
    "KIT_NOT_FOUND": Entry("there is no kit file at the path", _CALLER, KitError, 404, "mealkit new NAME"),
    "KIT_SYNTAX": Entry("the kit file is not valid YAML", _AUTHOR, KitError, 400, "correct the line that is named"),
    "KIT_DUPLICATE_KEY": Entry("a key appears twice in one mapping", _AUTHOR, KitError, 400, "delete one of the two lines"),
    "KIT_ANCHOR_BOMB": Entry("anchors expand to more nodes than a kit may have", _AUTHOR, KitError, 400, "write the values out without nested anchors"),
    "KIT_UNKNOWN_FIELD": Entry("the kit has a field that mealkit does not know", _AUTHOR, KitError, 400, "delete the field, or correct its name; mealkit schema lists them"),
    "KIT_FIELD_MISSING": Entry("a required field is missing", _AUTHOR, KitError, 400, "add the field; mealkit schema describes it"),
    "KIT_INVALID": Entry("a field's value is not allowed", _AUTHOR, KitError, 400, "correct the value; mealkit schema describes the field"),
    "KIT_FILE_MISSING": Entry("a file that the kit names does not exist", _AUTHOR, KitError, 400, "create the file, or correct its path in kit.yaml"),
    "KIT_PATH_OUTSIDE": Entry("a path in the kit points outside its folder", _AUTHOR, KitError, 400, "move the file into the kit's folder; or, if the kit may read there, add --allow-folder FOLDER"),
    "KIT_SECRET": Entry("a file or a value of the kit looks like a secret", _AUTHOR, KitError, 400, "remove it from the kit; or, if it may be public, name it in allow_secrets in kit.yaml"),
    "KIT_PROMPT_INVALID": Entry("a prompt is not a valid template", _AUTHOR, KitError, 400, "correct the template at the line that is named"),
    "KIT_SYSTEM_ROLE": Entry("the kit pins a system prompt, and the model's chat template does not write system messages", _AUTHOR, KitError, 400, "add a .jinja file that writes them to model.weights, and name it in hyperparameters.chat_template; or delete system_prompt"),
    "KIT_PICKLE_ALLOWED": Entry("the kit allows pickle weights, which run code when loaded", _AUTHOR, KitError, 400, "convert the weights to safetensors and delete allow_pickle"),
    "KIT_IMPORT_EXCLUDED": Entry("the kit's code imports a package that runtime.exclude leaves out", _AUTHOR, KitError, 400, "delete the package from runtime.exclude, or the import"),
    "KIT_PLACEHOLDER": Entry("the kit still has an example's owner or licence, so it cannot be published", _AUTHOR, KitError, 400, "write the team that answers, its address, and the licences as SPDX identifiers"),
    "KIT_IMPORT_MISSING": Entry("the kit's code imports a well-known module that no package in the lock provides", _AUTHOR, KitError, 400, "add its package to runtime.requirements"),
    "KIT_CODE_UNCHECKED": Entry("a file of the kit's code can only be read by a newer Python than those of this machine", _AUTHOR, KitError, 400, "install the kit's Python, for example with uv python install, and check again"),
    "KIT_HARDWARE": Entry("the kit states less memory or disk space than it certainly needs", _AUTHOR, KitError, 400, "delete the line, so that mealkit lock works it out; or state more"),
    "KIT_EXISTS": Entry("the folder for a new kit already exists", _CALLER, KitError, 409, "choose another name, or delete the folder"),
    "KIT_PREPARE": Entry("the kit's script, which makes what cannot be downloaded, failed", _AUTHOR, KitError, 400, "read its output, then run it again: bash SCRIPT"),
    # Weights and other inputs
    "WEIGHTS_PICKLE": Entry("a weight file is a pickle, which runs code when loaded", _AUTHOR, SourceError, 400, "convert it to safetensors, or set model.allow_pickle: true after reading the code that created it"),
    "WEIGHTS_FORMAT": Entry("a weight file is not safetensors, GGUF, ONNX, external data of one of the kit's ONNX graphs, JSON or plain text", _AUTHOR, SourceError, 400, "convert the file, or leave it out of model.weights"),
    "WEIGHTS_DAMAGED": Entry("a weight file's header contradicts the file's size or the rules of its format", _UPSTREAM, SourceError, 502, "download the file again; if the problem remains, report it to the publisher"),
    "WEIGHTS_SIGNATURE": Entry("the weights do not have the signature of their publisher that the kit demands", _UPSTREAM, SourceError, 502, "do not use these files; ask the publisher which files and key are right, then correct signed_by in kit.yaml"),
    "WEIGHTS_INCOMPLETE": Entry("the engine needs a file that no entry of model.weights names", _AUTHOR, KitError, 400, "add the file to the files of an entry of model.weights, or correct the engine's setting that names it"),
    "WEIGHTS_CLASH": Entry("two entries of model.weights have the same path in the image", _AUTHOR, KitError, 400, "delete one of them, or give one an `into:` folder"),
    "SOURCE_DIGEST": Entry("an input's bytes are not the pinned ones", _UPSTREAM, SourceError, 502, "find out why the bytes changed; if the change is wanted: mealkit lock --upgrade weights"),
    "SOURCE_SIZE": Entry("an input is shorter or longer than pinned", _UPSTREAM, SourceError, 502, "run the command again; it resumes where it stopped"),
    "SOURCE_NOT_FOUND": Entry("the source does not have the input", _AUTHOR, SourceError, 404, "correct the name, version, revision or file in kit.yaml"),
    "SOURCE_DENIED": Entry("the source requires credentials, or that you accept its terms", _CALLER, SourceError, 403, "log in to the source (for the Hub: hf auth login) and accept its terms"),
    "SOURCE_UNREACHABLE": Entry("the source cannot be reached", _PLATFORM, SourceError, 503, "check the network or the mirror's settings, or add a mirror to kit.yaml"),
    "SOURCE_REDIRECTS": Entry("the source redirects endlessly, or to an address in the local network", _UPSTREAM, SourceError, 502, "correct the address in kit.yaml, or use a mirror"),
    "SOURCE_ANSWER": Entry("the source's response is not valid", _UPSTREAM, SourceError, 502, "try again later, or use a mirror"),
    "SOURCE_UNPINNED": Entry("a branch or tag is named where a commit or digest is needed", _AUTHOR, SourceError, 400, "write the commit or digest that is named into kit.yaml"),
    "SOURCE_CHANGED": Entry("a local input changed while it was read, or after it was verified", _CALLER, SourceError, 409, "do not change the file during the build, then run the command again"),
    "SOURCE_INSECURE": Entry("a source would be read without encryption and without a digest", _AUTHOR, SourceError, 400, "use https, or a loopback address"),
    "DISK_FULL": Entry("there is no space left on the disk", _PLATFORM, StoreError, 507, "mealkit prune, or set MEALKIT_HOME to a larger disk"),
    "DISK_DENIED": Entry("a path cannot be read or written", _PLATFORM, StoreError, 500, "correct the path's owner or mode, or set MEALKIT_HOME"),
    # Packages and bases
    "PACKAGES_UNSOLVABLE": Entry("no set of Python packages satisfies the requirements", _AUTHOR, LockError, 409, "loosen the named requirements in runtime.requirements"),
    "PACKAGES_SOURCE_ONLY": Entry("a Python package has no wheel for the image's Python and platform", _AUTHOR, LockError, 409, "build a wheel (pip wheel NAME) and name it in runtime.wheels"),
    "PACKAGES_GONE": Entry("the index no longer has a pinned Python wheel", _UPSTREAM, SourceError, 502, "mealkit lock --upgrade python"),
    "PACKAGES_TOOL": Entry("uv failed, and its output does not name a package", _PLATFORM, SourceError, 503, "check the index settings in uv.toml or UV_INDEX_URL"),
    "WHEEL_INVALID": Entry("a wheel is damaged, or contains paths outside its folder", _UPSTREAM, BuildError, 502, "download the wheel again, or pin another version"),
    "DEBIAN_UNSIGNED": Entry("a Debian index is not signed by a key of the archive keyring", _PLATFORM, SourceError, 502, "install debian-archive-keyring, set MEALKIT_DEBIAN_KEYRING, or set base.allow_unsigned: true"),
    "DEBIAN_UNSOLVABLE": Entry("the suite lacks a package that the base needs", _AUTHOR, LockError, 409, "correct the names in runtime.base.packages, or choose another suite or python in kit.yaml"),
    "DEBIAN_GONE": Entry("the mirror no longer has a pinned Debian package", _UPSTREAM, SourceError, 502, "mealkit lock --upgrade base"),
    "DEBIAN_UNVOUCHED": Entry("a Debian package in the lock is not in any signed index that was read on this machine", _CALLER, LockError, 409, "mealkit lock --upgrade base; or, for packages that mirrors have replaced since, set MEALKIT_DEBIAN_MIRROR to a snapshot of the archive from the date of the lock"),
    "DEBIAN_NO_MIRROR": Entry("no Debian mirror is configured", _PLATFORM, SourceError, 503, "set MEALKIT_DEBIAN_MIRROR to a mirror's address"),
    "DEBIAN_INDEX": Entry("a Debian index is missing, stale or contradicts its signed digest", _UPSTREAM, SourceError, 502, "try again; if the problem remains, use another mirror"),
    "BASE_INVALID": Entry("the image cannot be used as a kit's base", _AUTHOR, BuildError, 400, "choose a base for the kit's architecture"),
    # The lock
    "LOCK_MISSING": Entry("there is no kit.lock next to the kit file", _CALLER, LockError, 404, "mealkit lock"),
    "LOCK_INVALID": Entry("kit.lock is not a lock that this mealkit can read", _CALLER, LockError, 400, "delete kit.lock, then: mealkit lock (this resolves every input again)"),
    "LOCK_STALE": Entry("kit.lock does not match kit.yaml", _CALLER, LockError, 409, "mealkit lock"),
    # Images and where they live
    "REFERENCE_INVALID": Entry("a reference to an image cannot be read", _CALLER, StoreError, 400, "write it as NAME:VERSION or REGISTRY/NAME:TAG"),
    "IMAGE_NOT_FOUND": Entry("the image does not exist", _CALLER, StoreError, 404, "mealkit images lists the images; mealkit build builds one, and mealkit pull fetches one"),
    "VERSION_EXISTS": Entry("the name already belongs to an image with other bytes", _CALLER, StoreError, 409, "give the kit a new version in kit.yaml; or, to let the name refer to the new image, add --replace"),
    "IMAGE_INVALID": Entry("an image contradicts its own digests or the specification", _UPSTREAM, StoreError, 502, "build or pull the image again"),
    "IMAGE_UNCHECKED": Entry("a part of an image cannot be checked on this machine", _PLATFORM, StoreError, 501, "use Python 3.14 or later, which supports zstd, or install backports.zstd beside mealkit"),
    "BLOB_MISSING": Entry("a blob that an image needs is missing", _PLATFORM, StoreError, 500, "mealkit build restores it"),
    "BLOB_DAMAGED": Entry("a blob's bytes do not match its digest", _PLATFORM, StoreError, 500, "mealkit prune --damaged, then mealkit build"),
    "VOLUME_MISSING": Entry("a volume of an archive is missing", _CALLER, StoreError, 404, "name all volumes: mealkit load FILE.*"),
    "VOLUME_DAMAGED": Entry("a file of an archive is not complete, or its bytes changed", _CALLER, StoreError, 409, "copy the file again from where it was written; sha256sum -c FILE.sha256 checks all files"),
    "VOLUME_FOREIGN": Entry("a file is not a volume of the archive that the other files are", _CALLER, StoreError, 409, "name only the volumes of one archive"),
    "STORE_BUSY": Entry("another process has locked the store", _CALLER, StoreError, 409, "wait for the other command to end"),
    "HOME_UNSAFE": Entry("another user could change mealkit's files or temporary files", _CALLER, StoreError, 403, "set MEALKIT_HOME to a folder of your own that others cannot write to"),
    "CATALOGUE_INVALID": Entry("a catalogue of kits, or an entry in it, cannot be read", _UPSTREAM, StoreError, 502, "report it to the team that keeps the catalogue"),
    "CATALOGUE_CONFLICT": Entry("the catalogue has another kit under this name and version", _CALLER, StoreError, 409, "release a new version; or replace the entry: mealkit catalog add --replace"),
    "CATALOGUE_CHANGED": Entry("a catalogue no longer lists what it listed before", _UPSTREAM, StoreError, 409, "ask the team that keeps the catalogue whether that is meant"),
    "CATALOGUE_MISSING": Entry("no catalogue is named or configured", _CALLER, StoreError, 400, "name one: --catalog REGISTRY/NAME; or list it in mealkit's config.yaml"),
    "SETTINGS_INVALID": Entry("mealkit's configuration on this machine is not valid", _CALLER, KitError, 400, "correct the line that the message names"),
    "KIT_UNLISTED": Entry("no catalogue lists the kit", _CALLER, StoreError, 404, "mealkit catalog search TEXT"),
    "REGISTRY_UNREACHABLE": Entry("the registry cannot be reached", _PLATFORM, RegistryError, 503, "check the registry's address and the network"),
    "REGISTRY_DENIED": Entry("the registry refuses these credentials", _CALLER, RegistryError, 403, "mealkit login REGISTRY"),
    "REGISTRY_REFUSED": Entry("the registry refuses the request", _PLATFORM, RegistryError, 502, "read the registry's own message, or ask the registry's operator"),
    "REGISTRY_DIGEST": Entry("the registry's bytes do not match the digest", _UPSTREAM, RegistryError, 502, "push or pull again; report it to the registry's operator if it happens again"),
    "REGISTRY_INSECURE": Entry("a registry that is not on this machine would be used without encryption", _CALLER, RegistryError, 400, "use a registry with TLS"),
    "LAYER_TOO_LARGE": Entry("the registry does not accept a layer or a manifest of this size", _CALLER, RegistryError, 413, "split the weights into smaller files, or use another registry"),
    "MIRROR_UNUSED": Entry("a mirror of the container engine's configuration cannot be used, so the registry is asked", _CALLER, RegistryError, 400, "correct the file, or set MEALKIT_ENGINE_MIRRORS to other files, or to nothing"),
    "REGISTRY_REALM": Entry("a registry requests that its credentials are sent to a token server on another host", _CALLER, RegistryError, 403, "if it is the registry's token server, name it: MEALKIT_TOKEN_REALMS=REGISTRY=HOST"),
    "BYTECODE_UNAVAILABLE": Entry("the image's Python, which compiles its modules, cannot be run in a sandbox on this machine", _PLATFORM, BuildError, 503, "build on a Linux machine of the kit's architecture that allows user namespaces, or set runtime.bytecode: false in kit.yaml"),
    "BUILD_INPUT_MISSING": Entry("an input of the plan is missing", _PLATFORM, BuildError, 500, "mealkit build fetches it"),
    "LAYER_INVALID": Entry("a file or link cannot be written into a layer", _AUTHOR, BuildError, 400, "rename or leave out the path that is named"),
    "OUTPUT_EXISTS": Entry("the output path already exists", _CALLER, BuildError, 409, "choose another path, or delete what is there"),
    # Keys and signatures
    "KEY_INVALID": Entry("a file is not a key that mealkit uses", _CALLER, TrustError, 400, "mealkit keygen FILE creates a key"),
    "KEY_PASSPHRASE": Entry("the passphrase of a private key is missing or wrong", _CALLER, TrustError, 401, "type it in a terminal, or use --passphrase-file, --passphrase-fd or MEALKIT_KEY_PASSPHRASE"),
    "KEY_EXPOSED": Entry("other users of the machine can read a private key", _CALLER, TrustError, 403, "chmod 600 FILE; create a new key if it may have been copied"),
    "KEYLESS_MISSING": Entry("signing or verifying with an identity needs a library that is not installed", _CALLER, TrustError, 501, "pip install 'mealkit[keyless]'"),
    "KEYLESS_FAILED": Entry("an image could not be signed with an identity", _PLATFORM, TrustError, 502, "allow the CI job an identity token for the audience sigstore; or sign with a key: mealkit sign REF --key FILE"),
    "SIGNATURE_MISSING": Entry("an image has no signature", _AUTHOR, TrustError, 403, "mealkit sign REF --key FILE"),
    "SIGNATURE_KEY": Entry("no trusted key made a signature", _AUTHOR, TrustError, 403, "trust the signer's key if you know whose it is, or have a trusted key sign: mealkit sign REF --key FILE"),
    "SIGNATURE_ALTERED": Entry("a signature does not match what it signs", _AUTHOR, TrustError, 403, "do not use the image; report it to the registry's operator, and sign again: mealkit sign REF --key FILE"),
    "SIGNATURE_SUBJECT": Entry("a signature is about another image", _AUTHOR, TrustError, 403, "do not use the image; sign it if it is the right one: mealkit sign REF --key FILE"),
    "SIGNATURE_INVALID": Entry("a signature cannot be read, or exceeds a limit", _AUTHOR, TrustError, 403, "sign again: mealkit sign REF --key FILE"),
    "SIGNATURE_EXPIRED": Entry("a signature was made outside the time in which its key is valid", _AUTHOR, TrustError, 403, "sign again with a key that is valid: mealkit sign REF --key FILE"),
    "SIGNATURE_REVOKED": Entry("the key of a signature is revoked", _AUTHOR, TrustError, 403, "check the image, and sign it with a new key: mealkit sign REF --key FILE"),
    "SIGNATURE_LEGACY": Entry("an image has only a signature in the older layout, without a bundle", _AUTHOR, TrustError, 403, "mealkit sign REF --key FILE writes both; or accept the older layout: mealkit verify REF --legacy"),
    "PREDICATE_INVALID": Entry("a statement to sign is not a JSON object, or is too large", _CALLER, TrustError, 400, "name a file with one JSON object"),
    # Proof by rebuilding
    "REBUILD_DIFFERS": Entry("an image is not the one that its lock makes", _AUTHOR, TrustError, 403, "do not use the image; ask its owner, with the name of the file that differs"),
    "REBUILD_UNPROVEN": Entry("a layer could not be built again, because an input is not available", _UPSTREAM, TrustError, 503, "name a folder with the input (--inputs DIR), or a mirror that still has it, such as a snapshot of Debian's archive"),
    "REBUILD_VERSION": Entry("an image contains another version of mealkit than the one that builds it again", _CALLER, TrustError, 409, "use that version"),
    "CONTENT_DIFFERS": Entry("a file on a disk or in a container is not the one that a lock or an image pins", _PLATFORM, TrustError, 409, "stop using it; put back the pinned files, or find out who changed them"),
    # Containers
    "CLIENT_NONE": Entry("no container client works on this machine", _PLATFORM, ContainerError, 503, "start docker, or allow user namespaces for the sandbox"),
    "CLIENT_UNAVAILABLE": Entry("the chosen container client does not work on this machine", _PLATFORM, ContainerError, 503, "start it, or choose another with --client"),
    "CONTAINER_FAILED": Entry("the container did not start or did not become ready", _PLATFORM, ContainerError, 500, "mealkit logs NAME"),
    "CONTAINER_NOT_FOUND": Entry("no running kit has this name", _CALLER, ContainerError, 404, "mealkit ps"),
    "CONTAINER_EXISTS": Entry("there is already a container of this name", _CALLER, ContainerError, 409, "mealkit stop NAME, or choose another with --name"),
    "CONTAINER_TIMEOUT": Entry("the container did not become ready in time", _PLATFORM, ContainerError, 504, "mealkit logs NAME, or wait longer with --timeout"),
    "CLIENT_REFUSED": Entry("the container client refused the request", _PLATFORM, ContainerError, 500, "read the client's own message"),
    "PORT_TAKEN": Entry("the port is in use", _CALLER, ContainerError, 409, "choose another with --port, or 0 for any free one"),
    # The address of a deployment
    "FRONT_IMAGE": Entry("the image of the front, which keeps the address of a deployment, could not be made", _PLATFORM, DeploymentError, 503, "it is made once from Debian's packages: set MEALKIT_DEBIAN_MIRROR to a mirror that has them, and run the command again"),
    "FRONT_FAILED": Entry("the front of a deployment does not run, or does not do what was asked", _PLATFORM, DeploymentError, 503, "run the command again; it starts a missing front"),
    "REVISION_AWAY": Entry("no revision of the deployment answers now", _PLATFORM, DeploymentError, 503, "send the request again after some seconds; on the machine, mealkit status says what is wrong"),
    # The machine
    "FACTS_INVALID": Entry("the file does not contain facts about a machine", _CALLER, PreflightError, 400, "write it on that machine: mealkit host --json"),
    "HOST_ARCHITECTURE": Entry("the machine's architecture is not one of the kit's", _PLATFORM, PreflightError, 503, "run the kit on a machine of a listed architecture, add this one to hardware.architectures, or register an emulator (qemu-user-static)"),
    "HOST_MEMORY": Entry("the machine or the cgroup has less memory than the kit needs", _PLATFORM, PreflightError, 503, "raise the memory limit, or use a larger machine"),
    "HOST_DISK": Entry("the disk has less free space than the kit needs", _PLATFORM, PreflightError, 503, "free space, or set MEALKIT_HOME to a larger disk"),
    "ESTIMATE_UNKNOWN": Entry("the model's files do not contain enough to estimate its memory", _CALLER, PreflightError, 400, "name a model with safetensors or GGUF weights and its config.json"),
    "HOST_DRIVER_OLD": Entry("the GPU's driver is older than the kit's CUDA version requires", _PLATFORM, PreflightError, 503, "update the NVIDIA driver of the machine"),
    "HOST_DRIVER_MISSING": Entry("the GPU's driver, or its library, cannot be found", _PLATFORM, PreflightError, 503, "install the NVIDIA driver, and give the container the GPU (docker run --gpus all)"),
    "HOST_NVML_MISMATCH": Entry("the driver in the kernel and the driver's libraries have different versions", _PLATFORM, PreflightError, 503, "restart the machine to load the driver that was installed last"),
    "HOST_TOOLKIT_MISSING": Entry("the container client cannot pass GPUs to containers: NVIDIA's toolkit is missing or not set up", _PLATFORM, PreflightError, 503, "install the NVIDIA Container Toolkit, then: nvidia-ctk runtime configure"),
    "HOST_CDI_MISSING": Entry("no CDI spec describes the GPU that the container requests", _PLATFORM, PreflightError, 503, "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"),
    "HOST_SHM": Entry("shared memory (/dev/shm) is too small for the data that the engine's processes share", _PLATFORM, PreflightError, 503, "docker run --shm-size 16g, or a memory-backed volume at /dev/shm"),
    "HOST_ULIMIT": Entry("a limit on processes, threads, open files or locked memory is too low", _PLATFORM, PreflightError, 503, "raise the container's limit (docker run --pids-limit 4096 --ulimit nofile=65536)"),
    "HOST_CLOCK": Entry("the machine's clock is wrong", _PLATFORM, PreflightError, 503, "set the clock (timedatectl set-ntp true)"),
    "HOST_PERMISSIONS": Entry("this user, or the container, may not use a device that the kit needs", _PLATFORM, PreflightError, 503, "give the container the device, and its user the group that owns it; then start it again"),
    "HW_CPU": Entry("the processor lacks instructions that the kit's engine is compiled for", _HARDWARE, PreflightError, 503, "run the kit on a machine with such a processor; in a virtual machine, pass the host's processor through"),
    "HW_NO_GPU": Entry("the kit requires a GPU, and no GPU is visible", _HARDWARE, PreflightError, 503, "run the kit on a machine with a GPU, and give the container access to it"),
    "HW_GPU_COUNT": Entry("the kit uses more GPUs than the machine has", _HARDWARE, PreflightError, 503, "run the kit on a machine with as many GPUs as it requires, and give the container all of them"),
    "HW_COMPUTE_CAPABILITY": Entry("the GPU is older than the kit's engine or quantisation requires", _HARDWARE, PreflightError, 503, "run the kit on a GPU with at least the required compute capability"),
    "HW_ARCHLIST": Entry("the kit's packages contain no code for this GPU", _AUTHOR, PreflightError, 503, "name packages that are built for this GPU in runtime.requirements, then: mealkit lock --upgrade python"),
    "HW_DTYPE": Entry("the GPU cannot compute in the kit's data type", _HARDWARE, PreflightError, 503, "run the kit on a GPU with at least the required compute capability, or use a kit with another data type"),
    "HW_ECC": Entry("the GPU's memory has errors that cannot be corrected", _HARDWARE, PreflightError, 503, "reset the GPU (nvidia-smi --gpu-reset) or restart the machine; replace the GPU if the error comes back"),
    "HW_GPU_LOST": Entry("the GPU no longer responds", _HARDWARE, PreflightError, 503, "restart the machine; if the error comes back, check the GPU's power, temperature and seating"),
    "HW_MIG": Entry("the GPU is divided into MIG slices, and the kit's engine cannot use the slice that it got", _PLATFORM, PreflightError, 503, "give the container one MIG slice that is large enough, or a whole GPU"),
    "FIT_VRAM": Entry("the GPU has less free memory than the kit needs", _PLATFORM, PreflightError, 503, "stop other programs that use the GPU's memory, or use a GPU with more memory"),
    "FIT_HEADS": Entry("the model cannot be divided among the number of GPUs that the kit sets", _AUTHOR, PreflightError, 503, "choose a number of GPUs in runtime.settings that divides the model's attention heads, then: mealkit lock"),
    "FIT_CONTEXT": Entry("the context that the kit pins does not fit into the GPU's memory", _PLATFORM, PreflightError, 503, "use a GPU with more memory, or a kit that pins a shorter context"),
    # In the container
    "WEIGHTS_MISMATCH": Entry("the weights in the container are not the locked ones", _PLATFORM, EngineError, 503, "mount the weights again from a verified store, or pull the image again"),
    "WEIGHTS_MISSING": Entry("a locked weight file is not in the container", _PLATFORM, EngineError, 503, "run the full image, or mount the weights: mealkit run does both"),
    "ENGINE_START": Entry("the engine did not start", _AUTHOR, EngineError, 503, "read the log tail that is shown; correct the kit's engine settings"),
    "ENGINE_DIED": Entry("the engine's process ended", _AUTHOR, EngineError, 503, "read the log tail; give the kit more memory if it was killed"),
    "ENGINE_OUT_OF_MEMORY": Entry("the engine needs more memory than its limit", _PLATFORM, EngineError, 503, "raise the container's memory limit, or use a machine with more memory"),
    "ENGINE_MEMORY_STATED": Entry("the kit needs more memory than its hardware.memory states", _AUTHOR, EngineError, 503, "state more in hardware.memory in kit.yaml, or delete the line; then: mealkit lock"),
    "ENGINE_ILLEGAL_INSTRUCTION": Entry("the engine was built for another processor", _AUTHOR, EngineError, 503, "name packages that are built for any processor of the architecture (llama.cpp: GGML_NATIVE=OFF) in runtime.requirements"),
    "ENGINE_LIBRARY": Entry("a shared library that the engine needs is missing or too old in the image", _AUTHOR, EngineError, 503, "choose a newer base in kit.yaml, or packages that are built for an older one"),
    "ENGINE_OFFLINE": Entry("the engine tries to download a file when it starts; kits have no network", _AUTHOR, EngineError, 503, "name the file in model.weights, then: mealkit lock"),
    "ENGINE_REMOTE_CODE": Entry("the model requires its own code to be run", _AUTHOR, EngineError, 503, "use an engine version that supports the model without its code"),
    "ENGINE_ANSWER": Entry("the engine's answer is not valid", _AUTHOR, EngineError, 502, "read the engine's log; report it with the request's id"),
    "HANDLER_FAILED": Entry("the kit's own code raised an error on a request", _AUTHOR, EngineError, 500, "find the traceback in the engine's log, and correct the line that it names"),
    "TEMPLATE_COST": Entry("a template takes too much time or memory for any variables", _AUTHOR, EngineError, 500, "simplify the template: use fewer loops, and no value that grows with each step"),
    "ENGINE_GAVE_UP": Entry("the engine died too often and will not be restarted", _AUTHOR, EngineError, 503, "read the log tail, then restart the container"),
    "ENGINE_HUNG": Entry("the engine's process runs, but does not answer", _AUTHOR, EngineError, 503, "read the log tail; check the GPU with nvidia-smi if the engine uses one"),
    "NOT_READY": Entry("the kit is not ready to answer", _PLATFORM, EngineError, 503, "wait until /v1/health/ready answers 200"),
    "DRAINING": Entry("the kit is shutting down", _PLATFORM, EngineError, 503, "send the request to another replica"),
    "KEYS_MISSING": Entry("other machines can reach the kit, and it has no API keys", _PLATFORM, ContainerError, 500, "create one with mealkit key new --file FILE, mount the file and set MEALKIT_KEYS_FILE; or set MEALKIT_AUTH=off if no one else can reach the port"),
    "CONFIG_INVALID": Entry("a setting of the container is not valid", _PLATFORM, ContainerError, 500, "correct the environment variable that is named"),
    # Requests
    "REQUEST_INVALID": Entry("the request's body is not valid for this endpoint", _CALLER, RequestError, 400, "correct the field that is named"),
    "INPUT_REFUSED": Entry("the kit's own code cannot use an input that is well formed", _CALLER, RequestError, 422, "change the input as the message says"),
    "REQUEST_UNSUPPORTED": Entry("the request uses a feature that this kit does not support", _CALLER, RequestError, 400, "leave the parameter out"),
    "REQUEST_TOO_LONG": Entry("the input has more tokens than the kit accepts", _CALLER, RequestError, 400, "shorten the input, or split it"),
    "REQUEST_TOO_LARGE": Entry("the request's body has more bytes than the kit accepts", _CALLER, RequestError, 413, "send fewer inputs per request"),
    "REQUEST_MODEL": Entry("the request names a model that this kit does not serve", _CALLER, RequestError, 404, "use the name that /v1/models lists"),
    "REQUEST_KEY": Entry("the request has no valid API key", _CALLER, RequestError, 401, "send it as Authorization: Bearer KEY, or in x-api-key or api-key; get a key from the kit's operator"),
    "REQUEST_HOST": Entry("the kit requires no key, and the request's Host is not a known name of this kit", _CALLER, RequestError, 403, "use the kit's IP address or localhost; the kit's operator can add other names to MEALKIT_HOSTS, or require keys"),
    "REQUEST_ORIGIN": Entry("the kit requires no key, and the request comes from a web page of another origin", _CALLER, RequestError, 403, "send the request from a program; the kit's operator can add other origins to MEALKIT_ORIGINS"),
    "REQUEST_MEDIA_TYPE": Entry("the request's Content-Type is not JSON (or a form, for predictions), its Content-Encoding is not gzip, or a file has a type that the kit's code cannot use", _CALLER, RequestError, 415, "send the header Content-Type: application/json (curl: --json, or -H 'Content-Type: application/json')"),
    "REQUEST_ACCEPT": Entry("the answer's type is none that the request accepts", _CALLER, RequestError, 406, "accept the type that the message names, or */*"),
    "REQUEST_BUSY": Entry("the kit is at its limit of concurrent requests", _CALLER, RequestError, 429, "try again after the seconds in Retry-After"),
    "REQUEST_TIMEOUT": Entry("the answer took longer than the kit allows", _PLATFORM, RequestError, 504, "send a smaller request, or give the kit more resources"),
    "ROUTE_UNKNOWN": Entry("the kit does not have this endpoint", _CALLER, RequestError, 404, "see /v1/metadata for the endpoints of this kit"),
    "METHOD_UNKNOWN": Entry("the endpoint does not accept this method", _CALLER, RequestError, 405, "use the method in the Allow header"),
    # Policies
    "POLICY_INVALID": Entry("a policy is not valid", _PLATFORM, TrustError, 400, "correct the line that is named; then: mealkit policy check FILE"),
    "POLICY_UNREADABLE": Entry("a policy, or a file that it names, cannot be read, so nothing is accepted", _PLATFORM, TrustError, 500, "correct the file's path, owner or mode; then: mealkit policy check FILE"),
    "POLICY_UNSIGNED": Entry("no signature of the image counts for the policy", _AUTHOR, TrustError, 403, "sign the image with a key that the policy trusts: mealkit sign REFERENCE --key FILE"),
    "POLICY_EXPORT": Entry("another tool cannot express a rule of the policy", _CALLER, TrustError, 400, "change the rule that is named, or write the other tool's policy by hand"),
    "POLICY_LOCAL": Entry("the policy does not allow kits that were built on this machine", _CALLER, TrustError, 403, "run a signed image from a registry; or set local_builds: allow in the policy"),
    "POLICY_REGISTRY": Entry("the policy does not allow images from this place", _CALLER, TrustError, 403, "use an image from a place that the policy lists under registries"),
    "POLICY_NAME": Entry("the image states another name or version than its reference", _AUTHOR, TrustError, 403, "name the image that you mean by its digest; or push it under its own name and version"),
    "POLICY_BASE": Entry("the policy does not allow the kit's base", _AUTHOR, TrustError, 403, "build the kit on a base that the policy lists under bases"),
    "POLICY_LICENSE": Entry("the policy does not allow a licence of the kit", _AUTHOR, TrustError, 403, "use a kit with another licence; or ask the policy's owner to allow it"),
    "POLICY_OWNER": Entry("the policy does not know the kit's owner", _AUTHOR, TrustError, 403, "ask the policy's owner to list the kit's team under owners"),
    "POLICY_ENGINE": Entry("the policy does not allow the kit's engine", _AUTHOR, TrustError, 403, "build the kit with an engine that the policy lists under engines"),
    "POLICY_ATTESTATION": Entry("an attestation that the policy requires is missing, too old, or signed by another key", _AUTHOR, TrustError, 403, "attach it, signed with a key that the policy names: mealkit attest REFERENCE --key FILE; for a test, with --test-report FILE"),
    "POLICY_VULNERABLE": Entry("the kit has a package with a known vulnerability", _AUTHOR, TrustError, 403, "pin a version without it: mealkit lock --upgrade python; or state in a VEX file why the kit is not affected"),
    # Data contracts
    "DATA_SCHEMA": Entry("an input is not valid by the JSON Schema of the kit's data contract", _CALLER, DataError, 422, "correct the field that is named"),
    "DATA_LENGTH": Entry("a text is shorter or longer than the kit's data contract allows", _CALLER, DataError, 422, "shorten the text, split it, or leave it out"),
    "DATA_RANGE": Entry("a number is outside of the range of the kit's data contract", _CALLER, DataError, 422, "correct the number; check its unit"),
    "DATA_AGE": Entry("data is older than the kit's data contract allows, or has no date", _CALLER, DataError, 422, "send newer data, and state its date as in 2026-01-31"),
    "DATA_PROVENANCE": Entry("data does not state where it is from, as the kit's data contract requires", _CALLER, DataError, 422, "add the member that is named"),
    "DATA_LANGUAGES": Entry("a text is in a language that the kit was not made for", _CALLER, DataError, 422, "send texts in one of the languages that are named"),
    "DATA_QUALITY": Entry("a text is damaged: characters are lost, in a wrong encoding or repeated, or a scan was read wrongly", _CALLER, DataError, 422, "read the text from its source again, with the right encoding"),
    "DATA_DUPLICATES": Entry("two texts of a request are nearly the same", _CALLER, DataError, 422, "leave one of them out"),
    "DATA_REFUSED": Entry("data does not fit the kit's data contract", _CALLER, DataError, 422, "correct the rows that are named, or use a kit that was made for such data"),
    "DATA_UNREADABLE": Entry("a data file does not exist or cannot be read", _CALLER, DataError, 400, "name JSONL, CSV or Parquet files, or folders of texts"),
    "DATA_INPUT": Entry("it is not clear which input of the kit the data is for", _CALLER, DataError, 400, "name the input: --input NAME"),
    "DATA_CONTRACT": Entry("the kit does not state what its data must be like", _AUTHOR, DataError, 404, "add data.inputs to kit.yaml"),
    "DATA_TOKENIZER": Entry("the kit's tokenizer cannot count tokens on this machine", _AUTHOR, DataError, 501, "lock the kit, and name the kit's folder"),
    "DATA_PROFILE": Entry("a profile of data is not valid, or would be of too few rows", _CALLER, DataError, 400, "delete it and write it again: mealkit fit FILE... KIT --profile FILE"),
    "DATA_EXTRA": Entry("the packages that read data files are not installed", _CALLER, DataError, 501, "pip install 'mealkit[evaluation]'"),
    # Tests of claims and cases
    "TEST_FAILED": Entry("a claim or a case does not hold", _AUTHOR, AcceptanceError, 500, "read the worst rows: the kit, its data or the claim has to change"),
    "TEST_NAME_UNKNOWN": Entry("the kit has no claim of this name", _CALLER, AcceptanceError, 404, "use one of the names that the message lists"),
    "TEST_NOTHING": Entry("the kit states neither claims nor cases", _AUTHOR, AcceptanceError, 404, "write claims or cases into kit.yaml"),
    "TEST_DATA_INVALID": Entry("the data of a claim cannot be read", _AUTHOR, AcceptanceError, 400, "correct the file, or the columns that the claim names, then: mealkit lock"),
    "TEST_DATA_DIFFERS": Entry("a file of data is not the one that the lock pins", _AUTHOR, AcceptanceError, 409, "put back the pinned file, or pin the new one: mealkit lock --upgrade datasets"),
    "TEST_PACKAGE_MISSING": Entry("a library that a claim needs is not installed", _CALLER, AcceptanceError, 501, "pip install 'mealkit[evaluation]'; in an image: tests_in_image: true in kit.yaml; or --cases-only, which needs none"),
    "TEST_UNREACHABLE": Entry("the kit to test cannot be reached", _PLATFORM, AcceptanceError, 503, "check the address, and that the kit is ready: /v1/health/ready"),
    "TEST_KEY": Entry("the kit to test refuses the API key, or requires one", _CALLER, AcceptanceError, 401, "name a file with the key: --api-key-file FILE"),
    "TEST_NOT_A_KIT": Entry("the address to test does not answer as a kit does", _CALLER, AcceptanceError, 502, "name the address of a kit, without a path unless a proxy adds one"),
    "TEST_OTHER_RECIPE": Entry("the running kit has another recipe than the one to test", _CALLER, AcceptanceError, 409, "start the kit again, or name the kit that runs: --kit KIT"),
    "TEST_REPORT_STALE": Entry("a test's report is not of the image: another recipe answered, or its claims or data are others", _CALLER, TrustError, 409, "test the image again: mealkit test IMAGE --json > report.json"),
    "DATASET_MISSING": Entry("a file of a data set is neither on this machine, nor in the image, nor at a source in the lock", _CALLER, AcceptanceError, 404, "test the kit in its folder; or tests_in_image: true in kit.yaml"),
    # Deployments
    "CLUSTER_EXTRA": Entry("the client of Kubernetes is not installed", _CALLER, DeploymentError, 501, "pip install 'mealkit[kubernetes]'"),
    "CLUSTER_CONFIG": Entry("the kubeconfig is missing or not valid, or has no such context", _CALLER, DeploymentError, 400, "name another file or context: --kubeconfig FILE --context NAME; kubectl config get-contexts lists them"),
    "CLUSTER_UNREACHABLE": Entry("the cluster's API server cannot be reached, or answers too slowly", _PLATFORM, DeploymentError, 503, "check the server's address in the kubeconfig, the network, and that the API server runs: kubectl cluster-info"),
    "CLUSTER_CERTIFICATE": Entry("the certificate of the cluster's API server is not trusted or has expired", _PLATFORM, DeploymentError, 502, "fetch a new kubeconfig with the cluster's certificate authority, or renew the server's certificate"),
    "CLUSTER_CREDENTIALS": Entry("the cluster does not accept the credentials", _CALLER, DeploymentError, 401, "log in to the cluster again, as its operator describes; the kubeconfig names the user"),
    "CLUSTER_DENIED": Entry("the cluster does not allow this user to do this", _PLATFORM, DeploymentError, 403, "ask the cluster's operator for a Role that allows it"),
    "CLUSTER_NAMESPACE": Entry("the cluster has no such namespace; mealkit does not create one", _PLATFORM, DeploymentError, 404, "kubectl create namespace NAME, or name another: --namespace NAME"),
    "CLUSTER_KIND_MISSING": Entry("the cluster does not know this kind of object", _PLATFORM, DeploymentError, 404, "install its CustomResourceDefinition, or leave the object out of the deployment file"),
    "CLUSTER_CONFLICT": Entry("another program manages a field that the deployment sets", _CALLER, DeploymentError, 409, "leave the field to the other program, or take it over: --force-conflicts"),
    "CLUSTER_CHANGED": Entry("another program changed the deployment at the same time", _CALLER, DeploymentError, 409, "mealkit deploy status NAME --target kubernetes shows its present state; then apply again"),
    "CLUSTER_QUOTA": Entry("the namespace's quota does not allow the pods", _PLATFORM, DeploymentError, 403, "raise the ResourceQuota of the namespace, or delete what uses it"),
    "CLUSTER_REFUSED": Entry("the cluster refuses an object", _PLATFORM, DeploymentError, 422, "correct the field that is named, or ask the cluster's operator about the rule"),
    "CLUSTER_BUSY": Entry("the cluster's API server is overloaded, or failed several times", _PLATFORM, DeploymentError, 503, "try again later; kubectl get --raw /readyz?verbose shows what is wrong"),
    "CLUSTER_ANSWER": Entry("the cluster's answer is not valid, or is larger than mealkit reads", _PLATFORM, DeploymentError, 502, "check that the address is that of a Kubernetes API server"),
    "CLUSTER_NOT_DEPLOYED": Entry("the namespace has no such deployment or revision", _CALLER, DeploymentError, 404, "mealkit deploy apply TARGET --target kubernetes; or name another: --namespace NAME"),
    "ROLLOUT_FAILED": Entry("a rollout failed at one of its gates", _PLATFORM, DeploymentError, 500, "solve the problem that is named, then apply again"),
    "POD_UNSCHEDULABLE": Entry("no node of the cluster can take the pod", _PLATFORM, DeploymentError, 503, "add a node that fits, or free one; mealkit preflight KIT --target kubernetes shows each node"),
    "POD_IMAGE": Entry("a node cannot pull the image", _PLATFORM, DeploymentError, 502, "push the image to a registry that the nodes reach, and give the namespace the registry's credentials"),
    "POD_MEMORY": Entry("the container was killed because it needs more memory than its limit", _PLATFORM, DeploymentError, 503, "raise the memory limit of the deployment; mealkit estimate KIT shows what it needs"),
    "POD_EVICTED": Entry("a node evicted the pod", _PLATFORM, DeploymentError, 503, "give the node more of the resource that is named, or the pod a higher request for it"),
    "POD_START": Entry("the container cannot be created on its node", _PLATFORM, DeploymentError, 503, "correct what the message names: a missing Secret, ConfigMap, volume or device"),
    "POD_DIED": Entry("the container ended and did not say why", _AUTHOR, DeploymentError, 503, "read its log: kubectl logs POD --previous"),
    "POD_PROBE": Entry("the pod runs and does not become ready", _PLATFORM, DeploymentError, 503, "read its log: kubectl logs POD; raise the startup probe's budget if it is still loading"),
    "NODE_NOT_READY": Entry("the node does not take pods", _PLATFORM, PreflightError, 503, "kubectl describe node NODE; kubectl uncordon NODE if it was cordoned"),
    "NODE_TAINTED": Entry("the node takes only pods that tolerate its taint", _PLATFORM, PreflightError, 503, "add the toleration to the deployment file, or use another node"),
    "NODE_RESOURCES": Entry("other pods have requested too much of the node", _PLATFORM, PreflightError, 503, "free the node, add another, or lower the requests of the deployment"),
    "NODE_IMAGE_VOLUMES": Entry("the node's Kubernetes cannot mount an image as a volume", _PLATFORM, PreflightError, 503, "keep the weights in the image, or in a PersistentVolumeClaim; image volumes need Kubernetes 1.33 with their feature gate, or 1.36"),
    "DEPLOY_FILE_INVALID": Entry("deploy.yaml is not valid", _PLATFORM, DeploymentError, 400, "correct the line that is named"),
    "DEPLOY_UNFIT": Entry("the kit or the target cannot do what deploy.yaml asks for", _PLATFORM, DeploymentError, 400, "change the field that is named, or choose another target"),
    "DEPLOY_IMAGE": Entry("the image of a deployment is not known by its digest, or is not the kit's", _PLATFORM, DeploymentError, 400, "push the image, and name it: --image REGISTRY/NAME:TAG"),
    "DEPLOYMENT_NOT_FOUND": Entry("there is no deployment of this name on this machine", _CALLER, DeploymentError, 404, "mealkit status lists the deployments"),
    "DEPLOYMENT_REVISION": Entry("the deployment does not have the revision, or cannot go back to it", _CALLER, DeploymentError, 404, "mealkit history NAME lists the revisions"),
    "DEPLOYMENT_INVALID": Entry("the file of a deployment is damaged, or was written by another program", _PLATFORM, DeploymentError, 500, "restore the file from a backup; or delete its folder, and the containers that have the label dev.mealkit.deployment"),
    "DEPLOYMENT_BUSY": Entry("another command changes the deployment", _CALLER, DeploymentError, 409, "wait until it has ended, or add --wait"),
    "DEPLOYMENT_GATE": Entry("a new revision did not pass a gate, and the traffic is where it was before", _AUTHOR, DeploymentError, 503, "correct what the gate measured, then: mealkit up NAME KIT"),
    "DEPLOYMENT_DOWN": Entry("the deployment could neither change nor go back: no revision answers", _PLATFORM, DeploymentError, 503, "correct what the message names, then: mealkit status NAME, which tries again"),
    "DEPLOYMENT_PART": Entry("the container belongs to a deployment, which decides when it runs", _CALLER, DeploymentError, 409, "mealkit down NAME takes the deployment down; mealkit rollback NAME goes back"),
    "IMAGE_IN_USE": Entry("a deployment runs the image, or keeps it for the way back", _CALLER, StoreError, 409, "upgrade the deployment until the revision is no longer kept, or take it down: mealkit down NAME"),
    "CONSOLE_READ_ONLY": Entry("the console only shows, and does not change anything", _CALLER, DeploymentError, 403, "start it with: mealkit console --allow-changes"),
    "DEPLOYMENT_CLIENT": Entry("the deployment's containers are in another container client than the one that was named", _CALLER, DeploymentError, 409, "leave out --client, or take the deployment down first: mealkit down NAME"),
    "SWARM_MISSING": Entry("the engine is not a manager of a swarm", _PLATFORM, DeploymentError, 503, "docker swarm init; or name a manager: DOCKER_HOST=ssh://MANAGER"),
    "SWARM_FOREIGN": Entry("the swarm has a service of this name that mealkit did not create", _CALLER, DeploymentError, 409, "state another name in deploy.yaml"),
    "SWARM_BUSY": Entry("another command changes the same deployment", _CALLER, DeploymentError, 409, "wait for the other command to end, then apply again"),
    "SWARM_SECRET": Entry("the swarm lacks a secret that the deployment needs", _PLATFORM, DeploymentError, 404, "docker secret create NAME FILE; for the keys: mealkit deploy apply --keys FILE"),
    "SWARM_IMAGE": Entry("a node cannot pull the image", _PLATFORM, DeploymentError, 502, "push the image to a registry that all nodes reach, and log in there where you run mealkit"),
    "SWARM_UNSCHEDULED": Entry("no node of the swarm can take a container", _PLATFORM, DeploymentError, 503, "add a node that fits, or free one; docker node ls shows each node"),
    # Cost and audit
    "AUDIT_UNWRITABLE": Entry("the audit log cannot be written, and the kit answers nothing that it does not record", _PLATFORM, AuditError, 503, "make room on the disk of the audit log, or correct the folder's owner and mode; the kit goes on by itself"),
    "AUDIT_KEY": Entry("a key of the audit log is missing or is not valid", _CALLER, AuditError, 400, "name the file with the keys: --key FILE; in the container: MEALKIT_AUDIT_KEY_FILE"),
    "AUDIT_CHANGED": Entry("a line or a file of the audit log was changed, removed, replaced or moved", _PLATFORM, AuditError, 409, "keep the files as they are; compare them with a copy, and find out who could write to them"),
    "AUDIT_CUT": Entry("lines are missing at the end or the beginning of an audit log", _PLATFORM, AuditError, 409, "look for the missing files or lines in copies of the log"),
    "AUDIT_MISSING": Entry("there is no audit log, or not the line that was asked for", _CALLER, AuditError, 404, "name a folder with an audit log, its files, or a deployment; ops.audit in kit.yaml switches it on"),
    "USAGE_UNREADABLE": Entry("the usage of kits cannot be read", _CALLER, DeploymentError, 400, "name a kit that runs or ran here, a usage.sqlite, or postgresql://...; mealkit usage without a name reads all kits of this machine"),
    "BUDGET_EXCEEDED": Entry("a budget of the kit, or of the caller's key, does not cover the request", _PLATFORM, RequestError, 429, "try again after the seconds in Retry-After; the kit's operator can raise the budget in ops.cost.budgets, or in the key's line"),
    "BUDGET_UNAVAILABLE": Entry("the budgets cannot be read or written, so no request is admitted", _PLATFORM, RequestError, 503, "give the state folder space and a disk that can be written to; or start the database that MEALKIT_USAGE_DATABASE names"),
    "REQUEST_SCOPE": Entry("the caller's key is not for this endpoint", _CALLER, RequestError, 403, "use one of the endpoints that the message names, or another key"),
    "REQUEST_RATE": Entry("the caller's key has sent more requests than its rate allows", _CALLER, RequestError, 429, "try again after the seconds in Retry-After"),
    # Everything else
    "TEST_REPORT_INVALID": Entry("a file is not the report of a test", _CALLER, AcceptanceError, 400, "write it again: mealkit test KIT --json > report.json"),
    "TARGET_UNFIT": Entry("the command does not accept this kind of target", _CALLER, KitError, 400, "mealkit COMMAND --help lists the targets that it accepts"),
    "USAGE": Entry("an argument or an option of the command is missing, wrong, or contradicts another", _CALLER, UsageError, 400, "see --help"),
    "INTERNAL": Entry("mealkit itself failed", _UPSTREAM, MealkitError, 500, "report it with the log"),
}  # fmt: skip
