"""Checks of A9: proxies that predict retrained branches pass, others are greyed, few are uncalibrated; edited weights
calibrate no emulated tuning, and the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from upbringing.attribution.attribute import attribute
from upbringing.attribution.words.sentences import EDITED_WORDS, EMULATED_WORDS, NO_SHARE_OF_EDITS
from upbringing.base.streams import stream
from upbringing.formats.findings import Claim, Findings
from upbringing.formats.tree import EDITED, EMULATED, Cell, Checkpoint, ContrastSpec, Proxy, StageInfo, Tree
from upbringing.validation.drawing import draw
from upbringing.validation.process import SMALL
from upbringing.validation.scenarios import PlantedCell, Scenario
from upbringing.validation.tables import MEASURE, rows_of, tree_of

NUM_STUDIES = 5
MAIN = PlantedCell(arm="main", rate=0.5)
RETRAINED = (0.08, 0.15, 0.22, 0.29, 0.71, 0.78, 0.85, 0.92)  # without a stage each: rates of harm, 0.5 with all
WEAKER = tuple(0.5 + 0.7 * (rate - 0.5) for rate in RETRAINED)  # edits that do the same, but less of it
UNRELATED = (0.71, 0.29, 0.92, 0.08, 0.85, 0.15, 0.78, 0.22)  # rank correlation with the retrained rates: -0.19
KINDS: dict[str, Proxy] = {"edited": EDITED, "emulated": EMULATED}  # what the names of arms begin with
TOTAL, PART = "all stages against none", "what an edit shows of it"


def faithful_edits_pass() -> tuple[int, int]:
    """Return how many things hold in studies whose eight edits do 0.7 of what retraining does."""
    cases = []
    for findings in _studies(WEAKER):
        row, claims = _row(findings), _on_edits(findings)
        cases += [
            row["status"] == "faithful",
            row["cells"] == len(RETRAINED),
            row["spearman"] >= 0.8 and row["spearman_low"] <= row["spearman"] <= row["spearman_high"],
            row["slope"] > 1.0 and row["slope_low"] < row["slope"] < row["slope_high"],
            row["sign_agreement"] >= 0.75 and row["sign_agreement_low"] < row["sign_agreement"],
            all(_is_support(claim) and claim.fidelity == "faithful" for claim in claims),
            not any("dited weights" in warning for warning in findings.warnings),
            _share(findings).share is not None,
        ]
    return sum(cases), len(cases)


def unfaithful_edits_are_greyed() -> tuple[int, int]:
    """Return how many things hold in studies whose edits have nothing to do with retraining."""
    cases = []
    for findings in _studies(UNRELATED):
        cases += [
            _row(findings)["status"] == "unfaithful",
            any("do not predict retrained branches" in warning for warning in findings.warnings),
            *_are_marked(findings, "unfaithful"),
        ]
    return sum(cases), len(cases)


def few_edits_are_uncalibrated() -> tuple[int, int]:
    """Return how many things hold in studies of the same faithful edits, with seven retrained cells."""
    cases = []
    for findings in _studies(WEAKER, num_pairs=len(RETRAINED) - 1):
        row = _row(findings)
        cases += [
            row["status"] == "uncalibrated",
            row["cells"] == len(RETRAINED) - 1,
            all(row[name] is None for name in ("spearman", "slope", "intercept", "rmse", "sign_agreement")),
            any("uncalibrated on" in warning for warning in findings.warnings),
            *_are_marked(findings, "uncalibrated"),
        ]
    return sum(cases), len(cases)


def each_proxy_is_calibrated_apart() -> tuple[int, int]:
    """Return how many things hold in studies of both kinds of proxy, of which one is faithful and one is not."""
    cases = []
    for edited, emulated in ((WEAKER, UNRELATED), (UNRELATED, WEAKER)):
        for findings in _studies(edited, emulated=emulated):
            statuses = {row["proxy"]: row["status"] for row in findings.tables["fidelity"]}
            expected = {EDITED: _expected(edited), EMULATED: _expected(emulated)}
            claims = {kind: _on(findings, name) for name, kind in KINDS.items()}
            cases += [
                statuses == expected,
                *(bool(found) and all(_is_support(claim) for claim in found) for found in claims.values()),
                *(all(claim.fidelity == expected[kind] for claim in found) for kind, found in claims.items()),
                all(claim.sentence.endswith(EMULATED_WORDS[_expected(emulated)]) for claim in claims[EMULATED]),
            ]
    return sum(cases), len(cases)


def _expected(rates: Sequence[float]) -> str:
    return "faithful" if rates == WEAKER else "unfaithful"


def _are_marked(findings: Findings, status: str) -> list[bool]:
    share = _share(findings)
    claims = _on_edits(findings)
    return [
        bool(claims) and all(_is_support(claim) and claim.fidelity == status for claim in claims),
        all(claim.sentence.endswith(EDITED_WORDS[status]) for claim in claims if claim.estimate is not None),
        share.share is None and share.share_reason == NO_SHARE_OF_EDITS[status],
    ]


def _is_support(claim: Claim) -> bool:
    return claim.level == "L4" and claim.role == "exploratory"


def _on_edits(findings: Findings) -> list[Claim]:
    return _on(findings, "edited")


def _on(findings: Findings, name: str) -> list[Claim]:
    """Return the claims with a cell of one kind of proxy and none of the other."""
    others = [each for each in KINDS if each != name]
    return [
        claim
        for claim in findings.claims
        if any(cell.startswith(name) for cell in claim.weights)
        and not any(cell.startswith(other) for cell in claim.weights for other in others)
    ]


def _row(findings: Findings) -> dict[str, Any]:
    (row,) = findings.tables["fidelity"]
    return dict(row)


def _share(findings: Findings) -> Claim:
    return next(claim for claim in findings.claims if claim.contrast == PART)


def _studies(
    edited: Sequence[float], num_pairs: int = len(RETRAINED), emulated: Sequence[float] = ()
) -> list[Findings]:
    found = []
    for number in range(NUM_STUDIES):
        cells = (
            MAIN,
            *(PlantedCell(arm=f"without_{place}", rate=rate) for place, rate in enumerate(RETRAINED)),
            *(PlantedCell(arm=f"edited_{place}", rate=rate) for place, rate in enumerate(edited)),
            *(PlantedCell(arm=f"emulated_{place}", rate=rate) for place, rate in enumerate(emulated)),
        )
        scenario = Scenario(id="fidelity", title="edited and retrained", cells=cells, contrasts=())
        drawn = draw(scenario, SMALL, stream(0, "validation", "fidelity", str(edited), num_pairs, number))
        found.append(attribute(rows_of(drawn), _tree(scenario, num_pairs)))
    return found


def _tree(scenario: Scenario, num_pairs: int) -> Tree:
    tree = tree_of(scenario, SMALL)
    places = {cell.checkpoint: cell for cell in tree.cells}
    study = tree.study.model_copy(update={"contrasts": _contrasts(scenario)})
    return tree.model_copy(
        update={
            "study": study,
            "checkpoints": tuple(_edited(each, places.get(each.id), tree) for each in tree.checkpoints),
            "cells": tuple(_standing(cell, num_pairs) for cell in tree.cells),
        }
    )


def _contrasts(scenario: Scenario) -> tuple[ContrastSpec, ...]:
    """Return each proxy against what was edited, and a share that one of them would be of a retrained total."""
    names = {cell.arm: cell.name for cell in scenario.cells}
    effects = [
        ContrastSpec(name=arm, weights={name: 1.0, names["main"]: -1.0}, measure=MEASURE)
        for arm, name in names.items()
        if arm.startswith(tuple(KINDS))
    ]
    total = {names["without_7"]: 1.0, names["main"]: -1.0}
    part = {names["edited_7"]: 1.0, names["main"]: -1.0}
    return (
        *effects,
        ContrastSpec(name=TOTAL, weights=total, measure=MEASURE, level="L2", kind="branch"),
        ContrastSpec(name=PART, weights=part, measure=MEASURE, level="L4", share_of=total),
    )


def _edited(checkpoint: Checkpoint, cell: Cell | None, tree: Tree) -> Checkpoint:
    """Return a checkpoint of a proxy's arm as made, without training, from the run of the same seeds in ``main``."""
    kind = None if cell is None else KINDS.get(cell.arm.partition("_")[0])
    if cell is None or kind is None:
        return checkpoint
    (parent,) = (each.checkpoint for each in tree.cells if each.arm == MAIN.arm and each.seeds == cell.seeds)
    stages = (*checkpoint.stages, StageInfo(role="edit", kind=kind))
    return checkpoint.model_copy(update={"parent": parent, "stages": stages})


def _standing(cell: Cell, num_pairs: int) -> Cell:
    word, _, place = cell.arm.partition("_")
    if word not in KINDS or int(place) >= num_pairs:
        return cell
    return cell.model_copy(update={"stands_for": f"without_{place}@{cell.position}"})
