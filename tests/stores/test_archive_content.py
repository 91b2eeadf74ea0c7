"""What an archive has is read before any layer, and one that contradicts itself is refused."""

import io
import json
import tarfile
from dataclasses import replace

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.artifact import Attachment, artifact_of
from mealkit.oci.image import BytesBlob
from mealkit.oci.index import ImageIndex, Index, index_of
from mealkit.stores.archive import read_archive
from mealkit.stores.archive_content import ArchiveContent, read_content, whole_or_one
from mealkit.stores.packed_archive import AttachedArtifact, CoveringIndex, NamedContent, packed
from mealkit.stores.volume_reading import join_files

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"


def signature(subject, text=b"signed"):
    return artifact_of(BUNDLE, [Attachment(BUNDLE, BytesBlob(text), {})], subject=subject)


def older(text=b"signed"):
    """A signature of an older tool, whose manifest names no subject."""
    return artifact_of(PAYLOAD, [Attachment(PAYLOAD, BytesBlob(text), {})])


@pytest.fixture
def file(tmp_path):
    return tmp_path / "kit.tar"


def write(file, archive):
    file.write_bytes(b"".join(bytes(chunk) for chunk in archive.chunks()))
    return file


def read(file) -> ArchiveContent:
    return read_content(join_files([file]))


def refusal(file):
    with pytest.raises(MealkitError) as caught:
        read(file)
    return caught.value.problems[0]


def rewritten(file, change):
    """Write the archive again; ``change`` returns the entries for each entry's name and bytes."""
    out = io.BytesIO()
    with tarfile.open(file) as old, tarfile.open(fileobj=out, mode="w") as new:
        for item in old:
            data = old.extractfile(item).read() if item.isfile() else None
            for info, content in change(item, data):
                new.addfile(info, None if content is None else io.BytesIO(content))
    file.write_bytes(out.getvalue())
    return file


def entry(name, data=b"", kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, target
    return info, data


def test_images_and_what_is_about_them_come_back(file, make_image):
    """With all names; artifacts by what they are about, and about one another."""
    one, two = make_image("one"), make_image("two")
    both = index_of([one, two], {})
    first = signature(both.descriptor)
    second = signature(first.descriptor, b"about the signature")
    third = older()
    artifacts = [
        AttachedArtifact(first, both.digest),
        AttachedArtifact(second, first.digest),
        AttachedArtifact(third, one.digest),
        AttachedArtifact(older(b"a policy"), None),
    ]
    write(file, packed([NamedContent(both, ("kit:1", "registry:5000/team/kit:1"))], artifacts))
    found = read(file)
    (image,) = found.images
    assert image.names == ("kit:1", "registry:5000/team/kit:1")
    assert image.content.descriptor.digest == both.digest
    assert [item.digest for item in found.listed(both.digest)] == [first.digest]
    assert [item.digest for item in found.listed(both.digest, BUNDLE)] == [first.digest]
    assert found.listed(both.digest, "application/other") == ()
    assert [item.digest for item in found.listed(first.digest)] == [second.digest]
    (listed,) = found.listed(one.digest)
    assert found.artifact(listed).raw_manifest == third.raw_manifest
    assert [item.digest for item in found.proposals] == [older(b"a policy").digest]


def test_small_files_come_before_the_weights(file, image):
    """So that a reader of the first volume sees what the archive has."""
    write(file, packed([NamedContent(image)], [AttachedArtifact(older(), image.digest)]))
    with tarfile.open(file) as archive:
        sizes = [item.size for item in archive if item.name.startswith("blobs/sha256/")]
    assert sizes == sorted(sizes)


def test_an_artifact_whose_subject_is_not_there_is_refused(file, image, make_image):
    """It is not known what it is about."""
    lost = signature(make_image("lost").descriptor)
    write(
        file, packed([NamedContent(image)], [AttachedArtifact(lost, lost.manifest.subject.digest)])
    )
    problem = refusal(file)
    assert (problem.code, str(lost.digest) in problem.message) == ("IMAGE_INVALID", True)


def test_an_artifact_is_about_what_its_own_bytes_say(file, image, make_image):
    """An index that says otherwise would make a signature one of another image."""
    other = make_image("other")
    stolen = signature(other.descriptor)
    contents = [NamedContent(image), NamedContent(other)]
    write(file, packed(contents, [AttachedArtifact(stolen, image.digest)]))
    assert refusal(file).code == "IMAGE_INVALID"


def twice(item, data):
    yield item, data
    if item.name == "index.json":
        yield item, data.replace(b"test:1", b"evil:1")


def swapped_index(item, data):
    """Another image under the digest of the manifest."""
    if item.name == "index.json":
        form = json.loads(data)
        form["manifests"][0]["digest"] = str(Digest.of(b"other"))
        yield entry("index.json", json.dumps(form).encode())
    else:
        yield item, data


def adding(*more):
    def change(item, data):
        yield item, data
        if item.name == "index.json":
            yield from more

    return change


LISTED = json.dumps([{"Config": "evil.json", "RepoTags": ["test:1"], "Layers": []}]).encode()


@pytest.mark.parametrize(
    "change",
    [
        twice,
        swapped_index,
        adding(entry("../escape", b"x")),
        adding(entry("/etc/passwd", b"x")),
        adding(entry("blobs/sha256/../../../x", b"x")),
        adding(entry("blobs/sha256/" + "a" * 64, kind=tarfile.SYMTYPE, target="/etc/passwd")),
        adding(entry("blobs/sha256/" + "a" * 64, kind=tarfile.LNKTYPE, target="index.json")),
        adding(entry("blobs/device", kind=tarfile.CHRTYPE)),
        adding(entry("blobs/fifo", kind=tarfile.FIFOTYPE)),
        adding(entry("manifest.json", LISTED), entry("evil.json", b"{}")),
        adding(entry("manifest.json", LISTED)),
        adding(entry("manifest.json", b"[" * 100_000)),
    ],
    ids=range(12),
)
def test_what_readers_would_see_differently_is_refused(file, image, change):
    """A path twice or outside, links, devices, another digest, Docker's list of other images."""
    write(file, packed([NamedContent(image, ("test:1",))], ()))
    assert read(file).images
    assert refusal(rewritten(file, change)).code in {"IMAGE_INVALID", "BLOB_MISSING"}


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b'1.0.0"}' + bytes(40), b'1.0.0"}' + bytes(39) + b"x", 1),
        lambda raw: raw.replace(b'"imageLayoutVersion":"1', b'"imageLayoutVersion":"9', 1),
        lambda raw: raw[:-1024],
        lambda raw: raw[:-512],
        lambda raw: raw + b"x",
    ],
    ids=["between entries", "layout", "no end", "half an end", "more"],
)
def test_bytes_that_readers_skip_are_those_that_were_written(file, image, change):
    """Else an archive that was changed on the way would be accepted as it is."""
    raw = write(file, packed([NamedContent(image, ("test:1",))], ())).read_bytes()
    assert read(file).images
    assert change(raw) != raw
    file.write_bytes(change(raw))
    assert refusal(file).code == "IMAGE_INVALID"


