"""Reading images: what is fetched, what is chosen, what is refused."""

import json
import os

import pytest

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError
from mealkit.oci.descriptor import DOCKER_MANIFEST, INDEX, MANIFEST, Platform
from mealkit.oci.reference import Reference
from mealkit.stores.registry.pull import RemoteImages
from mealkit.stores.registry.push import push
from mealkit.stores.registry.registry_endpoint import RegistryEndpoint

AMD64 = Platform("linux", "amd64")
MIB = 1024 * 1024


@pytest.fixture
def target(quirky):
    return Reference(quirky.host, "kit", "1")


@pytest.fixture
def image(make_image, quirky, registries, target):
    """An image of 3 MiB that the quirky registry has."""
    image = make_image({"weights": os.urandom(3 * MIB)})
    push(image, target, registries)
    quirky.seen.clear()
    return image


def put(quirky, name, raw, media_type=MANIFEST):
    quirky.manifests[name] = (media_type, raw)
    quirky.manifests[Digest.of(raw)] = (media_type, raw)


def refused(code):
    return pytest.raises(MealkitError, match=code)


def test_an_image_costs_two_small_requests(quirky, registries, image, target):
    """Manifest and config are read, no layer is."""
    found = RemoteImages(registries).image(target, AMD64)
    assert found == image.__class__(
        image.raw_manifest, image.raw_config, found.layers, image.media_type
    )
    kinds = [(method, path.split("/")[3]) for method, path, _ in quirky.seen if "v2/k" in path]
    assert sorted(kinds) == [("GET", "blobs"), ("GET", "manifests")]


def index_of(quirky, *entries):
    """Put an index of (platform or None, manifest digest) under tag 1; return its digest."""
    manifests = []
    for platform, digest in entries:
        media_type, raw = quirky.manifests[digest]
        form = {"mediaType": media_type, "digest": digest, "size": len(raw)}
        manifests.append(form | ({"platform": platform} if platform else {}))
    raw = canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    put(quirky, "1", raw, INDEX)
    return Digest.of(raw)


def test_the_platforms_image_of_an_index_is_chosen(quirky, registries, image, target, make_image):
    """Attestations and other platforms are passed over."""
    other = make_image({"other": b"x"})
    push(other, Reference(quirky.host, "kit", "other"), registries)
    index = index_of(
        quirky,
        ({"os": "unknown", "architecture": "unknown"}, other.digest),
        ({"os": "linux", "architecture": "arm64", "variant": "v8"}, other.digest),
        ({"os": "linux", "architecture": "amd64"}, image.digest),
    )
    images = RemoteImages(registries)
    assert images.resolve(target, AMD64).digest == image.digest
    assert images.resolve(Reference(quirky.host, "kit", None, index), AMD64).digest == image.digest
    assert images.resolve(target, Platform("linux", "arm64")).digest == other.digest
    with refused("IMAGE_NOT_FOUND: .* no image for linux/s390x.* linux/amd64, linux/arm64/v8"):
        images.resolve(target, Platform("linux", "s390x"))
    with refused("IMAGE_NOT_FOUND: .* 2 images, expected one"):
        images.resolve(target)


def test_an_index_in_itself_ends(quirky, registries, image, target):
    """Nested indexes are followed a few levels deep and then refused."""
    digest = image.digest
    for _ in range(5):
        digest = index_of(quirky, ({"os": "linux", "architecture": "amd64"}, digest))
    with refused("IMAGE_INVALID: .* nested deeper"):
        RemoteImages(registries).resolve(target, AMD64)


def test_a_single_image_of_another_platform_is_refused(registries, image, target):
    """An image without an index is held against the platform by its config."""
    with refused("IMAGE_NOT_FOUND: .* no image for linux/arm64.* linux/amd64"):
        RemoteImages(registries).image(target, Platform("linux", "arm64"))


