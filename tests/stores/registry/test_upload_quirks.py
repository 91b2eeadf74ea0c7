"""What registries do in the wild, from a small registry on loopback that does it on demand."""

import json
import os

import pytest
from fakes.quirky_registry import QuirkyRegistry

from mealkit.errors import MealkitError
from mealkit.oci.reference import Reference
from mealkit.stores.registry.pull import RemoteImages
from mealkit.stores.registry.push import push

MIB = 1024 * 1024


@pytest.fixture
def image(make_image):
    return make_image({"weights": os.urandom(3 * MIB)})


@pytest.fixture
def target(quirky):
    return Reference(quirky.host, "kit", "1")


def arrived(quirky, image):
    blobs = [layer.blob for layer in image.layers]
    return all(quirky.blobs.get(blob.digest) == blob.data for blob in blobs)


def once(method, part, action):
    """Make a quirk that acts on the first request of a kind."""
    state = {"left": 1}

    def quirk(handler):
        if handler.command == method and part in handler.path and state["left"]:
            state["left"] -= 1
            return action(handler)
        return False

    return quirk


def always(method, part, action):
    return lambda handler: handler.command == method and part in handler.path and action(handler)


def refuse(status, **headers):
    def action(handler):
        handler.body()
        return handler.answer(status, **headers)

    return action


