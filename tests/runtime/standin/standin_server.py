"""An engine that is a server, without a model: it speaks the gateway's contract, and checks it.

Every request must hold exactly the fields of the contract. What it answers, the text says: the last
message's, the prompt's, the query's or the first input's.

``echo`` (the request itself, as JSON), ``headers`` (those of the request), ``count:N`` (N words), ``slow:N:SECONDS`` (N words with
pauses), ``flood:N`` (N pieces of 10 kB), ``wait:PATH`` (until the file exists), ``die:N`` (after N
pieces), ``cut:N`` (the stream ends after N), ``error:N`` (an error after N), ``stall:N`` (no more
after N), ``gone:PATH`` (words without end; the file is made when the caller has gone), ``refuse``,
``garbage``; all else: its words in capitals.
"""

import asyncio
import json
import os
import signal
import sys
from contextvars import ContextVar
from pathlib import Path

from mealkit.worker.interface import WorkerConfig

SAMPLING = {
    "model", "stream", "max_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty",
    "presence_penalty", "frequency_penalty", "seed", "stop", "n",
}  # fmt: skip
CHAT_MORE = {
    "top_logprobs",
    "logit_bias",
    "response_format",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "continue_final_message",
    "add_generation_prompt",
}
COMPLETION_MORE = {"logit_bias", "add_special_tokens"}
SCHEMA = {
    "input": {
        "type": "object",
        "properties": {"text": {"type": "string", "maxLength": 100}},
        "required": ["text"],
        "additionalProperties": False,
    },
    "output": {"type": "string"},
    "streams": True,
}
DONE = b"data: [DONE]\n\n"
HEADERS = ContextVar("headers")


class StandInServer:
    """The worker: the host's process becomes the server below."""

    def command(self, config: WorkerConfig, socket: Path) -> list[str]:
        return [sys.executable, __file__, str(socket), config.model_name]

    def environment(self, config: WorkerConfig) -> dict[str, str]:
        return {}


class RefusedError(Exception):
    """A request that breaks the contract, or asks for an error."""

    def __init__(self, code: str, message: str, status: int = 400):
        self.status = status
        owner = "caller" if status < 500 else "kit-author"
        self.content = {
            "error": {"message": message, "code": code, "owner": owner, "hint": None, "where": None}
        }


