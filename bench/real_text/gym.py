"""Questions and answers of reasoning-gym as JSONL.

    PYTHONPATH=PACKAGES python bench/real_text/gym.py gym|chains DOCUMENTS

Runs in a process of its own, since the package brings its own numpy and sympy. GSM-Symbolic is the only one of its
generators that works its answers out. Its templates are GSM8K's test questions.
"""

from __future__ import annotations

import json
import sys

import reasoning_gym

GENERATORS = {
    "chains": ("gsm_symbolic",),
    "gym": (
        "aiw",
        "basic_arithmetic",
        "calendar_arithmetic",
        "chain_sum",
        "complex_arithmetic",
        "fraction_simplification",
        "gcd",
        "knights_knaves",
        "lcm",
        "leg_counting",
        "number_sequence",
        "products",
        "syllogism",
        "time_intervals",
    ),
}


def main(source: str, num_documents: int) -> None:
    """Print so many documents, the generators in turn."""
    names = GENERATORS[source]
    each = -(-num_documents // len(names))
    datasets = [reasoning_gym.create_dataset(name, size=each, seed=0) for name in names]
    for index in range(num_documents):
        entry = datasets[index % len(names)][index // len(names)]
        answer = entry["metadata"].get("answer_cot", entry["answer"])
        print(json.dumps({"text": f"Question: {entry['question']}\nAnswer: {answer}\n"}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
