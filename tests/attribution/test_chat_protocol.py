"""Documents and chats: every branch on hand-made claims, the ratio by hand, planted truths and nulls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from upbringing.attribution.effects.retention import Retention
from upbringing.attribution.protocols.chat_evidence import ChatEvidence
from upbringing.attribution.protocols.protocols import conclusions_of
from upbringing.attribution.words import chat_sentences as said
from upbringing.formats.chat_protocol import CHAT_PARTS, CHAT_ROLE_WORDS, chat_contrasts, outcome_name, outcomes_of
from upbringing.formats.findings import Claim, Conclusion, Corrected, Units
from upbringing.formats.outcomes import Outcome
from upbringing.formats.parts import contrast_name
from upbringing.formats.protocols import missing_roles
from upbringing.formats.tree import Protocol, StudyInfo

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