def test_a_manifest_with_other_bytes_is_refused(file, image):
    """It is compared with its digest before its content is read."""
    raw = image.raw_manifest.replace(b"test", b"best")
    assert raw != image.raw_manifest

    def change(item, data):
        yield item, raw if data == image.raw_manifest else data

    write(file, packed([NamedContent(image)], ()))
    assert refusal(rewritten(file, change)).code == "BLOB_DAMAGED"


def test_what_is_too_large_is_refused_before_it_is_read(file, image):
    """An index of more than 16 MiB, a manifest of more than 4 MiB."""
    archive = packed([NamedContent(image)], ())
    padded = archive.raw_index[:-1] + b" " * (17 * 1024 * 1024) + b"}"
    assert refusal(write(file, replace(archive, raw_index=padded))).code == "IMAGE_INVALID"
    padded = image.raw_manifest[:-1] + b" " * (5 * 1024 * 1024) + b"}"
    large = packed([NamedContent(replace(image, raw_manifest=padded))], ())
    problem = refusal(write(file, large))
    assert (problem.code, "too many" in problem.message) == ("IMAGE_INVALID", True)


def test_one_image_of_an_index_is_the_only_one_for_other_commands(file, make_image):
    """The index is there for its signatures only, and its other image is not."""
    one, two = make_image("one"), make_image("two")
    both = index_of([one, two], {})
    bare = CoveringIndex(replace(both, images=()), one.digest)
    write(file, packed([NamedContent(one, ("kit:1",))], (), [bare]))
    assert read_archive(file).digest == one.digest
    assert [item.digest for item in read(file).indexes_of(one.digest)] == [both.digest]
    assert read(file).indexes_of(two.digest) == ()
    lost = CoveringIndex(replace(both, images=()), two.digest)
    write(file, packed([NamedContent(one)], (), [lost]))
    assert refusal(file).code == "IMAGE_INVALID"
    wrong = CoveringIndex(replace(index_of([two], {}), images=()), one.digest)
    write(file, packed([NamedContent(one)], (), [wrong]))
    assert refusal(file).code == "IMAGE_INVALID"


def test_of_an_index_with_other_things_the_one_image_is_taken(file, make_image):
    """BuildKit lists its attestations as images for an unknown platform."""
    one, two = make_image("one"), make_image("two")
    other = older().descriptor
    listed = Index.parse(index_of([one], {}).raw_manifest, "").with_image(other, []).as_bytes()
    built = ImageIndex(listed, (one,))
    assert whole_or_one(built) == (one, (CoveringIndex(replace(built, images=()), one.digest),))
    write(file, packed([NamedContent(built, ("kit:1",))], ()))
    content = read(file)
    (named,) = content.images
    assert (named.content.digest, named.names) == (one.digest, ("kit:1",))
    assert [item.digest for item in content.indexes_of(one.digest)] == [built.digest]
    both = Index.parse(index_of([one, two], {}).raw_manifest, "").with_image(other, []).as_bytes()
    with pytest.raises(MealkitError, match="IMAGE_INVALID"):
        whole_or_one(ImageIndex(both, (one, two)))


def test_an_archive_with_artifacts_only_has_no_image(file, image):
    """There is nothing to load."""
    raw = packed([], [AttachedArtifact(older(), None)])
    assert refusal(write(file, raw)).code == "IMAGE_NOT_FOUND"


def test_docker_s_names_are_read_from_its_own_annotation(file, image):
    """It writes only the tag where others write the name."""
    note = {"io.containerd.image.name": "docker.io/library/kit:1"}
    index = packed([NamedContent(image, ("latest",))], ())
    form = json.loads(index.raw_index)
    form["manifests"][0]["annotations"] |= note
    write(file, replace(index, raw_index=json.dumps(form).encode()))
    (found,) = read(file).images
    assert found.names == ("docker.io/library/kit:1",)