def test_docker_schema_2_is_read(quirky, registries, image, target):
    """Manifests with docker's media types are images too."""
    form = json.loads(image.raw_manifest)
    form["mediaType"] = DOCKER_MANIFEST
    form["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json"
    form["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar"
    put(quirky, "1", canonical_json(form), DOCKER_MANIFEST)
    found = RemoteImages(registries).image(target, AMD64)
    assert found.media_type == DOCKER_MANIFEST
    assert b"".join(found.layers[0].blob.chunks()) == image.layers[0].blob.data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {
                "schemaVersion": 1,
                "mediaType": "application/vnd.docker.distribution.manifest.v1+json",
            },
            "v1",
        ),
        ({"layers": []}, "0 layers, the config 1"),
        ({"layers": [{"mediaType": "x/y", "digest": f"sha256:{'0' * 64}", "size": 1}]}, "type x/y"),
        ({"layers": "no"}, "layers is not a list"),
        ({"config": None}, "descriptor"),
        ({"config": {"mediaType": "x/y", "digest": f"sha256:{'0' * 64}", "size": 1}}, "'x/y'"),
        ({"config": {"digest": "sha256:0", "mediaType": "x", "size": 1}}, "descriptor"),
    ],
)
def test_manifests_that_cannot_run_are_refused(quirky, registries, image, target, change, words):
    """Schema 1, artifacts and contradictions are IMAGE_INVALID, with what is wrong."""
    put(quirky, "1", canonical_json(json.loads(image.raw_manifest) | change))
    with refused("IMAGE_INVALID") as caught:
        RemoteImages(registries).image(target, AMD64)
    assert words in str(caught.value)


@pytest.mark.parametrize("raw", [b"<html>", b"[]", b"\xff\xfe", b"null"])
def test_a_manifest_that_is_no_object_is_refused(quirky, registries, target, raw):
    """A login page in place of a manifest is not an image."""
    put(quirky, "1", raw)
    with refused("IMAGE_INVALID"):
        RemoteImages(registries).image(target, AMD64)


def test_what_is_missing_is_named(quirky, registries, image, target):
    """A missing tag, config or layer is told apart."""
    images = RemoteImages(registries)
    with refused("IMAGE_NOT_FOUND"):
        images.image(Reference(quirky.host, "kit", "2"), AMD64)
    layer = images.image(target, AMD64).layers[0].blob
    quirky.blobs.clear()
    with refused("BLOB_MISSING"):
        list(layer.chunks())
    with refused("BLOB_MISSING"):
        images.image(target, AMD64)


@pytest.mark.parametrize("kind", ["manifests", "blobs"])
def test_a_flipped_bit_is_noticed(quirky, registries, image, target, kind):
    """A manifest, config or layer with other bytes than its digest is REGISTRY_DIGEST."""
    images = RemoteImages(registries)
    pinned = Reference(quirky.host, "kit", None, image.digest)
    layer = images.image(pinned, AMD64).layers[0].blob
    if kind == "manifests":
        put(quirky, "other", image.raw_manifest[:-1] + b" }")
        quirky.manifests[image.digest] = quirky.manifests["other"]
        with refused("REGISTRY_DIGEST"):
            images.image(pinned, AMD64)
        return
    damaged = bytearray(quirky.blobs[layer.digest])
    damaged[-1] ^= 1
    quirky.blobs[layer.digest] = bytes(damaged)
    with refused("REGISTRY_DIGEST"):
        list(layer.chunks())


@pytest.mark.parametrize("change", [b"x", b""], ids=["longer", "shorter"])
def test_another_length_is_noticed(quirky, registries, image, target, change):
    """A layer that is longer or shorter than described is refused."""
    layer = RemoteImages(registries).image(target, AMD64).layers[0].blob
    data = quirky.blobs[layer.digest]
    quirky.blobs[layer.digest] = data + change if change else data[:-1]
    with refused("REGISTRY_DIGEST"):
        list(layer.chunks())


def cut_after(count_bytes, times):
    """Make a quirk that ends a blob's answers after some bytes, a number of times."""
    state = {"left": times}

    def quirk(handler):
        if "/blobs/" not in handler.path or handler.command != "GET" or not state["left"]:
            return False
        data = handler.registry.blobs[handler.url.path.rpartition("/")[2]]
        if len(data) < MIB:
            return False
        state["left"] -= 1
        asked = handler.headers.get("Range", "bytes=0-").removeprefix("bytes=")
        start = int(asked.partition("-")[0])
        handler.send_response(206 if "Range" in handler.headers else 200)
        if "Range" in handler.headers:
            span = f"bytes {start}-{len(data) - 1}/{len(data)}"
            handler.send_header("Content-Range", span)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        handler.wfile.write(data[start : start + count_bytes])
        handler.close_connection = True
        return True

    return quirk


