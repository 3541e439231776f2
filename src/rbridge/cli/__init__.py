"""The command line: parse, call one library function, print.

Results go to stdout (``--json`` for machines), progress and warnings to stderr. Exit status: 0;
1 for an error that the user can mend, in one line; 2 for wrong usage; 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from rbridge import __version__
from rbridge.cli.benchmarks import benchmarks
from rbridge.cli.compute import compute
from rbridge.cli.declare import declare
from rbridge.cli.demo import demo
from rbridge.cli.evaluate import evaluate
from rbridge.cli.export import export
from rbridge.cli.fit import fit
from rbridge.cli.generate import generate
from rbridge.cli.miniature import miniature
from rbridge.cli.null import null
from rbridge.cli.paper import paper
from rbridge.cli.plan import plan
from rbridge.cli.predict import predict
from rbridge.cli.proxies import proxies
from rbridge.cli.rank import rank
from rbridge.cli.recipes import recipes
from rbridge.cli.report import report
from rbridge.cli.runs import runs
from rbridge.cli.score import score
from rbridge.cli.seen import seen
from rbridge.cli.sft import sft
from rbridge.cli.show import show
from rbridge.cli.study import study
from rbridge.cli.targets import targets
from rbridge.cli.traces import traces
from rbridge.errors import RBridgeError

app = App(
    name="rbridge",
    help="Rank pre-training datasets by small proxies' likelihood of a frontier model's reasoning.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # run() says what is kept
)
app.command(score)
app.command(show)
app.command(rank)
app.command(seen)
app.command(null)
app.command(declare)
app.command(report)
app.command(plan, name="plan")
traces.command(generate)
app.command(traces, name="traces")
app.command(demo)
app.command(miniature)
app.command(benchmarks, name="benchmarks")
app.command(compute, name="compute")
app.command(fit)
app.command(predict)
app.command(paper)
app.command(targets, name="targets")
app.command(runs, name="runs")
app.command(study, name="study")
app.command(recipes, name="recipes")
app.command(evaluate)
app.command(export)
proxies.command(sft)
app.command(proxies, name="proxies")


def run(tokens: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status."""
    try:
        status = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(f"usage: {_one_line(error)} (see rbridge --help)", 2)
    except RBridgeError as error:
        return _fail(f"error: {_one_line(error)}", 1)
    except KeyboardInterrupt:
        return _fail("stopped; what is finished is kept: the same command goes on from there", 130)
    except BrokenPipeError:  # the reader of our stdout has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"error: {place}{error.strerror or _one_line(error)}; what is finished is kept", 1)
    return status if isinstance(status, int) else 0


def main() -> None:
    """Entry point of the ``rbridge`` command."""
    sys.exit(run())


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
