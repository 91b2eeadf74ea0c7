"""A model on the Hub is understood as people paste it: by name, by address, with a quantisation."""

import pytest

from mealkit.errors import MealkitError
from mealkit.importing.hub_address import HubAddress, hub_address

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a/b", HubAddress("a/b", "main")),
        (" a/b/ ", HubAddress("a/b", "main")),
        ("a/b@v1", HubAddress("a/b", "v1")),
        ("a/b/c.gguf", HubAddress("a/b", "main", "c.gguf")),
        ("a/b@refs/pr/1", HubAddress("a/b", "refs/pr/1")),
        ("a/b/d/c.gguf@refs/pr/1", HubAddress("a/b", "refs/pr/1", "d/c.gguf")),
        ("hf://a/b@refs/pr/1/c.gguf", HubAddress("a/b", "refs/pr/1", "c.gguf")),
        ("a/b/d/c.gguf@v1", HubAddress("a/b", "v1", "d/c.gguf")),
        ("a/b:Q4_K_M", HubAddress("a/b", "main", None, "Q4_K_M")),
        ("a/b:Q4_K_M@v1", HubAddress("a/b", "v1", None, "Q4_K_M")),
        ("hf.co/a/b", HubAddress("a/b", "main")),
        ("hf.co/a/b:IQ2_XXS", HubAddress("a/b", "main", None, "IQ2_XXS")),
        ("huggingface.co/a/b", HubAddress("a/b", "main")),
        ("https://huggingface.co/a/b", HubAddress("a/b", "main")),
        ("HTTPS://HuggingFace.co/a/b/?library=vllm#usage", HubAddress("a/b", "main")),
        ("https://huggingface.co/a/b/tree/main", HubAddress("a/b", "main")),
        ("https://huggingface.co/a/b/tree/refs%2Fpr%2F3", HubAddress("a/b", "refs/pr/3")),
        ("https://huggingface.co/a/b/tree/refs/pr/3", HubAddress("a/b", "refs/pr/3")),
        (f"https://huggingface.co/a/b/commit/{SHA}", HubAddress("a/b", SHA)),
        ("https://hf.co/a/b/blob/main/d/c.gguf", HubAddress("a/b", "main", "d/c.gguf")),
        (
            "https://huggingface.co/a/b/resolve/v1/c%20d.gguf?download=true",
            HubAddress("a/b", "v1", "c d.gguf"),
        ),
        (
            "https://huggingface.co/a/b?show_file_info=d%2Fc.gguf",
            HubAddress("a/b", "main", "d/c.gguf"),
        ),
        (
            "https://huggingface.co/a/b/tree/v1?show_file_info=c.gguf",
            HubAddress("a/b", "v1", "c.gguf"),
        ),
        ("http://127.0.0.1:8080/a/b", HubAddress("a/b", "main")),
        ("hf://a/b@v1/c.gguf", HubAddress("a/b", "v1", "c.gguf")),
        ("a/b/tree/v1", HubAddress("a/b", "v1")),
    ],
)
def test_what_names_a_model(source, expected):
    """With a revision, a file or a quantisation."""
    assert hub_address(source, "http://127.0.0.1:8080") == expected


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "does not name"),
        ("gpt2", "does not name"),
        ("a/", "does not name"),
        ("a//b", "does not name"),
        ("a/two words", "does not name"),
        ("a/b:", "does not name"),
        ("a/b@", "does not name"),
        ("a/b@-x", "does not name"),
        ("a/b:Q4/c.gguf", "both a file and a quantisation"),
        ("a/b/../c", "file name"),
        ("./a-folder", "a path on this machine"),
        ("../a/b", "a path on this machine"),
        ("/models/llama", "a path on this machine"),
        ("~/models/llama", "a path on this machine"),
        ("C:\\models\\llama", "a path on this machine"),
        ("https://example.org/a/b", "not an address of the Hub"),
        ("https://[::1/a/b", "not a valid address"),
        ("https://huggingface.co/datasets/a/b", "the Hub's datasets"),
        ("hf.co/spaces/a/b", "the Hub's spaces"),
        ("https://huggingface.co/a", "does not name"),
        ("a/b/tree/main@v1", "two revisions"),
    ],
)
def test_what_does_not_name_a_model(source, said):
    """It is refused with the forms that are understood."""
    with pytest.raises(MealkitError, match=said) as caught:
        hub_address(source)
    assert caught.value.problems[0].code == "USAGE"