def test_a_cut_download_goes_on_where_it_ended(quirky, registries, image, target):
    """Many cuts, each after some progress, give the whole layer without a byte twice."""
    layer = RemoteImages(registries).image(target, AMD64).layers[0].blob
    quirky.quirks.append(cut_after(300_000, 9))
    assert b"".join(layer.chunks()) == image.layers[0].blob.data
    ranges = [
        head.get("Range", "").partition("-")[0]
        for _, path, head in quirky.seen
        if layer.digest in path
    ]
    assert ranges == ["", *(f"bytes={300_000 * step}" for step in range(1, 10))]


def test_cuts_without_progress_end(quirky, registries, image, target, waits):
    """A connection that is cut at once every time is given up."""
    layer = RemoteImages(registries).image(target, AMD64).layers[0].blob
    quirky.quirks.append(cut_after(0, 99))
    with refused("REGISTRY_UNREACHABLE.*byte 0 of"):
        list(layer.chunks())
    assert len(waits) == 3


def test_a_registry_without_ranges_is_read_from_the_start(quirky, registries, image, target):
    """After a cut, a 200 in place of a 206 is skipped up to where the first one ended."""
    layer = RemoteImages(registries).image(target, AMD64).layers[0].blob

    def whole(handler):
        if "/blobs/" in handler.path and "Range" in handler.headers:
            return handler.answer(200, quirky.blobs[layer.digest])
        return False

    quirky.quirks += [cut_after(300_000, 1), whole]
    assert b"".join(layer.chunks()) == image.layers[0].blob.data
    assert b"".join(layer.chunks(5, 10)) == image.layers[0].blob.data[5:15]


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 416},
        {"status": 206, "Content_Range": "bytes 0-10/11"},
        {"status": 206, "Content_Range": "bytes 5-14/9999"},
        {"status": 206},
    ],
)
def test_a_range_that_was_not_asked_for_is_refused(quirky, registries, image, target, answer):
    """A 206 of other bytes, or a 416 for bytes that exist, means another blob."""
    layer = RemoteImages(registries).image(target, AMD64).layers[0].blob
    quirky.quirks.append(
        lambda handler: "/blobs/" in handler.path and handler.answer(body=b"x" * 10, **answer)
    )
    with refused("REGISTRY_DIGEST"):
        list(layer.chunks(5, 10))


def test_a_part_is_read_by_range(registry, registries, make_image):
    """A part of a layer in the real registry is fetched alone."""
    image = make_image({"a": os.urandom(100_000)})
    target = Reference(registry.host, "part", "1")
    push(image, target, registries)
    blob = RemoteImages(registries).image(target).layers[0].blob
    assert b"".join(blob.chunks(1000, 70_000)) == image.layers[0].blob.data[1000:71_000]
    assert b"".join(blob.chunks(blob.size_bytes - 3)) == image.layers[0].blob.data[-3:]
    assert b"".join(blob.chunks(blob.size_bytes)) == b""


def test_redirects_leave_credentials_at_home(quirky, make_registries, image, target):
    """A blob behind a redirect to another host is read there, without Authorization."""
    other = f"localhost:{quirky.server.server_port}"

    def guard(handler):
        if handler.headers["Host"] != quirky.host:
            return False
        if "Authorization" not in handler.headers:
            return handler.answer(401, WWW_Authenticate='Basic realm="x"')
        if "/blobs/" in handler.path:
            return handler.answer(307, Location=f"http://{other}{handler.path}")
        return False

    quirky.quirks.append(guard)
    registries = make_registries({quirky.host: {"username": "u", "password": "p"}})
    found = RemoteImages(registries).image(target, AMD64)
    assert b"".join(found.layers[0].blob.chunks()) == image.layers[0].blob.data
    away = [head for _, _, head in quirky.seen if head["Host"] == other]
    assert len(away) == 2
    assert not any("Authorization" in head for head in away)


