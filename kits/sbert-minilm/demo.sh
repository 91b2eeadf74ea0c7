#!/usr/bin/env bash
# Checks, locks, builds, runs, queries, tests and stops the example kit.
set -euo pipefail
cd "$(dirname "$0")/.."
name=sbert-minilm-demo

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
step() { printf '$ %s\n' "$*"; "$@"; }
[[ -t 1 ]] || say() { printf '\n# %s\n' "$*"; }

trap 'mealkit stop "$name" >/dev/null 2>&1 || true' EXIT

say "The kit: what the author wrote. Is it well formed, and does its lock still hold?"
step mealkit check sbert-minilm
step mealkit lock sbert-minilm

say "Build: an image, without a container engine. The digest is the same on any machine."
# An earlier demo may have built this version with another mealkit, which is in the image, too.
step mealkit build sbert-minilm --replace

say "Run: checks the machine, mounts the verified weights, waits until one real request was answered."
printf '$ mealkit run sbert-minilm --name %s --port 0\n' "$name"
url=$(mealkit run sbert-minilm --name "$name" --port 0) # stdout has only the address
echo "$url"

say "Ask: the vector of a sentence (the first four of its 384 numbers)."
printf "$ curl %s/v1/embeddings -H 'Content-Type: application/json' \\\\\n    -d '{\"model\": \"all-MiniLM-L6-v2\", \"input\": \"A kit that works at 3 a.m.\"}'\n" "$url"
python3 - "$url" <<'PY'
import json, sys, urllib.request

def ask(*texts):
    body = json.dumps({"model": "all-MiniLM-L6-v2", "input": texts}).encode()
    request = urllib.request.Request(
        f"{sys.argv[1]}/v1/embeddings", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer), answer.headers

form, headers = ask("A kit that works at 3 a.m.")
vector = form["data"][0]["embedding"]
print([round(x, 4) for x in vector[:4]], f"... {len(vector)} numbers, {form['usage']['total_tokens']} tokens")
print("X-Mealkit-Recipe:", headers["X-Mealkit-Recipe"])

cat, kitten, truck = (x["embedding"] for x in ask("A cat sleeps.", "A kitten naps.", "The truck is late.")[0]["data"])
dot = lambda a, b: sum(x * y for x, y in zip(a, b))
print(f"cosine of 'A cat sleeps.' with 'A kitten naps.' {dot(cat, kitten):.3f}, with 'The truck is late.' {dot(cat, truck):.3f}")
PY
answered=$SECONDS

say "Refuse: an input that is too long gets numbers and an owner, never a cut text."
python3 - "$url" <<'PY'
import json, sys, urllib.error, urllib.request

body = json.dumps({"model": "all-MiniLM-L6-v2", "input": "salt " * 400}).encode()
try:
    urllib.request.urlopen(urllib.request.Request(f"{sys.argv[1]}/v1/embeddings", body, {"Content-Type": "application/json"}))
except urllib.error.HTTPError as error:
    problem = json.load(error)["error"]
    print(error.code, problem["mealkit_code"], "-", problem["message"], f"(owner: {problem['owner']})")
PY

say "Test: does it answer here as its author saw? This asks the golden examples."
step mealkit test "$name" --cases-only

say "Stop."
step mealkit ps
step mealkit stop "$name"
trap - EXIT

printf '\nThe first answer came %s s after the start of this demo.\n' "$answered"
printf 'mealkit is in %s. The kit also states claims, with data. To measure them:\n' "$(dirname "$(command -v mealkit)")"
printf '  .venv/bin/uv pip install --python .venv/bin/python --editable ".[evaluation]"\n  .venv/bin/mealkit test kits/sbert-minilm\n'