class Server:
    def __init__(self, model: str):
        self.model = model

    async def __call__(self, reader, writer):
        try:
            while True:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except (asyncio.IncompleteReadError, ConnectionError):
                    return
                line, *fields = head.decode().split("\r\n")
                HEADERS.set(fields)
                method, path, _ = line.split(" ")
                length = next(
                    int(f.split(":")[1]) for f in fields if f.lower().startswith("content-length")
                )
                body = await reader.readexactly(length)
                await self.answer(writer, f"{method} {path}", body)
        finally:
            writer.close()

    async def answer(self, writer, target, body):
        try:
            if target == "GET /health":
                return self.whole(writer, 200, {"status": "ok"})
            if target == "GET /schema":
                return self.whole(writer, 200, SCHEMA)
            form = json.loads(body)
            self.require_model(form)
            match target:
                case "POST /v1/chat/completions":
                    require(form, SAMPLING | {"messages", "logprobs"}, CHAT_MORE)
                    await self.generate(
                        writer, form, form["messages"][-1].get("content", ""), chat=True
                    )
                case "POST /v1/completions":
                    require(form, SAMPLING | {"prompt", "logprobs", "echo"}, COMPLETION_MORE)
                    await self.generate(writer, form, form["prompt"], chat=False)
                case "POST /v1/rerank":
                    self.rerank(writer, form)
                case "POST /v1/classify":
                    self.classify(writer, form)
                case "POST /v1/embeddings":
                    self.embed(writer, form)
                case "POST /v1/predict":
                    await self.predict(writer, form)
                case "POST /tokenize":
                    self.tokenize(writer, form)
                case _:
                    self.whole(writer, 404, {"error": {"message": f"no endpoint {target}"}})
        except RefusedError as refused:
            self.whole(writer, refused.status, refused.content)

    def require_model(self, form):
        if form.get("model") != self.model:
            raise RefusedError("REQUEST_MODEL", "another model", 404)

    def whole(self, writer, status, form):
        data = form if isinstance(form, bytes) else json.dumps(form).encode()
        writer.write(
            b"HTTP/1.1 %d x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(data), data)
        )

    async def generate(self, writer, form, text, *, chat):
        command, _, value = text.partition(":")
        if command == "refuse":
            raise RefusedError(
                "REQUEST_TOO_LONG", "the request has 300 tokens, the limit is 16", 400
            )
        if command == "wait":
            while not is_there(value):  # noqa: ASYNC110  another process makes the file
                await asyncio.sleep(0.005)
        if command == "garbage":
            return self.whole(writer, 200, b"no JSON")
        prompt_tokens = len(text.split())
        if not form["stream"]:
            words = [word async for word in words_of(command, value, text, form)]
            usage = usage_of(prompt_tokens, len(words))
            return self.whole(writer, 200, answer_of(form, "".join(words), usage, chat=chat))
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        count = 0
        try:
            if chat:
                await send(
                    writer, event(chunk_of(form, {"role": "assistant", "content": ""}, chat=chat))
                )
            async for word in words_of(command, value, text, form):
                await send(writer, event(chunk_of(form, word, chat=chat)))
                count += 1
                if command in {"die", "cut", "error", "stall"} and count == int(value):
                    await self.mishap(writer, command)
                    return None
            await send(writer, event(chunk_of(form, None, chat=chat)))
            usage = usage_of(prompt_tokens, count)
            await send(
                writer, event({**chunk_of(form, None, chat=chat), "choices": [], "usage": usage})
            )
            await send(writer, DONE)
            writer.write(b"0\r\n\r\n")
        except ConnectionError:
            if command == "gone":
                make(value)
            raise

    async def mishap(self, writer, command):
        match command:
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stall":
                await asyncio.sleep(3600)
            case "error":
                refused = RefusedError("ENGINE_OUT_OF_MEMORY", "no memory is left", 503)
                await send(writer, event(refused.content))
        writer.write(b"0\r\n\r\n")

    def rerank(self, writer, form):
        require(form, {"model", "query", "documents"}, set())
        scores = [
            sum(word in doc for word in form["query"].split()) / 10 for doc in form["documents"]
        ]
        order = sorted(range(len(scores)), key=lambda index: -scores[index])
        results = [{"index": index, "relevance_score": scores[index]} for index in order]
        tokens = len(form["query"].split())
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        self.whole(
            writer, 200, {"object": "list", "model": self.model, "results": results, "usage": usage}
        )

    def classify(self, writer, form):
        require(form, {"model", "input"}, set())
        data = [
            {"index": index, "label": "short", "probs": [0.75, 0.25], "num_classes": 2}
            for index, _ in enumerate(form["input"])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        self.whole(
            writer,
            200,
            {
                "object": "list",
                "model": self.model,
                "data": data,
                "labels": ["short", "long"],
                "usage": usage,
            },
        )

    def embed(self, writer, form):
        require(form, {"model", "input", "encoding_format"}, set())
        data = [
            {"object": "embedding", "index": index, "embedding": [float(len(text)), 0.5]}
            for index, text in enumerate(form["input"])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        self.whole(
            writer, 200, {"object": "list", "data": data, "model": self.model, "usage": usage}
        )

    async def predict(self, writer, form):
        require(form, {"model", "input", "seed", "stream"}, set())
        text = form["input"].get("text")
        if not isinstance(text, str) or len(form["input"]) != 1 or len(text) > 100:
            raise RefusedError("REQUEST_INVALID", "input.text is missing or too long")
        if not form["stream"]:
            output = {"object": "prediction", "model": self.model, "output": text.upper()}
            self.whole(writer, 200, output)
            return
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for word in text.split():
            await send(writer, event({"output": {"choices": [], "usage": {"word": word}}}))
        await send(writer, DONE)
        writer.write(b"0\r\n\r\n")

    def tokenize(self, writer, form):
        require(form, {"model"}, {"prompt", "messages"})
        text = form["prompt"] if "prompt" in form else form["messages"][-1].get("content", "")
        tokens = [len(word) for word in text.split()]
        self.whole(writer, 200, {"count": len(tokens), "max_model_len": 16, "tokens": tokens})


def is_there(path):
    return Path(path).exists()


def make(path):
    Path(path).touch()


def require(form, needed, more):
    options = {"stream_options"} if form.get("stream") is True and "temperature" in form else set()
    missing, extra = (needed | options) - form.keys(), form.keys() - needed - options - more
    if missing or extra:
        raise RefusedError("INTERNAL", f"missing {sorted(missing)}, unknown {sorted(extra)}", 500)


async def words_of(command, value, text, form):
    match command:
        case "echo":
            yield json.dumps(form)
        case "headers":
            yield "\n".join(HEADERS.get())
        case "count":
            for number in range(int(value)):
                yield f"{number} "
        case "slow":
            count, _, seconds = value.partition(":")
            for number in range(int(count)):
                await asyncio.sleep(float(seconds))
                yield f"{number} "
        case "flood":
            for _ in range(int(value)):
                yield "x" * 10_000
        case "gone" | "die" | "cut" | "error" | "stall":
            while True:
                yield "on "
                await asyncio.sleep(0.001)
        case _:
            for word in text.upper().split()[: form["max_tokens"]]:
                yield f"{word} "


def usage_of(prompt, answer):
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def answer_of(form, text, usage, *, chat):
    said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    return {
        "id": "answer-1",
        "object": "chat.completion" if chat else "text_completion",
        "created": 0,
        "model": form["model"],
        "choices": [{"index": 0, **said, "finish_reason": "stop", "logprobs": None}],
        "usage": usage,
    }


def chunk_of(form, piece, *, chat):
    if chat:
        delta = (
            piece if isinstance(piece, dict) else {"content": piece} if piece is not None else {}
        )
        said = {"delta": delta}
    else:
        said = {"text": piece or ""}
    return {
        "id": "answer-1",
        "object": "chat.completion.chunk" if chat else "text_completion",
        "created": 0,
        "model": form["model"],
        "choices": [{"index": 0, **said, "finish_reason": None if piece is not None else "stop"}],
    }


def event(form):
    return f"data: {json.dumps(form, separators=(',', ':'))}\n\n".encode()


async def send(writer, data):
    if writer.is_closing():
        raise ConnectionResetError
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))
    await writer.drain()


async def main(path, model):
    server = await asyncio.start_unix_server(Server(model), path)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.close)
    try:
        await server.serve_forever()
    except asyncio.CancelledError:
        sys.exit(0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
