"""Catalogues where they are kept: the real docker-registry, one with quirks, and a shared folder."""

import json
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.listed import listed_entry, write_side_by_side
from fakes.little import OFFLINE, Heard, accept_every, edit_kit, little_kit
from fakes.quirky_registry import QuirkyRegistry
from fakes.served import Registry, need

from mealkit.catalogue.merging import change, read_catalogue
from mealkit.catalogue.records import new_record
from mealkit.digest import Digest
from mealkit.errors import MealkitError, StoreError
from mealkit.oci.reference import Reference
from mealkit.pipeline.catalogs.catalogue_places import FolderJournal, RepositoryJournal
from mealkit.pipeline.catalogs.open_catalogs import FoundKit, find_kit, open_journal, read_one
from mealkit.pipeline.catalogs.short_names import from_catalogs, kit_to_pull, require_reachable
from mealkit.pipeline.configuration import configuration_path
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.image.pulling import named_as_listed, pull
from mealkit.pipeline.publish.cataloguing import Addition, add, described, remove
from mealkit.pipeline.publish.publishing_site import publish_site
from mealkit.pipeline.publish.searching_kits import Search, search_kits
from mealkit.pipeline.signatures.key_files import write_key_pair
from mealkit.pipeline.targets import StoredName, registry_named
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.reaching import Registries
from mealkit.trust.keyring import KeyRing
from mealkit.trust.signing_keys import Algorithm

pytestmark = pytest.mark.xdist_group("catalogues")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A registry with two versions of a little kit, and the home that they were built in."""
    folder = tmp_path_factory.mktemp("published")
    home = home_at(folder / "home")
    with pytest.MonkeyPatch.context() as patch, Registry(folder / "registry") as registry:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        kit = little_kit(folder / "kit")
        for version in ("1.9.0", "1.10.0"):
            edit_kit(kit, lambda form: form.update(version=version))  # noqa: B023
            place = f"{registry.host}/kits/little:{version}"
            outputs = Outputs(push=(place,))
            build_kit(kit, frozen=False, outputs=outputs, home=home, progress=Heard())
        yield registry, home


@pytest.fixture
def catalog(published, tmp_path):
    """The name of a new catalogue in the registry."""
    return f"{published[0].host}/catalogs/{tmp_path.name.replace('_', '-').lower()}"


@pytest.fixture
def user(tmp_path, monkeypatch):
    """Configure catalogues for the user."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("MEALKIT_CATALOGS", raising=False)

    def configure(*catalogs):
        monkeypatch.setenv("MEALKIT_CATALOGS", " ".join(catalogs))

    return configure


@contextmanager
def in_registry(reference):
    with Registries.from_environment() as registries:
        yield RepositoryJournal(reference, registries)


def named(count):
    return {f"kit-{writer}-{number}" for writer in range(count) for number in range(3)}


def test_writers_at_the_same_time_lose_nothing_in_a_registry(catalog):
    """Four processes add three kits each to the real docker-registry, and again."""
    for attempt in range(2):
        reference = Reference.parse(f"{catalog}/{attempt}")
        write_side_by_side(lambda: in_registry(reference), 4, 3)  # noqa: B023
        with in_registry(reference) as journal:
            assert {item.entry.name for item in read_catalogue(journal).kits} == named(4)


@pytest.mark.parametrize("is_late", [True, False], ids=["late", "in pages"])
def test_writers_at_the_same_time_lose_nothing_in_a_registry_with_quirks(is_late):
    """A registry that lists new tags only the next time that it is asked, or lists them in pages."""
    quirky, before = QuirkyRegistry(), []

    def late(handler):
        if not handler.url.path.endswith("/tags/list"):
            return False
        tags, before[:] = list(before), quirky.tags()
        return handler.answer(200, json.dumps({"tags": tags}).encode())

    quirky.quirks, quirky.page = ([late], None) if is_late else ([], 4)
    try:
        reference = Reference.parse(f"{quirky.host}/catalog")
        write_side_by_side(lambda: in_registry(reference), 3, 3)
        quirky.quirks = []
        with in_registry(reference) as journal:
            assert {item.entry.name for item in read_catalogue(journal).kits} == named(3)
    finally:
        quirky.close()


def test_writers_at_the_same_time_lose_nothing_in_a_folder(tmp_path):
    """Without locks, because file servers often have none that work between machines."""
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        write_side_by_side(lambda: open_journal(f"oci:{folder}"), 4, 3)  # noqa: B023
        found = read_one(f"oci:{folder}")
        assert {item.entry.name for item in found.kits} == named(4)


