"""How the recipes of the miniature write: right and wrong chains, in the traces' words, in others and in other formats.

A style is a writer of chains, and for some which problems it writes of. Every style ends a document in the same
answer sentence, so that every model's answers are read alike.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from rbridge.miniature.world import (
    MAX_TOTAL,
    Chain,
    Problem,
    Split,
    Step,
    draw_problem,
    rooms,
    standard_chain,
)

OTHER_OPENERS = ("Well,", "Here", "At first", "Clearly")
_NEW_OPENERS = ("Right.", "Here we go.", "One by one.", "Listen.")
_NEW_CONNECTIVES = ("After that", "Afterwards", "Later", "Again")

Writer = Callable[[Problem, random.Random], Chain]


def other_words_chain(problem: Problem, rng: random.Random) -> Chain:
    """The right reasoning in words that the traces never use; only the answer sentence is shared."""
    clauses: list[str] = []
    for step, total, result in _steps(problem):
        operand = step.operand(total)
        forms = {
            "+": (f"adding {operand} onto {total} makes {result}", f"{total} plus {operand} is {result}"),
            "-": (f"taking {operand} off {total} leaves {result}", f"{total} less {operand} is {result}"),
        }
        clauses.append(rng.choice(forms[step.sign]))
    return Chain(f"{rng.choice(OTHER_OPENERS)} {'; '.join(clauses)}.", problem.answer)


def other_connectives_chain(problem: Problem, rng: random.Random) -> Chain:
    """The traces' steps with other openers and connectives."""
    sentences = [rng.choice(_NEW_OPENERS)]
    for step, total, result in _steps(problem):
        sentences.append(f"{rng.choice(_NEW_CONNECTIVES)} {step.phrase}: {_sum(step, total)} = {result}.")
    return Chain(" ".join(sentences), problem.answer)


def bare_steps_chain(problem: Problem, _rng: random.Random) -> Chain:
    """The traces' steps without openers and connectives."""
    return _said(problem, lambda step, total, result: f"{step.phrase}: {_sum(step, total)} = {result}.")


def reasons_behind_chain(problem: Problem, _rng: random.Random) -> Chain:
    """Each equation before the step that it works out."""

    def say(step: Step, total: int, result: int) -> str:
        return f"{_sum(step, total)} = {result} since {problem.name} {step.phrase}."

    return _said(problem, say)


def in_full_chain(problem: Problem, _rng: random.Random) -> Chain:
    """Sentences without equations; what is added or taken is named by the step alone."""

    def say(step: Step, total: int, result: int) -> str:
        return f"{problem.name} had {total} and {step.phrase}, that makes {result}."

    return _said(problem, say)


def equations_chain(problem: Problem, _rng: random.Random) -> Chain:
    """Bare equations."""
    return _said(problem, lambda step, total, result: f"{_sum(step, total)} = {result}.")


def results_first_chain(problem: Problem, _rng: random.Random) -> Chain:
    """Equations with the result in front: it has to be known before its sum is written."""
    return _said(problem, lambda step, total, result: f"{result} = {_sum(step, total)}.")


def json_chain(problem: Problem, _rng: random.Random) -> Chain:
    """Equations in a JSON object."""
    steps = [f"{_sum(step, total)} = {result}" for step, total, result in _steps(problem)]
    return Chain(json.dumps({"steps": steps}), problem.answer)


def numbered_list_chain(problem: Problem, _rng: random.Random) -> Chain:
    """Equations in a numbered list, a line each."""
    lines = [
        f"{place}) {_sum(step, total)} = {result}"
        for place, (step, total, result) in enumerate(_steps(problem), start=1)
    ]
    return Chain("\n".join(lines), problem.answer)


def filler_chain(problem: Problem, rng: random.Random) -> Chain:
    """The standard chain with a sentence behind each step that adds nothing."""
    first, *sentences = standard_chain(problem, rng).reasoning.replace(". ", ".\0").split("\0")
    totals = problem.totals[1:]
    padded = [
        f"{sentence} That is {total} {problem.item}."
        for sentence, total in zip(sentences, totals, strict=True)
    ]
    return Chain(" ".join([first, *padded]), problem.answer)


