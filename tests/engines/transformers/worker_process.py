"""A worker in a process of its own, which has the engine's packages and nothing else.

Reads one JSON list per line, ``[method, argument...]``, and writes what the method returned as
``{"answer": ...}``, or what it raised as ``{"problem": ...}``. ``load`` makes a new worker.
"""

import base64
import json
import os
import sys
from dataclasses import asdict, is_dataclass

from mealkit.engines.transformers.worker import TransformersWorker
from mealkit.errors import MealkitError
from mealkit.worker.interface import WorkerConfig

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_SEEN = {"socket.__new__", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.mkdir"}
_EVENTS = []


def remember(event, arguments):
    """Keep what opens a connection, starts a process or writes a file (PEP 578)."""
    if event in _SEEN or (event == "open" and (arguments[2] or 0) & _WRITES):
        _EVENTS.append([event, str(arguments[0])])


class Methods:
    """What can be asked for."""

    def __init__(self):
        self.worker = None

    def load(self, config):
        """Load a new worker."""
        self.worker = TransformersWorker()
        self.worker.load(WorkerConfig.from_json(json.dumps(config)))

    def new(self):
        """Make a worker that has not loaded."""
        self.worker = TransformersWorker()

    def model(self, name, *arguments):
        """Ask the token model of a generating worker."""
        found = getattr(self.worker._generator._model, name)
        return found(*arguments) if callable(found) else found

    def pieces(self, tokens):
        """Return the bytes of tokens."""
        return [self.worker._generator._model.piece(token) for token in tokens]

    def plain_tokens(self, text):
        """Return the tokens of plain text."""
        return self.worker._generator._model.tokenize(text, rendered=False)

    def template_tokens(self, text):
        """Return the tokens of a rendered template."""
        return self.worker._generator._model.tokenize(text, rendered=True)

    def greedy(self, prompt, count):
        """Return the likeliest tokens, one after the other, and the first one's logits."""
        model = self.worker._generator._model
        logits = model.begin(prompt)
        first, chosen = logits.tolist(), []
        for _ in range(count):
            chosen.append(int(logits.argmax()))
            logits = model.advance(chosen[-1])
        return {"tokens": chosen, "first": first, "last": logits.tolist()}

    def events(self):
        """Return what the process has done to the world outside."""
        return _EVENTS

    def modules(self):
        """Return the packages that have been imported."""
        return sorted({name.partition(".")[0] for name in sys.modules})

    def __getattr__(self, name):
        return getattr(self.worker, name)


def plain(value):
    """Make JSON of a value."""
    if is_dataclass(value):
        return plain(asdict(value))
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def main():
    """Answer until the input ends."""
    sys.addaudithook(remember)
    methods = Methods()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer = {"answer": plain(getattr(methods, name)(*arguments))}
        except MealkitError as error:
            answer = {"problem": error.problems[0].as_json()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
