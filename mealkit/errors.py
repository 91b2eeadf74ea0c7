"""Problems, the error tree, and the catalogue of every code with its owner.

Refuses: a code that the catalogue does not know. Everything here runs in the image too, so the
standard library is all it may import.

The tree, one exit code each (1 is an unexpected error, 2 is a usage error of the command line)::

    MealkitError
    ├── KitError         3   the kit file is wrong
    ├── LockError        4   the lock is missing, stale or wrong
    ├── SourceError      5   an input cannot be had, or is not what was pinned
    ├── StoreError       6   the local store, a layout or an image is damaged or missing
    ├── RegistryError    7   a registry refuses or cannot be reached
    ├── BuildError       8   an image cannot be assembled
    ├── ContainerError   9   a container client cannot do what was asked
    ├── PreflightError  10   this machine does not fit the kit
    ├── EngineError     11   the engine did not start, or died
    └── RequestError    12   a caller's request is refused
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, ClassVar

# What is read of a text that others wrote.
_MESSAGE_CHARACTERS = 16384

QUOTED = "| "
"""What each line of a message begins with that is quoted from a log."""


class Owner(StrEnum):
    """Who can make a problem go away."""

    KIT_AUTHOR = "kit-author"
    PLATFORM = "platform"
    HARDWARE = "hardware"
    CALLER = "caller"
    UPSTREAM = "upstream"

    @property
    def who(self) -> str:
        """Who that is."""
        return _WHO[self]


_WHO = {
    Owner.KIT_AUTHOR: "whoever maintains the kit; its kit.yaml names the contact",
    Owner.PLATFORM: "whoever runs this machine, its container client, its network and its registry",
    Owner.HARDWARE: "whoever provides the machine and its GPUs",
    Owner.CALLER: "whoever ran the command or sent the request",
    Owner.UPSTREAM: "whoever publishes what the kit is made of, mealkit itself included",
}


class MealkitError(Exception):
    """One or more problems that end what was asked for; ``problems`` is never empty."""

    exit_code: ClassVar[int] = 1

    def __init__(self, *problems: "Problem") -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(f"{item.code}: {item.sentence}" for item in self.problems)


class KitError(MealkitError):
    """The kit file, or a file it names, is wrong."""

    exit_code = 3


class LockError(MealkitError):
    """The lock is missing, stale or wrong."""

    exit_code = 4


class SourceError(MealkitError):
    """An input cannot be had, or its bytes are not the pinned ones."""

    exit_code = 5


class StoreError(MealkitError):
    """An image or blob is missing or damaged where images live."""

    exit_code = 6


class RegistryError(MealkitError):
    """A registry refuses, or cannot be reached."""

    exit_code = 7


class BuildError(MealkitError):
    """An image cannot be assembled or rendered."""

    exit_code = 8


class ContainerError(MealkitError):
    """A container client cannot do what was asked."""

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


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue says of one code: meaning, owner, class, HTTP status and usual fix."""

    meaning: str
    owner: Owner
    error: type[MealkitError]
    http_status: int
    fix: str


@dataclass(frozen=True, slots=True)
class OwnerContact:
    """Whom to ask about a kit, in its author's words."""

    team: str
    contact: str
    support: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong (with the value), where, who owns it, and a hint: a command or an edit."""

    code: str
    message: str
    hint: str
    where: str | None
    owner: Owner
    measured: str | None = None
    """What there is, where the problem is that it is not what is required."""
    required: str | None = None
    contact: OwnerContact | None = None
    """Whom to ask; known where the owner is the author of a kit at hand."""

    @property
    def sentence(self) -> str:
        """The message's first line with measured and required side by side, then its others."""
        first, *rest = self.message.split("\n")
        sides = {"measured": self.measured, "required": self.required}
        numbers = ", ".join(f"{name} {value}" for name, value in sides.items() if value)
        return "\n".join([f"{first}: {numbers}" if numbers else first, *rest])

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form: the same fields on the command line, in HTTP bodies and logs.

        ``measured``, ``required`` and ``contact`` (team, contact, support) are there if known.
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
    """Make a problem of a catalogued code; its owner, and its hint unless given, come from there.

    Raises:
        KeyError: the catalogue does not know the code.
    """
    entry = CATALOGUE[code]
    return Problem(code, message, hint or entry.fix, where, entry.owner, measured, required)


