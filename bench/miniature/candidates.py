"""Candidate scores beside rBridge on the full miniature: python -m bench.miniature.candidates [FOLDER].

FOLDER is what `make miniature-full` wrote. The thirteen candidates were written down before any of it was trained
(docs/log.md, 2026-11-26). Every one is held against the targets on the development families' recipes of equal dose,
whether it works or not, with its gain over R^phi in decision accuracy. --held-back NAME reads one on the held-back
families instead, once; --in-format leaves only recipes in the traces' format; --train-slow first trains p32 at a
quarter of its learning rate, for candidate 13.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from rbridge.answers.item_values import item_values
from rbridge.answers.observations import RankGroup, read_target_noise, read_targets
from rbridge.answers.rank import RankQuestion, rank_group
from rbridge.metric.margin import QuestionReading
from rbridge.miniature.families import ALL, HELD_BACK, family_of
from rbridge.miniature.frontier import VOICE
from rbridge.miniature.full import SEEDS
from rbridge.miniature.jobs import proxy_jobs
from rbridge.miniature.recipes import Recipe
from rbridge.miniature.results import equal_dose
from rbridge.miniature.run import run_proxies
from rbridge.miniature.verdict import TARGET, TARGETS
from rbridge.miniature.vocabularies import proxy_tokenizer
from rbridge.proxies.ladder import Size
from rbridge.rank import Replicates, gain_interval, in_format
from rbridge.records import ScoredTrace
from rbridge.scoring.checkpoints import expand
from rbridge.scoring.readings import Wanted
from rbridge.scoring.sweep import ScoreSettings, sweep
from rbridge.store.bundles import read_bundle
from rbridge.store.readings import read_question_readings
from rbridge.store.runs import Run, RunStore, read_runs

# A candidate's value of every problem, from what one proxy read.
Items = Mapping[str, float]
LOSS = "beside: R^phi"
SLOW = Size("p32slow", width=32, heads=2, num_tokens=100_000, learning_rate=2.5e-3)


class Read:
    """What one proxy read: traces with weights, and every trace behind five questions."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.recipe = str(run.manifest.labels.recipe)
        self.seed = str(run.manifest.labels.seed)
        self.scored: dict[tuple[str, str], ScoredTrace] = {
            (one.key.voice, one.key.problem_id): one for one in run.scored()
        }
        self.behind: dict[tuple[str, str], list[QuestionReading]] = {}
        for reading in read_question_readings(run.folder) or []:
            self.behind.setdefault((reading.key.voice, reading.key.problem_id), []).append(reading)

    @property
    def voices(self) -> list[str]:
        """Whose traces it read."""
        return sorted({voice for voice, _ in self.behind})

    def each(self, voice: str, value: Callable[[QuestionReading, list[QuestionReading]], float]) -> Items:
        """A value of every problem in one voice, from its own question's reading and the others'."""
        found = {}
        for (heard, problem), readings in self.behind.items():
            right = next(one for one in readings if one.right)
            others = [one for one in readings if not one.right]
            if heard == voice and others:
                found[problem] = value(right, others)
        return found


def margin(right: QuestionReading, others: Sequence[QuestionReading]) -> float:
    """The question margin."""
    return float(np.mean([other.nll.mean() for other in others]) - right.nll.mean())


def margin_of(voice: str) -> Callable[[Read], Items]:
    """The question margin in one voice."""
    return lambda read: read.each(voice, margin)


def margin_of_numbers(read: Read) -> Items:
    """Among number tokens."""
    return read.each(
        VOICE,
        lambda right, others: float(np.mean([o.number_nll.mean() for o in others]) - right.number_nll.mean()),
    )


def own_voice(read: Read) -> Items:
    """In the likeliest voice, as the project defines it."""
    return {item[1]: value for item, value in item_values(read.run, "question_margin_own_voice").items()}


def over_voices(value: Callable[[QuestionReading, list[QuestionReading]], float]) -> Callable[[Read], Items]:
    """The mean over all voices."""

    def mean(read: Read) -> Items:
        each = [read.each(voice, value) for voice in read.voices]
        return {problem: float(np.mean([items[problem] for items in each])) for problem in each[0]}

    return mean


def number_loss(read: Read) -> Items:
    """Loss of number tokens among number tokens behind the own question, negated."""
    return read.each(VOICE, lambda right, _: -float(right.number_nll.mean()))


def relative_margin(read: Read) -> Items:
    """The margin over the loss behind other questions."""
    return read.each(
        VOICE,
        lambda right, others: margin(right, others) / float(np.mean([o.nll.mean() for o in others])),
    )


