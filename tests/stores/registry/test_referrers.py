"""Lists and adds what refers to an image, with the referrers API and with the fallback tag."""

import json
import threading
from dataclasses import replace

import pytest

from mealkit.errors import MealkitError
from mealkit.oci.artifact import Attachment, artifact_of
from mealkit.oci.descriptor import INDEX
from mealkit.oci.image import BytesBlob
from mealkit.oci.reference import Reference
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.referrers import (
    MAX_REFERRERS,
    RegistryReferrers,
    attach,
    detach,
    fallback_tag,
)
from mealkit.stores.registry.registry_endpoint import RegistryEndpoint
from mealkit.web.retry import Retry

SIGNATURE = "application/vnd.example.signature"
SBOM = "application/vnd.example.sbom"


def note(text, subject, kind=SIGNATURE):
    """An artifact about an image."""
    item = Attachment("text/plain", BytesBlob(text.encode()), {})
    return artifact_of(kind, [item], subject=subject, annotations={"org.example.note": text})


@pytest.fixture(params=["api", "fallback"])
def place(request, quirky, registry):
    """A registry with the referrers API, and the real docker-registry, which lacks it."""
    quirky.has_referrers = True
    host = quirky.host if request.param == "api" else registry.host
    return Reference(host, f"referrers/{request.param}", "1")


def referrers(registries, reference):
    return RegistryReferrers(registries.sources(reference), reference)


def refused(action):
    with pytest.raises(MealkitError) as caught:
        action()
    return caught.value.problems[0]


def test_what_is_attached_is_listed_with_type_and_annotations(place, registries, make_image):
    """Attached artifacts are listed by digest or type, read back, and gone after they are detached."""
    image = make_image({"a": b"1"})
    push(image, place, registries)
    here, subject = referrers(registries, place), image.digest
    assert here.listed(subject) == ()
    first, second = note("first", image.descriptor), note("second", image.descriptor, SBOM)
    for artifact in (first, second, first):
        attach(artifact, place, registries)
    assert {item.digest for item in here.listed(subject)} == {first.digest, second.digest}
    (found,) = here.listed(subject, SBOM)
    assert (found.artifact_type, found.annotations["org.example.note"]) == (SBOM, "second")
    read = here.artifact(found)
    assert read.raw_manifest == second.raw_manifest
    assert b"".join(bytes(chunk) for chunk in read.blobs[0].chunks()) == b"second"
    assert here.tagged("no-such-tag") is None
    if "fallback" in place.repository:
        assert here.listed(subject) != ()
        detach(subject, second.digest, place, registries)
        assert [item.digest for item in here.listed(subject)] == [first.digest]


def test_long_lists_are_read_page_by_page(quirky, registries, make_image):
    """A list in several pages is complete; a page that is not a list is a problem, not the end."""
    image, place = make_image({"a": b"1"}), Reference(quirky.host, "many", "1")
    quirky.has_referrers, quirky.page = True, 2
    push(image, place, registries)
    made = [note(str(number), image.descriptor) for number in range(5)]
    for artifact in made:
        push(artifact, Reference(quirky.host, "many", digest=artifact.digest), registries)
    here = referrers(registries, place)
    assert {item.digest for item in here.listed(image.digest)} == {item.digest for item in made}
    quirky.quirks.append(
        lambda call: "last=" in call.path and call.answer(200, b"<p>", Content_Type="text/html")
    )
    problem = refused(lambda: here.listed(image.digest))
    assert problem.code == "REGISTRY_REFUSED"


def _web_page(call):
    return call.answer(200, b"<html>", Content_Type="text/html")


def _other_host(call):
    return call.answer(303, Location="http://127.0.0.1:9/web")


def _not_allowed(call):
    return call.answer(405)


def _json(call):
    return call.answer(200, b'{"items": []}', Content_Type="application/json")


def _denied(call):
    return call.answer(403)


@pytest.mark.parametrize("answer", [_web_page, _other_host, _not_allowed, _json, _denied])
def test_an_answer_that_is_not_a_list_counts_as_no_api(quirky, registries, make_image, answer):
    """A registry that answers with a page, a redirect elsewhere or other JSON uses the fallback tag."""
    image, place = make_image({"a": b"1"}), Reference(quirky.host, "odd", "1")
    quirky.quirks.append(lambda call: "/referrers/" in call.path and answer(call))
    push(image, place, registries)
    artifact = note("signed", image.descriptor)
    attach(artifact, place, registries)
    assert fallback_tag(image.digest) in quirky.manifests
    assert [item.digest for item in referrers(registries, place).listed(image.digest)] == [
        artifact.digest
    ]


def test_older_referrers_under_the_fallback_tag_stay_listed(quirky, registries, make_image):
    """A registry that got the API later has older referrers under the tag, and both are listed."""
    image, place = make_image({"a": b"1"}), Reference(quirky.host, "later", "1")
    push(image, place, registries)
    older, newer = note("older", image.descriptor), note("newer", image.descriptor)
    attach(older, place, registries)
    quirky.has_referrers = True
    attach(newer, place, registries)
    found = {item.digest for item in referrers(registries, place).listed(image.digest)}
    assert found == {older.digest, newer.digest}


def test_writers_at_once_lose_nothing(quirky, registries, make_image):
    """Two writers read the same list before either writes it, and both entries are in it at last."""
    image, place = make_image({"a": b"1"}), Reference(quirky.host, "at-once", "1")
    push(image, place, registries)
    made = [note(str(number), image.descriptor) for number in range(2)]
    both, failed = threading.Barrier(2, timeout=60), []

    def together(call):
        first = call.command == "PUT" and fallback_tag(image.digest) in call.path
        if first and quirky.count("PUT", fallback_tag(image.digest)) <= 2:
            both.wait()

    quirky.quirks.append(together)

    def write(artifact):
        try:
            with Registries(_no_credentials(), retry=Retry()) as own:
                attach(artifact, place, own)
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=write, args=(artifact,)) for artifact in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    found = referrers(registries, place).listed(image.digest)
    assert {item.digest for item in found} == {item.digest for item in made}