def problem_of_json(form: Any) -> Problem | None:
    """Read the JSON form of a problem, whoever wrote it; None for anything else.

    The owner is the catalogue's: a log cannot hand a problem to somebody else. Lines after a
    message's first are marked as quoted, and everything else is one line, so that no text can look
    like another part of a problem.
    """
    if not isinstance(form, Mapping):
        return None
    code, message = form.get("code"), form.get("message")
    if not (isinstance(code, str) and code in CATALOGUE and isinstance(message, str)):
        return None
    names = ("hint", "where", "measured", "required")
    told = {name: _one_line(form[name]) for name in names if isinstance(form.get(name), str)}
    first, *rest = message[:_MESSAGE_CHARACTERS].splitlines() or [""]
    marked = [line if line.startswith(QUOTED) else QUOTED + line for line in rest]
    return problem(code, "\n".join([first, *marked]), **told)


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
    """Make the error, of the class that the catalogue names, for a single problem."""
    made = problem(code, message, hint=hint, where=where, measured=measured, required=required)
    return CATALOGUE[code].error(made)


def failures(problems: list[Problem]) -> MealkitError:
    """Make one error of several problems; the first one's class decides the exit code."""
    return CATALOGUE[problems[0].code].error(*problems)


_AUTHOR, _PLATFORM, _HARDWARE, _CALLER, _UPSTREAM = Owner

