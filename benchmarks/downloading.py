"""Downloads an image's blobs and does nothing else: the least that a pull can take.

As a process to be measured: ``python -m benchmarks.downloading REFERENCE FILE``.
"""

import http.client
import json
import sys
from pathlib import Path

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CHUNK_BYTES = 1024 * 1024


def main(reference: str, file: str) -> None:
    """Download all layers and the config of an image on a registry without TLS into one file."""
    host, _, rest = reference.partition("/")
    name, _, tag = rest.partition(":")
    connection = http.client.HTTPConnection(host)
    connection.request("GET", f"/v2/{name}/manifests/{tag}", headers={"Accept": _MANIFEST})
    manifest = json.loads(connection.getresponse().read())
    with Path(file).open("wb") as out:
        for item in (manifest["config"], *manifest["layers"]):
            connection.request("GET", f"/v2/{name}/blobs/{item['digest']}")
            answer = connection.getresponse()
            while chunk := answer.read(_CHUNK_BYTES):
                out.write(chunk)


if __name__ == "__main__":
    main(*sys.argv[1:])
