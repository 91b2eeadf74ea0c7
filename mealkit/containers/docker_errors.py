"""Turns the exceptions of Docker's SDK into problems with owners.

The problem contains one line, not a daemon's nested messages.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from mealkit.errors import MealkitError, failure
from mealkit.web.trust import untrusted_words

EMBEDDED_HINT = "mealkit run --embedded, which loads the full image and mounts nothing"

# The daemons have no codes for these, only texts (moby 20.10 to 28, podman 4 and 5).
_PROBLEMS = [
    (re.compile(pattern, re.IGNORECASE), code, hint)
    for pattern, code, hint in (
        ("port is already allocated|address already in use", "PORT_TAKEN", None),
        (
            "no such image|image not known|unable to find image",
            "IMAGE_NOT_FOUND",
            "run the command again; it loads the image first",
        ),
        (
            "available, non-overlapping IPv4 address pool|address pools have been fully subnetted",
            "CLIENT_REFUSED",
            "docker network prune; or configure more default-address-pools for the daemon",
        ),
        ("name .* is (already )?in use", "CONTAINER_EXISTS", None),
        (
            "bind source path does not exist|mounts denied|invalid mount config",
            "CLIENT_REFUSED",
            EMBEDDED_HINT,
        ),
        (
            "could not select device driver|unresolvable CDI devices|nvidia-container-cli",
            "CLIENT_REFUSED",
            "install the NVIDIA Container Toolkit, then: nvidia-ctk runtime configure",
        ),
    )
]


@contextmanager
def ours(client: str, doing: str) -> Iterator[None]:
    """Raise mealkit's problems instead of exceptions of the SDK or its HTTP library."""
    # Imported late: the SDK takes 0.2 s, and most commands do not need it.
    import docker.errors  # noqa: PLC0415
    import requests  # noqa: PLC0415
    import urllib3.exceptions  # noqa: PLC0415

    try:
        yield
    except docker.errors.APIError as error:
        raise refused(client, doing, error.status_code, _text(error)) from error
    except (
        docker.errors.DockerException,
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
    ) as error:
        raise failure("CLIENT_UNAVAILABLE", f"{client} cannot {doing}: {reason(error)}") from error


def refused(client: str, doing: str, status: int | None, text: str) -> MealkitError:
    """Return the problem for a daemon's error."""
    for pattern, code, hint in _PROBLEMS:
        if pattern.search(text):
            # The daemon's sentence has the container's whole id and a hint of its own.
            said = "another container has its name" if code == "CONTAINER_EXISTS" else text
            return failure(code, f"{client} cannot {doing}: {said}", hint=hint)
    code = "CONTAINER_NOT_FOUND" if status == 404 else "CLIENT_REFUSED"
    return failure(code, f"{client} cannot {doing}: {text}")


def reason(error: BaseException) -> str:
    """Return the most useful line of the SDK's nested errors."""
    for link in _chain(error):
        match link:
            case FileNotFoundError():
                return "the socket of its daemon does not exist"
            case PermissionError():
                return "this user may not use its socket (on most systems: join the group docker)"
            case ConnectionRefusedError():
                return "no daemon listens at its socket"
            case _:
                continue
    # The innermost error is the most specific; the outer ones repeat it in brackets.
    last = _chain(error)[-1]
    text = (str(last) or type(last).__name__).splitlines()[0][:300]
    untrusted = untrusted_words(text)
    # Docker's clients have a store of their own.
    return f"{untrusted[0]} (ca.pem in DOCKER_CERT_PATH names its authority)" if untrusted else text


def _text(error: Exception) -> str:
    explanation = getattr(error, "explanation", None) or str(error)
    if isinstance(explanation, bytes):
        explanation = explanation.decode(errors="replace")
    return " ".join(str(explanation).split())[:500]


def _chain(error: BaseException) -> list[BaseException]:
    """Collect the causes and wrapped arguments of an error, outermost first."""
    found = [error]
    for link in found:
        inside = [link.__cause__, link.__context__, *link.args, getattr(link, "reason", None)]
        found += [item for item in inside if isinstance(item, BaseException) and item not in found]
    return found
