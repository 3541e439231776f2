"""An oracle: what the specification says a score is, written as slowly and literally as possible.

Nothing here imports the product. One trace at a time, float64, loops over bytes. The pages meant are
interfaces.md ("What the proxy reads", "Per-trace values") and method.md (sections 2, 3 and 6).
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

# ---------------------------------------------------------------------------------------------------
# Confidence: one probability for each byte of R
# ---------------------------------------------------------------------------------------------------


class RefusedError(Exception):
    """The specification says that this line is refused."""


def piece_bytes(piece: dict) -> bytes:
    """What a piece spells; "bytes" wins over "text"."""
    if piece.get("bytes") is not None:
        return bytes(piece["bytes"])
    return piece["text"].encode()


def piece_probability(logprob: float) -> float:
    """The probability of a piece; rounding noise above 0 reads as 0, what is no log-probability is refused."""
    if not math.isfinite(logprob) or logprob == -9999:
        raise RefusedError("not a log-probability")
    if 0 < logprob <= 1e-6:
        logprob = 0.0
    if logprob > 0:
        raise RefusedError("above 0")
    return math.exp(logprob)


def spelled_confidence(pieces: list[dict], text: str) -> list[float]:
    """One probability a byte of the text that the pieces spell."""
    want = text.encode()
    have = b""
    confidence = []
    for piece in pieces:
        confidence += [piece_probability(piece["logprob"])] * len(piece_bytes(piece))
        have += piece_bytes(piece)
    if have != want:
        raise RefusedError("the pieces do not spell the text")
    return confidence


SHORT_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def json_string(text: str, at: int) -> tuple[list[tuple[str, int, int]], int]:
    """The characters of the JSON string whose opening quote is at `at`, and where it ends (after its quote).

    Each stands with the raw characters [start, end) that it was written with.
    """
    assert text[at] == '"'
    at += 1
    found = []
    while text[at] != '"':
        if text[at] != "\\":
            found.append((text[at], at, at + 1))
            at += 1
        elif text[at + 1] != "u":
            found.append((SHORT_ESCAPES[text[at + 1]], at, at + 2))
            at += 2
        else:
            unit = int(text[at + 2 : at + 6], 16)
            low = int(text[at + 8 : at + 12], 16) if text[at + 6 : at + 8] == "\\u" else 0
            if 0xD800 <= unit < 0xDC00 and 0xDC00 <= low < 0xE000:
                code = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
                found.append((chr(code), at, at + 12))
                at += 12
            else:
                found.append((chr(unit), at, at + 6))
                at += 6
    return found, at + 1


def json_space(text: str, at: int) -> int:
    """The next place that is no JSON whitespace."""
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def json_member(text: str, key: str) -> list[tuple[str, int, int]]:
    """The characters of the string that the top-level object of `text` holds under `key`."""
    at = json_space(text, 0)
    if text[at : at + 1] != "{":
        raise RefusedError("no JSON object")
    at += 1
    found = None
    decoder = json.JSONDecoder(strict=False)
    while True:
        name, at = json_string(text, json_space(text, at))
        at = json_space(text, at)
        assert text[at] == ":"
        at = json_space(text, at + 1)
        if "".join(char for char, _, _ in name) == key and text[at] == '"':
            found, at = json_string(text, at)
        else:
            _, at = decoder.raw_decode(text, at)
        at = json_space(text, at)
        if text[at] == "}":
            break
        assert text[at] == ","
        at += 1
    if found is None:
        raise RefusedError("no such key")
    return found


def unescaped_confidence(raw: list[float], reply: str, characters: list[tuple[str, int, int]]) -> list[float]:
    """Bytes written as they are keep their own probability.

    An escape gives every byte of its character the mean over its raw bytes.
    """
    confidence = []
    for char, start, end in characters:
        first, last = len(reply[:start].encode()), len(reply[:end].encode())
        if reply[start:end] == char:
            confidence += raw[first:last]
        else:
            confidence += [sum(raw[first:last]) / (last - first)] * len(char.encode())
    return confidence


def confidence_of(row: dict) -> list[float] | None:
    """One probability a byte of row["reasoning"], of a line of exchange JSONL; None without pieces."""
    if row.get("pieces") is None:
        return None
    wanted = row["reasoning"]
    if row.get("reply") is None:
        return spelled_confidence(row["pieces"], wanted)
    reply = row["reply"]
    raw = spelled_confidence(row["pieces"], reply)
    if row.get("reasoning_span") is not None:
        start, end = row["reasoning_span"]
        if reply.encode()[start:end] != wanted.encode():
            raise RefusedError("the span holds another text")
        return raw[start:end]
    try:
        characters = json_member(reply, "reasoning")
    except (RefusedError, AssertionError, IndexError, ValueError):
        characters = []
    if characters and "".join(char for char, _, _ in characters) == wanted:
        return unescaped_confidence(raw, reply, characters)
    places = [i for i in range(len(reply.encode())) if reply.encode()[i:].startswith(wanted.encode())]
    if len(places) != 1:
        raise RefusedError("the reasoning is not in the reply once")
    return raw[places[0] : places[0] + len(wanted.encode())]


# ---------------------------------------------------------------------------------------------------
# What the proxy reads
# ---------------------------------------------------------------------------------------------------


def prompt_of(row: dict) -> str:
    """The verbatim prompt, else the form for a benchmark that is not known."""
    if row.get("prompt") is not None:
        return row["prompt"]
    return f"Question: {row['question']}\nAnswer:"


def byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes, read backwards."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = {chr(byte): byte for byte in kept}
    spare = 256
    for byte in range(256):
        if byte not in kept:
            letters[chr(spare)] = byte
            spare += 1
    return letters


def has_part(part: object, kind: str) -> bool:
    """Whether a normaliser, pre-tokenizer or decoder of tokenizer.json is or holds one of this type."""
    if isinstance(part, dict):
        return part.get("type") == kind or any(has_part(value, kind) for value in part.values())
    return isinstance(part, list) and any(has_part(value, kind) for value in part)


class Reader:
    """The tokenizer of a checkpoint folder: ids of a text, and which bytes each token spells."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer
        from transformers import AutoTokenizer

        self.hub = AutoTokenizer.from_pretrained(folder)
        self.core = Tokenizer.from_str(self.hub.backend_tokenizer.to_str())  # a copy to meddle with
        self.core.no_truncation()
        self.core.no_padding()
        self.core.encode_special_tokens = True
        self.layout = json.loads(self.core.to_str())
        self.added = {entry["id"]: entry["content"] for entry in self.layout["added_tokens"]}
        self.special = {entry["id"] for entry in self.layout["added_tokens"] if entry["special"]}
        self.unigram = self.layout["model"]["type"] == "Unigram"
        self.byte_level = has_part(self.layout["decoder"], "ByteLevel")
        self.letters = byte_alphabet()

    def bos(self) -> list[int]:
        """The BOS token where the tokenizer's own convention adds one, else nothing."""
        plain = self.hub("a", add_special_tokens=False)["input_ids"]
        dressed = self.hub("a", add_special_tokens=True)["input_ids"]
        if dressed[0] == self.hub.bos_token_id and plain[0] != self.hub.bos_token_id:
            return [self.hub.bos_token_id]
        return []

    def encode(self, text: str) -> list[int]:
        """Ids of a text, nothing added, and no special token read out of it."""
        model = self.layout["model"]
        listed = (
            {model["vocab"][i][0] for i in self.special if i < len(model["vocab"])} if self.unigram else set()
        )
        if any(piece in text for piece in listed):
            return self.walk(text, listed)
        return self.core.encode(text, add_special_tokens=False).ids

    def walk(self, text: str, control: set[str]) -> list[int]:
        """Unigram's best segmentation of each pre-token when its control pieces are no text."""
        vocabulary = self.layout["model"]["vocab"]
        pieces = {piece: (score, i) for i, (piece, score) in enumerate(vocabulary) if piece not in control}
        unknown = min(score for _, score in vocabulary) - 10.0
        normal = self.core.normalizer.normalize_str(text) if self.core.normalizer else text
        ids: list[int] = []
        for word, _ in self.core.pre_tokenizer.pre_tokenize_str(normal):
            best: list[tuple[float, list[int]]] = [(0.0, [])]
            for end in range(1, len(word) + 1):
                ways = []
                for start in range(end):
                    score, tokens = best[start]
                    part = word[start:end]
                    if part in pieces:
                        ways.append((score + pieces[part][0], [*tokens, pieces[part][1]]))
                    elif end == start + 1:
                        spelled = [pieces[f"<0x{byte:02X}>"][1] for byte in part.encode()]
                        ways.append((score + unknown, [*tokens, *spelled]))
                best.append(max(ways, key=lambda way: way[0]))
            ids += best[-1][1]
        return ids

    def changes(self, text: str) -> bool:
        """Whether the normaliser changes this text, the reversible space mark aside."""
        if self.core.normalizer is None:
            return False
        normal = self.core.normalizer.normalize_str(text)
        if normal == text:
            return False
        if has_part(self.layout["normalizer"], "Replace") or has_part(self.layout["normalizer"], "Prepend"):
            marked = text.replace(" ", "▁")
            return normal not in {marked, "▁" + marked}
        return True

    def ends(self, token: int, text: bytes, start: int) -> set[int]:
        """Where a token may end in `text` if it starts at `start`."""
        if token in self.added:
            content = self.added[token]
            spellings = {content.encode(), content.replace("▁", " ").encode()}
            return {start + len(x) for x in spellings if text[start:].startswith(x)}
        piece = self.core.id_to_token(token)
        if self.byte_level:
            spelled = bytes(self.letters[letter] for letter in piece)
            return {start + len(spelled)} if text[start:].startswith(spelled) else set()
        places = set()
        if (
            len(piece) == 6
            and piece.startswith("<0x")
            and text[start : start + 1] == bytes([int(piece[3:5], 16)])
        ):
            places.add(start + 1)
        here = {start}
        for letter in piece:
            following = {at + len(letter.encode()) for at in here if text[at:].startswith(letter.encode())}
            if letter == "▁":
                following |= {at + 1 for at in here if text[at:].startswith(b" ")}
            here = following
        return places | here

    def spell(self, tokens: list[int], text: bytes) -> list[tuple[int, int]] | None:
        """The one way in which these tokens spell this text, as [start, end) of each; None if none does."""
        reached: list[dict[int, int]] = [{0: 0}]
        for token in tokens:
            step: dict[int, int] = {}
            for start in reached[-1]:
                for end in self.ends(token, text, start):
                    assert end not in step, "two spellings"
                    step[end] = start
            reached.append(step)
        if len(text) not in reached[-1]:
            return None
        spans = []
        end = len(text)
        for step in reversed(reached[1:]):
            spans.append((step[end], end))
            end = step[end]
        return spans[::-1]

    def reads(self, prompt: str, reasoning: str) -> "Reading | None":
        """The ids of a trace and the bytes of R that its tokens cover; None where the spelling is lost."""
        head, tail = self.bos() + self.encode(prompt), self.encode(" " + reasoning)
        for lead in (" ", "  "):  # the separator; before it perhaps a dummy prefix
            spans = self.spell(tail, (lead + reasoning).encode())
            if spans is not None:
                break
        else:
            return None
        tokens = []
        for index, (start, end) in enumerate(spans):
            first, last = max(start - len(lead), 0), max(end - len(lead), 0)
            if last > first:
                tokens.append((len(head) + index, first, last))
        return Reading(head + tail, tokens)


