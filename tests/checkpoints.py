"""Small checkpoint folders of many architectures, each with a tokenizer trained here.

Weights are random and scaled until predictions are peaked, biases and norms are random too, so that a
forgotten bias, softcap or logit scale shows. Tokenizers are small, so that characters are split.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import ByteLevel as ByteLevelProcessor
from tokenizers.processors import Sequence as ProcessorSequence
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

torch.set_num_threads(1)

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


# ---------------------------------------------------------------------------------------------------
# Tokenizers
# ---------------------------------------------------------------------------------------------------


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


# ---------------------------------------------------------------------------------------------------
# Models
# ---------------------------------------------------------------------------------------------------

SMALL = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
GQA = {**SMALL, "num_key_value_heads": 2, "max_position_embeddings": 1024}


@dataclass(frozen=True)
class Recipe:
    """How one checkpoint is made, and what is known of it beforehand."""

    model_type: str
    tokenizer: Callable[[], PreTrainedTokenizerFast]
    options: dict = field(default_factory=dict)
    context: int = 1024  # longest sequence that fits
    bos: str | None = None  # what the tokenizer's convention puts before a text
    spare_rows: int = 0  # rows of the embedding that no token uses
    dtype: torch.dtype = torch.float32  # of the weights on disk
    truncation: int | None = None  # a truncation left behind in tokenizer.json
    tokenizer_class: str | None = None  # the class named on disk, which may rebuild the tokenizer


RECIPES = {
    "gpt2": Recipe(
        "gpt2", gpt2_style, {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 640}, context=640
    ),
    "llama3": Recipe("llama", llama3_style, GQA, bos="<|begin_of_text|>"),
    "llama2": Recipe("llama", llama2_style, {**GQA, "attention_bias": True}, bos="<s>"),
    "llama2-class": Recipe("llama", llama2_style, GQA, bos="<s>", tokenizer_class="LlamaTokenizer"),
    "neox": Recipe(
        "gpt_neox",
        neox_style,
        {**SMALL, "rotary_pct": 0.25, "max_position_embeddings": 1024},
        spare_rows=37,
        tokenizer_class="GPTNeoXTokenizer",
    ),
    "olmo2": Recipe("olmo2", neox_style, GQA, dtype=torch.bfloat16, truncation=16),
    "qwen3": Recipe(
        "qwen3",
        qwen_style,
        {**GQA, "head_dim": 16, "tie_word_embeddings": True},
        spare_rows=64,
        tokenizer_class="Qwen2Tokenizer",
    ),
    "gemma2": Recipe(
        "gemma2",
        gemma_style,
        {
            **GQA,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 24,
            "final_logit_softcapping": 6.0,
            "attn_logit_softcapping": 1.5,
        },
        bos="<bos>",
        tokenizer_class="GemmaTokenizer",
    ),
    "gemma3": Recipe(
        "gemma3_text",
        gemma_style,
        {
            **GQA,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 16,
            "sliding_window_pattern": 2,
        },
        bos="<bos>",
    ),
    "mistral": Recipe("mistral", metaspace_style, {**GQA, "sliding_window": 20}, bos="<s>"),
    "unigram": Recipe("llama", unigram_style, GQA, bos="<s>"),
    "cohere": Recipe(
        "cohere",
        cohere_style,
        {**GQA, "logit_scale": 0.25},
        bos="<BOS_TOKEN>",
        tokenizer_class="CohereTokenizer",
    ),
    "granite": Recipe(
        "granite",
        codegen_style,
        {**GQA, "logits_scaling": 4.0, "embedding_multiplier": 3.0, "residual_multiplier": 0.5},
    ),
    "opt": Recipe(
        "opt",
        opt_style,
        {
            "hidden_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 64,
            "word_embed_proj_dim": 32,
            "max_position_embeddings": 1024,
            "pad_token_id": 1,
            "do_layer_norm_before": True,
        },
        bos="</s>",
    ),
    "bloom": Recipe("bloom", bloom_style, {"hidden_size": 48, "n_layer": 2, "n_head": 4}),
    "mpt": Recipe(
        "mpt",
        neox_style,
        {"d_model": 48, "n_layers": 2, "n_heads": 4, "expansion_ratio": 2, "max_seq_len": 1024},
    ),
    "phi": Recipe("phi", codegen_style, {**SMALL, "max_position_embeddings": 1024}),
    "mamba": Recipe(
        "mamba", neox_style, {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}, spare_rows=5
    ),
    "lfm2": Recipe(
        "lfm2",
        lfm2_style,
        {**GQA, "num_hidden_layers": 3, "full_attn_idxs": [1], "conv_L_cache": 3},
        bos="<|startoftext|>",
    ),
    "falcon-h1": Recipe(
        "falcon_h1",
        codegen_style,
        {
            **GQA,
            "head_dim": 16,
            "mamba_d_ssm": 64,
            "mamba_n_heads": 4,
            "mamba_d_head": 16,
            "mamba_d_state": 8,
            "mamba_n_groups": 1,
            "mamba_chunk_size": 16,
            "lm_head_multiplier": 0.3,
            "key_multiplier": 0.5,
        },
    ),
    "qwen3-moe": Recipe(
        "qwen3_moe",
        qwen_style,
        {**GQA, "head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    ),
}

ROPE_BORDER = 64  # from this length on, "longrope" turns by other factors
ODD_RECIPES = {  # each for a test of its own
    "longrope": Recipe(
        "phi3",
        opt_style,
        {
            **GQA,
            "pad_token_id": 1,
            "original_max_position_embeddings": ROPE_BORDER,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "short_factor": [1.0] * 6,
                "long_factor": [2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
                "original_max_position_embeddings": ROPE_BORDER,
            },
        },
        bos="</s>",
    ),
    "unigram-control": Recipe("llama", unigram_control_style, GQA, bos="<s>"),
    "short": Recipe(
        "gpt2", gpt2_style, {"n_embd": 48, "n_layer": 1, "n_head": 4, "n_positions": 64}, context=64
    ),
}
EVERY_RECIPE = RECIPES | ODD_RECIPES


def head_of(model: torch.nn.Module) -> torch.nn.Parameter:
    """The matrix that makes logits."""
    return model.get_output_embeddings().weight


def peaked(model: torch.nn.Module, vocabulary: int) -> torch.nn.Module:
    """The model with every vector a bit random, and its head scaled until logits vary by about 3."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
        probe = torch.randint(5, vocabulary, (1, 64))
        for _ in range(6):
            spread = model(input_ids=probe, use_cache=False).logits[0, 8:, :vocabulary].std(-1).mean()
            head_of(model).mul_((3 / spread).clamp(0.3, 3.0))
    return model


