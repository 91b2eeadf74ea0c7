"""A signed kit for two architectures, and registries with and without the referrers API."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.little import OFFLINE, Heard, little_pair
from fakes.quirky_registry import QuirkyRegistry
from fakes.signatures import bundled, new_signer, simple
from stores.registry.conftest import RegistryProcess

from mealkit.oci.artifact import Attachment, artifact_of
from mealkit.oci.image import BytesBlob
from mealkit.oci.index import ImageIndex
from mealkit.oci.model_artifacts import MODELPACK
from mealkit.pipeline.home import Home, home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.reaching import Registries
from mealkit.trust.signing_keys import SigningKey
from mealkit.trust.verified import SBOM


@dataclass(frozen=True)
class SignedPair:
    """A home with the kit little:1.0.0, signed; its index is what the signatures are about."""

    home: Home
    kit: Path
    index: ImageIndex
    signer: SigningKey
    public: Path


@pytest.fixture(scope="session")
def signed_pair(tmp_path_factory: pytest.TempPathFactory) -> SignedPair:
    """The kit, with signatures in both layouts, an SBOM, and a ModelPack with its weights again."""
    folder = tmp_path_factory.mktemp("signed-pair")
    home, kit = home_at(folder / "home"), little_pair(folder / "kit")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        report = build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=Heard())
    store = LocalStore(home.store)
    index = store.content(str(report.digest))
    assert isinstance(index, ImageIndex)
    signer, attached = new_signer(), Attached(store)
    attached.add(bundled(signer, index.descriptor))
    attached.add(bundled(signer, index.descriptor, SBOM))
    attached.add(simple([signer], index.descriptor))
    weights = (kit / "weights" / "model.safetensors").read_bytes()
    raw = Attachment("application/vnd.cncf.model.weight.v1.raw", BytesBlob(weights), {})
    attached.add(artifact_of(MODELPACK, [raw], subject=index.descriptor))
    public = folder / "team.pub"
    public.write_bytes(signer.public.pem)
    return SignedPair(home, kit, index, signer, public)


@pytest.fixture(scope="module")
def fallback(tmp_path_factory):
    """The real docker-registry, which has no referrers API."""
    server = RegistryProcess(tmp_path_factory.mktemp("registry")).start()
    yield server
    server.kill()


@pytest.fixture
def quirky():
    server = QuirkyRegistry()
    server.has_referrers = True
    yield server
    server.close()


@pytest.fixture
def registries():
    with Registries.from_environment() as found:
        yield found
