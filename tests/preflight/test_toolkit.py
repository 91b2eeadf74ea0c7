"""NVIDIA's toolkit, and the specs of the Container Device Interface."""


def test_toolkit(tree, tmp_path, monkeypatch):
    """NVIDIA's toolkit is known by its programs, CDI by its specs, in YAML or JSON."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "nvidia-ctk").write_text("#!/bin/sh\n")
    (programs / "nvidia-ctk").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    yaml = '---\ncdiVersion: "0.5.0"\nkind: nvidia.com/gpu\ndevices:\n  - name: "0"\n'
    files = {
        "etc/cdi/nvidia.yaml": yaml,
        "run/cdi/amd.json": '{\n  "cdiVersion": "0.6.0",\n  "kind": "amd.com/gpu"\n}\n',
        "run/cdi/broken.yaml": "nothing\n",
        "run/cdi/README": "kind: not/a-spec\n",
    }
    toolkit = tree(files).toolkit
    assert toolkit.installed
    assert toolkit.programs == {"nvidia-ctk": str(programs / "nvidia-ctk")}
    assert [spec.kind for spec in toolkit.cdi] == ["nvidia.com/gpu", "amd.com/gpu", None]
    assert "does not state it" in toolkit.cdi[2].unknown["kind"]
    assert toolkit.describes("nvidia.com/gpu")
    assert not toolkit.describes("intel.com/gpu")
