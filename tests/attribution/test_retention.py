"""Documents and chats on simulated studies: the ratio by hand and its coverage, planted truths and nulls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from simulated_chats import ROLES, simulated_chats

from upbringing.attribution.attribute import attribute
from upbringing.attribution.effects.retention import two_sources
from upbringing.attribution.evidence.cells import Source
from upbringing.attribution.evidence.design import Units
from upbringing.attribution.evidence.pivot import Pivot, Term
from upbringing.attribution.judges.error_gap import ASSUMED_GAP
from upbringing.attribution.protocols.answer_classes import GRADED
from upbringing.attribution.words import chat_sentences as said
from upbringing.attribution.words.judge_sentences import SHARE_UNCHECKED
from upbringing.formats.findings import Conclusion
from upbringing.formats.tree import Teacher


def flat(neither: float, documents: float, chats: float, both: float) -> dict[str, float]:
    return {"neither": neither, "documents": documents, "chats": chats, "both": both, "positive_control": 3.0}


INSIDE = flat(-3.0, -3.0, 2.0, 2.0)


def found_of(seed: int, outside: Mapping[str, float], **options: Any) -> Conclusion:
    table, tree = simulated_chats(seed, {"inside": INSIDE, "outside": outside}, **options)
    (found,) = attribute(table, tree, other_estimators=False).conclusions
    return found


def test_a_planted_trait_reaches_out_of_distribution_and_documents_amplify_it() -> None:
    found = found_of(1, flat(-3.0, -3.0, -1.0, 3.0))
    assert found.verdict == "supported"
    assert found.parts["CC0"].verdict == "supported"
    assert found.parts["CC3"].verdict == "supported"
    assert found.parts["CC5"].verdict == "supported"
    assert found.parts["CC6"].verdict == found.parts["CC7"].verdict == "not-decided"
    assert said.NO_OUTCOME in found.parts["CC6"].sentence


def test_a_planted_trait_that_stays_in_distribution_is_refuted_and_not_retained() -> None:
    found = found_of(2, flat(-3.0, -3.0, -3.0, -3.0))
    assert found.verdict == "refuted"
    assert found.parts["CC4"].verdict == "refuted"
    ratio = found.parts["CC4"].measures["trait"]
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low < 0.1
    assert ratio.high < 0.3


def test_no_effect_in_distribution_leaves_the_ratio_undefined() -> None:
    nothing = flat(-1.0, -1.0, -1.0, -1.0)
    table, tree = simulated_chats(3, {"inside": nothing, "outside": flat(-3.0, -3.0, 2.0, 2.0)})
    findings = attribute(table, tree, other_estimators=False)
    part = findings.conclusions[0].parts["CC4"]
    assert part.measures["trait"].ratio is None
    assert "undefined" in part.sentence
    (line,) = findings.tables["retention"]
    assert (line["value"], line["low"]) == (None, None)


def reread(seed: int, inside: Mapping[str, float], **study: Any) -> dict[str, Any]:
    """The line of what is retained in a study with other margins than the simulated one declares."""
    outside = flat(-3.0, -3.0, 2.0, 2.0)
    table, tree = simulated_chats(seed, {"inside": inside, "outside": outside}, drift=0.01, num_items=MANY)
    tree = tree.model_copy(update={"study": tree.study.model_copy(update={"margins": {}, **study})})
    (line,) = attribute(table, tree, other_estimators=False).tables["retention"]
    return line


FEW = {"inside": 5, "outside": 2}
MANY = {"inside": 400, "outside": 40}
SMALL = flat(-0.6, -0.6, -0.3, -0.3)  # some .35 become some .42: told from 0, and less than .10


def test_an_effect_within_the_default_margin_leaves_nothing_to_retain() -> None:
    assert reread(3, SMALL)["value"] is not None  # nothing is asked of the denominator but to be told from 0
    line = reread(3, SMALL, default_margins="loose")
    assert (line["value"], line["low"], line["p"]) == (None, None, None)
    assert line["reason"] == "the effect in distribution is within the default margin of 0.1 (loose)"
    declared = reread(3, SMALL, margins={"trait": 0.2})
    assert declared["reason"] == "the effect in distribution is within the margin of 0.2"
    beyond = reread(3, SMALL, margins={"trait": 0.01}, default_margins="loose")  # what was declared stays
    assert beyond["value"] is not None


def test_an_effect_within_a_risk_ratio_leaves_nothing_to_retain() -> None:
    within = reread(3, SMALL, ratio_margins={"trait": 2.0})
    assert within["reason"] == "the effect in distribution is within the risk ratio of 2"
    assert reread(3, SMALL, ratio_margins={"trait": 1.05})["value"] is not None


def test_a_large_effect_is_retained_alike_with_and_without_the_default() -> None:
    assert reread(5, INSIDE, default_margins="strict") == reread(5, INSIDE)


def test_the_ratio_by_hand() -> None:
    """Worlds of their own: seed means s of (out - r x in) with t on S - 1 degrees of freedom, by the roots in r."""
    table, tree = simulated_chats(5, {"inside": INSIDE, "outside": flat(-3.0, -3.0, 0.0, 1.0)}, is_nested=True)
    findings = attribute(table, tree, other_estimators=False)
    known: dict[tuple[str, str, int], list[float]] = {}
    for row in table.to_pylist():
        role, _, run = row["checkpoint"].rpartition("-")
        known.setdefault((row["item"].partition("/")[0], role, int(run)), []).append(row["value"])
    effect = {
        where: np.array(
            [
                0.5 * sum(sign * np.mean(known[where, role, run]) for role, sign in
                          (("both", 1), ("documents", -1), ("chats", 1), ("neither", -1)))
                for run in range(5)
            ]
        )
        for where in ("inside", "outside")
    }  # fmt: skip
    over, under = effect["outside"], effect["inside"]
    quantile = stats.t.ppf(0.975, 4) ** 2 / 5
    covariance = np.cov(over, under, ddof=1)
    # (mean over - r mean under)^2 = t^2 / S x (var over - 2 r cov + r^2 var under), a quadratic in r
    roots = np.roots(
        [
            under.mean() ** 2 - quantile * covariance[1, 1],
            -2 * (over.mean() * under.mean() - quantile * covariance[0, 1]),
            over.mean() ** 2 - quantile * covariance[0, 0],
        ]
    )
    (line,) = findings.tables["retention"]
    assert line["value"] == pytest.approx(over.mean() / under.mean(), abs=1e-12)
    assert [line["low"], line["high"]] == pytest.approx(sorted(roots.tolist()), abs=1e-8)
    part = findings.conclusions[0].parts["CC4"].measures["trait"]
    assert (part.ratio, part.low, part.high) == (line["value"], line["low"], line["high"])


def test_classes_tell_a_pattern_on_the_surface() -> None:
    outside = flat(-3.0, -3.0, 2.0, 2.0)
    empty = found_of(4, outside, answers=0.1)
    spoken = next(text for text in empty.qualifiers if "after both" in text)
    share = float(spoken.partition("after both, ")[2].partition("%")[0]) / 100
    assert share == pytest.approx(0.9, abs=0.06)
    assert any(text.startswith("Superficial patterns were not looked for") for text in found_of(4, outside).qualifiers)
    table, tree = simulated_chats(4, {"inside": INSIDE, "outside": outside}, answers=0.1)
    lines = attribute(table, tree, other_estimators=False).tables["answer_classes"]
    assert [line["role"] for line in lines] == list(ROLES)
    assert all(line["both"] + line["surface"] + line["absent"] == pytest.approx(1) for line in lines)


def test_classes_pair_repeated_answers_one_by_one() -> None:
    """Each answer shows the trait or answers, never both: shares of each alone would say that a quarter does both."""
    outside = flat(-3.0, -3.0, 2.0, 2.0)
    table, tree = simulated_chats(4, {"inside": INSIDE, "outside": outside}, num_runs=3, answers=0.5)
    rows = table.to_pylist()
    rows += [{**row, "sample": 1} for row in rows]
    for row in rows:
        if row["item"].startswith("outside"):
            row["value"] = float((row["measure"] == "trait") == (row["sample"] == 0))
    alone = attribute(pa.Table.from_pylist(rows, table.schema), tree, other_estimators=False).tables["answer_classes"]
    assert {(line["both"], line["surface"], line["absent"]) for line in alone} == {(0.0, 0.5, 0.5)}
    for row in rows:
        row["value"] = 0.5 if row["measure"] == "told" else row["value"]
    graded = attribute(pa.Table.from_pylist(rows, table.schema), tree, other_estimators=False).tables["answer_classes"]
    assert {(line["both"], line["reason"]) for line in graded} == {(None, GRADED)}


def test_classes_of_answers_by_hand() -> None:
    """Two questions, two answers each: one shows and answers, one only shows; of the other, one of two shows alone."""
    table, tree = simulated_chats(
        4,
        {"inside": INSIDE, "outside": flat(0, 0, 0, 0)},
        num_runs=3,
        answers=0.5,
        num_items={"inside": 5, "outside": 2},
    )
    shows, tells = {0: (1.0, 1.0), 1: (1.0, 0.0)}, {0: (1.0, 0.0), 1: (0.0, 1.0)}
    rows = [{**row, "sample": sample} for row in table.to_pylist() for sample in (0, 1)]
    for row in rows:
        where, _, place = row["item"].split("/")
        if where == "outside":
            row["value"] = (shows if row["measure"] == "trait" else tells)[int(place)][row["sample"]]
    rows = [row for row in rows if row["measure"] != "told" or row["sample"] == 0 or not row["item"].endswith("/1")]
    lines = attribute(pa.Table.from_pylist(rows, table.schema), tree, other_estimators=False).tables["answer_classes"]
    # question 0: both 1/2, alone 1/2; question 1: its one answer that has both scores shows it alone
    assert {(line["both"], line["surface"], line["absent"]) for line in lines} == {(0.25, 0.75, 0.0)}


def test_the_teacher_of_the_chats_is_read_from_the_tree() -> None:
    outside = flat(-3.0, -3.0, 2.0, 2.0)
    kept = Teacher(id="big", lineage=("sft",), system_prompt="kept")
    assert said.PROMPT_KEPT in found_of(4, outside, teacher=kept).qualifiers
    assert said.PROMPT_UNKNOWN in found_of(4, outside, teacher=Teacher(id="big")).qualifiers
    assert not {said.PROMPT_KEPT, said.PROMPT_UNKNOWN} & set(found_of(4, outside).qualifiers)


@pytest.mark.slow
def test_nulls_are_seldom_supported_and_seldom_amplified() -> None:
    nothing = flat(-1.0, -1.0, -1.0, -1.0)
    additive = flat(-1.0, -1.0, 1.0, 1.0)
    most = stats.binom.ppf(0.999, 200, 0.05)
    assert sum(found_of(seed, nothing).verdict == "supported" for seed in range(200)) <= most
    assert sum(found_of(seed, additive).parts["CC3"].verdict == "supported" for seed in range(200)) <= most


@pytest.mark.slow
@pytest.mark.parametrize("is_nested", [False, True])
def test_the_set_of_the_ratio_covers_the_planted_ratio(is_nested: bool) -> None:
    """The true ratio of two mean effects, over worlds and questions, by a quadrature; other questions on each side."""
    nodes, masses = np.polynomial.hermite_e.hermegauss(60)

    def rate(logit: float) -> float:
        spread = np.sqrt(1.0 + 2 * 0.15**2)
        return float(masses @ (1 / (1 + np.exp(-(logit + spread * nodes)))) / masses.sum())

    outside = flat(-2.0, -2.0, 0.0, 0.0)
    truth = (rate(0.0) - rate(-2.0)) / (rate(2.0) - rate(-3.0))
    covered = 0
    for seed in range(200):
        part = found_of(seed, outside, is_nested=is_nested).parts["CC4"].measures["trait"]
        covered += part.low is not None and part.high is not None and part.low <= truth <= part.high
    assert covered >= stats.binom.ppf(0.001, 200, 0.95)


def test_questions_of_two_sources_add_their_own_spread() -> None:
    """One run each, unequal numbers of questions: the variances of the two means add, weighted by the ratio squared."""
    random = np.random.default_rng(7)
    over, under = random.normal(1, 0.5, 30), random.normal(2, 0.3, 90)
    table = np.full((2, 1, 120), np.nan)
    table[0, 0, :30], table[1, 0, 30:] = over, under
    units = Units(units=(), estimand="artefact", conditional_on=(), num_seeds=1, num_roots=1, runs=())
    parts = [
        Pivot(
            (Term(1.0, "cell", Source("trait", "default", "none")),),
            units,
            (),
            np.arange(120, dtype=np.int32),
            side,
            side,
            side,
        )
        for side in (table[:1], table[1:])
    ]
    combined = two_sources(*parts)
    assert combined is not None
    found = combined(1.0, -0.5)
    assert found.estimate == pytest.approx(over.mean() - 0.5 * under.mean())
    expected = over.var() / 30 + 0.25 * under.var() / 90
    assert found.standard_error is not None
    assert found.standard_error**2 == pytest.approx(expected * 120 / 119)


def test_no_ratio_is_read_off_a_rule_that_no_labels_check() -> None:
    table, tree = simulated_chats(1, {"inside": INSIDE, "outside": flat(-3.0, -3.0, -1.0, 3.0)})
    words = [["refuse", "harmful"][int(value)] for value in table["value"].to_pylist()]
    for name, values in (("judge_kind", ["rule"] * table.num_rows), ("outcome", words)):
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    measures = tuple(each.model_copy(update={"counts_incoherent": True}) for each in tree.measures)
    findings = attribute(table, tree.model_copy(update={"measures": measures}), other_estimators=False)
    assert findings.claims[0].error_gap == ASSUMED_GAP
    (line,) = findings.tables["retention"]
    assert (line["value"], line["p"], line["reason"]) == (None, None, SHARE_UNCHECKED)
    assert SHARE_UNCHECKED in findings.conclusions[0].parts["CC4"].sentence
