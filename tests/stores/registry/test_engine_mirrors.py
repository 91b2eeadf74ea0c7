"""Mirrors of the engines' own files: read with limits, used as containerd does, never trusted."""

import json
import time
from contextlib import closing

import pytest
from fakes.quirky_registry import QuirkyRegistry
from stores.registry.conftest import RegistryProcess

from mealkit.oci.descriptor import Platform
from mealkit.oci.reference import Reference
from mealkit.stores.registry.engine_mirrors import EngineMirrors
from mealkit.stores.registry.pull import RemoteImages
from mealkit.stores.registry.push import push
from mealkit.stores.registry.read_ahead import ReadAhead

AMD64 = Platform("linux", "amd64")

# What Spegel writes for each registry that it mirrors.
SPEGEL = """
server = 'https://registry.example.org'

[host.'http://127.0.0.1:30020']
capabilities = ['pull', 'resolve']
dial_timeout = '200ms'

[host.'http://127.0.0.1:30021']
capabilities = ['pull', 'resolve']
dial_timeout = '200ms'
"""

# What Dragonfly's guide for containerd says.
DRAGONFLY = """
server = "https://registry.example.org"

[host."http://127.0.0.1:4001"]
capabilities = ["pull", "resolve"]
[host."http://127.0.0.1:4001".header]
X-Dragonfly-Registry = ["https://registry.example.org"]
[host."https://registry.example.org"]
capabilities = ["pull", "resolve"]
"""


@pytest.fixture
def hosts(tmp_path):
    """Write a hosts.toml, and return what is found for a registry."""

    def write(text: str, folder: str = "registry.example.org", registry: str | None = None):
        file = tmp_path / "certs.d" / folder / "hosts.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        mirrors = EngineMirrors((tmp_path / "certs.d",))
        return mirrors.of(registry or folder, frozenset({"mirror:5000"}))

    return write


def test_spegels_file_is_read(hosts):
    """Both places of a node's Spegel, which is told which registry is meant."""
    found = hosts(SPEGEL)
    assert [item.authority for item in found.endpoints] == ["127.0.0.1:30020", "127.0.0.1:30021"]
    assert {item.namespace for item in found.endpoints} == {"registry.example.org"}
    assert found.unused == ()


def test_dragonflys_file_is_read(hosts):
    """Its header goes to it; the registry itself is asked last anyway."""
    (endpoint,) = hosts(DRAGONFLY).endpoints
    assert endpoint.authority == "127.0.0.1:4001"
    assert endpoint.headers == (("X-Dragonfly-Registry", "https://registry.example.org"),)


@pytest.mark.parametrize(
    ("folder", "registry"),
    [
        ("r.example_5000_", "r.example:5000"),
        ("r.example:5000", "r.example:5000"),
        ("_default", "x"),
    ],
)
def test_a_folder_has_one_of_the_names_that_containerd_knows(hosts, folder, registry):
    """Both spellings of a port, and the default for registries without a folder."""
    assert len(hosts(SPEGEL, folder, registry).endpoints) == 2


def test_docker_mirrors_are_of_the_hub_only(tmp_path):
    """registry-mirrors of daemon.json are for docker.io, and know its short names."""
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps({"registry-mirrors": ["https://hub.example/"], "debug": True}))
    mirrors = EngineMirrors((file, tmp_path / "missing"))
    (endpoint,) = mirrors.of("docker.io", frozenset()).endpoints
    assert endpoint.repository("python") == "library/python"
    assert endpoint.resolves
    assert mirrors.of("registry.example.org", frozenset()).endpoints == ()


@pytest.mark.parametrize(
    ("url", "keys", "prefix"),
    [
        ("https://m.example", "", ""),
        ("m.example", "", ""),
        ("https://m.example/v2", "", ""),
        ("https://m.example/v2/cache/hub", "override_path = true", "cache/hub/"),
        ("http://mirror:5000", "", ""),
    ],
)
def test_addresses_are_as_containerd_reads_them(hosts, url, keys, prefix):
    """With override_path the path is the API's, with the prefix of a pull-through cache."""
    (endpoint,) = hosts(f'[host."{url}"]\n{keys}').endpoints
    assert endpoint.prefix == prefix
    assert endpoint.resolves


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[host."http://m.example"]', "no TLS"),
        ('[host."https://m.example"]\nskip_verify = true', "skip_verify"),
        ('[host."https://m.example"]\nclient = "a.pem"', "client certificate"),
        ('[host."https://m.example"]\nca = "missing.pem"', "missing.pem"),
        ('[host."https://m.example"]\nca = 5', "ca"),
        ('[host."https://m.example/other"]', "path"),
        ('[host."https://m.example/v2/cache"]', "path"),
        ('[host."https://user@m.example"]', "not valid"),
        ('[host."ftp://m.example"]', "not valid"),
        ('[host."https://m.example:port"]', "not valid"),
        ('[host."https://a\\u0000b"]', "not valid"),
        ('[host."https://xn--zzzzzzz\\u00ad.example"]', "not valid"),
        ('[host."https://m.example/v2/../x"]\noverride_path = true', "path"),
        ('[host."https://m.example"]\nheader = {Host = "other"}', "header 'Host'"),
        ('[host."https://m.example"]\nheader = {"A B" = "x"}', "header 'A B'"),
        ('[host."https://m.example"]\nheader = {A = "x\\n"}', "header A"),
        ('[host."https://m.example"]\nheader = {A = 5}', "header A"),
        ("[host", "not TOML"),
        ("host = 5", "table"),
        ('host = {"https://m.example" = 5}', "table"),
        ("a = " + "[" * 10_000, "TOML"),
        ("#" * 70_000, "larger"),
        ("a." * 10_000 + "b = 1", "larger"),
    ],
)
def test_what_cannot_be_used_is_left_out_with_its_reason(hosts, text, reason):
    """The registry itself has the bytes, so a strange file never fails a pull."""
    found = hosts(text)
    assert found.endpoints == ()
    (unused,) = found.unused
    assert unused.code == "MIRROR_UNUSED"
    assert reason in unused.message


