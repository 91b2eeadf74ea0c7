"""The limits of known registries are checked before an upload, and its form fits them."""

from dataclasses import dataclass

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.descriptor import LAYER
from mealkit.oci.image import BytesBlob, Layer, image_of
from mealkit.stores.registry.layer_limits import GB, GIB, MIB, limits_of, require_fits, slow_upload
from mealkit.stores.registry.registry_endpoint import endpoint_of

ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


@dataclass(frozen=True)
class Sized:
    """A blob of a size, without its bytes."""

    size_bytes: int

    @property
    def digest(self):
        return Digest.of(str(self.size_bytes).encode())


def image(*sizes):
    layers = tuple(Layer(LAYER, Sized(size), Sized(size).digest, "weights") for size in sizes)
    return image_of({"os": "linux", "architecture": "amd64"}, layers, {})


@pytest.mark.parametrize(
    ("registry", "most"),
    [
        ("ghcr.io", 10 * GB),
        ("public.ecr.aws", 10_000 * MIB),
        (ECR, 52_000 * MIB),
        ("123456789012.dkr-ecr.eu-central-1.on.aws", 52_000 * MIB),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", 52_000 * MIB),
        ("kitchen.azurecr.io", 200 * GIB),
    ],
)
def test_a_layer_that_is_too_large_is_refused_with_what_to_do(registry, most):
    """The largest layer that fits passes; one byte more names size, limit and remedy."""
    endpoint = endpoint_of(registry)
    require_fits(image(5, most), endpoint)
    with pytest.raises(MealkitError) as caught:
        require_fits(image(5, most + 1, most + 1, most + 2), endpoint)
    problems = caught.value.problems
    assert [item.code for item in problems] == ["LAYER_TOO_LARGE"] * 2
    assert problems[0].measured
    assert problems[0].required.startswith("at most")
    assert "max_shard_size" in problems[0].hint
    assert str(Sized(most + 1).digest) in problems[0].message


def test_a_registry_that_is_not_known_has_no_limit_for_layers():
    """Names that only look like a known registry's have none either."""
    for name in ("registry.example.org", "ghcr.io.example.org", "notghcr.io", "localhost:5000"):
        require_fits(image(10**15), endpoint_of(name))


def test_a_manifest_that_is_too_large_is_refused_anywhere():
    """Registries need not accept manifests above 4 MiB."""
    large = image_of({"os": "linux"}, (), {"org.example": "x" * (4 * MIB)})
    with pytest.raises(MealkitError, match="the manifest") as caught:
        require_fits(large, endpoint_of("registry.example.org"))
    assert caught.value.problems[0].required == "at most 4.0 MiB"


def test_a_time_limit_is_told_as_the_rate_that_it_needs():
    """GitHub ends an upload after ten minutes; small layers need no note."""
    note = slow_upload(image(6 * GB), endpoint_of("ghcr.io"))
    assert "after 10 minutes" in note
    assert "9.5 MiB per second" in note
    assert slow_upload(image(GB - 1), endpoint_of("ghcr.io")) is None
    assert slow_upload(image(6 * GB), endpoint_of("quay.io")) is None


def test_the_form_of_an_upload_fits_the_registry():
    """Quay gets large blobs in pieces, Google never, GitHub small pieces if any."""
    assert limits_of(endpoint_of("quay.io")).whole_bytes == 20 * GB
    for name in ("europe-docker.pkg.dev", "gcr.io", "eu.gcr.io"):
        assert not limits_of(endpoint_of(name)).takes_pieces
    assert limits_of(endpoint_of("ghcr.io")).piece_bytes == 4 * MIB
    assert BytesBlob(b"x").size_bytes < limits_of(endpoint_of("x.io")).piece_bytes