def half_then_reset(handler):
    """Take half of a body into the session, then reset the connection."""
    name = handler.url.path.rpartition("/")[2]
    length = int(handler.headers["Content-Length"])
    if length > MIB // 2:
        handler.registry.sessions[name] += handler.rfile.read(length // 2)
        return handler.reset()
    return False


@pytest.mark.parametrize("status", [413, 405, 411, 400, 501])
def test_a_refused_whole_upload_is_sent_in_pieces(quirky, registries, image, target, status):
    """A proxy that takes no large bodies, or a registry that knows pieces only, gets pieces."""

    def limited(handler):
        if int(handler.headers["Content-Length"]) > MIB:
            handler.close_connection = True
            return handler.answer(status)
        return False

    quirky.quirks.append(always("PUT", "uploads", limited))
    push(image, target, registries, piece_bytes=MIB)
    assert arrived(quirky, image)
    assert quirky.count("PATCH", "uploads") == 4


def test_a_whole_upload_that_is_reset_at_once_is_sent_in_pieces(quirky, registries, image, target):
    """A limit that shows as a reset, because nobody read the body, is met with pieces."""

    def limited(handler):
        return int(handler.headers["Content-Length"]) > MIB and handler.reset()

    quirky.quirks.append(always("PUT", "uploads", limited))
    push(image, target, registries, piece_bytes=MIB)
    assert arrived(quirky, image)


def test_201_to_a_piece_is_success(quirky, registries, image, target):
    """A registry that answers 201 to PATCH, without a Range, has taken it."""

    def created(handler):
        data = handler.body()
        handler.registry.sessions[handler.url.path.rpartition("/")[2]] += data
        return handler.answer(201)

    quirky.quirks += [once("PUT", "uploads", refuse(413)), always("PATCH", "uploads", created)]
    push(image, target, registries, piece_bytes=MIB)
    assert arrived(quirky, image)


def test_416_to_a_large_piece_makes_smaller_ones(quirky, registries, image, target):
    """A registry that answers 416 to pieces above its limit gets smaller ones."""

    def limited(handler):
        too_large = int(handler.headers["Content-Length"]) > MIB // 2
        return too_large and refuse(416)(handler)

    quirky.quirks += [once("PUT", "uploads", refuse(413)), always("PATCH", "uploads", limited)]
    push(image, target, registries, piece_bytes=MIB)
    assert arrived(quirky, image)


def test_416_for_ever_is_a_problem(quirky, registries, image, target):
    """A registry that takes no piece of any size is refused in the end, with its status."""
    quirky.quirks += [
        always("PUT", "uploads", refuse(413)),
        always("PATCH", "uploads", refuse(416)),
    ]
    with pytest.raises(MealkitError) as caught:
        push(image, target, registries, piece_bytes=MIB)
    assert caught.value.problems[0].code == "REGISTRY_REFUSED"
    assert "416" in caught.value.problems[0].message


def test_the_least_piece_that_a_registry_names_is_heeded(quirky, registries, image, target):
    """OCI-Chunk-Min-Length makes pieces at least as long."""

    def start(handler):
        handler.registry.sessions["s"] = bytearray()
        location = f"{handler.url.path}s"
        return handler.answer(202, Location=location, OCI_Chunk_Min_Length=str(2 * MIB))

    quirky.quirks += [always("POST", "uploads", start), once("PUT", "uploads", refuse(413))]
    push(image, target, registries, piece_bytes=MIB)
    assert arrived(quirky, image)
    lengths = [int(head["Content-Length"]) for kind, _, head in quirky.seen if kind == "PATCH"]
    assert lengths[0] == 2 * MIB


def test_a_reset_whole_upload_goes_on_where_it_was(quirky, registries, image, target):
    """After a reset the registry is asked what it has, and only the rest is sent."""
    quirky.quirks.append(once("PUT", "uploads", half_then_reset))
    done = []
    push(image, target, registries, advance=done.append)
    assert arrived(quirky, image)
    size = image.layers[0].blob.size_bytes
    starts = [head["Content-Range"] for kind, _, head in quirky.seen if kind == "PATCH"]
    assert starts[0].startswith(f"{size // 2}-")
    assert sum(done) == size


def test_a_reset_piece_goes_on_where_it_was(quirky, registries, image, target):
    """A piece that was cut is taken up at the byte that the registry names."""
    quirky.quirks += [
        once("PUT", "uploads", refuse(413)),
        once("PATCH", "uploads", half_then_reset),
    ]
    push(image, target, registries, piece_bytes=MIB)
    assert arrived(quirky, image)


def test_a_lost_session_starts_anew(quirky, registries, image, target):
    """A session that the registry forgot is opened again."""

    def forget(handler):
        handler.registry.sessions.clear()
        handler.body()
        return handler.answer(404)

    quirky.quirks.append(once("PUT", "uploads", forget))
    push(image, target, registries)
    assert arrived(quirky, image)
    assert quirky.count("POST", "uploads") == 3  # the layer's two, the config's one


@pytest.mark.parametrize(
    ("method", "part"),
    [
        ("HEAD", "blobs"),
        ("POST", "uploads"),
        ("PUT", "uploads"),
        ("PUT", "manifests"),
        ("HEAD", "manifests"),
    ],
)
@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_passing_trouble_passes(quirky, registries, image, target, waits, method, part, status):
    """Each request of a push is tried again after a 5xx or 429."""
    quirky.quirks.append(once(method, part, refuse(status)))
    push(image, target, registries)
    assert arrived(quirky, image)
    assert len(waits) == 1


@pytest.mark.parametrize(("method", "part"), [("PUT", "uploads"), ("HEAD", "blobs")])
def test_a_lasting_trouble_ends_the_push(quirky, registries, image, target, waits, method, part):
    """A registry that always answers 503 ends the push after a bounded number of tries."""
    quirky.quirks.append(always(method, part, refuse(503)))
    with pytest.raises(MealkitError) as caught:
        push(image, target, registries)
    assert "503" in caught.value.problems[0].message
    assert waits[:2] == [0.5, 1.0]
    assert len(waits) < 8
    assert not quirky.manifests


def test_a_token_that_dies_during_the_push_is_renewed(quirky, registries, image, target):
    """A 401 in the middle fetches a new token and sends the body again."""
    tokens = []

    def give(handler):
        if handler.url.path != "/token":
            return False
        tokens.append(f"token{len(tokens)}")
        return handler.answer(200, f'{{"token": "{tokens[-1]}"}}'.encode())

    def guard(handler):
        if handler.headers.get("Authorization") == f"Bearer {tokens[-1] if tokens else ''}":
            return False
        handler.body()
        realm = f'Bearer realm="http://{handler.registry.host}/token",service="s",scope="x"'
        return handler.answer(401, WWW_Authenticate=realm)

    def expire(handler):
        tokens.append("expired")
        return False

    quirky.quirks += [give, once("PUT", "uploads", expire), guard]
    push(image, target, registries)
    assert arrived(quirky, image)
    assert quirky.count("GET", "/token") == 2


def test_an_upload_location_elsewhere_gets_no_credential(quirky, make_registries, image, target):
    """A Location at another host is followed, without the Authorization header."""
    quirky_too = f"localhost:{quirky.server.server_port}"  # the same server by another name

    def guard(handler):
        is_home = handler.headers["Host"] == quirky.host
        if is_home and "Authorization" not in handler.headers:
            handler.body()
            return handler.answer(401, WWW_Authenticate='Basic realm="x"')
        return False

    def elsewhere(handler):
        handler.registry.sessions["s"] = bytearray()
        return handler.answer(202, Location=f"http://{quirky_too}{handler.url.path}s?state=a%2Fb")

    quirky.quirks += [guard, always("POST", "uploads", elsewhere)]
    auths = {quirky.host: {"username": "u", "password": "p"}}
    push(image, target, make_registries(auths))
    assert arrived(quirky, image)
    puts = [(path, head) for kind, path, head in quirky.seen if kind == "PUT" and "uploads" in path]
    assert all("Authorization" not in head and "state=a%2Fb&digest=" in path for path, head in puts)


def test_a_registry_that_damages_bytes_is_at_fault(quirky, registries, image, target):
    """A refused digest of bytes that are right is the registry's fault, and says so."""

    def damage(handler):
        data = bytearray(handler.body())
        data[0] ^= 1
        return handler._close_upload(handler.url.path.rpartition("/")[2], bytes(data)) or True

    quirky.quirks.append(always("PUT", "uploads", damage))
    with pytest.raises(MealkitError) as caught:
        push(image, target, registries)
    assert caught.value.problems[0].code == "REGISTRY_DIGEST"
    assert not quirky.manifests


def test_another_manifest_digest_is_a_problem(quirky, registries, image, target):
    """A registry that calls the manifest by another digest has rewritten it."""
    other = f"sha256:{'0' * 64}"
    quirky.quirks.append(always("PUT", "manifests", refuse(201, Docker_Content_Digest=other)))
    with pytest.raises(MealkitError) as caught:
        push(image, target, registries)
    assert caught.value.problems[0].code == "REGISTRY_DIGEST"


def test_a_mount_that_is_not_granted_is_an_upload(quirky, registries, image, target):
    """A registry may answer a mount with a session; the blob is uploaded then."""
    quirky.blobs[image.layers[0].blob.digest] = image.layers[0].blob.data
    quirky.quirks.append(always("HEAD", "/v2/kit/blobs", refuse(404)))
    push(image, target, registries, mount_from=["other"])
    assert quirky.count("POST", "mount=") == 1
    assert quirky.count("PUT", "uploads") == 2


def test_a_head_with_another_size_is_not_the_blob(quirky, registries, image, target):
    """A blob of which the registry has another size is uploaded again."""
    lie = always("HEAD", "blobs", lambda handler: handler.answer(200, Content_Length="7"))
    quirky.quirks.append(lie)
    push(image, target, registries)
    assert arrived(quirky, image)


def test_one_failed_layer_stops_the_others(quirky, registries, make_image, target):
    """The first failure ends the push, is the one that is told, and no manifest is put."""
    image = make_image(*({f"f{number}": os.urandom(MIB)} for number in range(6)))
    bad = image.layers[2].blob.digest

    def deny(handler):
        return handler.query.get("digest") == bad and refuse(403)(handler)

    quirky.quirks.append(always("PUT", "uploads", deny))
    with pytest.raises(MealkitError) as caught:
        push(image, target, registries)
    assert caught.value.problems[0].code == "REGISTRY_DENIED"
    assert not quirky.manifests


PAGE = b"<html><title>Sign in</title><body>Welcome</body></html>"


def page(status):
    def action(handler):
        handler.body()
        return handler.answer(status, PAGE, Content_Type="text/html; charset=utf-8")

    return action


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize(
    ("method", "part"),
    [
        ("HEAD", "/blobs/"),
        ("POST", "/uploads/"),
        ("PUT", "/uploads/"),
        ("HEAD", "/manifests/"),
        ("PUT", "/manifests/"),
    ],
)
def test_a_web_page_is_not_a_registrys_answer(
    quirky, registries, image, target, method, part, status
):
    """A login page or a captive portal at any step: the push ends well only if all is there."""
    quirky.quirks.append(always(method, part, page(status)))
    if method == "HEAD":
        push(image, target, registries)
        assert arrived(quirky, image)
        assert quirky.manifests["1"][1] == image.raw_manifest
        return
    with pytest.raises(MealkitError, match="Sign in") as caught:
        push(image, target, registries)
    assert caught.value.problems[0].code == "REGISTRY_REFUSED"
    assert not quirky.manifests


def test_a_mount_that_is_said_and_not_done_is_an_upload(quirky, registries, image, target):
    """201 to a mount counts if the registry names the digest, or has the blob."""
    quirky.blobs[image.layers[0].blob.digest] = image.layers[0].blob.data
    quirky.quirks += [
        always("HEAD", "/v2/kit/blobs", refuse(404)),
        always("POST", "mount=", page(201)),
    ]
    push(image, target, registries, mount_from=["other"])
    assert quirky.count("PUT", "uploads") == 2


def test_an_upload_waits_as_long_as_the_registry_asks(quirky, registries, image, target, waits):
    """Retry-After counts for uploads as for every other request."""
    quirky.quirks.append(once("PUT", "uploads", refuse(503, Retry_After="12")))
    push(image, target, registries)
    assert arrived(quirky, image)
    assert waits == [12.0]


def test_an_upload_that_outlives_its_token_goes_on_in_pieces(
    quirky, make_registries, image, target
):
    """401 to a large body with a new token: smaller bodies reach the registry in time."""

    def slow(handler):
        if handler.command in {"PUT", "PATCH"} and "uploads" in handler.path:
            too_long = int(handler.headers["Content-Length"]) > MIB
            return too_long and refuse(401, WWW_Authenticate='Basic realm="x"')(handler)
        return False

    def guard(handler):
        if "Authorization" in handler.headers:
            return False
        return refuse(401, WWW_Authenticate='Basic realm="x"')(handler)

    quirky.quirks += [guard, slow]
    push(image, target, make_registries({quirky.host: {"username": "u", "password": "p"}}))
    assert arrived(quirky, image)
    lengths = [int(head["Content-Length"]) for kind, _, head in quirky.seen if kind == "PATCH"]
    assert min(lengths) <= MIB


@pytest.mark.parametrize(
    ("method", "part"), [("POST", "/uploads/"), ("PUT", "/uploads/"), ("PUT", "/manifests/")]
)
def test_the_registrys_reason_is_told(quirky, registries, image, target, method, part):
    """A quota or an immutable tag is said in the registry's words, cleaned; not as a login."""
    words = {
        "errors": [{"code": "DENIED", "message": "the quota\u001b[31m of t is 9 GiB" + "." * 900}]
    }

    def deny(handler):
        handler.body()
        return handler.answer(403, json.dumps(words).encode())

    quirky.quirks.append(always(method, part, deny))
    with pytest.raises(MealkitError) as caught:
        push(image, target, registries)
    (problem,) = caught.value.problems
    assert problem.code == "REGISTRY_DENIED"
    assert "DENIED: the quota [31m of t is 9 GiB" in problem.message
    assert len(problem.message) < 500
    assert "mealkit login" not in problem.hint


def test_a_redirected_upload_goes_to_the_other_registry(quirky, make_registries, image, target):
    """307 keeps method and body; the credential stays; Location is relative to the answer."""
    other = QuirkyRegistry()

    def guard(handler):
        if "Authorization" in handler.headers:
            return False
        return refuse(401, WWW_Authenticate='Basic realm="x"')(handler)

    def redirect(handler):
        handler.body()
        return handler.answer(307, Location=f"http://{other.host}{handler.path}")

    quirky.quirks += [guard, always("POST", "uploads", redirect)]
    other.quirks.append(lambda handler: "Authorization" in handler.headers and refuse(400)(handler))
    push(image, target, make_registries({quirky.host: {"username": "u", "password": "p"}}))
    assert arrived(other, image)
    other.close()


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_would_change_the_method_is_told(quirky, registries, image, target, status):
    """A login page's redirect of a POST is not followed, and its address is named."""
    elsewhere = refuse(status, Location="https://login.example/start?token=s3cret")
    quirky.quirks.append(always("POST", "uploads", elsewhere))
    with pytest.raises(MealkitError) as caught:
        push(image, target, registries)
    (problem,) = caught.value.problems
    assert f"answers {status}" in problem.message
    assert "https://login.example/start" in problem.message
    assert "s3cret" not in problem.message


def test_a_blob_behind_an_address_for_reading_only_is_there(quirky, registries, image, target):
    """HEAD that storage refuses is asked as the first byte; storage's 403 blames no credential."""
    storage = QuirkyRegistry()
    storage.blobs = quirky.blobs
    storage.quirks.append(always("HEAD", "", refuse(403)))
    push(image, target, registries)

    def redirect(handler):
        there = f"http://{storage.host}{handler.path}"
        return "/blobs/sha256" in handler.path and handler.answer(307, Location=there)

    quirky.quirks.append(redirect)
    quirky.seen.clear()
    report = push(image, Reference(quirky.host, "kit", "2"), registries)
    assert report.sent_bytes == 0
    assert not quirky.count("PUT", "uploads")
    storage.quirks.append(always("GET", "", refuse(403)))
    with pytest.raises(MealkitError) as caught:
        b"".join(RemoteImages(registries).image(target).layers[0].blob.chunks())
    (problem,) = caught.value.problems
    assert problem.code == "REGISTRY_REFUSED"
    assert storage.host in problem.message
    storage.close()


def test_a_head_without_a_size_is_asked_for_a_byte(quirky, registries, image, target):
    """An answer that states neither size nor digest proves nothing; the first byte does."""
    push(image, target, registries)

    def bare(handler):
        handler.close_connection = True
        return handler.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n") > 0

    quirky.quirks.append(always("HEAD", "/blobs/", bare))
    assert push(image, Reference(quirky.host, "kit", "2"), registries).sent_bytes == 0


@pytest.mark.parametrize("status", [429, 500, 503])
def test_the_reason_of_a_passing_trouble_is_told(quirky, registries, image, target, status):
    """After the last try, the registry's own words are in the problem, as with other refusals."""
    words = b'{"errors": [{"code": "UNAVAILABLE", "message": "read-only until noon"}]}'
    quirky.quirks.append(always("POST", "uploads", lambda handler: handler.answer(status, words)))
    with pytest.raises(MealkitError) as caught:
        push(image, target, registries)
    assert "read-only until noon" in caught.value.problems[0].message


@pytest.mark.parametrize("quirk", [once, always])
def test_a_manifest_is_put_again_if_the_registry_does_not_see_a_blob(
    quirky, registries, image, target, quirk
):
    """docker-registry misses a blob while another process pushes the same one; not for ever."""
    words = b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown"}]}'

    def miss(handler):
        handler.body()
        return handler.answer(400, words)

    quirky.quirks.append(quirk("PUT", "/manifests/", miss))
    if quirk is once:
        push(image, target, registries)
        assert arrived(quirky, image)
        return
    with pytest.raises(MealkitError, match="blob unknown") as caught:
        push(image, target, registries)
    assert caught.value.problems[0].code == "REGISTRY_REFUSED"
    assert quirky.count("PUT", "/manifests/") == 3