@dataclass
class Reading:
    """Ids of a whole sequence, and (position in it, start, end in R) of every token that is scored."""

    ids: list[int]
    tokens: list[tuple[int, int, int]]


def load_model(folder: Path) -> object:
    """The model of a folder in float64, without fused kernels for attention and experts."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    )
    return model.eval().double()


def token_nll(model: object, reading: Reading) -> list[float]:
    """-ln p(token | all before it) of every scored token, in nats; one sequence in one forward pass."""
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([reading.ids]), use_cache=False).logits[0].double()
    losses = []
    for position, _, _ in reading.tokens:
        assert position > 0, "nothing comes before the first token of a sequence"
        losses.append(-float(torch.log_softmax(logits[position - 1], dim=-1)[reading.ids[position]]))
    return losses


# ---------------------------------------------------------------------------------------------------
# Values
# ---------------------------------------------------------------------------------------------------


def raw_weights(confidence: list[float], spans: list[tuple[int, int]]) -> list[float]:
    """Mean of the byte probabilities of each token."""
    return [sum(confidence[start:end]) / (end - start) for start, end in spans]


def minmax(weights: list[float], low: float, high: float) -> list[float]:
    """MinMax of weights; a range under 1e-6 counts as none, and every weight is 1."""
    if high - low < 1e-6:
        return [1.0 for _ in weights]
    return [(weight - low) / (high - low) for weight in weights]


def values(
    nll: list[float],
    weights: list[float] | None,
    num_bytes: int,
    benchmark: tuple[float, float] | None = None,
) -> dict:
    """The per-trace values of interfaces.md; those of weights are None without weights."""
    total = sum(nll)
    row = {
        "num_tokens": len(nll),
        "num_bytes": num_bytes,
        "trace_nll": total / len(nll),
        "trace_bits_per_byte": total / (math.log(2) * num_bytes),
        "rbridge": None,
        "rbridge_unnormalised": None,
        "rbridge_benchmark_minmax": None,
        "rbridge_per_byte": None,
    }
    if weights is None:
        return row
    what = minmax(weights, min(weights), max(weights))
    row["rbridge"] = sum(loss * weight for loss, weight in zip(nll, what, strict=True)) / len(nll)
    row["rbridge_per_byte"] = sum(loss * weight for loss, weight in zip(nll, what, strict=True)) / num_bytes
    row["rbridge_unnormalised"] = sum(loss * weight for loss, weight in zip(nll, weights, strict=True)) / len(
        nll
    )
    if benchmark is not None:
        what = minmax(weights, *benchmark)
        weighted = sum(loss * weight for loss, weight in zip(nll, what, strict=True))
        row["rbridge_benchmark_minmax"] = weighted / len(nll)
    return row


# ---------------------------------------------------------------------------------------------------
# The paper's algorithm, with letters
# ---------------------------------------------------------------------------------------------------


def letter_weights(pieces: list[tuple[str, float]], tokens: list[str]) -> list[float]:
    """`unit="char"`: a token's weight is the mean over its letters.

    A letter has the probability of the frontier token that contains it.
    """
    letters = []
    for text, logprob in pieces:
        letters += [(letter, math.exp(logprob)) for letter in text]
    weights = []
    for token in tokens:
        mine, letters = letters[: len(token)], letters[len(token) :]
        assert "".join(letter for letter, _ in mine) == token
        weights.append(sum(probability for _, probability in mine) / len(token))
    assert not letters
    return weights


def letter_score(pieces: list[tuple[str, float]], tokens: list[str], nll: list[float]) -> float:
    """Algorithm 1 of the paper, letter by letter."""
    weights = letter_weights(pieces, tokens)
    low, high = min(weights), max(weights)
    return sum(
        loss * ((weight - low) / (high - low)) for loss, weight in zip(nll, weights, strict=True)
    ) / len(tokens)


# ---------------------------------------------------------------------------------------------------
# A whole checkpoint
# ---------------------------------------------------------------------------------------------------


@dataclass
class Expected:
    """What the specification says of one trace under one checkpoint."""

    values: dict
    spans: list[tuple[int, int]]
    nll: list[float]
    weights: list[float] | None


def score_rows(rows: list[dict], reader: Reader, model: object, context: int) -> tuple[dict, dict]:
    """Expected values of the traces of one benchmark by (problem_id, voice), and the reasons of those skipped."""
    scored, skipped = {}, {}
    for row in rows:
        key = (row["problem_id"], row["voice"])
        if reader.changes(" " + row["reasoning"]) or reader.changes(prompt_of(row)):
            skipped[key] = "normalised"
            continue
        reading = reader.reads(prompt_of(row), row["reasoning"])
        assert reading is not None, ("tokens lost bytes of a text that the normaliser left alone", key)
        assert len(reading.ids) <= 8 or reading.tokens
        if len(reading.ids) > context:
            skipped[key] = "too long"
            continue
        spans = [(start, end) for _, start, end in reading.tokens]
        confidence = confidence_of(row)
        weights = None if confidence is None else raw_weights(confidence, spans)
        scored[key] = Expected({}, spans, token_nll(model, reading), weights)
    every = [weight for one in scored.values() if one.weights is not None for weight in one.weights]
    benchmark = (min(every), max(every)) if every else None
    by_key = {(row["problem_id"], row["voice"]): row for row in rows}
    for key, one in scored.items():
        one.values = values(one.nll, one.weights, len(by_key[key]["reasoning"].encode()), benchmark)
    return scored, skipped
