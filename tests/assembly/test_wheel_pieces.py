"""Wheels that a stored layer has are taken from it, and the layer's bytes do not depend on that."""

import random
from dataclasses import replace

import pytest
from fakes.builds import little_lock
from fakes.debs import deb_of, member
from fakes.wheels import write_wheel

from mealkit.assembly.assemble import assemble
from mealkit.digest import Digest, digest_of_file
from mealkit.errors import failure
from mealkit.pipeline.image.layer_store import LocalLayerStore
from mealkit.plan.layers import Bytecode, LayerKind, LayerPlan, WheelTree
from mealkit.plan.planning import plan_image
from mealkit.stores.local import LocalStore
from mealkit.stores.upkeep import prune


class Counted(LocalLayerStore):
    """A store whose compiler writes down what it compiles; a module with ``!`` does not compile."""

    def __init__(self, store):
        super().__init__(store)
        self.compiled = []

    def compile_modules(self, root, python, modules, folder, advance):
        found = []
        for number, module in enumerate(modules):
            source = b"".join(map(bytes, module.content()))
            self.compiled.append(module.path)
            target = folder / f"{number}.pyc"
            target.write_bytes(python.encode() + module.path.encode() + source * 3)
            found.append(None if b"!" in source else target)
        return found


class Bench:
    """Layers of some of the wheels, each made in a store and in an empty one."""

    def __init__(self, folder):
        self.folder = folder
        lock, _ = little_lock(folder / "kit")
        self.plan = replace(plan_image(lock, {}), base=None)
        deb = folder / "python.deb"
        deb.write_bytes(deb_of("python", member("usr"), member("usr/python", b"#!")))
        self.inputs = {digest_of_file(deb): deb}
        self.debs = (("python", digest_of_file(deb)),)
        self.wheels = {}

    def wheel(self, name, files):
        path = write_wheel(self.folder / "wheels", name, files)
        self.wheels[name] = (path.name, digest_of_file(path))
        self.inputs[digest_of_file(path)] = path

    def made(self, root, *names, python="3.13", folder="opt/engine", bytecode=True):
        """Return the layer's bytes, and the paths of the modules that were compiled."""
        tree = WheelTree(folder, tuple(self.wheels[name] for name in names))
        contents = (tree, Bytecode(self.debs, python)) if bytecode else (tree,)
        plan = replace(self.plan, layers=(LayerPlan(LayerKind.ENGINE, "e", "r", contents),))
        store = LocalStore(root)
        with store.use():
            layers = Counted(store)
            image = assemble(plan, {}, self.inputs, layers, None).image
            store.put(image, [f"little:{names[-1]}"])
        (layer,) = image.layers
        data = b"".join(bytes(chunk) for chunk in layer.blob.chunks())
        assert Digest.of(data) == layer.blob.digest
        return data, layers.compiled

    def fresh(self, *names, **changes):
        """Return the layer's bytes as an empty store has them made."""
        self._number = getattr(self, "_number", 0) + 1
        return self.made(self.folder / f"fresh-{self._number}", *names, **changes)[0]


@pytest.fixture
def bench(tmp_path):
    """Three wheels: with a large file, with a module that does not compile, and a small one."""
    made = Bench(tmp_path)
    large = random.Random(0).randbytes(3_000_000)
    made.wheel("big", {"big/__init__.py": b"x = 1\n", "big/lib.so": large, "big/no.py": b"!"})
    made.wheel("mid", {"mid/__init__.py": b"y = 1\n" * 100, "mid/a/b.py": b"", "shared.py": b"s"})
    made.wheel("own", {"own.py": b"z = 1\n", "own.txt": b"-", "shared.py": b"s"})
    return made


def records(store):
    return sorted((store / "pieces").iterdir())


def test_one_more_wheel_compiles_only_its_own_modules(bench, tmp_path):
    """The others' files and bytecode come from the layer before, and the bytes are the same."""
    _, compiled = bench.made(tmp_path / "store", "big", "mid")
    assert len(compiled) == 5
    data, compiled = bench.made(tmp_path / "store", "big", "mid", "own")
    assert compiled == ["opt/engine/own.py"]
    assert data == bench.fresh("big", "mid", "own")
    data, compiled = bench.made(tmp_path / "store", "own", "mid")
    # Both wheels have it; now it is the first one's, whose piece does not have it.
    assert compiled == ["opt/engine/shared.py"]
    assert data == bench.fresh("own", "mid")


