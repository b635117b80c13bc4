"""The page of a validation, as Markdown: every number with its Monte Carlo error, no date, no time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from upbringing.validation.gates import Performance, Result
from upbringing.validation.planted import SCENARIOS
from upbringing.validation.run import Validation

FAMILIES = {
    "I": "Inference",
    "A": "Attribution over stages",
    "M": "Measurement",
    "W": "The whole tool",
    "O": "Studies of other kinds",
}
HEAD = """\
# Self-validation

Studies with planted truth are simulated and analysed, and what is found is compared with what was planted. This page is
written by `make validate` (`upbringing validate`); the tests run a reduced suite.
{size}

How to read it: *found* is a share of simulated studies unless the row says otherwise, with its Monte Carlo standard
error. *route*: `estimator` calls the estimators of `attribution` on arrays, which allows many studies; `attribute`
writes rows and tree in the public format and reads the claims that come back; `exact` leaves nothing to chance. *R*:
studies (or cases). *S* counts independent runs (seeds), *N* prompts; low and high noise are standard deviations of 0.15
and 0.40 logits between runs of one recipe.
"""
EXPECTED = """\
## Naive analyses, which must fail

The same studies, analysed as is often done. Each is asked for what the real analysis is asked for and must not reach
it: one that did would show that the suite cannot tell them apart, and would make it fail.
"""
FEW = """\
## What three seeds can and cannot show

Not gates: what a study with three seeds finds. Intervals are honest with three seeds, but wide.
"""
NOT_RUN = """\
## Not run

Gates of the reference that this suite does not run. None of them counts as passed.
"""
LIMITS = """\
## What this does not show

- Prompts and runs are drawn from distributions; those of a real study need not be exchangeable, and its noise may be of
  another size. Variance components of real pilots have to replace the ones assumed here.
- Intervals are about all prompts and runs of a recipe. Nothing is shown about other models, data or judges.
- A judge of no stated kind is warned of, and its verdict stands: where it errs more on one cell (D9), nearly all
  studies without any effect are called changed. Without labels a language model's verdict does not stand (O4), and a
  rule's only where errors that differ by .24 cannot have made it (O5): errors that differ by more would.
- Where a prompt of a cluster is missing in one cell, all cells are compared on the prompts of it that all have.
- No trained model takes part. The planted canary in tiny models is a suite of its own.
"""
PERFORMANCE = """\
## Performance of the estimator

Bias, empirical standard error, mean model error over it, coverage, how often a change is called, how often alike within
0.10 is said, and, among changes that were called, how often the sign is wrong and by what factor they are exaggerated.
"""


def page_of(validation: Validation) -> str:
    """Return the page."""
    normal = [each for each in validation.results if each.status in ("pass", "FAIL")]
    parts = [HEAD.format(size=_size(validation)), _verdict(validation), *_families(normal)]
    for head, statuses in (
        (EXPECTED, ("fails, as it must", "PASSES, BUT MUST FAIL")),
        (FEW, ("enough seeds", "not enough seeds")),
    ):
        found = [each for each in validation.results if each.status in statuses]
        parts += [head, _table(found)] if found else []
    missing = [each for each in validation.results if each.status == "not run"]
    if missing:
        parts += [NOT_RUN, _rows(("gate", "what", "why"), [(each.id, each.claim, each.note) for each in missing])]
    parts += [PERFORMANCE, _performances(validation.performances), "## Scenarios\n", _scenarios(), LIMITS]
    return "\n".join(parts)


def _size(validation: Validation) -> str:
    whole = validation.share >= 1
    size = "A full run" if whole else f"A run with {validation.share:g} of the studies of a full one"
    wider = (
        "" if whole else "\nBounds are wider by what that adds: twice the added Monte Carlo error, as root of squares."
    )
    size += f", only {', '.join(validation.only)}" if validation.only else ""
    return f"{size}, seed {validation.seed}; the same seed gives the same page.{wider}"


def _verdict(validation: Validation) -> str:
    statuses = [each.status for each in validation.results]
    num = statuses.count("pass") + statuses.count("FAIL")
    naive = statuses.count("fails, as it must") + statuses.count("PASSES, BUT MUST FAIL")
    lines = [
        f"**{statuses.count('pass')} of {num} gates pass; {statuses.count('fails, as it must')} of {naive} naive "
        f"analyses fail, as they must; {statuses.count('not run')} gates were not run.**\n"
    ]
    for each in validation.results:
        if each.status == "FAIL":
            lines.append(f"- {each.id} fails: {each.claim} ({each.scenario}, {each.setting}). {each.note}".rstrip())
    return "\n".join([*lines, ""] if len(lines) > 1 else lines)


def _families(results: Sequence[Result]) -> Iterable[str]:
    for letter, title in FAMILIES.items():
        found = sorted((each for each in results if each.id[0] == letter), key=lambda each: int(each.id[1:]))
        if found:
            yield f"## {title}\n"
            yield _table(found)


def _table(results: Iterable[Result]) -> str:
    head = ("gate", "what", "scenario", "setting", "route", "R", "found", "asked", "result")
    return _rows(
        head,
        [
            (
                each.id,
                each.claim,
                each.scenario,
                each.setting,
                each.route or "-",
                f"{each.replicates:,}",
                _number(each.value, each.error),
                each.bound,
                each.status,
            )
            for each in results
        ],
    )


def _performances(performances: Sequence[Performance]) -> str:
    names = (
        "bias",
        "empirical SE",
        "model / empirical SE",
        "covered",
        "changed",
        "alike",
        "wrong_sign",
        "exaggeration",
    )
    titles = tuple(name.replace("_", " ") for name in names)
    rows = [
        (
            each.scenario,
            each.what,
            each.setting,
            each.route,
            f"{each.replicates:,}",
            *(_of(each, name) for name in names),
        )
        for each in sorted(performances, key=lambda each: int(each.scenario[1:]) if each.scenario[1:].isdigit() else 99)
    ]
    return _rows(("scenario", "what is planted", "setting", "route", "R", *titles), rows)


def _of(found: Performance, name: str) -> str:
    return _number(*found.numbers[name]) if name in found.numbers else "-"


def _scenarios() -> str:
    rows = []
    for each in SCENARIOS:
        rates = ", ".join(f"{cell.name} {cell.rate:g}" for cell in each.cells)
        rows.append((each.id, each.title, rates))
    return _rows(("scenario", "what is planted", "true rates of harm"), rows)


def _number(value: float | None, error: float | None) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.3f}" if error is None else f"{value:.3f} ± {error:.3f}"


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, ""])
