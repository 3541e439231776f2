"""Traces and commands with which the product is held against the naive oracle."""

import contextlib
import io
import itertools
import json
import random
from pathlib import Path

from tests import checkpoints, naive

# ---------------------------------------------------------------------------------------------------
# Traces
# ---------------------------------------------------------------------------------------------------

LONG = "".join(f"{n}; " for n in range(1, 210))

TEXTS = {
    "plain": "So 2 + 3 = 5; therefore the answer is 5. Each of the three friends has 3 apples.",
    "zwj": "Family 👨‍👩‍👧‍👦, thumbs 👍🏽, flag 🏳️‍🌈 = 3 😀😀.",
    "marks": "x́ + q̃ = z̈: нет, नमस्ते, ก็ตาม",
    "decomposed": "re\u0301sume\u0301: le proble\u0300me",
    "jamo": "답 \u1112\u1161\u11ab 42",
    "singletons": "R = 3 \u2126, d = 2 \u212b",
    "compatibility": "\ufb01ve \u00b2 = \u33a1 … Ⅳ",
    "cjk": "日本語の問題を解く。答えは四十二です。𠮷野家で𝟜",
    "rtl": "התשובה היא \u200f42\u200e، الجواب هو ٤٢ \u2067x\u2069.",
    "nul": "a\x00b \x00\x00 \x01\x1b\x7f c\x00",
    "latex": r"Let $x = \frac{1}{2}$, so \sqrt{x^2 + y^2} \le \alpha\cdot\beta \\ \text{é} \"q\" \u0041.",
    "code": "def f(x):\n    if x:\n        return  x\n\tfor i in y:\n\t\t  z = 1\n\n\n    return   2  # end\n",
    "specials": "Stop <|endoftext|> then <s>a</s> <bos><eos>b <|begin_of_text|> [INST] <pad><unk> <BOS_TOKEN> <mask>.",
    "specials-only": "<|endoftext|>",
    "specials-edge": "</s>x <|startoftext|><|padding|> <|im_start|>user <|im_end|> <EOS_TOKEN> <PAD> <CLS>",
    "added": "|||EMAIL_ADDRESS||| <think>hm</think><table> </h1>  <think>",
    "crlf": "one\r\ntwo\r\n\r\nthree\rfour\n\rfive",
    "tabs": "\tone\t\ttwo \t three\t",
    "spaces": "   three before,  two within, four after    ",
    "newlines": "\n\n\nStart\n\n\n\n\n\n\n\nend\n\n",
    "one-space": " ",
    "five-spaces": "     ",
    "letter": "5",
    "emoji": "😀",
    "accent": "é",
    "stand-ins": "Ġword Ċ âĢĶ Ģ, not ▂ or _",
    "odd-unicode": "\ufeffbom \ufffd\ufffd \uffff \U0010ffff end\u00ad",
    "odd-spaces": "a\u00a0b\u2003c\u3000d\u2028e\u2029f\x85g\x0bh\x0ci",
    "mixed": "Der Schüler 😀 löst ∑ größere √2 Aufgaben — “da” → 42日本  \n\té\r\n",
}

PROMPTS = {
    "verbatim": "Q: 2 + 3?\nLet us think step by step:",
    "trailing": "Q: 2 + 3?\n\nA:   ",
    "special": "<s>[INST] Add 2 and 3. [/INST] <|endoftext|><bos>",
    "unicode": "質問: 二と三を足す 😀\n答え:",
    "newline": "\n",
}