@pytest.fixture(params=["registry", "folder"])
def place(request, tmp_path, catalog):
    """The name of a new catalogue, in a registry and in a folder."""
    return catalog if request.param == "registry" else f"oci:{tmp_path / 'share'}"


def test_kits_are_added_found_and_removed(published, place, tmp_path):
    """An entry says what the kit itself states; adding it again changes nothing."""
    registry, home = published
    readme = tmp_path / "README.md"
    readme.write_text("# Little\n")
    target = f"{registry.host}/kits/little:1.9.0"
    first = add(Addition(target, place, readme), home)
    again = add(Addition(target, place), home)
    assert (first.is_new, again.is_new) == (True, False)
    newest = add(Addition(f"{registry.host}/kits/little:1.10.0", place), home)
    assert newest.total == 2

    found = find_kit("little", (place,))
    assert found.entry.title == "little:1.10.0"
    assert found.versions == ("1.10.0", "1.9.0")
    assert found.entry.owner.team == "cooks"
    assert found.entry.digest == newest.kits[0].digest
    older = find_kit("little:1.9.0", (place,)).entry
    with open_journal(place) as journal:
        (listed,) = read_catalogue(journal).of("little", "1.9.0")
        assert listed.entry == older
        assert journal.readme(listed.record) == b"# Little\n"

    with pytest.raises(StoreError, match=r"lists 2 versions of little: 1.10.0, 1.9.0"):
        remove("little", place)
    assert remove("little:1.10.0", place).total == 1
    assert [item.entry.title for item in search_kits(Search("LITTLE", catalogs=(place,))).kits] == [
        "little:1.9.0"
    ]
    assert search_kits(Search(task="generation", catalogs=(place,))).kits == ()
    assert add(Addition(f"{registry.host}/kits/little:1.10.0", place), home).total == 2


def test_other_bytes_under_a_version_are_refused(published, place):
    """A version that is listed is never replaced unless that is meant."""
    registry, home = published
    with open_journal(place) as journal:
        change(journal, new_record(listed_entry("little", version="1.9.0"), [], 0))
    wanted = Addition(f"{registry.host}/kits/little:1.9.0", place)
    with pytest.raises(StoreError) as error:
        add(wanted, home)
    assert error.value.problems[0].code == "CATALOGUE_CONFLICT"
    assert add(Addition(wanted.target, place, replace=True), home).total == 1
    assert find_kit("little", (place,)).entry.reference == wanted.target


def test_an_entry_that_loses_signatures_is_noted(published, tmp_path):
    """The same image, added from a repository without the signatures that were listed."""
    registry, home = published
    place, target = f"oci:{tmp_path / 'share'}", f"{registry.host}/kits/little:1.9.0"
    entry = add(Addition(target, place), home).kits[0]
    signed = entry.model_copy(
        update={
            "reference": f"{registry.host}/signed/little:1.9.0",
            "trust": entry.trust.model_copy(update={"signers": ("ab" * 32,)}),
        }
    )
    with open_journal(place) as journal:
        (known,) = read_catalogue(journal).of("little", "1.9.0")
        change(journal, new_record(signed, [known.record], 1))
    write_key_pair(tmp_path / "team.key", Algorithm.ECDSA_P256, None)
    done = add(Addition(target, place, keys=(str(tmp_path / "team.key.pub"),)), home)
    assert done.notes == (
        f"before, little:1.9.0 was listed at {registry.host}/signed/little",
        f"{registry.host}/kits/little has no signature by abababababab, which was listed before",
    )


def test_other_tools_read_a_catalogue(published, catalog, tmp_path):
    """skopeo reads the index and copies the whole catalogue, with every record, as an OCI layout."""
    registry, home = published
    add(Addition(f"{registry.host}/kits/little:1.9.0", catalog), home)
    skopeo = [need("skopeo"), "--override-os=linux"]
    source = f"docker://{catalog}:latest"
    raw = subprocess.run(
        [*skopeo, "inspect", "--raw", "--tls-verify=false", source],
        check=True,
        capture_output=True,
    ).stdout
    (listed,) = json.loads(raw)["manifests"]
    assert json.loads(listed["annotations"]["dev.mealkit.catalogue.entry"])["name"] == "little"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("localhost:5/a:tag", "TARGET_UNFIT"),
        ("not-a-registry", "TARGET_UNFIT"),
        ("localhost:5/UPPER", "REFERENCE_INVALID"),
    ],
)
def test_what_is_not_a_catalogue_by_its_name_is_refused(name, code):
    """A catalogue is a whole repository of a registry, or a folder."""
    with pytest.raises(MealkitError) as error, open_journal(name):
        pass
    assert error.value.problems[0].code == code


