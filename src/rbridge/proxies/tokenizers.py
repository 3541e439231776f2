"""Train the small byte-level tokenizers that proxies read with."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"

# Words, numbers and marks each take the one space before them, so that a number reads the same wherever it
# stands, and encode(prompt) + encode(" " + text) is encode(prompt + " " + text) for a prompt that ends in none.
WHOLE_NUMBERS = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SINGLE_DIGITS = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def train_tokenizer(texts: Iterable[str], *, vocab_size: int, pattern: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that spells any text and adds no special tokens of its own.

    Args:
        texts: what the merges are counted on; the same texts in the same order give the same tokenizer.
        vocab_size: most ids it may have, the 256 bytes and the end-of-text token among them.
        pattern: regular expression of the pieces that no token crosses, such as WHOLE_NUMBERS.

    Returns:
        A fast tokenizer, which ``AutoTokenizer.from_pretrained`` loads from the folder it is saved in.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),  # all 256 bytes, seen or not
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
    )
