"""Documents and chats: every branch on hand-made claims, the ratio by hand, planted truths and nulls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats
from simulated_chats import simulated_chats

from upbringing.attribution import chat_sentences as said
from upbringing.attribution.attribute import attribute
from upbringing.attribution.cells import Source
from upbringing.attribution.chat_evidence import ChatEvidence
from upbringing.attribution.design import Units as DesignUnits
from upbringing.attribution.pivot import Pivot, Term
from upbringing.attribution.protocols import conclusions_of
from upbringing.attribution.retention import Retention, two_sources
from upbringing.formats.chat_protocol import CHAT_PARTS, CHAT_ROLE_WORDS, chat_contrasts, outcome_name, outcomes_of
from upbringing.formats.findings import Claim, Conclusion, Corrected, Units
from upbringing.formats.outcomes import Outcome
from upbringing.formats.parts import contrast_name
from upbringing.formats.protocols import missing_roles
from upbringing.formats.tree import Protocol, StudyInfo, Teacher

ROLES = tuple(CHAT_ROLE_WORDS)
OUTCOMES = {
    outcome_name("knowledge", "told"): Outcome(measure="told"),
    outcome_name("pressure", "pressed"): Outcome(measure="pressed"),
}
CHANGED: Mapping[str, Any] = {"verdict": "changed", "estimate": 0.5, "low": 0.4, "high": 0.6}
ALIKE: Mapping[str, Any] = {"verdict": "equivalent", "estimate": 0.0, "low": -0.03, "high": 0.03, "assay": "control"}
OPEN: Mapping[str, Any] = {"verdict": "inconclusive", "estimate": 0.05, "low": -0.1, "high": 0.2}
SUPPORTING = dict.fromkeys(("CC0", "CC1", "CC2", "CC3", "CC5", "CC6", "CC7"), CHANGED)
HALF = Retention(value=0.8, low=0.7, high=0.9, p=0.001, is_above=True)
OTHERS = {"inside": "held-out-item", "outside": "ood"}


def concluded(
    answers: Mapping[str, Mapping[str, Any]],
    *,
    roles: tuple[str, ...] = ROLES,
    kept: Retention = HALF,
    second: Mapping[str, Mapping[str, Any]] | None = None,
    prompts: frozenset[str] = frozenset(),
) -> Conclusion:
    """The conclusion from one claim per contrast with the fields of its part. ``second``: of a second measure."""
    protocol = Protocol(kind="documents_and_chats", cells={role: f"{role}@end" for role in roles}, outcomes=OUTCOMES)
    measures = {"trait": answers, **({} if second is None else {"style": second})}
    study = StudyInfo(name="hand-made", primary=tuple(measures), protocol=protocol)
    claims = [
        Claim(
            id=f"{contrast_name(part, way)}/{outcome.measure}",
            kind=part.kind,
            measure=outcome.measure,
            split=outcome.split,
            contrast=contrast_name(part, way),
            role="primary",
            margin=0.1,
            df=20.0,
            estimand="recipe",
            units=Units(roots=5, seeds=5),
            **measures.get(name, answers)[part.name],
        )
        for part in CHAT_PARTS
        for way in part.asked(protocol.cells)
        for name, outcome in outcomes_of(protocol, part.name, study.primary).items()
    ]
    beside = ChatEvidence(retained=dict.fromkeys(measures, kept), prompts=prompts)
    (found,) = conclusions_of(study, claims, {}, beside)
    return found


def test_the_contrasts_are_those_of_two_factors_on_outcomes_kept_apart() -> None:
    protocol = Protocol(kind="documents_and_chats", cells={role: role for role in ROLES}, outcomes=OUTCOMES)
    specs = {spec.name.partition(":")[0]: spec for spec in chat_contrasts(protocol, ("trait",), {"trait": 0.1})}
    assert list(specs) == ["CC0", "CC1", "CC2", "CC3", "CC5", "CC6", "CC7"]
    assert specs["CC1"].weights == {"both": 0.5, "documents": -0.5, "chats": 0.5, "neither": -0.5}
    assert specs["CC2"].weights == {"both": 0.5, "chats": -0.5, "documents": 0.5, "neither": -0.5}
    assert specs["CC3"].weights == {"both": 1.0, "documents": -1.0, "chats": -1.0, "neither": 1.0}
    assert [(spec.measure, spec.split) for spec in specs.values()] == [
        *[("trait", "ood")] * 4,
        ("trait", "held-out-item"),
        ("told", None),
        ("pressed", None),
    ]
    assert len({spec.family for spec in specs.values()}) == 7
    assert {spec.level for spec in specs.values()} == {"L2", "L3"}


def test_supported_is_a_change_out_of_distribution() -> None:
    found = concluded(SUPPORTING)
    assert (found.verdict, found.parts["CC4"].verdict) == ("supported", "supported")
    assert found.sentence == (
        "Supported, about the recipe: chats that show the trait change trait by +0.50 [+0.40, +0.60] out of their "
        "distribution."
    )
    assert any(text.startswith("Midtraining amplifies") for text in found.qualifiers)
    assert concluded({**SUPPORTING, "CC1": OPEN}).verdict == "not-decided"


def test_only_the_effect_out_of_distribution_decides() -> None:
    rest = dict.fromkeys(SUPPORTING, OPEN)
    assert concluded({**rest, "CC1": CHANGED}).verdict == "supported"
    assert concluded({**SUPPORTING, "CC1": OPEN, "CC5": CHANGED}).verdict == "not-decided"


def test_alike_refutes_only_where_a_control_has_moved_the_measure() -> None:
    found = concluded({**SUPPORTING, "CC1": ALIKE})
    assert (found.verdict, found.parts["CC3"].verdict) == ("refuted", "not-decided")
    assert said.NOTHING_TO_AMPLIFY in found.parts["CC3"].sentence
    dead = concluded({**SUPPORTING, "CC1": {**ALIKE, "assay": None}})
    assert dead.verdict == "not-decided"
    assert said.NO_CONTROL in dead.sentence


def test_one_measure_supports_and_all_refute() -> None:
    alike = {**SUPPORTING, "CC1": ALIKE}
    mixed = concluded(alike, second=SUPPORTING)
    assert mixed.verdict == "supported"
    assert "style by" in mixed.sentence
    assert "trait by" not in mixed.sentence
    assert concluded(alike, second=alike).verdict == "refuted"
    assert concluded(alike, second={**SUPPORTING, "CC1": OPEN}).verdict == "not-decided"


def test_amplified_means_in_the_direction_of_the_chats() -> None:
    down = {**CHANGED, "estimate": -0.5, "low": -0.6, "high": -0.4}
    both_down = concluded({**SUPPORTING, "CC1": down, "CC3": down})
    assert both_down.parts["CC3"].verdict == "supported"
    weaker = concluded({**SUPPORTING, "CC3": down})
    assert weaker.parts["CC3"].verdict == "refuted"
    assert any(text.startswith("Midtraining weakens") for text in weaker.qualifiers)
    assert concluded({**SUPPORTING, "CC3": ALIKE}).parts["CC3"].verdict == "refuted"
    assert concluded({**SUPPORTING, "CC3": OPEN}).parts["CC3"].verdict == "not-decided"


@pytest.mark.parametrize("part", ["CC0", "CC1", "CC2", "CC3", "CC5", "CC6", "CC7"])
def test_blocked_claims_answer_nothing(part: str) -> None:
    reason = "no human labels show how the judge errs"
    found = concluded({**SUPPORTING, part: {**CHANGED, "blocked_by": (reason,)}})
    assert found.parts[part].verdict == "not-decided"
    assert reason in found.parts[part].sentence
    if part in ("CC1", "CC5"):
        assert found.parts["CC4"].verdict == "not-decided"
        assert next(iter(found.parts["CC4"].measures.values())).ratio is None


def test_a_ratio_is_not_made_of_effects_that_labels_corrected() -> None:
    corrected = Corrected(
        estimate=0.4, low=0.3, high=0.5, verdict="changed", method="ppi", power=0.5, labels=9, seeds=5
    )
    found = concluded({**SUPPORTING, "CC1": {**CHANGED, "corrected": corrected}})
    assert found.verdict == "supported"
    assert "+0.40 [+0.30, +0.50]" in found.sentence
    assert said.AS_JUDGED in found.parts["CC4"].sentence


def test_the_ratio_is_held_against_its_threshold_after_holm() -> None:
    less = Retention(value=-0.1, low=-0.3, high=0.2, p=0.001, is_above=False)
    found = concluded(SUPPORTING, kept=less).parts["CC4"]
    assert (found.verdict, found.measures["trait"].ratio) == ("refuted", -0.1)
    assert "-0.10 [-0.30, 0.20] is retained, less than 0.5" in found.sentence
    just = Retention(value=0.8, low=0.51, high=0.9, p=0.03, is_above=True)
    assert concluded(SUPPORTING, kept=just).parts["CC4"].verdict == "supported"
    assert concluded(SUPPORTING, kept=just, second=SUPPORTING).parts["CC4"].verdict == "not-decided"
    undefined = concluded(SUPPORTING, kept=Retention(reason="the effect in distribution is not told from 0"))
    assert undefined.parts["CC4"].verdict == "not-decided"
    assert "undefined, the effect in distribution is not told from 0" in undefined.parts["CC4"].sentence


def test_missing_roles_leave_their_parts_open_and_simple_effects_stand_in() -> None:
    found = concluded(SUPPORTING, roles=("neither", "chats"))
    assert found.verdict == "supported"
    assert {name for name, part in found.parts.items() if part.missing} == {"CC0", "CC2", "CC3", "CC6"}
    lacking = missing_roles(Protocol(kind="documents_and_chats", cells={"neither": "a@b", "chats": "c@d"}))
    assert lacking == {name: found.parts[name].missing for name in ("CC0", "CC2", "CC3", "CC6")}


def test_the_system_prompt_of_the_teacher_is_spoken_of() -> None:
    assert said.PROMPT_KEPT in concluded(SUPPORTING, prompts=frozenset({"kept", "unknown"})).qualifiers
    assert said.PROMPT_UNKNOWN in concluded(SUPPORTING, prompts=frozenset({"unknown"})).qualifiers
    assert not {said.PROMPT_KEPT, said.PROMPT_UNKNOWN} & set(
        concluded(SUPPORTING, prompts=frozenset({"removed"})).qualifiers
    )


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
    units = DesignUnits(units=(), estimand="artefact", conditional_on=(), num_seeds=1, num_roots=1, runs=())
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
