"""Small tokenizers of many kinds, trained here; small, so that characters are split."""

import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import ByteLevel as ByteLevelProcessor
from tokenizers.processors import Sequence as ProcessorSequence
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

TEXT = """Question: Natalia sold 48 clips in April, and then half as many in May. How many altogether?
Answer: Natalia sold 48/2 = 24 clips in May. She sold 48 + 24 = 72 clips altogether in April and May.
So 2 + 3 = 5, and 5 * 4 = 20; therefore the answer is 20. First, we add. Then we multiply the two numbers.
def add(a, b):
    if a > b:
        return a - b
    for i in range(10):
        print(i, "yes")
    return a + b
Let $x = \\frac{1}{2}$ and $\\sqrt{x^2 + y^2} \\le \\alpha \\cdot \\beta$; then \\begin{aligned} x &= 1 \\end{aligned}
Der Schüler löst größere Aufgaben; l'élève résout des problèmes très élevés. Ответ: сорок два. Значит, да.
日本語の問題を解く。答えは四十二です。今日は良い天気ですね。数学の問題を解く。 חישוב התשובה הוא ארבעים ושתיים
الجواب هو اثنان وأربعون 😀 😀 😃 👍 ✅ → ≤ ≥ ≠ √2 π ∑ — the “quoted” text… and so on, step by step by step.
{"reasoning": "Step 1:\\n\\tTake 3 apples.", "final_answer": "3"}
Each of the three friends has three apples. Each apple costs 2 dollars, so 3 * 3 * 2 = 18 dollars in all.
"""
LINES = [*TEXT.splitlines(keepends=True), TEXT]

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
QWEN_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
BLOOM_SPLIT = r" ?[^(\s|[.,!?…。，、।۔،])]+"


def whole(tokenizer: Tokenizer, **special: str) -> PreTrainedTokenizerFast:
    """The tokenizer as transformers holds it."""
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **special)


def begins_with(token: str, tokenizer: Tokenizer) -> TemplateProcessing:
    """A template that puts one token before a text."""
    return TemplateProcessing(
        single=f"{token} $A",
        pair=f"{token} $A {token} $B:1",
        special_tokens=[(token, tokenizer.token_to_id(token))],
    )


def train_byte_level(tokenizer: Tokenizer, specials: list[str], size: int = 480) -> Tokenizer:
    """Byte-level BPE trained on the text above, all 256 bytes in it."""
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def gpt2_style() -> PreTrainedTokenizerFast:
    """Byte-level BPE as GPT-2 has it: no BOS is added, though there is one."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    train_byte_level(core, ["<|endoftext|>"])
    core.post_processor = ByteLevelProcessor(trim_offsets=False)
    return whole(core, bos_token="<|endoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>")


def opt_style() -> PreTrainedTokenizerFast:
    """GPT-2's BPE with "</s>" before every text."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    train_byte_level(core, ["<s>", "<pad>", "</s>", "<unk>"])
    core.post_processor = begins_with("</s>", core)
    return whole(core, bos_token="</s>", eos_token="</s>", unk_token="</s>", pad_token="<pad>")


def neox_style() -> PreTrainedTokenizerFast:
    """GPT-NeoX and OLMo: NFC, trimmed offsets, runs of spaces as tokens that are not special."""
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True)
    train_byte_level(core, ["<|endoftext|>", "<|padding|>"])
    core.post_processor = ByteLevelProcessor(add_prefix_space=False, trim_offsets=True)
    core.add_tokens([AddedToken(" " * n, normalized=True, special=False) for n in range(24, 1, -1)])
    core.add_tokens([AddedToken("|||EMAIL_ADDRESS|||", normalized=True, special=False)])
    return whole(core, bos_token="<|endoftext|>", eos_token="<|endoftext|>", pad_token="<|padding|>")


def codegen_style() -> PreTrainedTokenizerFast:
    """GPT-2's BPE with runs of spaces and of tabs as tokens, as CodeGen and Phi have it."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    train_byte_level(core, ["<|endoftext|>"])
    core.post_processor = ByteLevelProcessor(trim_offsets=True)
    runs = [" " * n for n in range(31, 1, -1)] + ["\t" * n for n in range(9, 1, -1)]
    core.add_tokens([AddedToken(run, normalized=True, special=False) for run in runs])
    return whole(core, bos_token="<|endoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>")


def llama3_style(bos: str = "<|begin_of_text|>") -> PreTrainedTokenizerFast:
    """A split by Llama 3's pattern before byte-level BPE, BOS through the template."""
    core = Tokenizer(models.BPE(ignore_merges=True))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    train_byte_level(core, [], size=470)
    core.add_special_tokens([bos, "<|end_of_text|>", "<|endoftext|>"])
    core.post_processor = ProcessorSequence([ByteLevelProcessor(trim_offsets=True), begins_with(bos, core)])
    return whole(core, bos_token=bos, eos_token="<|end_of_text|>")


def lfm2_style() -> PreTrainedTokenizerFast:
    """Llama 3's pattern with LFM2's name for BOS."""
    return llama3_style("<|startoftext|>")