def _no_credentials():
    from mealkit.stores.registry.credentials import Credentials  # noqa: PLC0415

    return Credentials(())


def test_writers_that_always_replace_the_list_are_a_problem(quirky, registries, make_image):
    """If another writer always replaces the list, the command ends with a message."""
    image, place = make_image({"a": b"1"}), Reference(quirky.host, "fight", "1")
    push(image, place, registries)
    tag = fallback_tag(image.digest)
    quirky.quirks.append(lambda call: quirky.manifests.pop(tag, None) and None)
    problem = refused(lambda: attach(note("mine", image.descriptor), place, registries))
    assert problem.code == "REGISTRY_REFUSED"
    assert "at the same time" in problem.message


def test_a_mirror_is_asked_only_if_the_registry_cannot_be_reached(
    quirky, make_registries, make_image, waits
):
    """The registry's list counts; a mirror's is used when the registry does not answer."""
    image = make_image({"a": b"1"})
    quirky.has_referrers = True
    mirror = RegistryEndpoint(quirky.host, quirky.host)
    registries = make_registries(mirrors={"127.0.0.1:9": (mirror,)})
    push(image, Reference(quirky.host, "mirrored", "1"), registries)
    artifact = note("signed", image.descriptor)
    attach(artifact, Reference(quirky.host, "mirrored", "1"), registries)
    down = referrers(registries, Reference("127.0.0.1:9", "mirrored", "1"))
    assert [item.digest for item in down.listed(image.digest)] == [artifact.digest]
    alone = referrers(make_registries(), Reference("127.0.0.1:9", "mirrored", "1"))
    assert refused(lambda: alone.listed(image.digest)).code == "REGISTRY_UNREACHABLE"


def _list_of(*entries, **others):
    form = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries), **others}
    return json.dumps(form).encode()


def _entry(number=0, **others):
    digest = f"sha256:{number:064x}"
    kind = "application/vnd.oci.image.manifest.v1+json"
    return {"mediaType": kind, "digest": digest, "size": 10, "artifactType": SIGNATURE, **others}


HOSTILE = {
    "too many": (_list_of(*(_entry(n) for n in range(MAX_REFERRERS + 1))), "the limit is 1000"),
    "a negative size": (_list_of(_entry(size=-1)), "not a size"),
    "no digest": (_list_of({"mediaType": "a/b", "size": 1}), "cannot be read"),
    "a number as digest": (_list_of(_entry(digest=3)), "cannot be read"),
    "a list as annotations": (_list_of(_entry(annotations=["a"])), "cannot be read"),
    "layers": (_list_of(_entry(), layers=[]), "layers"),
    "deep JSON": (b'{"schemaVersion":2,"manifests":' + b"[" * 2000 + b"]" * 2000 + b"}", "deeper"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_lists_under_the_fallback_tag_are_refused(quirky, registries, name):
    """A list that is too long or not valid is refused, and never read in part."""
    raw, words = HOSTILE[name]
    place = Reference(quirky.host, "hostile", "1")
    subject = note("x", None).digest
    quirky.manifests[fallback_tag(subject)] = (INDEX, raw)
    problem = refused(lambda: referrers(registries, place).listed(subject))
    assert problem.code == "IMAGE_INVALID"
    assert words in problem.message


def test_a_list_of_endless_pages_ends(quirky, registries):
    """A registry whose pages link to themselves, or that lists without end, is refused."""
    quirky.has_referrers = True
    subject, place = note("x", None).digest, Reference(quirky.host, "endless", "1")
    page = {"Content_Type": INDEX, "Link": '<?n=1>; rel="next"'}
    quirky.quirks.append(
        lambda call: "/referrers/" in call.path and call.answer(200, _list_of(_entry()), **page)
    )
    assert "pages" in refused(lambda: referrers(registries, place).listed(subject)).message


def test_the_fallback_tag_of_an_image_is_not_taken_for_a_list(quirky, registries, make_image):
    """An image that has the name of the list is a problem, and is not replaced."""
    image = make_image({"a": b"1"})
    push(image, Reference(quirky.host, "taken", fallback_tag(image.digest)), registries)
    place = Reference(quirky.host, "taken", "1")
    problem = refused(lambda: attach(note("x", image.descriptor), place, registries))
    assert "not an index of referrers" in problem.message
    assert quirky.manifests[fallback_tag(image.digest)][1] == image.raw_manifest


def test_a_referrer_with_other_bytes_is_refused(quirky, registries, make_image):
    """A listed artifact is compared with its digest, and must be an artifact."""
    image, place = make_image({"a": b"1"}), Reference(quirky.host, "other", "1")
    quirky.has_referrers = True
    push(image, place, registries)
    artifact = note("signed", image.descriptor)
    attach(artifact, place, registries)
    here = referrers(registries, place)
    (listed,) = here.listed(image.digest)
    quirky.manifests[artifact.digest] = quirky.manifests[image.digest]
    assert refused(lambda: here.artifact(listed)).code == "REGISTRY_DIGEST"
    nothing = replace(artifact, raw_manifest=b'{"schemaVersion":2,"manifests":[]}')
    quirky.manifests[nothing.digest] = (INDEX, nothing.raw_manifest)
    found = refused(lambda: here.artifact(replace(listed, digest=nothing.digest)))
    assert found.code == "IMAGE_INVALID"
