"""Write golden.json: sentences with the vectors that torch computes for them in float32.

Semantics of sentence-transformers for all-MiniLM-L6-v2: at most 256 tokens, mean over the mask,
length 1. Run it where torch and transformers are installed; the tests only read the result::

    python make_golden.py FOLDER_WITH_THE_MODEL
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

import torch
import transformers

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAX_LENGTH = 256

SHORT = [
    "a",
    ".",
    " leading and trailing spaces \n",
    "hello world",
    "Two eggs, one cup of flour, and a pinch of salt.",
    "The recipe calls for salt, but nobody wrote down how much.",
    "A cat sleeps on the warm stones of the courtyard.",
    "Interest rates rose by 0.25 % to 4.75 % on 3 May 1998.",
    "3.14159 2.71828 1.41421 -273.15 6.022e23",
    "def area(radius): return 3.14159 * radius ** 2",
    "naïve café, Straße, fiancée, Ångström, İstanbul",
    "今天下雨，我们在家里做饭。",  # noqa: RUF001
    "Сегодня идёт дождь, и мы готовим дома.",
    "मौसम आज अच्छा है",
    "🍲🧂 soup tastes better tomorrow 👩‍🍳",
    "[CLS] a caller types markers [SEP] into the text [MASK]",
    "Pneumonoultramicroscopicsilicovolcanoconiosis antidisestablishmentarianism",
    "What is the fastest way to get from the station to the harbour on foot?",
]

# Of each long text only the beginning is within 128 tokens, so that cutting there shows.
LONG = [
    (
        "The kitchen opens at six and the first deliveries arrive before the light does. "
        "Crates of leeks and carrots stand along the wall, still wet from the field, and "
        "the baker from across the street leaves two trays of rolls on the sill without "
        "knocking. By seven the stock is simmering: bones roasted the night before, onions "
        "with their skins on for colour, bay leaves, peppercorns, a spoon of vinegar. Nobody "
        "measures any of it. When the new cook asked how much salt, the answer was a shrug, "
        "and when she asked how long, the answer was until it is done. She wrote both down. "
        "A month later she had filled a notebook with weights and minutes, and the soup that "
        "she made from it on her own was the same on Tuesday as it had been on Monday, which "
        "surprised everyone but her."
    ),
    (
        "Glaciers move because ice under pressure deforms, and because meltwater lubricates "
        "the bed on which they rest. A valley glacier may travel a metre in a day or in a "
        "year. Along its edges it plucks stones from the rock and carries them downhill, and "
        "where it melts it drops them in ridges that geologists call moraines. Cores drilled "
        "from old ice hold bubbles of the air in which the snow once fell, and from these the "
        "composition of past atmospheres can be read, layer by layer, for hundreds of "
        "thousands of years. None of this says anything about trumpets, and yet the second "
        "half of this paragraph turns to them: a trumpet is a tube of brass about a metre and "
        "a half long, folded so that it can be held, with three valves that lengthen the "
        "column of air and a cup into which the player's lips buzz. Higher notes need faster "
        "lips, not more valves."
    ),
    " ".join(f"Item {number} costs {number * 7 % 90 + 10} coins." for number in range(1, 29)),
    "one two three four five six seven eight nine ten " * 25,
    (
        "Terms of the lease: the tenant pays on the first day of each month; the landlord "
        "repairs the roof, the pipes and the stairs; neither may end the contract within the "
        "first year except for a grave cause, such as a fire, a flood or three unpaid months. "
        "Pets are welcome as long as the neighbours do not complain in writing. Bicycles "
        "belong in the cellar. The garden is shared, and whoever picks the last cherries "
        "sweeps the path. Keys that are lost are replaced at the tenant's expense, locks that "
        "wear out at the landlord's. The deposit, two months' rent, is returned with interest "
        "within sixty days after the flat has been handed over clean and empty. Disputes go "
        "first to the mediator of the borough, and only then to a court."
    ),
    (
        "Überall dort, wo der Fluss breiter wird, stehen alte Mühlen, deren Räder sich seit "
        "Jahrzehnten nicht mehr drehen. Im Sommer sitzen Kinder auf den Mauern und lassen die "
        "Beine ins Wasser hängen; im Winter friert der Rand zu, und die Enten laufen darauf "
        "herum. Der letzte Müller, sagt man, habe sein Haus an dem Tag verlassen, an dem die "
        "Brücke fertig wurde, und sei flussabwärts gezogen, immer dem Wasser nach, bis zum Meer."
    ),
]


def main(folder: Path) -> int:
    """Compute the vectors one text at a time, so that no padding is involved, and write them."""
    with (folder / "model.safetensors").open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != WEIGHTS_SHA256:
        raise SystemExit(f"model.safetensors has sha256 {found}, expected {WEIGHTS_SHA256}")
    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    cases = []
    for text in (*SHORT, *LONG):
        tokens = tokenizer(
            text, max_length=MAX_LENGTH, truncation=True, padding=False, return_tensors="pt"
        )
        with torch.no_grad():
            hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).float()
        mean = (hidden * mask).sum(1) / mask.sum(1)
        vector = torch.nn.functional.normalize(mean, dim=1)[0].numpy().astype("<f4")
        count = tokens["input_ids"].shape[1]
        if count >= MAX_LENGTH:
            raise SystemExit(f"over the limit: {text[:40]!r} has {count} tokens or more")
        packed = base64.b64encode(vector.tobytes()).decode()
        cases.append({"text": text, "tokens": count, "vector": packed})
    made_by = {module.__name__: module.__version__ for module in (torch, transformers)}
    content = {"made_by": made_by, "weights_sha256": WEIGHTS_SHA256, "cases": cases}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (Path(__file__).parent / "golden.json").write_text(text + "\n", encoding="utf-8")
    print([case["tokens"] for case in cases])
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
