"""GSM8K's calculator marks, ``<<48/2=24>>``: read from a worked solution, recomputed exactly."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

_MARK = re.compile(r"<<([^<>=]+)=([^<>=]+)>>")
_OPERATIONS: dict[type[ast.AST], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Step:
    """One calculator mark.

    Attributes:
        expression: as it stands before the equals sign.
        operands: the numbers in it, left to right, without their signs.
        result: what it comes to.
    """

    expression: str
    operands: tuple[Fraction, ...]
    result: Fraction

    def given(self, operands: Sequence[Fraction]) -> Step:
        """The same calculation of other numbers.

        Raises:
            ZeroDivisionError: it divides by nought.
        """
        fresh = iter(operands)
        expression = _NUMBER.sub(lambda _: shown(next(fresh)), self.expression)
        return Step(expression, tuple(operands), self.result_of(operands))

    def result_of(self, operands: Sequence[Fraction]) -> Fraction:
        """What the calculation comes to with other numbers.

        Raises:
            ZeroDivisionError: it divides by nought.
        """
        return _value(_tree(self.expression), iter(operands))


_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")


def read_steps(solution: str) -> tuple[Step, ...] | str:
    """The calculator marks of a worked solution, in order, or why they cannot be trusted."""
    steps = []
    for expression, result in _MARK.findall(solution):
        try:
            value = evaluate(expression)
            if value != evaluate(result):
                return f"a calculation does not hold: {expression}={result}"
        except (SyntaxError, ValueError, ZeroDivisionError):
            return f"a calculation cannot be evaluated: {expression}={result}"
        steps.append(Step(expression, tuple(_operands(expression)), value))
    return tuple(steps) or "no calculation is marked"


def evaluate(expression: str) -> Fraction:
    """An expression of numbers, ``+ - * /`` and brackets, exactly.

    Raises:
        SyntaxError, ValueError: it is something else.
        ZeroDivisionError: it divides by nought.

    Example:
        >>> evaluate("60/100 * .5")
        Fraction(3, 10)
    """
    return _value(_tree(expression), iter(_operands(expression)))


def _operands(expression: str) -> tuple[Fraction, ...]:
    return tuple(map(Fraction, _NUMBER.findall(expression)))


@lru_cache(maxsize=256)
def _tree(expression: str) -> ast.expr:
    if re.search(r"[^\d.+*/() -]", expression):
        raise ValueError(f"{expression!r} is no calculation of numbers")
    # An x for every number: its value comes from the operands, so that 0.1 is a tenth and not the float.
    return ast.parse(_NUMBER.sub("x", expression.strip()), mode="eval").body


def _value(node: ast.expr, operands: Iterator[Fraction]) -> Fraction:
    """The value of a tree whose numbers are taken from left to right."""
    if isinstance(node, ast.Name) and node.id == "x":
        return next(operands)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, operands)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left = _value(node.left, operands)
        return _OPERATIONS[type(node.op)](left, _value(node.right, operands))
    raise ValueError("no calculation of numbers")


def decimals(value: Fraction) -> int | None:
    """How many decimal places write a number exactly; None where none are enough."""
    return next((places for places in range(10) if (value * 10**places).denominator == 1), None)


def shown(value: Fraction) -> str:
    """A number as text: a decimal where that is exact, else a fraction in brackets."""
    places = decimals(value)
    if places is None:
        return f"({value})"
    return f"{value.numerator // value.denominator}" if places == 0 else f"{float(value):.{places}f}"