def weighted_margin(read: Read) -> Items:
    """The margin with the frontier's weights, MinMax over the trace."""

    def value(right: QuestionReading, others: list[QuestionReading]) -> float:
        weights = read.scored[VOICE, right.key.problem_id].tokens.weight
        assert weights is not None  # the frontier's voice has them
        what = (weights - weights.min()) / max(float(np.ptp(weights)), 1e-6)
        return float(np.mean([(other.nll * what).mean() for other in others]) - (right.nll * what).mean())

    return read.each(VOICE, value)


def trace_loss(read: Read) -> Items:
    """R^phi, negated."""
    return read.each(VOICE, lambda right, _: -float(right.nll.mean()))


def likeliest_voice_loss(read: Read) -> Items:
    """R^phi in bits a byte of the voice that is likeliest for this proxy as a whole, negated."""

    def bits(right: QuestionReading, _others: list[QuestionReading]) -> float:
        return -float(right.nll.sum() / (np.log(2) * right.num_bytes))

    each = [read.each(voice, bits) for voice in read.voices]
    return max(each, key=lambda items: float(np.mean(list(items.values()))))


class Results:
    """Which number tokens of a trace are results: numbers that its question does not say, by their text."""

    def __init__(self, folder: Path) -> None:
        self.is_result: dict[str, np.ndarray] = {}
        tokenizer = proxy_tokenizer()
        for line in (folder / "traces.jsonl").read_text(encoding="utf-8").splitlines():
            trace = json.loads(line)
            ids = tokenizer.encode(f" {trace['reasoning']}")
            asked = set(tokenizer.encode(trace["prompt"]))
            words = [tokenizer.decode([index]) for index in ids]
            self.is_result[trace["problem_id"]] = np.array(
                [
                    word.strip().isdigit() and index not in asked
                    for word, index in zip(words, ids, strict=True)
                ]
            )

    def _among(self, reading: QuestionReading) -> float:
        chosen = self.is_result[reading.key.problem_id][reading.number_at]
        return float(reading.number_nll[chosen].mean()) if chosen.any() else 0.0

    def loss(self, read: Read) -> Items:
        """Loss of results among number tokens, negated."""
        return read.each(VOICE, lambda right, _: -self._among(right))

    def margin(self, read: Read) -> Items:
        """Their margin."""
        return read.each(
            VOICE,
            lambda right, others: float(np.mean([self._among(o) for o in others])) - self._among(right),
        )


def slope(of: Callable[[Read], Items]) -> Callable[[Read, Read], Items]:
    """A value of the larger proxy less that of the smaller one, same recipe and seed."""

    def difference(large: Read, small: Read) -> Items:
        one, other = of(large), of(small)
        return {problem: one[problem] - other[problem] for problem in one}

    return difference


def candidates(
    folder: Path, large: Sequence[Read], small: Sequence[Read], slow: Sequence[Read]
) -> dict[str, Replicates]:
    """Every candidate's values, higher is better, by the numbers of the log."""
    results = Results(folder)
    alone: dict[str, Callable[[Read], Items]] = {
        "fixed: question_margin": margin_of(VOICE),
        "1 numbers": margin_of_numbers,
        "2 own voice": own_voice,
        "3 mean of voices": over_voices(margin),
        "4 number loss": number_loss,
        "5 relative": relative_margin,
        "6 weighted": weighted_margin,
        "9 R^phi, mean of voices": over_voices(lambda right, _: -float(right.nll.mean())),
        "10 R^phi, likeliest voice": likeliest_voice_loss,
        LOSS: trace_loss,
        "11 loss of results": results.loss,
        "12 margin of results": results.margin,
    }
    found = {name: table([(read, of(read)) for read in large]) for name, of in alone.items()}
    if small:
        before = {(read.recipe, read.seed): read for read in small}
        for name, of in (("7 slope of the margin", margin_of(VOICE)), ("8 fall of R^phi", trace_loss)):
            found[name] = table([(read, slope(of)(read, before[read.recipe, read.seed])) for read in large])
    if slow:
        found["13 margin, slow p32"] = table([(read, margin_of(VOICE)(read)) for read in slow])
    return found


def table(read: Sequence[tuple[Read, Items]]) -> Replicates:
    """Replicates of the problems that all share."""
    problems = sorted(set.intersection(*[set(items) for _, items in read]))
    return Replicates(
        recipes=tuple(one.recipe for one, _ in read),
        seeds=tuple(one.seed for one, _ in read),
        values=np.array([[items[problem] for problem in problems] for _, items in read]),
    )