def random_pieces(text: str, rng: random.Random) -> list[dict]:
    """Pieces that spell this text, cut anywhere between its bytes, with log-probabilities of all sizes."""
    spelled = text.encode()
    cuts = sorted(
        {0, len(spelled), *rng.choices(range(len(spelled) + 1), k=rng.randint(0, len(spelled) // 2))}
    )
    pieces = []
    for start, end in itertools.pairwise(cuts):
        part = spelled[start:end]
        logprob = rng.choice(
            [0.0, 3e-7, -1e-9, -rng.expovariate(20), -rng.expovariate(1), -rng.expovariate(0.2)]
        )
        piece: dict = {"logprob": logprob}
        try:
            readable = part.decode()
        except UnicodeDecodeError:
            readable = None
        if readable is not None and rng.random() < 0.6:
            piece["text"] = readable
        else:
            piece["bytes"] = list(part)
            if rng.random() < 0.3:
                piece["text"] = part.decode(errors="replace")  # "bytes" wins
        pieces.append(piece)
    return pieces


def escaped(text: str, rng: random.Random) -> str:
    """A JSON string of this text, where whatever may be written in several ways is."""
    out = []
    for char in text:
        ways = []
        if char >= " " and char not in '"\\':
            ways += [char] * 4
        ways += ["\\" + short for short, meant in naive.SHORT_ESCAPES.items() if meant == char]
        units = char.encode("utf-16-be")
        hexes = "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
        ways += [hexes, hexes.upper().replace("\\U", "\\u")]
        out.append(rng.choice(ways))
    return '"' + "".join(out) + '"'


def json_reply(reasoning: str, rng: random.Random) -> str:
    """A model's JSON reply with this reasoning in it, spaced, ordered and escaped at random."""
    style = rng.randrange(3)
    final = json.dumps("7 \\ é \n😀", ensure_ascii=rng.random() < 0.5)
    colon = rng.choice([":", ": ", " : "])
    written = escaped(reasoning, rng) if style == 2 else json.dumps(reasoning, ensure_ascii=style == 1)
    members = [
        f'"reasoning"{colon}{written}',
        f'"final_answer": {final}',
        '"meta": {"reasoning": "a decoy", "n": [1, -2.5e3, true, null, {"x": []}]}',
        '"note": "not \\"reasoning\\": \\"this\\""',
    ]
    rng.shuffle(members)
    space = rng.choice(["", " ", "\n  "])
    return (
        rng.choice(["", "\n"])
        + "{"
        + space
        + ("," + space).join(members)
        + space
        + "}"
        + rng.choice(["", "\n"])
    )


def row_of(
    problem_id: str,
    reasoning: str,
    *,
    benchmark: str = "oddities",
    voice: str = "v",
    reply: str | None = None,
    **more: object,
) -> dict:
    """One line of exchange JSONL, its pieces cut at random."""
    rng = random.Random(f"{benchmark} {problem_id} {voice}")
    row: dict = {
        "benchmark": benchmark,
        "problem_id": problem_id,
        "voice": voice,
        "reasoning": reasoning,
        **more,
    }
    if "prompt" not in row:
        row["question"] = rng.choice(
            ["How many are 2 and 3?", "Was ist größer, √2 oder 1?\nSag es.", "二と三?"]
        )
    if reply is not None:
        row["reply"] = reply
    row["pieces"] = random_pieces(reasoning if reply is None else reply, rng)
    row["weight_source"] = "self"
    return row


def make_rows() -> list[dict]:
    """All the traces of these tests."""
    rng = random.Random(20)
    rows = [row_of(name, text) for name, text in TEXTS.items()]
    rows += [
        row_of(f"json-{name}", TEXTS[name], reply=json_reply(TEXTS[name], rng))
        for name in ("plain", "zwj", "latex", "code", "specials", "rtl", "nul", "mixed", "odd-spaces")
    ]
    rows += [row_of(f"prompt-{name}", TEXTS["plain"], prompt=prompt) for name, prompt in PROMPTS.items()]
    twice = "Ja: élan 5. Again: élan 5. Done"
    first = len("Ja: élan 5. Again: ".encode())
    rows += [
        row_of("verbatim", "So, é = 5 😀.", reply="Thinking… So, é = 5 😀. The answer is 5."),
        row_of("spanned", "élan 5.", reply=twice, reasoning_span=[first, first + len("élan 5.".encode())]),
        row_of("plain", "Another voice: first 2, then 3 — so 5.", voice="w"),
        row_of("long", LONG),
    ]
    constant = row_of("constant", "All of these are as likely as the others 😀.")
    nearly = row_of("nearly-constant", "All of these are nearly as likely as the others.")
    for index, (one, other) in enumerate(zip(constant["pieces"], nearly["pieces"], strict=False)):
        one["logprob"] = -0.7
        other["logprob"] = -0.7 - 1e-7 * (index % 3)
    for piece in constant["pieces"][len(nearly["pieces"]) :] + nearly["pieces"][len(constant["pieces"]) :]:
        piece["logprob"] = -0.7
    bare = row_of("bare", "Nobody gave weights for this one, 2 + 3 = 5.")
    del bare["pieces"], bare["weight_source"]
    rows += [constant, nearly, bare]
    rows += [row_of(name, TEXTS[name], benchmark="narrow") for name in ("plain", "cjk", "decomposed")]
    for row in rows[-3:]:
        for piece in row["pieces"]:
            piece["logprob"] = -0.2 - abs(piece["logprob"]) / 50
    alike = [row_of(str(n), f"Trace {n} of constant weights.", benchmark="alike") for n in range(2)]
    for row in alike:
        for piece in row["pieces"]:
            piece["logprob"] = -0.3
    unweighted = row_of("1", "No trace of this benchmark has weights.", benchmark="unweighted")
    del unweighted["pieces"], unweighted["weight_source"]
    return [*rows, *alike, unweighted]


ROWS = make_rows()
BENCHMARKS = sorted({row["benchmark"] for row in ROWS})
NAMES = list(checkpoints.RECIPES)
SOME = ["gpt2", "llama2", "neox", "gemma2", "gemma3", "mistral", "bloom", "mpt", "mamba", "lfm2"]


def write_rows(path: Path, rows: list[dict], *, ascii_only: bool = False) -> Path:
    """An exchange file; NEL, LS and PS stand in it as they are unless `ascii_only`."""
    lines = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
    path.write_bytes(lines.encode())
    return path


# ---------------------------------------------------------------------------------------------------
# The commands
# ---------------------------------------------------------------------------------------------------


def attempt(*arguments: object) -> tuple[int, str]:
    """Exit status and standard output of one command."""
    from rbridge.cli import run

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = run([str(argument) for argument in arguments])
    return status, out.getvalue()


def rbridge(*arguments: object) -> str:
    """Standard output of one command, which must succeed."""
    status, out = attempt(*arguments)
    assert status == 0, (arguments, status, out[-2000:])
    return out


def lines_of(text: str) -> list[dict]:
    """Objects, one a line; a line ends at a newline and nowhere else."""
    return [json.loads(line) for line in text.split("\n") if line]


def score(folders: list[Path], bundle: Path, runs: Path, *options: object) -> dict:
    """What `rbridge score` prints."""
    return json.loads(
        rbridge("score", *folders, "--traces", bundle, "--shots", 0, "-o", runs, "--json", *options)
    )


def shown_items(runs: Path) -> dict[tuple, dict]:
    """What `rbridge show --items` prints, by (checkpoint's name, benchmark, problem_id, voice)."""
    rows = {}
    for row in lines_of(rbridge("show", runs, "--items", "--json")):
        key = (Path(row["checkpoint"]).name, row["benchmark"], row["problem_id"], row["voice"])
        assert key not in rows
        rows[key] = row
    return rows


def shown_tokens(runs: Path, rows: list[dict]) -> dict[tuple, list[dict]]:
    """What `rbridge show --trace` prints of all traces, by the same keys."""
    tokens: dict[tuple, list[dict]] = {}
    for trace in sorted({f"{row['benchmark']}/{row['problem_id']}" for row in rows}):
        with contextlib.suppress(AssertionError):  # nobody scored it
            for row in lines_of(rbridge("show", runs, "--trace", trace, "--json")):
                key = (Path(row["checkpoint"]).name, row["benchmark"], row["problem_id"], row["voice"])
                tokens.setdefault(key, []).append(row)
    return tokens


def close(mine: float, theirs: float) -> bool:
    """Equal to 1e-5, relative to max(1, |x|)."""
    return abs(mine - theirs) <= 1e-5 * max(1.0, abs(mine))


VALUES = (
    "trace_nll",
    "trace_bits_per_byte",
    "rbridge",
    "rbridge_unnormalised",
    "rbridge_benchmark_minmax",
    "rbridge_per_byte",
)


def losses_of(tokens: dict[tuple, list[dict]]) -> dict[tuple, list[tuple]]:
    """(start, end, nll, weight) of every token."""
    return {
        key: [(row["start"], row["end"], row["nll"], row["weight"]) for row in rows]
        for key, rows in tokens.items()
    }


def furthest(one: dict[tuple, list[tuple]], other: dict[tuple, list[tuple]]) -> float:
    """The largest difference in nats; spans and weights must be equal."""
    assert one.keys() == other.keys()
    worst = 0.0
    for key, mine in one.items():
        assert [(start, end, weight) for start, end, _, weight in mine] == [
            (start, end, weight) for start, end, _, weight in other[key]
        ]
        worst = max([worst, *(abs(a[2] - b[2]) for a, b in zip(mine, other[key], strict=True))])
    return worst
