"""Grading: whether an answer is right, by the checker that its benchmark names as data.

Numbers exactly, LaTeX through math-verify, option letters, code run against its tests in a sandbox.
"""

from rbridge.grading.admit import Added, add_benchmark
from rbridge.grading.check import check_answer, checker_of, require_checker
from rbridge.grading.verdict import Verdict

__all__ = ["Added", "Verdict", "add_benchmark", "check_answer", "checker_of", "require_checker"]
