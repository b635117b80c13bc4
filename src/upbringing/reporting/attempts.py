"""How often each checkpoint was asked for an answer: no checkpoint may get more tries than another unseen."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from upbringing.reporting.inputs import Inputs
from upbringing.reporting.words import DASH, count, several

UNEVEN_SHARE = 0.01  # a difference of the share asked again beyond which checkpoints are not alike in this
UNEVEN = (
    "Checkpoints were asked again unequally often: {least:.1%} of the answers of {fewest} and {most:.1%} of those of "
    "{oftenest} took more than one attempt."
)


@dataclass(frozen=True)
class AttemptLine:
    """One checkpoint. ``attempts``: requests per answer; ``again``: answers that took more than one."""

    checkpoint: str
    places: str
    answers: str
    attempts: str
    again: str


@dataclass(frozen=True)
class Attempts:
    """All checkpoints whose answers say how often they were asked for. ``warning``: empty where they are alike."""

    lines: tuple[AttemptLine, ...]
    num_again: int
    warning: str

    @property
    def summary(self) -> str:
        """Whether anything was asked again, in one line."""
        return f"{several(self.num_again, 'answer')} took more than one attempt" if self.num_again else "one per answer"


def attempts_of(inputs: Inputs) -> Attempts:
    """Return the attempts per checkpoint; nothing where answers, or how often they were asked for, are not kept."""
    answers = inputs.answers
    if answers is None or "attempts" not in answers.column_names:
        return Attempts((), 0, "")
    # plain text: files written apart have dictionaries of their own, and groups are formed over one
    named = answers.select(["attempts"]).append_column("checkpoint", answers["checkpoint"].cast(pa.string()))
    known = named.filter(pc.is_valid(answers["attempts"]))
    again = pc.greater(known["attempts"], 1).cast(pa.int64())
    table = known.append_column("again", again).group_by("checkpoint").aggregate(
        [("attempts", "count"), ("attempts", "sum"), ("again", "sum")]
    )  # fmt: skip
    rows = sorted(table.to_pylist(), key=lambda row: str(row["checkpoint"]))
    places: dict[str, dict[str, None]] = {}
    for cell in inputs.tree.cells:
        places.setdefault(cell.checkpoint, {})[cell.name] = None
    lines = tuple(
        AttemptLine(
            checkpoint=str(row["checkpoint"]),
            places=", ".join(places.get(str(row["checkpoint"]), ())) or DASH,
            answers=count(row["attempts_count"]),
            attempts=f"{row['attempts_sum'] / row['attempts_count']:.3f}",
            again=count(row["again_sum"]),
        )
        for row in rows
    )
    shares = {str(row["checkpoint"]): row["again_sum"] / row["attempts_count"] for row in rows}
    return Attempts(lines, sum(row["again_sum"] for row in rows), _warning(shares))


def _warning(shares: dict[str, float]) -> str:
    if not shares:
        return ""
    fewest, oftenest = min(shares, key=lambda name: shares[name]), max(shares, key=lambda name: shares[name])
    if shares[oftenest] - shares[fewest] <= UNEVEN_SHARE:
        return ""
    return UNEVEN.format(least=shares[fewest], fewest=fewest, most=shares[oftenest], oftenest=oftenest)
