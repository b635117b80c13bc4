"""The fixed sentences of a claim protocol: what each part says, why it is open, and which arm would decide it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from upbringing.attribution.words.sentences import ESTIMAND_WORDS
from upbringing.formats.findings import Claim, Decision
from upbringing.formats.protocols import ALL_PART_WORDS, ALL_ROLE_WORDS

NO_PRIMARY = "no primary measure was declared"
NOT_ASKED = "nothing was computed for it"
NO_CONTROL = "alike, but no RL that was built to move it has moved it: that it stayed says nothing"
ONE_CHECKPOINT = "both cells are one and the same checkpoint"
NO_INTERVAL = "nothing varied, so there is no interval"
NO_MARGIN = "no margin was declared"
BY_RATIO = "it is held against a ratio of rates, and this part asks for a margin on their difference"
BEYOND = "changed beyond the margin"
WITHIN = "not decided by the interval"
ALIKE = "alike within the margin"
BEYOND_RATIO = "changed beyond its margin, which is a risk ratio of {margin:g}"
WITHIN_RATIO = "not decided by the interval of the risk ratio, whose margin is {margin:g}"
ALIKE_RATIO = "alike within its margin, which is a risk ratio of {margin:g}"
LABELLED_RATIO = "its margin is a risk ratio of {margin:g}, and labels correct rates and not their ratio"
UNTESTED_RATIO = "its margin is a risk ratio of {margin:g}, and it has no ratio"
NAMED_RATIO = "{measure} (margin: a risk ratio of {margin:g})"
NOT_DOMINATED = "RL moves it by more than a quarter of what SFT does"
DOMINANCE_OPEN = "whether RL moves it by less than a quarter of what SFT does is open"
CONTROL_STILL = "RL that was built to move it left it alike within the margin"
CONTROL_OPEN = "no RL that was built to move it has come out changed"
STILL = "set aside, neither RL nor the data of SFT move it"
NEEDED_OPEN = "whether the data of SFT are needed is open"

CONDUIT = "SFT-as-conduit: who wrote the answers moves {measures} beyond the margin."
CONDUIT_RL = (
    "SFT-as-conduit: answers of a teacher with RL, against those of one without, move {measures} beyond the margin."
)
REDUNDANT = "RL redundant, not irrelevant: without the data of SFT it moves {measures} beyond the margin."
AGAINST = "RL alone moves {measures} beyond the margin against what the data of SFT do."
PRETRAINING = "Pretraining and SFT together: what SFT does to {measures} depends on the pretraining."
FEW_RUNS = "Fewer than five independent runs: the protocol asks for five."
SAME_TEACHER = "Whether teachers differ was not asked: what RL did to the teacher may arrive through SFT."

SUPPORTED = (
    "Supported, {about}: after SFT, RL leaves {measures} alike within the margins and moves them by less than a "
    "quarter of what SFT does; without the data of SFT, the same RL does not lead there."
)
REFUTED = "Refuted, {about}: {why}."


def part_sentence(name: str, verdict: Decision, reasons: Iterable[str], missing: Sequence[str]) -> str:
    """Return what a part says: its proposition with the verdict, and what is open or missing."""
    word = {"supported": "supported", "refuted": "refuted", "not-decided": "not decided"}[verdict]
    if missing:
        return f"{name} ({ALL_PART_WORDS[name]}): not decided. {would_decide(missing)}"
    why = "; ".join(dict.fromkeys(reasons))
    return f"{name} ({ALL_PART_WORDS[name]}): {word}{f' ({why})' if why else ''}."


def not_decided(unsupported: Mapping[str, Decision], missing: Sequence[str]) -> str:
    """Return which parts keep a claim from being decided; each part's own sentence says why."""
    named = [
        f"{name} ({ALL_PART_WORDS[name]}) is {'refuted' if verdict == 'refuted' else 'open'}"
        for name, verdict in unsupported.items()
    ]
    said = f"Not decided: {'; '.join(named)}."
    return f"{said} {would_decide(missing)}" if missing else said


def would_decide(missing: Sequence[str]) -> str:
    """Return which arms would decide a part, each once."""
    arms = "; ".join(f"{role} ({ALL_ROLE_WORDS[role]})" for role in dict.fromkeys(missing))
    return f"What would decide it: {arms}."


def about(claims: Iterable[Claim]) -> str:
    """Return what a conclusion is about: what the weakest of its claims is about."""
    estimands = {claim.estimand for claim in claims if claim.estimate is not None}
    weakest = next((each for each in ESTIMAND_WORDS if each in estimands), "artefact")
    return ESTIMAND_WORDS[weakest]


def listed(words: Iterable[str]) -> str:
    """Return words as a list in a sentence."""
    return ", ".join(dict.fromkeys(words))