def test_a_repository_of_images_is_not_a_catalogue(published):
    """The image of a kit is named by mistake."""
    registry, _ = published
    build = f"{registry.host}/kits/other:latest"
    subprocess.run(
        [
            need("skopeo"),
            "copy",
            "-q",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            f"docker://{registry.host}/kits/little:1.9.0",
            f"docker://{build}",
        ],
        check=True,
    )
    with pytest.raises(StoreError, match="CATALOGUE_INVALID"):
        read_one(f"{registry.host}/kits/other")


def test_a_short_name_is_in_the_store_or_in_a_catalogue(published, catalog, user, tmp_path):
    """The newest version is chosen, its digest is what counts, and the user is told where from."""
    registry, home = published
    fresh, heard = home_at(tmp_path / "fresh"), Heard()
    user(catalog)
    for version in ("1.9.0", "1.10.0"):
        add(Addition(f"{registry.host}/kits/little:{version}", catalog), home)
    found = from_catalogs(StoredName("little"), fresh, heard)
    digest = find_kit("little").entry.digest
    assert str(found.reference) == f"{registry.host}/kits/little@{digest}"
    assert found.listed.kit == "little:1.10.0"
    told = "\n".join(heard.phases)
    assert f"little:1.10.0 is {found.reference}, from the catalogue {catalog}" in told
    assert "owner cooks, mailto:cooks@kitchen.invalid; not signed" in told
    assert from_catalogs(StoredName("little:1.9.0"), fresh, heard).listed.kit == "little:1.9.0"
    assert from_catalogs(StoredName("little:1.9.0"), home, heard) is None
    assert from_catalogs(StoredName("team/little"), fresh, heard) is None
    with pytest.raises(StoreError, match="other is neither in the local store nor in"):
        from_catalogs(StoredName("other"), fresh, heard)


def test_without_catalogues_a_name_is_one_in_the_store(user, tmp_path):
    """No configuration, no network."""
    assert from_catalogs(StoredName("little"), home_at(tmp_path / "fresh"), Heard()) is None


def listed(folder, *entries):
    with open_journal(f"oci:{folder}") as journal:
        for number, entry in enumerate(entries):
            change(journal, new_record(entry, [], number))
    return f"oci:{folder}"


def test_the_first_catalogue_counts_and_others_are_told(user, tmp_path):
    """As are other owners, and a registry that is not the catalogue's."""
    other = listed_entry().owner.model_copy(update={"team": "guests"})
    mine = listed(tmp_path / "a", listed_entry(), listed_entry(version="0.9", owner=other))
    theirs = listed(tmp_path / "b", listed_entry(digest=Digest.of(b"x"), version="7.0"))
    user(mine, theirs)
    heard = Heard()
    assert (
        from_catalogs(StoredName("rake"), home_at(tmp_path / "h"), heard).listed.kit == "rake:1.0.0"
    )
    told = "\n".join(heard.phases)
    assert "note: other versions of rake are owned by guests" in told
    assert f"note: {theirs} lists another rake: rake:7.0" in told


def test_a_catalogue_that_cannot_be_read_stops_the_search(user, tmp_path):
    """The kit could be in it; one in the next catalogue may be another team's."""
    damaged = tmp_path / "a"
    damaged.mkdir()
    (damaged / "index.json").write_text("{}")
    user(f"oci:{damaged}", listed(tmp_path / "b", listed_entry()))
    with pytest.raises(StoreError, match="CATALOGUE_INVALID"):
        from_catalogs(StoredName("rake"), home_at(tmp_path / "h"), Heard())


def test_two_digests_for_one_version_are_refused(user, tmp_path):
    """Which of them is right is not for mealkit to guess; both are named."""
    user(listed(tmp_path / "a", listed_entry(), listed_entry(digest=Digest.of(b"x"))))
    with pytest.raises(StoreError) as error:
        from_catalogs(StoredName("rake"), home_at(tmp_path / "h"), Heard())
    assert error.value.problems[0].code == "CATALOGUE_CONFLICT"
    assert Digest.of(b"x") in error.value.problems[0].message


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (listed_entry(version="1.5"), "listed rake:2.0 before, and does not any more"),
        (listed_entry(version="2.0", digest=Digest.of(b"x")), "lists other bytes as rake:2.0"),
    ],
)
def test_a_catalogue_that_goes_back_is_told(user, tmp_path, after, said):
    """An attacker who can write to a catalogue could lead users back to a version with a known fault."""
    folder, home = tmp_path / "a", home_at(tmp_path / "h")
    user(listed(folder, listed_entry(version="2.0"), listed_entry(version="1.0")))
    for name in ("rake", "rake:1.0"):
        heard = Heard()
        from_catalogs(StoredName(name), home, heard)
        assert heard.notices == []
    shutil.rmtree(folder)
    listed(folder, after)
    heard = Heard()
    from_catalogs(StoredName("rake"), home, heard)
    assert [item.code for item in heard.notices] == ["CATALOGUE_CHANGED"]
    assert said in heard.notices[0].message