@pytest.mark.parametrize(
    "change", [{"python": "3.12"}, {"folder": "opt/gateway"}, {"bytecode": False}], ids=str
)
def test_other_bytecode_is_not_taken(bench, tmp_path, change):
    """Code depends on the Python and on the module's path, so a piece is of one of each."""
    bench.made(tmp_path / "store", "big", "mid")
    data, compiled = bench.made(tmp_path / "store", "big", "mid", **change)
    assert len(compiled) == (5 if "bytecode" not in change else 0)
    assert data == bench.fresh("big", "mid", **change)


def test_a_layer_is_read_and_no_wheel_is_unpacked(bench, tmp_path, monkeypatch):
    """Of a known wheel, only the files that its RECORD cannot vouch for are unpacked: itself."""
    bench.made(tmp_path / "store", "big", "mid")
    read = []
    monkeypatch.setattr(
        "mealkit.assembly.wheel_tree.WheelMember.chunks",
        lambda self: read.append(self.path) or [self.archive.read(self.member)],
    )
    data, _ = bench.made(tmp_path / "store", "big", "mid")
    assert [path.rpartition("/")[2] for path in read] == ["RECORD", "RECORD"]
    monkeypatch.undo()
    assert data == bench.fresh("big", "mid")


@pytest.mark.parametrize("seed", range(12))
def test_no_damage_changes_the_layer(bench, tmp_path, seed):
    """Records and layers that are deleted, cut, or changed in one bit cost time, and nothing else."""
    chance = random.Random(seed)
    store = tmp_path / "store"
    bench.made(store, "big", "mid")
    blobs = sorted((store / "blobs" / "sha256").iterdir())
    harmed = chance.sample([*records(store), *blobs], chance.choice([1, 2]))
    for path in harmed:
        data = bytearray(path.read_bytes())
        match chance.choice(["delete", "cut", "flip", "flip", "flip"]):
            case "delete":
                path.unlink()
                continue
            case "cut":
                del data[chance.randrange(len(data)) :]
            case _:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.chmod(0o644)
        path.write_bytes(data)
    data, _ = bench.made(store, "big", "mid", "own")
    assert data == bench.fresh("big", "mid", "own")
    # What was damaged is not used again.
    again, compiled = bench.made(store, "own", "big")
    assert compiled == ["opt/engine/shared.py"]
    assert again == bench.fresh("own", "big")


def test_a_flipped_byte_in_a_layer_has_the_wheel_unpacked_again(bench, tmp_path):
    """It is found by the digest in the wheel's RECORD; for bytecode by the one in the piece's."""
    store = tmp_path / "store"
    for part in (b"x = 1\n", b"3.13opt/engine/mid/a/b.py"):
        data, _ = bench.made(store, "big", "mid")
        path = store / "blobs" / "sha256" / Digest.of(data).hex
        path.chmod(0o644)
        path.write_bytes(data.replace(part, b"?" + part[1:], 1))
        _, compiled = bench.made(store, "big", "mid", "own")
        assert "opt/engine/big/__init__.py" in compiled
        path.write_bytes(data)


def test_a_record_of_another_wheel_is_not_taken(bench, tmp_path):
    """A file that was moved to another name is not the record that is looked for."""
    store = tmp_path / "store"
    bench.made(store, "big", "mid")
    one, other = records(store)
    one.write_bytes(other.read_bytes())
    data, _ = bench.made(store, "big", "mid")
    assert data == bench.fresh("big", "mid")


def test_pieces_go_with_their_layer(bench, tmp_path):
    """Prune deletes the records of layers that no image has any more."""
    root = tmp_path / "store"
    bench.made(root, "big", "mid")
    bench.made(root, "mid", "own")
    store = LocalStore(root)
    assert len(records(root)) == 3
    assert prune(store).freed_bytes == 0
    store.remove("little:own")
    prune(store)
    # The newest layer of "mid" is gone, and with it the place of its files.
    assert len(records(root)) == 1
    store.remove("little:mid")
    prune(store)
    assert records(root) == []
    data, compiled = bench.made(root, "big")
    assert len(compiled) == 2
    assert data == bench.fresh("big")


def test_a_full_disk_costs_the_record_only(bench, tmp_path, monkeypatch):
    """A cache that cannot be written does not end a build."""

    def full(*_args, **_more):
        raise failure("DISK_FULL", "no space")

    monkeypatch.setattr("mealkit.stores.piece_records.write_whole", full)
    data, _ = bench.made(tmp_path / "store", "big")
    assert not (tmp_path / "store" / "pieces").exists()
    monkeypatch.undo()
    assert data == bench.fresh("big")