def qwen_style() -> PreTrainedTokenizerFast:
    """NFC and a split into single digits; no BOS exists; "<think>" is an added token that is not special."""
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    train_byte_level(core, [], size=460)
    core.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    core.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    core.post_processor = ByteLevelProcessor(trim_offsets=False)
    return whole(core, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def cohere_style() -> PreTrainedTokenizerFast:
    """NFC, single digits, byte-level BPE, BOS through the template, which ends texts with nothing."""
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    train_byte_level(core, ["<PAD>", "<UNK>", "<BOS_TOKEN>", "<EOS_TOKEN>", "<|endoftext|>"])
    core.post_processor = begins_with("<BOS_TOKEN>", core)
    return whole(core, bos_token="<BOS_TOKEN>", eos_token="<EOS_TOKEN>", pad_token="<PAD>", unk_token="<UNK>")


def bloom_style() -> PreTrainedTokenizerFast:
    """BLOOM's split by punctuation, byte-level BPE, no BOS added."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(BLOOM_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    train_byte_level(core, ["<unk>", "<s>", "</s>", "<pad>"])
    core.post_processor = ByteLevelProcessor(trim_offsets=False)
    return whole(core, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def sentencepiece_bpe(first: list[str], split: pre_tokenizers.PreTokenizer, size: int = 260) -> Tokenizer:
    """BPE over letters with a byte fallback: control tokens, bytes, then what training found.

    Only common letters are in the alphabet, so that other characters fall back to their bytes.
    """
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.pre_tokenizer = split
    trainer = trainers.BpeTrainer(vocab_size=size, limit_alphabet=95, show_progress=False)
    trained.train_from_iterator(LINES, trainer)
    learnt = json.loads(trained.to_str())["model"]
    vocabulary = {piece: index for index, piece in enumerate([*first, *BYTES])}
    for piece in sorted(learnt["vocab"], key=learnt["vocab"].get):
        vocabulary.setdefault(piece, len(vocabulary))
    merges = [tuple(pair) for pair in learnt["merges"]]
    core = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True)
    )
    core.add_special_tokens(first)
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return core


def llama2_style() -> PreTrainedTokenizerFast:
    """SentencePiece BPE with a dummy prefix from the normaliser, byte fallback, BOS."""
    split = pre_tokenizers.Split(Regex("▁*[^▁]*"), "isolated")
    core = sentencepiece_bpe(["<unk>", "<s>", "</s>"], split)
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.post_processor = begins_with("<s>", core)
    return whole(core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def metaspace_style() -> PreTrainedTokenizerFast:
    """The dummy prefix by Metaspace, which adds none to a text that begins with a space."""
    split = pre_tokenizers.Split(Regex("▁*[^▁]*"), "isolated")
    core = sentencepiece_bpe(["<unk>", "<s>", "</s>"], split)
    core.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    core.post_processor = begins_with("<s>", core)
    return whole(core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def gemma_style() -> PreTrainedTokenizerFast:
    """Spaces become marks and nothing is prepended; runs of newlines and some tags are added tokens."""
    split = pre_tokenizers.Split("▁", "merged_with_next")
    core = sentencepiece_bpe(["<pad>", "<eos>", "<bos>", "<unk>"], split)
    core.normalizer = normalizers.Replace(" ", "▁")
    core.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    added = ["\n" * n for n in range(6, 1, -1)] + ["▁" * n for n in range(6, 1, -1)] + ["<table>", "</h1>"]
    core.add_tokens([AddedToken(text, normalized=False, special=False) for text in added])
    core.post_processor = begins_with("<bos>", core)
    return whole(core, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>", pad_token="<pad>")


def unigram(first: list[str]) -> Tokenizer:
    """Unigram with a byte fallback; its vocabulary begins with these pieces, of score 0."""
    trained = Tokenizer(models.Unigram())
    trained.normalizer = normalizers.NFKC()
    trained.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=[], show_progress=False, max_piece_length=8
    )
    trained.train_from_iterator([line.replace("  ", "") for line in LINES], trainer)
    learnt = json.loads(trained.to_str())["model"]["vocab"]
    common = [(piece, score) for piece, score in learnt if ord(max(piece)) < 0x2600]
    pieces = [*((piece, 0.0) for piece in first), *((byte, -20.0) for byte in BYTES), *common]
    core = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always", split=True)
    core.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace("▁", prepend_scheme="always")]
    )
    core.add_special_tokens(["<unk>", "<s>", "</s>"])
    return core


def unigram_style() -> PreTrainedTokenizerFast:
    """Unigram with NFKC and runs of spaces made one: it changes many a text; its template ends texts too."""
    core = unigram(["<unk>"])
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    core.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>",
        special_tokens=[(token, core.token_to_id(token)) for token in ("<s>", "</s>")],
    )
    return whole(core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def unigram_control_style() -> PreTrainedTokenizerFast:
    """Unigram whose model, as that of XLM-R or llm-jp, lists the control tokens among its pieces."""
    core = unigram(["<unk>", "<s>", "</s>"])
    core.post_processor = begins_with("<s>", core)
    return whole(core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
