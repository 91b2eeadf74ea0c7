"""Logs in to a registry: verifies a credential, then keeps it where docker and podman look."""

from dataclasses import dataclass

from mealkit.errors import MealkitError, failure
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import Home
from mealkit.stores.registry.credentials import Credential, Credentials
from mealkit.stores.registry.docker_config import DockerConfig
from mealkit.stores.registry.exchange import RegistryCall
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.registry_endpoint import endpoint_of


@dataclass(frozen=True, slots=True)
class Login:
    """The result of a login: the registry, and where the credential is kept."""

    registry: str
    place: str
    is_verified: bool
    """False if the registry does not ask for credentials."""


def log_in(registry: str, username: str, password: str, home: Home) -> Login:
    """Verify a user name and a password with a registry, then keep them.

    Raises:
        KitError: ``USAGE``: the user name is not valid.
        RegistryError: ``REGISTRY_DENIED``: the registry refuses them, or they cannot be kept;
            ``REGISTRY_*``.
    """
    name = registry_name(registry)
    if not username or ":" in username:
        # RFC 7617: what follows the first colon is the password.
        raise failure("USAGE", f"{username!r} is not a user name: it is empty, or has a colon")
    credential = Credential(username, password)
    is_verified = _is_verified(name, credential)
    return Login(name, _config(home).save(name, credential), is_verified)


def log_out(registry: str, home: Home) -> tuple[bool, bool]:
    """Delete the credentials of a registry.

    Return whether there were any, and whether another file or helper still has some.

    Raises:
        RegistryError: ``REGISTRY_DENIED``: the file cannot be read, or the helper fails.
    """
    name = registry_name(registry)
    was_there = _config(home).erase(name)
    return was_there, Credentials.from_environment().lookup(name) is not None


def registry_name(text: str) -> str:
    """Return the name of a registry as references have it; an address is also accepted.

    Raises:
        StoreError: ``REFERENCE_INVALID``.
    """
    host = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    return endpoint_of(Reference(host, "login").registry or host).registry


def _config(home: Home) -> DockerConfig:
    return DockerConfig.from_environment(home.root / "login.lock")


class _Given(Credentials):
    """One credential, whatever the files say; it records whether it was asked for."""

    def __init__(self, credential: Credential) -> None:
        super().__init__(())
        self.is_used = False
        self._credential = credential

    def lookup(self, registry: str, repository: str = "") -> Credential | None:  # noqa: ARG002
        """Return the credential."""
        self.is_used = True
        return self._credential


def _is_verified(registry: str, credential: Credential) -> bool:
    """Ask the registry for its base address, which needs a login wherever anything does.

    Raises:
        RegistryError: ``REGISTRY_DENIED``.
    """
    given = _Given(credential)
    with Registries.from_environment(credentials=given) as registries:
        client = registries.client(Reference(registry, "login"))
        try:
            answer = client.send(RegistryCall("GET", "/v2/"))
        except MealkitError as error:
            if error.problems[0].code != "REGISTRY_DENIED":
                raise
            raise _refused(registry) from None
        if answer.status == 401:
            raise _refused(registry)
        if answer.status != 200 or answer.is_page:
            raise client.refusal("GET /v2/", answer)
        return given.is_used


def _refused(registry: str) -> MealkitError:
    return failure(
        "REGISTRY_DENIED",
        f"{registry} refuses this user name with this password; nothing was changed",
        where=registry,
        hint="correct them; many registries need a token instead of the account's password",
    )