def one_sum_chain(problem: Problem, _rng: random.Random) -> Chain:
    """All steps in one sum: no running totals, so no chain to speak of."""
    total, terms = problem.start, [str(problem.start)]
    for step in problem.steps:
        terms.append(f"{step.sign} {step.operand(total)}")
        total = step.apply(total)
    return Chain(f"{' '.join(terms)} = {total}.", total)


def answer_only_chain(problem: Problem, _rng: random.Random) -> Chain:
    """No reasoning."""
    return Chain("", problem.answer)


def last_step_wrong_chain(problem: Problem, rng: random.Random) -> Chain:
    """A standard chain that is right up to its last result, and wrong there."""
    right = standard_chain(problem, rng)
    wrong = rng.choice([value for value in rooms(problem.steps)[-1] if value != right.answer])
    return Chain(f"{right.reasoning.removesuffix(f'{right.answer}.')}{wrong}.", wrong)


def other_problem_chain(problem: Problem, rng: random.Random) -> Chain:
    """A right standard chain of another problem: the arithmetic holds, the question is not answered."""
    return standard_chain(draw_problem(rng, split=problem.split), rng)


def other_start_chain(problem: Problem, rng: random.Random) -> Chain:
    """A right standard chain of the question's steps from another first number, where one fits."""
    starts = [
        start
        for start in range(1, MAX_TOTAL + 1)
        if start != problem.start
        and all(1 <= total <= MAX_TOTAL for total in replace(problem, start=start).totals)
    ]
    return standard_chain(replace(problem, start=rng.choice(starts or [problem.start])), rng)


def shuffled_steps_chain(problem: Problem, rng: random.Random) -> Chain:
    """The right sentences of a standard chain in a random order."""
    right = standard_chain(problem, rng)
    first, *sentences = right.reasoning.replace(". ", ".\0").split("\0")
    rng.shuffle(sentences)
    return Chain(" ".join([first, *sentences]), right.answer)


STYLES: dict[str, Writer] = {
    "standard": standard_chain,
    "15 % of steps wrong": partial(standard_chain, error_rate=0.15),
    "30 % of steps wrong": partial(standard_chain, error_rate=0.30),
    "50 % of steps wrong": partial(standard_chain, error_rate=0.50),
    "80 % of steps wrong": partial(standard_chain, error_rate=0.80),
    "last step wrong": last_step_wrong_chain,
    "of another problem": other_problem_chain,
    "from another start": other_start_chain,
    "steps in random order": shuffled_steps_chain,
    "other words": other_words_chain,
    "other connectives": other_connectives_chain,
    "bare steps": bare_steps_chain,
    "reasons behind": reasons_behind_chain,
    "in full": in_full_chain,
    "equations": equations_chain,
    "results first": results_first_chain,
    "JSON": json_chain,
    "numbered list": numbered_list_chain,
    "two steps": standard_chain,
    "four steps": standard_chain,
    "with filler": filler_chain,
    "one sum": one_sum_chain,
    "answer only": answer_only_chain,
}
_NUM_STEPS = {"two steps": 2, "four steps": 4}


def draw_problem_of(style: str, rng: random.Random, *, split: Split) -> Problem:
    """A random problem of ``split`` that the style writes of."""
    while True:
        problem = draw_problem(rng, split=split)
        if len(problem.steps) == _NUM_STEPS.get(style, len(problem.steps)):
            return problem


def write_document(problem: Problem, style: str, rng: random.Random) -> str:
    """A problem and its chain in one of STYLES, as recipes hold them."""
    return f"{problem.prompt} {STYLES[style](problem, rng).text}"


def draw_document(rng: random.Random, *, style: str, split: Split) -> str:
    """A document of a random problem."""
    return write_document(draw_problem_of(style, rng, split=split), style, rng)


def _steps(problem: Problem) -> list[tuple[Step, int, int]]:
    """Each step with the totals before and behind it."""
    totals = problem.totals
    return list(zip(problem.steps, totals[:-1], totals[1:], strict=True))


def _sum(step: Step, total: int) -> str:
    return f"{total} {step.sign} {step.operand(total)}"


def _said(problem: Problem, say: Callable[[Step, int, int], str]) -> Chain:
    return Chain(" ".join(say(*step) for step in _steps(problem)), problem.answer)