def test_redirects_to_plain_http_elsewhere_are_refused(quirky, registries, image, target):
    """A redirect that would leave this machine without TLS is not followed."""
    quirky.quirks.append(
        lambda handler: (
            "/blobs/" in handler.path
            and handler.answer(302, Location="http://storage.example/x?signature=s3cret")
        )
    )
    with refused("REGISTRY_INSECURE") as caught:
        RemoteImages(registries).image(target, AMD64)
    assert "s3cret" not in str(caught.value)


def test_redirects_without_end_end(quirky, registries, image, target):
    """A redirect loop is refused."""
    quirky.quirks.append(
        lambda handler: "/blobs/" in handler.path and handler.answer(302, Location=handler.path)
    )
    with refused("REGISTRY_REFUSED: .* redirects more than 5 times"):
        RemoteImages(registries).image(target, AMD64)


@pytest.fixture
def mirrored(quirky, registry, make_registries):
    """Registries where the quirky one, with a prefix, is a mirror of the real one."""
    mirror = RegistryEndpoint(quirky.host, quirky.host, "cache/")
    dead = RegistryEndpoint("127.0.0.1:1", "127.0.0.1:1")
    return make_registries(mirrors={registry.host: (dead, mirror)})


@pytest.fixture
def in_both(quirky, registry, registries, make_image):
    image = make_image({"weights": os.urandom(MIB)})
    target = Reference(registry.host, "both", "1")
    push(image, target, registries)
    push(image, Reference(quirky.host, "cache/both", "1"), registries)
    quirky.seen.clear()
    return image, target


def test_a_mirror_is_read_first(quirky, registry, mirrored, in_both):
    """A living mirror serves everything; a dead one before it does not matter."""
    image, target = in_both
    before = len(registry.requests())
    found = RemoteImages(mirrored).image(target, AMD64)
    assert b"".join(found.layers[0].blob.chunks()) == image.layers[0].blob.data
    assert len(registry.requests()) == before
    assert quirky.count("GET", "/v2/cache/both/") == 3


def test_a_mirror_that_lacks_something_is_passed_over(quirky, mirrored, in_both):
    """What a mirror does not have comes from the registry, manifest or layer."""
    image, target = in_both
    quirky.blobs.clear()
    found = RemoteImages(mirrored).image(target, AMD64)
    assert b"".join(found.layers[0].blob.chunks()) == image.layers[0].blob.data
    quirky.manifests.clear()
    assert RemoteImages(mirrored).resolve(target, AMD64).digest == image.digest


def test_a_mirror_that_ends_early_is_continued_elsewhere(quirky, mirrored, in_both):
    """A layer that a mirror stops to give is finished from the registry."""
    image, target = in_both
    found = RemoteImages(mirrored).image(target, AMD64)
    quirky.quirks.append(cut_after(400_000, 99))
    assert b"".join(found.layers[0].blob.chunks()) == image.layers[0].blob.data


def test_a_mirror_that_lies_is_noticed_and_then_avoided(quirky, mirrored, in_both):
    """Other bytes from a mirror are refused; the next read asks the registry."""
    image, target = in_both
    layer = RemoteImages(mirrored).image(target, AMD64).layers[0].blob
    quirky.blobs[layer.digest] = bytes(layer.size_bytes)
    with refused("REGISTRY_DIGEST"):
        list(layer.chunks())
    assert b"".join(layer.chunks()) == image.layers[0].blob.data


def test_a_web_page_is_not_a_layer(quirky, registries, image, target):
    """A portal that answers the storage's address is a refusal with the page's title."""
    layer = RemoteImages(registries).image(target).layers[0].blob

    def page(handler):
        text = b"<title>Sign in</title>"
        return "/blobs/" in handler.path and handler.answer(200, text, Content_Type="text/html")

    quirky.quirks.append(page)
    with refused("REGISTRY_REFUSED") as caught:
        b"".join(layer.chunks())
    assert "a web page, 'Sign in'" in caught.value.problems[0].message


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "text/plain", ""])
def test_an_index_is_known_by_its_content(quirky, registries, image, target, content_type):
    """Some registries state no media type, and an index need not either."""
    media_type, raw = quirky.manifests[image.digest]
    form = {"mediaType": media_type, "digest": image.digest, "size": len(raw)}
    index = canonical_json({"schemaVersion": 2, "manifests": [form]})
    put(quirky, "1", index, content_type)
    assert RemoteImages(registries).resolve(target, AMD64).digest == image.digest