def build(name: str, folder: Path, seed: int = 0) -> Path:
    """Write the checkpoint of this name into `folder` and check what comes back."""
    recipe = EVERY_RECIPE[name]
    tokenizer = recipe.tokenizer()
    vocabulary = len(tokenizer)
    torch.manual_seed(1000 * seed + list(EVERY_RECIPE).index(name))
    config = AutoConfig.for_model(
        recipe.model_type,
        vocab_size=vocabulary + recipe.spare_rows,
        initializer_range=0.15,
        **{
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": None,
        }
        | recipe.options,
    )
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    peaked(model, vocabulary).to(recipe.dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if recipe.truncation is not None:
        file = folder / "tokenizer.json"
        layout = json.loads(file.read_text())
        layout["truncation"] = {
            "direction": "Right",
            "max_length": recipe.truncation,
            "strategy": "LongestFirst",
            "stride": 0,
        }
        file.write_text(json.dumps(layout))
    if recipe.tokenizer_class is not None:
        file = folder / "tokenizer_config.json"
        layout = json.loads(file.read_text())
        layout["tokenizer_class"] = recipe.tokenizer_class
        file.write_text(json.dumps(layout))
    check(name, folder)
    return folder


def check(name: str, folder: Path) -> None:
    """The tokenizer in the folder is a fast one and puts before a text what was meant."""
    recipe = EVERY_RECIPE[name]
    loaded = AutoTokenizer.from_pretrained(folder)
    assert loaded.is_fast
    assert 300 <= len(loaded) <= 800, len(loaded)
    plain = loaded("So 2 + 3", add_special_tokens=False)["input_ids"]
    dressed = loaded("So 2 + 3", add_special_tokens=True)["input_ids"]
    lead = [] if recipe.bos is None else [loaded.convert_tokens_to_ids(recipe.bos)]
    assert dressed[: len(lead) + len(plain)] == lead + plain
    assert loaded("So 2 + 3")["input_ids"] == dressed


def build_all(root: Path, names: list[str] | None = None) -> Iterator[tuple[str, Path]]:
    """Every checkpoint, in a folder of its own under `root`."""
    for name in names or list(RECIPES):
        yield name, build(name, root / name)
