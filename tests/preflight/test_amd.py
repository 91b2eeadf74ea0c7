"""AMD's GPUs, read from the kernel's topology."""

NODES = "sys/class/kfd/kfd/topology/nodes"


def test_amd(tree):
    """AMD's GPUs come from the kernel's topology: target and memory; processors are none of them."""
    # MI325X and the numbers of its node: a test in a public Rust crate ("mi325x"); bank: a public
    # test tree of an MI300X; what is used is made up.
    properties = "cpu_cores_count 0\nsimd_count 304\ngfx_target_version 90402\nvendor_id 4098\n"
    facts = tree(
        {
            "dev/kfd": "",
            f"{NODES}/0/properties": "cpu_cores_count 48\nsimd_count 0\ngfx_target_version 0\n",
            f"{NODES}/10/properties": f"{properties}drm_render_minor 129\n",
            f"{NODES}/2/properties": f"{properties}drm_render_minor 128\n",
            f"{NODES}/2/mem_banks/0/properties": "heap_type 1\nsize_in_bytes 206141652992\n",
            f"{NODES}/2/mem_banks/1/properties": "heap_type 0\nsize_in_bytes 4096\n",
            "sys/class/drm/renderD128/device/mem_info_vram_used": "297107456\n",
        }
    )
    assert facts.amd.kfd
    first, second = facts.amd.gpus
    assert (first.node, first.target, first.unknown) == (2, "gfx942", {})
    assert (first.memory_total_bytes, first.memory_used_bytes) == (206141652992, 297107456)
    assert (second.node, second.memory_total_bytes, second.memory_used_bytes) == (10, None, None)
    assert set(second.unknown) == {"memory_total_bytes", "memory_used_bytes"}


def test_amd_that_a_container_may_not_see(tree):
    """Nodes that the kernel shows empty are unknown, not absent; a stepping can be a letter."""
    facts = tree({f"{NODES}/0/properties": "", f"{NODES}/1/properties": "simd_count 4\n"})
    assert f"{NODES}/0/properties does not state it" in facts.amd.unknown["gpus"]
    assert facts.amd.gpus[0].target is None
    gfx90a = {f"{NODES}/1/properties": "simd_count 4\ngfx_target_version 90010\n"}
    assert tree(gfx90a).amd.gpus[0].target == "gfx90a"