CATALOGUE: dict[str, Entry] = {
    # The kit file
    "KIT_NOT_FOUND": Entry("there is no kit file at the path", _CALLER, KitError, 404, "mealkit new NAME"),
    "KIT_SYNTAX": Entry("the kit file is not YAML", _AUTHOR, KitError, 400, "correct the line that is named"),
    "KIT_DUPLICATE_KEY": Entry("a key stands twice in one mapping", _AUTHOR, KitError, 400, "delete one of the two lines"),
    "KIT_ANCHOR_BOMB": Entry("anchors expand to more nodes than a kit may have", _AUTHOR, KitError, 400, "write the values out without nested anchors"),
    "KIT_UNKNOWN_FIELD": Entry("the kit has a field that mealkit does not know", _AUTHOR, KitError, 400, "delete the field, or correct its name; mealkit schema lists them"),
    "KIT_FIELD_MISSING": Entry("a required field is missing", _AUTHOR, KitError, 400, "add the field; mealkit schema describes it"),
    "KIT_INVALID": Entry("a field's value is not allowed", _AUTHOR, KitError, 400, "correct the value; mealkit schema describes the field"),
    "KIT_FILE_MISSING": Entry("a file that the kit names is not there", _AUTHOR, KitError, 400, "create the file, or correct its path in kit.yaml"),
    "KIT_PATH_OUTSIDE": Entry("a path in the kit leads outside its folder", _AUTHOR, KitError, 400, "move the file into the kit's folder; or, if the kit may read there, add --allow-folder FOLDER"),
    "KIT_SECRET": Entry("a file that the kit takes, or a value in it, looks like a secret", _AUTHOR, KitError, 400, "take it out of the kit; or, if everyone may see it, name it in allow_secrets of kit.yaml"),
    "KIT_PROMPT_INVALID": Entry("a prompt is not a template that can be applied", _AUTHOR, KitError, 400, "correct the template at the line that is named"),
    "KIT_PICKLE_ALLOWED": Entry("the kit allows pickle weights, which run code when loaded", _AUTHOR, KitError, 400, "convert the weights to safetensors and delete allow_pickle"),
    "KIT_EXISTS": Entry("there is already a kit where a new one should be written", _CALLER, KitError, 409, "choose another name, or delete the folder"),
    # Weights and other inputs
    "WEIGHTS_PICKLE": Entry("a weight file is a pickle, which runs code when loaded", _AUTHOR, SourceError, 400, "convert it to safetensors, or set model.allow_pickle: true after reading the code that made it"),
    "WEIGHTS_FORMAT": Entry("a weight file is not safetensors, GGUF, ONNX, data that an ONNX graph of the kit names, JSON or plain text", _AUTHOR, SourceError, 400, "convert the file, or leave it out of model.weights"),
    "WEIGHTS_DAMAGED": Entry("a weight file's header contradicts its size or its own rules", _UPSTREAM, SourceError, 502, "get the file again; if it stays so, tell whoever publishes it"),
    "WEIGHTS_CLASH": Entry("two weight entries give the same path in the image", _AUTHOR, KitError, 400, "leave one of them out, or give one an `into:` folder"),
    "SOURCE_DIGEST": Entry("an input's bytes are not the pinned ones", _UPSTREAM, SourceError, 502, "find out why the bytes changed; if the change is wanted: mealkit lock --upgrade weights"),
    "SOURCE_SIZE": Entry("an input ended early or is longer than pinned", _UPSTREAM, SourceError, 502, "run the command again; it resumes where it stopped"),
    "SOURCE_NOT_FOUND": Entry("the source does not have the input", _AUTHOR, SourceError, 404, "correct the name, version, revision or file in kit.yaml"),
    "SOURCE_DENIED": Entry("the source wants credentials, or acceptance of terms, that were not given", _CALLER, SourceError, 403, "log in to the source (for the Hub: hf auth login) and accept its terms"),
    "SOURCE_UNREACHABLE": Entry("the source cannot be reached", _PLATFORM, SourceError, 503, "check the network or the mirror's settings, or add a mirror to kit.yaml"),
    "SOURCE_REDIRECTS": Entry("the source redirects without end, or into the caller's own network", _UPSTREAM, SourceError, 502, "correct the address in kit.yaml, or use a mirror"),
    "SOURCE_ANSWER": Entry("the source answers with something that is not what it should be", _UPSTREAM, SourceError, 502, "try again later, or use a mirror"),
    "SOURCE_UNPINNED": Entry("a revision is a branch or tag where a commit is needed", _AUTHOR, SourceError, 400, "write the 40-digit commit that is named into kit.yaml"),
    "SOURCE_CHANGED": Entry("a local input changed while it was read, or after it was verified", _CALLER, SourceError, 409, "leave the file alone during the build, then run the command again"),
    "SOURCE_INSECURE": Entry("a source would be read without encryption or a digest", _AUTHOR, SourceError, 400, "use https, or a loopback address"),
    "DISK_FULL": Entry("there is no space left on the disk", _PLATFORM, StoreError, 507, "mealkit prune, or set MEALKIT_HOME to a larger disk"),
    "DISK_DENIED": Entry("a path cannot be read or written", _PLATFORM, StoreError, 500, "correct the path's owner or mode, or set MEALKIT_HOME"),
    # Packages and bases
    "PACKAGES_UNSOLVABLE": Entry("no set of Python packages satisfies the requirements", _AUTHOR, LockError, 409, "loosen the requirements that are named in runtime.requirements"),
    "PACKAGES_SOURCE_ONLY": Entry("a Python package has no wheel for the image's Python and platform", _AUTHOR, LockError, 409, "build a wheel (pip wheel NAME) and name it in runtime.wheels"),
    "PACKAGES_GONE": Entry("a pinned Python wheel is no longer at the index", _UPSTREAM, SourceError, 502, "mealkit lock --upgrade python"),
    "PACKAGES_TOOL": Entry("uv failed in a way that names no package", _PLATFORM, SourceError, 503, "check the index settings in uv.toml or UV_INDEX_URL"),
    "WHEEL_INVALID": Entry("a wheel is damaged, or holds paths that lead outside", _UPSTREAM, BuildError, 502, "get the wheel again, or pin another version"),
    "DEBIAN_UNSIGNED": Entry("a Debian index is not signed by a key of the archive keyring", _PLATFORM, SourceError, 502, "install debian-archive-keyring, set MEALKIT_DEBIAN_KEYRING, or set base.allow_unsigned: true"),
    "DEBIAN_UNSOLVABLE": Entry("the suite lacks a package that the base needs", _AUTHOR, LockError, 409, "choose another suite or python in kit.yaml"),
    "DEBIAN_GONE": Entry("a pinned Debian package is no longer on the mirror", _UPSTREAM, SourceError, 502, "mealkit lock --upgrade base"),
    "DEBIAN_UNVOUCHED": Entry("a Debian package of the lock is in no signed index that was read on this machine", _CALLER, LockError, 409, "mealkit lock --upgrade base; or, for packages that mirrors have replaced since, set MEALKIT_DEBIAN_MIRROR to a snapshot of the archive from the lock's days"),
    "DEBIAN_NO_MIRROR": Entry("no Debian mirror is configured", _PLATFORM, SourceError, 503, "set MEALKIT_DEBIAN_MIRROR to a mirror's address"),
    "DEBIAN_INDEX": Entry("a Debian index is missing, stale or contradicts its signed digest", _UPSTREAM, SourceError, 502, "try again; if it stays so, use another mirror"),
    "BASE_INVALID": Entry("the base image cannot carry a kit", _AUTHOR, BuildError, 400, "choose a base for the kit's architecture"),
    # The lock
    "LOCK_MISSING": Entry("there is no kit.lock beside the kit", _CALLER, LockError, 404, "mealkit lock"),
    "LOCK_INVALID": Entry("kit.lock is not a lock that this mealkit can read", _CALLER, LockError, 400, "delete kit.lock, then: mealkit lock (every input is resolved anew)"),
    "LOCK_STALE": Entry("kit.lock no longer says what the kit says", _CALLER, LockError, 409, "mealkit lock"),
    # Images and where they live
    "REFERENCE_INVALID": Entry("a reference to an image cannot be read", _CALLER, StoreError, 400, "write it as NAME:VERSION or REGISTRY/NAME:TAG"),
    "IMAGE_NOT_FOUND": Entry("there is no such image", _CALLER, StoreError, 404, "mealkit images lists what is there; mealkit build makes one"),
    "IMAGE_INVALID": Entry("an image contradicts its own digests or the specification", _UPSTREAM, StoreError, 502, "build or pull the image again"),
    "IMAGE_UNCHECKED": Entry("a part of an image cannot be checked on this machine", _PLATFORM, StoreError, 501, "use Python 3.14 or later, which reads zstd"),
    "BLOB_MISSING": Entry("a blob that an image needs is missing", _PLATFORM, StoreError, 500, "mealkit build, which puts it back"),
    "BLOB_DAMAGED": Entry("a blob's bytes are not those that its digest names", _PLATFORM, StoreError, 500, "mealkit prune --damaged, then mealkit build"),
    "STORE_BUSY": Entry("another process holds the store", _CALLER, StoreError, 409, "wait for the other command to end"),
    "HOME_UNSAFE": Entry("another user could change what mealkit keeps, or its temporary files", _CALLER, StoreError, 403, "set MEALKIT_HOME to a folder of your own that others cannot write to"),
    "REGISTRY_UNREACHABLE": Entry("the registry cannot be reached", _PLATFORM, RegistryError, 503, "check the registry's address and the network"),
    "REGISTRY_DENIED": Entry("the registry refuses these credentials", _CALLER, RegistryError, 403, "docker login REGISTRY"),
    "REGISTRY_REFUSED": Entry("the registry refuses the request", _PLATFORM, RegistryError, 502, "read the registry's own message; its operator can tell why"),
    "REGISTRY_DIGEST": Entry("the registry's bytes are not those that the digest names", _UPSTREAM, RegistryError, 502, "push or pull again; tell the registry's operator if it stays so"),
    "REGISTRY_INSECURE": Entry("a registry that is not on this machine would be used without encryption", _CALLER, RegistryError, 400, "use a registry with TLS"),
    "REGISTRY_REALM": Entry("a registry wants its credentials sent to a token server on a host that is not its own", _CALLER, RegistryError, 403, "if it is the registry's token server, name it: MEALKIT_TOKEN_REALMS=REGISTRY=HOST"),
    "BYTECODE_UNAVAILABLE": Entry("the image's Python, which compiles its modules, cannot be run and shut in on this machine", _PLATFORM, BuildError, 503, "build on a Linux machine of the kit's architecture where namespaces may be made, or set runtime.bytecode: false in kit.yaml"),
    "BUILD_INPUT_MISSING": Entry("the build was not handed an input of the plan", _PLATFORM, BuildError, 500, "mealkit build, which fetches it"),
    "LAYER_INVALID": Entry("a file or link cannot be written into a layer", _AUTHOR, BuildError, 400, "rename or leave out the path that is named"),
    "OUTPUT_EXISTS": Entry("the output path holds something else", _CALLER, BuildError, 409, "choose another path, or delete what is there"),
    # Containers
    "CLIENT_NONE": Entry("no container client works on this machine", _PLATFORM, ContainerError, 503, "start docker, or allow user namespaces for the sandbox"),
    "CLIENT_UNAVAILABLE": Entry("the chosen container client does not work on this machine", _PLATFORM, ContainerError, 503, "start it, or choose another with --client"),
    "CONTAINER_FAILED": Entry("the container did not start or did not become ready", _PLATFORM, ContainerError, 500, "mealkit logs NAME"),
    "CONTAINER_NOT_FOUND": Entry("there is no such running kit", _CALLER, ContainerError, 404, "mealkit ps"),
    "CONTAINER_EXISTS": Entry("there is already a container of this name", _CALLER, ContainerError, 409, "mealkit stop NAME, or choose another with --name"),
    "CONTAINER_TIMEOUT": Entry("the container did not become ready in time", _PLATFORM, ContainerError, 504, "mealkit logs NAME, or wait longer with --timeout"),
    "CLIENT_REFUSED": Entry("the container client refused what was asked", _PLATFORM, ContainerError, 500, "read the client's own message"),
    "PORT_TAKEN": Entry("the port is in use", _CALLER, ContainerError, 409, "choose another with --port, or 0 for any free one"),
    # The machine
    "FACTS_INVALID": Entry("the file does not hold facts about a machine", _CALLER, PreflightError, 400, "write it there again: mealkit host --json"),
    "HOST_ARCHITECTURE": Entry("the machine's architecture is not one of the kit's", _PLATFORM, PreflightError, 503, "run it on a machine of a listed architecture, or add this one to hardware.architectures"),
    "HOST_MEMORY": Entry("the machine or the cgroup has less memory than the kit needs", _PLATFORM, PreflightError, 503, "raise the memory limit, or use a larger machine"),
    "HOST_DISK": Entry("the disk has less free space than the kit needs", _PLATFORM, PreflightError, 503, "free space, or set MEALKIT_HOME to a larger disk"),
    "ESTIMATE_UNKNOWN": Entry("the files of a model do not say enough of it to estimate its memory", _CALLER, PreflightError, 400, "name a model with safetensors or GGUF weights and its config.json"),
    "HOST_DRIVER_OLD": Entry("the GPU's driver is older than the kit's CUDA needs", _PLATFORM, PreflightError, 503, "update the NVIDIA driver of the machine"),
    "HOST_DRIVER_MISSING": Entry("the GPU's driver, or its library, cannot be found", _PLATFORM, PreflightError, 503, "install the NVIDIA driver, and give the container the GPU (docker run --gpus all)"),
    "HOST_NVML_MISMATCH": Entry("the driver in the kernel and the driver's libraries are of different versions", _PLATFORM, PreflightError, 503, "restart the machine, which loads the driver that was installed last"),
    "HOST_TOOLKIT_MISSING": Entry("the container client cannot hand on GPUs: NVIDIA's toolkit is missing or not set up", _PLATFORM, PreflightError, 503, "install the NVIDIA Container Toolkit, then: nvidia-ctk runtime configure"),
    "HOST_CDI_MISSING": Entry("no CDI spec describes the GPU that the container asks for", _PLATFORM, PreflightError, 503, "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"),
    "HOST_SHM": Entry("shared memory (/dev/shm) is too small for what the engine's processes share", _PLATFORM, PreflightError, 503, "docker run --shm-size 16g, or a memory-backed volume at /dev/shm"),
    "HOST_ULIMIT": Entry("a limit on processes, threads, open files or locked memory is too low", _PLATFORM, PreflightError, 503, "raise the container's limit (docker run --pids-limit 4096 --ulimit nofile=65536)"),
    "HOST_CLOCK": Entry("the machine's clock is wrong", _PLATFORM, PreflightError, 503, "set the clock (timedatectl set-ntp true)"),
    "HOST_PERMISSIONS": Entry("this user, or the container, may not use a device that the kit needs", _PLATFORM, PreflightError, 503, "give the container the device, and its user the group that owns it; then start it again"),
    "HW_NO_GPU": Entry("the kit requires a GPU and none can be seen", _HARDWARE, PreflightError, 503, "run it on a machine with a GPU, and give the container access to it"),
    "HW_GPU_COUNT": Entry("the kit spreads over more GPUs than there are", _HARDWARE, PreflightError, 503, "run it on a machine with as many GPUs as the kit asks for, and give the container all of them"),
    "HW_COMPUTE_CAPABILITY": Entry("the GPU is older than the kit's engine or quantisation needs", _HARDWARE, PreflightError, 503, "run it on a GPU of at least the required compute capability"),
    "HW_ARCHLIST": Entry("the kit's packages hold no code for this GPU", _AUTHOR, PreflightError, 503, "name packages that are built for this GPU in runtime.requirements, then: mealkit lock --upgrade python"),
    "HW_DTYPE": Entry("the GPU cannot compute in the kit's data type", _HARDWARE, PreflightError, 503, "run it on a GPU of at least the required compute capability, or use a kit with another data type"),
    "HW_ECC": Entry("the GPU's memory has errors that cannot be corrected", _HARDWARE, PreflightError, 503, "reset the GPU (nvidia-smi --gpu-reset) or restart the machine; replace the GPU if it comes back"),
    "HW_GPU_LOST": Entry("the GPU does not answer any more", _HARDWARE, PreflightError, 503, "restart the machine; check the GPU's power, heat and seat if it comes back"),
    "HW_MIG": Entry("the GPU is cut into slices, and the kit's engine cannot use the one that it got", _PLATFORM, PreflightError, 503, "give the container one slice that is large enough, or a whole GPU"),
    "FIT_VRAM": Entry("the GPU has less free memory than the kit needs", _PLATFORM, PreflightError, 503, "end what else holds the GPU's memory, or use a GPU with more"),
    "FIT_HEADS": Entry("the model cannot be shared out over as many GPUs as the kit says", _AUTHOR, PreflightError, 503, "choose a number of GPUs in runtime.settings that divides the model's attention heads, then: mealkit lock"),
    "FIT_CONTEXT": Entry("the GPU's memory does not hold the context that the kit pins", _PLATFORM, PreflightError, 503, "use a GPU with more memory, or a kit that pins a shorter context"),
    # In the container
    "WEIGHTS_MISMATCH": Entry("the weights in the container are not the locked ones", _PLATFORM, EngineError, 503, "mount the weights again from a verified store, or pull the image again"),
    "WEIGHTS_MISSING": Entry("a locked weight file is not in the container", _PLATFORM, EngineError, 503, "run the full image, or mount the weights: mealkit run does both"),
    "ENGINE_START": Entry("the engine did not start", _AUTHOR, EngineError, 503, "read the log tail that is shown; correct the kit's engine settings"),
    "ENGINE_DIED": Entry("the engine's process ended", _AUTHOR, EngineError, 503, "read the log tail; give the kit more memory if it was killed"),
    "ENGINE_OUT_OF_MEMORY": Entry("the engine needs more memory than it may have", _PLATFORM, EngineError, 503, "raise the container's memory limit, or use a machine with more memory"),
    "ENGINE_ILLEGAL_INSTRUCTION": Entry("the engine was built for another processor", _AUTHOR, EngineError, 503, "name packages that are built for any processor of the architecture (llama.cpp: GGML_NATIVE=OFF) in runtime.requirements"),
    "ENGINE_LIBRARY": Entry("a shared library that the engine needs is missing or too old in the image", _AUTHOR, EngineError, 503, "choose a newer base in kit.yaml, or packages that are built for an older one"),
    "ENGINE_OFFLINE": Entry("the engine wants to fetch something when it starts, which kits do not do", _AUTHOR, EngineError, 503, "name the file in model.weights, then: mealkit lock"),
    "ENGINE_REMOTE_CODE": Entry("the model's files want their own code to be run", _AUTHOR, EngineError, 503, "use an engine version that knows the model without it"),
    "ENGINE_ANSWER": Entry("the engine answered with something that cannot be used", _AUTHOR, EngineError, 502, "read the engine's log; report it with the request's id"),
    "HANDLER_FAILED": Entry("the kit's own code raised an error on a request", _AUTHOR, EngineError, 500, "read the engine's log for the lines; correct the one that is named"),
    "TEMPLATE_COST": Entry("a template takes more work or memory than it may, whatever it is filled in with", _AUTHOR, EngineError, 500, "simplify the template: fewer loops, and nothing that grows with each step"),
    "ENGINE_GAVE_UP": Entry("the engine died too often and is not started again", _AUTHOR, EngineError, 503, "read the log tail, then restart the container"),
    "ENGINE_HUNG": Entry("the engine's process runs, but does not answer", _AUTHOR, EngineError, 503, "read the log tail; look at the GPU with nvidia-smi if the engine uses one"),
    "NOT_READY": Entry("the kit is not ready to answer", _PLATFORM, EngineError, 503, "wait until /v1/health/ready answers 200"),
    "DRAINING": Entry("the kit is shutting down", _PLATFORM, EngineError, 503, "send the request to another replica"),
    "KEYS_MISSING": Entry("callers from outside could reach the kit, and no API key is known", _PLATFORM, ContainerError, 500, "make one with mealkit key new --file FILE, mount the file and set MEALKIT_KEYS_FILE; or set MEALKIT_AUTH=off where nobody else reaches the port"),
    "CONFIG_INVALID": Entry("the container was started with a setting that cannot be used", _PLATFORM, ContainerError, 500, "correct the environment variable that is named"),
    # Requests
    "REQUEST_INVALID": Entry("the request's body is not what the endpoint takes", _CALLER, RequestError, 400, "correct the field that is named"),
    "REQUEST_UNSUPPORTED": Entry("the request asks for something this kit does not do", _CALLER, RequestError, 400, "leave the parameter out"),
    "REQUEST_TOO_LONG": Entry("the input has more tokens than the kit accepts", _CALLER, RequestError, 413, "shorten the input, or split it"),
    "REQUEST_TOO_LARGE": Entry("the request's body has more bytes than the kit accepts", _CALLER, RequestError, 413, "send fewer inputs at once"),
    "REQUEST_MODEL": Entry("the request names a model that this kit does not serve", _CALLER, RequestError, 404, "use the name that /v1/models lists"),
    "REQUEST_KEY": Entry("the request brings no API key that this kit knows", _CALLER, RequestError, 401, "send it as Authorization: Bearer KEY; whoever runs the kit gives keys out"),
    "REQUEST_HOST": Entry("the request, which needs no key, is for a host that is not known to be this kit's", _CALLER, RequestError, 403, "ask by address or as localhost; the operator of the kit names other hosts in MEALKIT_HOSTS, or gives out keys"),
    "REQUEST_ORIGIN": Entry("the request, which needs no key, was made by a web page of another origin", _CALLER, RequestError, 403, "ask from a program; the operator of the kit names other origins in MEALKIT_ORIGINS, or gives out keys"),
    "REQUEST_MEDIA_TYPE": Entry("the request's body is not stated to be JSON", _CALLER, RequestError, 415, "send the header Content-Type: application/json (curl: --json, or -H 'Content-Type: application/json')"),
    "REQUEST_BUSY": Entry("the kit answers as many requests as it can already", _CALLER, RequestError, 429, "try again after the seconds in Retry-After"),
    "REQUEST_TIMEOUT": Entry("the answer took longer than the kit allows", _PLATFORM, RequestError, 504, "send a smaller request, or give the kit more resources"),
    "ROUTE_UNKNOWN": Entry("there is no such endpoint", _CALLER, RequestError, 404, "see /v1/metadata for the endpoints of this kit"),
    "METHOD_UNKNOWN": Entry("the endpoint does not take this method", _CALLER, RequestError, 405, "use the method in the Allow header"),
    # Everything else
    "TARGET_UNFIT": Entry("what was named is of a kind that the command does not take", _CALLER, KitError, 400, "mealkit COMMAND --help says what it takes"),
    "USAGE": Entry("the command's options contradict each other", _CALLER, KitError, 400, "see --help"),
    "INTERNAL": Entry("mealkit itself failed", _UPSTREAM, MealkitError, 500, "report it with the log"),
}  # fmt: skip
