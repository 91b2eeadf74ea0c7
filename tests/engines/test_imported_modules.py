"""Imports are followed through the kit's own files; those that nothing provides are named."""

import pytest

from mealkit.engines.imported_modules import imported_modules, unprovided_modules


def test_imports_are_followed_through_files_and_packages():
    """Absolute and relative, from the top and from the file's own folder."""
    texts = {
        "src/main.py": "import lib.a\nfrom near import x\nfrom other import part\n",
        "src/near.py": "from .far import y\n",
        "src/far.py": "",
        "lib/__init__.py": "",
        "lib/a.py": "from . import b\nfrom ..other import part\n",
        "lib/b.py": "import os\nimport lib.a\n",
        "other/part.py": "x = (\n",
        "unused.py": "",
    }
    assert list(imported_modules(texts, "src/main.py")) == [
        "lib/__init__.py",
        "lib/a.py",
        "lib/b.py",
        "src/far.py",
        "src/main.py",
        "src/near.py",
    ]


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ({"h.py": "import settings\n"}, [("h.py", 1, "settings")]),
        ({"h.py": "import os, json\nfrom a.b import c\n"}, [("h.py", 2, "a.b")]),
        ({"h.py": "import a.b\n", "a/b.py": ""}, []),
        ({"h.py": "import b\n", "b.py": "import numpy as np\n"}, [("b.py", 1, "numpy")]),
        ({"h.py": "import json\n", "b.py": "import numpy\n"}, []),
        ({"h.py": "try:\n    import fast\nexcept ImportError:\n    fast = None\n"}, []),
        ({"h.py": "def f():\n    import late\nif 0:\n    import never\n"}, []),
        ({"h.py": "import known.part\n"}, []),
        (
            {"h.py": "FILE = 'p/q.py'\n", "p/q.py": "import r, s\n", "p/r.py": ""},
            [("p/q.py", 1, "s")],
        ),
        ({"h.py": "x = (\n"}, []),
    ],
)
def test_what_nothing_provides_is_named(texts, found):
    """Only imports that always run, of files that are reached."""
    assert list(unprovided_modules(texts, "h.py", {"known"})) == found
