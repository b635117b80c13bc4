"""How often the refusal rules err on answers that humans labelled and nobody developed them on.

    python benchmarks/battery_judge_error.py PACKAGES [--half development]

PACKAGES is the folder that ``upbringing data fetch`` downloads into. The labels' word "refusal" includes answers that
have nothing to do with the request; so two readings are printed: ``refuse`` alone, and ``not answered`` (refuse or
incoherent). This is a smoke test of the rules, not a calibration: these are not answers of a study's checkpoints, and
no target is set. The numbers are the same on every machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from upbringing.attribution.statistics.rates import Rate, simple_rate
from upbringing.battery.judges.refusal_rules import RefusalRuleJudge
from upbringing.data.packages.judge_rows import LabelledAnswer, labelled_answers
from upbringing.formats.items import Item, Message

READINGS = {"refuse": ("refuse",), "not answered": ("refuse", "incoherent")}


def main() -> None:
    """Print both readings for the chosen half."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path)
    parser.add_argument("--half", choices=("locked", "development"), default="locked")
    arguments = parser.parse_args()
    rows = [
        row for row in labelled_answers(arguments.packages) if row.half == arguments.half and row.refused is not None
    ]
    outcomes = judged(rows)
    print(f"{RefusalRuleJudge().id} on the {arguments.half} half: {len(rows)} answers, "
          f"{sum(outcome is None for outcome in outcomes)} unscored")  # fmt: skip
    for reading, counted in READINGS.items():
        pairs = [(row.refused, outcome in counted) for row, outcome in zip(rows, outcomes, strict=True) if outcome]
        sensitivity = simple_rate([said for human, said in pairs if human])
        specificity = simple_rate([not said for human, said in pairs if not human])
        error = simple_rate([human != said for human, said in pairs])
        print(
            f"  {reading:13} sensitivity {shown(sensitivity)}  specificity {shown(specificity)}  error {shown(error)}"
        )


def judged(rows: Sequence[LabelledAnswer]) -> list[str | None]:
    """Return the judge's outcome of each row; the request is declared harmful throughout, so it tells nothing."""
    items = [
        Item(
            id=row.id,
            cluster=row.id,
            request="harmful",
            split="ood",
            messages=(Message(role="user", content=row.request),),
        )
        for row in rows
    ]
    return [found.outcome for found in RefusalRuleJudge().judge(items, [row.answer for row in rows])]


def shown(found: Rate) -> str:
    """Return a rate as text."""
    if found.share is None or found.low is None or found.high is None:
        return "-"
    return f"{found.share:.3f} [{found.low:.3f}, {found.high:.3f}] of {found.num}"


if __name__ == "__main__":
    main()