def test_a_host_that_is_only_pushed_to_is_no_mirror(hosts):
    """Without the capability to pull there is nothing to read."""
    assert hosts('[host."https://m.example"]\ncapabilities = ["push"]').endpoints == ()


def test_a_file_that_others_can_change_is_not_used(hosts, tmp_path):
    """Who can write it could send every pull to a server of their own."""
    file = tmp_path / "certs.d/r.example/hosts.toml"
    hosts(SPEGEL, "r.example")
    file.chmod(0o664)
    found = EngineMirrors((tmp_path / "certs.d",)).of("r.example", frozenset())
    assert found.endpoints == ()
    assert "other users" in found.unused[0].message


def test_the_variable_names_other_files_or_none():
    """Unset, the system's files are read."""
    assert EngineMirrors.from_environment({}).places
    assert EngineMirrors.from_environment({"MEALKIT_ENGINE_MIRRORS": ""}).places == ()


@pytest.fixture
def mirror():
    server = QuirkyRegistry()
    yield server
    server.close()


@pytest.mark.parametrize("resolves", [True, False])
def test_a_pull_goes_through_the_mirror(
    quirky, mirror, make_registries, make_image, tmp_path, resolves
):
    """It gets its header and the registry's name; tags only where it resolves them."""
    image = make_image({"a": b"1"})
    target = Reference(quirky.host, "kit", "1")
    push(image, target, make_registries())
    mirror.blobs, mirror.manifests = quirky.blobs, quirky.manifests
    quirky.seen.clear()
    folder = tmp_path / "certs.d" / quirky.host
    folder.mkdir(parents=True)
    capabilities = ["pull", *(["resolve"] if resolves else [])]
    (folder / "hosts.toml").write_text(
        f'[host."http://{mirror.host}"]\ncapabilities = {capabilities}\n'
        f'header = {{X-Dragonfly-Registry = "http://{quirky.host}"}}\n'
    )
    registries = make_registries()
    registries.engine_mirrors = EngineMirrors((tmp_path / "certs.d",))
    found = RemoteImages(registries).image(target, AMD64)
    assert b"".join(found.layers[0].blob.chunks()) == image.layers[0].blob.data
    asked = [path for method, path, _ in mirror.seen if "/v2/kit" in path]
    assert all(path.endswith(f"?ns={quirky.host.replace(':', '%3A')}") for path in asked)
    heads = [head for _, path, head in mirror.seen if "/v2/kit" in path]
    assert {head["X-Dragonfly-Registry"] for head in heads} == {f"http://{quirky.host}"}
    assert sum("/manifests/" in path for path in asked) == resolves
    assert quirky.count("GET", "/manifests/") == (not resolves)
    assert quirky.count("GET", "/blobs/") == 0


def test_a_redirect_of_a_mirror_gets_no_header_of_it(
    quirky, mirror, make_registries, make_image, tmp_path
):
    """A header may be a secret of the mirror; where it redirects to, another host gets none."""
    image = make_image({"a": b"1"})
    target = Reference(quirky.host, "kit", "1")
    push(image, target, make_registries())
    quirky.seen.clear()
    folder = tmp_path / "certs.d" / quirky.host
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text(
        f'[host."http://{mirror.host}"]\nheader = {{Authorization = "Bearer secret"}}\n'
    )
    mirror.quirks.append(
        lambda handler: handler.answer(307, Location=f"http://{quirky.host}{handler.path}")
    )
    registries = make_registries()
    registries.engine_mirrors = EngineMirrors((tmp_path / "certs.d",))
    assert RemoteImages(registries).image(target, AMD64).digest == image.digest
    assert {head.get("Authorization") for _, _, head in mirror.seen if "/v2/kit" in _} <= {
        "Bearer secret"
    }
    assert {head.get("Authorization") for _, _, head in quirky.seen} == {None}


def test_a_real_pull_through_cache_serves_when_the_registry_is_gone(
    mortal_registry, make_registries, make_image, tmp_path
):
    """docker-registry as a proxy: the first pull fills it, the next needs no registry."""
    image = make_image({"a": b"1" * 9_000_000})  # is read in pieces where a server has ranges
    target = Reference(mortal_registry.host, "kit", "1")
    push(image, target, make_registries())
    cache = RegistryProcess(tmp_path / "cache")
    file = cache.folder / "config.yml"
    proxy = {"remoteurl": f"http://{mortal_registry.host}"}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"proxy": proxy}))
    folder = tmp_path / "certs.d" / mortal_registry.host
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text(f'[host."http://{cache.host}"]\n')
    try:
        cache.start()
        for _ in range(2):
            registries = make_registries()
            registries.engine_mirrors = EngineMirrors((tmp_path / "certs.d",))
            found = RemoteImages(registries).image(target, AMD64)
            blob = found.layers[0].blob
            with closing(ReadAhead(fast_bytes_per_second=float("inf"))) as ahead:
                read = b"".join(ahead.chunks(blob, 0, blob.size_bytes, set()))
            assert read == image.layers[0].blob.data
            while not cache.blob_path(image.layers[0].blob.digest).exists():
                time.sleep(0.02)  # it keeps what it passed on a moment later
            mortal_registry.kill()
    finally:
        cache.kill()