def train_slow(folder: Path, recipes: Sequence[Recipe]) -> None:
    """Candidate 13's proxies, scored like the others of their size."""
    models = run_proxies(
        folder / "proxies",
        jobs=proxy_jobs(tuple(recipes), seeds=SEEDS, size=SLOW, num_problems=100),
        progress=print,
    )
    settings = ScoreSettings(shots=0, device="cpu", voices=(VOICE,), further=Wanted(margin=True))
    checkpoints = expand([str(model.folder) for model in models])
    sweep(checkpoints, read_bundle(folder / "bundle"), RunStore(folder / "runs" / SLOW.name), settings)


def main() -> None:
    """Print every candidate's agreement with the targets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("miniature-full"))
    parser.add_argument("--held-back", metavar="NAME")
    parser.add_argument("--in-format", action="store_true")
    parser.add_argument("--size", default="p48", help="of the proxies that are read (default: p48)")
    parser.add_argument("--train-slow", action="store_true")
    asked = parser.parse_args()
    if not (asked.folder / "results" / TARGETS).is_file():
        print(f"{asked.folder}: no full miniature there, so no candidates; make miniature-full (hours)")
        return
    held = asked.held_back is not None
    alike = [one for one in ALL if equal_dose(one)]
    recipes = [one for one in alike if (family_of(one.name) in HELD_BACK) == held]
    if asked.train_slow:
        train_slow(asked.folder, recipes)
    names = {recipe.name for recipe in recipes}
    if asked.in_format:
        names &= inside(reads(asked.folder, asked.size, {recipe.name for recipe in alike}))
    found = candidates(
        asked.folder, *(reads(asked.folder, size, names) for size in (asked.size, "p16", SLOW.name))
    )
    print(
        f"{'candidate':28s} recipes    tau  decision accuracy   on resolved pairs   gain over R^phi   abstains"
    )
    for name, replicates in found.items():
        if not held or name == asked.held_back:
            print(row(name, replicates, found[LOSS], asked.folder / "results" / TARGETS))


def reads(folder: Path, size: str, names: Collection[str]) -> list[Read]:
    """What the proxies of a size read, of these recipes."""
    place = folder / "runs" / size
    runs = read_runs(place) if place.is_dir() else ()
    return [Read(run) for run in runs if run.manifest.labels.recipe in names]


def inside(read: Sequence[Read]) -> set[str]:
    """Recipes in the traces' format, by R^phi."""
    losses = table([(one, trace_loss(one)) for one in read])
    found = in_format(-losses.means())
    return {name for name, is_inside in zip(losses.names, found, strict=True) if is_inside}


def row(name: str, replicates: Replicates, losses: Replicates, file: Path) -> str:
    """A candidate's agreement with the targets, by the project's own ranking."""
    targets = {recipe: value for (recipe, _), value in read_targets(file, target=TARGET).items()}
    noise = read_target_noise(file, target=TARGET).get(None)
    question = RankQuestion(source=file, proxy="question_margin", target=TARGET, targets=file)
    ranked = rank_group(RankGroup({}, replicates, targets, noise, 0, ()), question, lower=False)
    agreement, decided = ranked.agreement, ranked.decisions
    assert agreement is not None  # there are targets
    assert decided is not None
    tau = "-" if agreement.kendall_tau is None else f"{agreement.kendall_tau:.2f}"
    order, beside = replicates.names, dict(zip(losses.names, losses.means(), strict=True))
    gain = gain_interval(
        replicates.means(),
        np.array([beside[recipe] for recipe in order]),
        np.array([targets[recipe] for recipe in order]),
        rng=np.random.default_rng(0),
    )
    return (
        f"{name:28s} {agreement.num_recipes:7d} {tau:>6s} "
        f"{told(agreement.decision_accuracy, agreement.interval):>20s} "
        f"{told(decided.resolved_accuracy, decided.resolved_interval):>20s} of {decided.num_resolved} "
        f"{told(*gain):>18s}  "
        f"{ranked.abstain or '-'}"
    )


def told(value: float | None, ends: tuple[float, float] | None) -> str:
    """A figure with its interval."""
    between = "" if ends is None else f" [{ends[0]:.2f}, {ends[1]:.2f}]"
    return "-" if value is None else f"{value:.2f}{between}"


if __name__ == "__main__":
    main()
