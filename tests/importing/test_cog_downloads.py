"""Calls of a predictor that download files are listed, and calls that read files are not."""

import ast

import pytest

from mealkit.importing.cog_downloads import downloads_in


def listed(text):
    return [item.what for item in downloads_in(ast.parse(text), "a.py")]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("download_weights(URL, 'w')", "download_weights"),
        ("nltk.download('punkt')", "download"),
        ("s3.download_file('a', 'b', 'c')", "download_file"),
        ("hf_hub_download(repo_id='a/b', filename='c')", "hf_hub_download"),
        ("torch.hub.load('a/b', 'c')", "load"),
        ("pooch.retrieve(URL, None)", "retrieve"),
        ("AutoModel.from_pretrained(CACHE)", "from_pretrained"),
        ("SentenceTransformer('all-MiniLM-L6-v2')", "SentenceTransformer"),
        ("WhisperModel(model_size_or_path='large-v3')", "WhisperModel"),
        ("pipeline('text-generation', model='a/b')", "pipeline"),
        ("timm.create_model('resnet50', pretrained=True)", "create_model"),
        ("open_clip.create_model('ViT-B-32', pretrained='laion2b')", "create_model"),
        ("models.resnet50(weights=ResNet50_Weights.DEFAULT)", "resnet50"),
        ("keras.applications.ResNet50(weights='imagenet')", "ResNet50"),
        ("subprocess.run(['/usr/bin/wget', URL])", "wget"),
        ("asyncio.create_subprocess_exec('pget', URL)", "pget"),
        ("os.system(f'aria2c {URL}')", "aria2c"),
        ("subprocess.run(['bash', '-c', 'curl -L x'])", "curl"),
        ("Pipe.from_single_file('https://h.invalid/a.safetensors')", "from_single_file"),
    ],
)
def test_downloads(call, name):
    """By the name of the function, of its program, or by what it asks for."""
    assert listed(f"x = 1\n{call}") == [f"a.py:2 {name}"]


@pytest.mark.parametrize(
    "call",
    [
        "AutoModel.from_pretrained('./weights')",
        "AutoModel.from_pretrained(pretrained_model_name_or_path='./weights')",
        "self.pipeline(prompt, num_steps=4)",
        "SentenceTransformer('models/minilm')",
        "WhisperModel('/src/weights')",
        "pipeline('text-classification', model='./weights')",
        "timm.create_model('resnet50', pretrained=False)",
        "open_clip.create_model('ViT-B-32', pretrained='weights/a.safetensors')",
        "models.resnet50(weights=None)",
        "np.average(a, weights=counts)",
        "random.choices(a, weights='ab')",
        "torch.load('weights.pth')",
        "subprocess.run(['ffmpeg', '-i', 'a.wav'])",
        "session.get('name')",
        "print('see https://h.invalid/docs')",
    ],
)
def test_what_does_not_download(call):
    """Files of the kit, numbers and other programs."""
    assert listed(call) == []


def test_an_address_of_weights():
    """It is listed without its query, which may contain a signature; other addresses are not."""
    text = "A = 'https://h.invalid/x/model.tar?sig=secret'\nB = 'https://h.invalid/terms.html'\n"
    assert listed(text) == ["a.py:1 https://h.invalid/x/model.tar"]