def test_an_image_with_another_name_than_its_entry_is_refused(published, user, tmp_path):
    """An entry leads a known name to another kit, which is signed and in the right registry."""
    registry, _ = published
    home, reference = home_at(tmp_path / "h"), f"{registry.host}/kits/little:1.9.0"
    digest = described(registry_named(reference), KeyRing(), home).digest
    entry = listed_entry("rake", reference=reference, digest=digest)
    user(listed(tmp_path / "a", entry))
    target = kit_to_pull("rake", home, Heard())
    image = pull(target.reference, "amd64", home, Heard(), accept=accept_every)
    with pytest.raises(StoreError, match=r"lists rake:1.0.0, but .* is little:1.9.0"):
        named_as_listed(image, target, LocalStore(home.store))
    assert "rake:1.0.0" not in LocalStore(home.store).index().names()


def test_a_catalogue_elsewhere_cannot_name_this_machine():
    """A reference to loopback would reach what listens only for this machine's own users."""
    found = FoundKit("registry.example.org/catalog", listed_entry(reference="127.0.0.1:5/a"))
    with pytest.raises(StoreError, match=r"lists rake:1.0.0 at 127.0.0.1:5, on this machine"):
        require_reachable(found)
    require_reachable(replace(found, where="localhost:5/catalog"))
    require_reachable(replace(found, entry=listed_entry()))


def test_a_record_that_was_changed_does_not_count(tmp_path):
    """A blob of the folder, or a manifest under a record's tag, with other bytes."""
    catalog = listed(tmp_path / "a", listed_entry())
    (name,) = read_one(catalog).records
    path = tmp_path / "a" / "blobs" / "sha256" / name.digest.hex
    path.write_bytes(path.read_bytes().replace(b"Apache-2.0", b"Apache-9.9"))
    (tmp_path / "a" / "index.json").unlink()
    with pytest.raises(StoreError, match="BLOB_DAMAGED"):
        FolderJournal(tmp_path / "a").manifest(name.digest)


def content(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_the_site_is_replaced_as_a_whole(published, catalog, tmp_path, monkeypatch):
    """The same catalogue gives the same bytes; what is no longer listed is no longer there."""
    registry, home = published
    for version in ("1.9.0", "1.10.0"):
        add(Addition(f"{registry.host}/kits/little:{version}", catalog), home)
    folder = tmp_path / "site"
    report = publish_site(folder, catalog, None, home, Heard())
    assert (report.kits, report.versions, report.problems) == (1, 2, ())
    first = content(folder)
    assert b"What changed since 1.9.0" in first["kits/little/1.10.0.html"]
    publish_site(folder, catalog, None, home, Heard())
    assert content(folder) == first
    remove("little:1.9.0", catalog)
    publish_site(folder, catalog, None, home, Heard())
    assert not (folder / "kits/little/1.9.0.html").exists()
    monkeypatch.chdir(folder)
    assert publish_site(Path(), catalog, None, home, Heard()).folder == str(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_folder_that_is_not_a_site_is_not_replaced(tmp_path, user):
    """Nothing in it is deleted."""
    user(listed(tmp_path / "a", listed_entry()))
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "index.html").write_text("mine")
    with pytest.raises(MealkitError, match="OUTPUT_EXISTS"):
        publish_site(folder, None, None, home_at(tmp_path / "h"), Heard())
    assert content(folder) == {"index.html": b"mine"}


def test_a_kit_that_is_gone_has_a_page(published, tmp_path):
    """It says what is wrong; the report does, too."""
    registry, home = published
    gone = listed_entry(reference=f"{registry.host}/kits/gone:1")
    found = publish_site(tmp_path / "s", listed(tmp_path / "a", gone), "Ours", home, Heard())
    assert [item.code for item in found.problems] == ["IMAGE_NOT_FOUND"]
    assert b"could not be read" in (tmp_path / "s" / "kits" / "rake" / "1.0.0.html").read_bytes()


def test_a_short_name_without_a_catalogue_says_where_to_list_one(home, monkeypatch):
    """A pull of one word needs a catalogue, and the hint names the file."""
    monkeypatch.setenv("MEALKIT_CATALOGS", "")
    with pytest.raises(MealkitError, match="no catalogue is configured") as caught:
        kit_to_pull("rake", home, Heard())
    assert str(configuration_path()) in caught.value.problems[0].hint
