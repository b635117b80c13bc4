"""The fixed sentences of a report: one grammar for verdicts, one sentence per honest failure."""

from __future__ import annotations

from collections.abc import Mapping

from upbringing.attribution.words.change_words import NO_PAIR, changed_word
from upbringing.attribution.words.judge_sentences import with_judge
from upbringing.attribution.words.margin_words import margin_words, radius, ratio_words, rounded_up, size_of_margin
from upbringing.attribution.words.scope_sentences import with_scope
from upbringing.attribution.words.undecided_words import why_undecided
from upbringing.formats.findings import Claim
from upbringing.formats.tree import EDITED, EMULATED, Proxy

ONE_SEED = "Only one seed was trained: every claim is about these checkpoints, none about the recipe."
NO_SEEDS = (
    "No seeds are stated, so checkpoints at one place of the design count as one run: every claim is about these "
    "checkpoints, none about the recipe. Where there are several runs, state their seeds (docs/formats.md)."
)
FEW_SEEDS = "Fewer than three independent runs: claims are about these checkpoints, not about the recipe."
FEW_SHARED = (
    "Claims on fewer than three runs that all their cells share, though a cell has {most}: {num}. They are about these "
    "checkpoints, not about the recipe."
)
ONE_ROOT = "All seeds share one pretraining run: claims are conditional on it, and none is about the whole recipe."
ONE_WORLD = "All seeds share one world: claims are conditional on it."
ONE_PROMPT = (
    "Claims whose items are variants of one prompt: {num}. Nothing shows how far prompts differ, and they are "
    "conditional on it."
)
UNPAIRED = "The runs of {contrast} share no seed, so nothing is paired: it is about these checkpoints only."
NESTED = "Each seed has its own world: items are nested in worlds, so intervals rest on the seeds' means alone."
ALIKE_WORLDS = (
    "Claims whose worlds gave the same mean exactly: {num}. Nothing shows how far worlds differ: they are about these "
    "worlds, none is about the recipe."
)
NO_MARGIN = "No margin was declared, so nothing can be called alike."
NOT_REGISTERED = (
    "What decides (margins, primary measures, contrasts, battery, judges, prompts, seeds) was not fixed before."
)
AMENDED = "What decides (margins, primary measures, contrasts, battery, judges, prompts, seeds) was changed afterwards."
UNCALIBRATED = (
    "No human labels calibrate the judge {judge}: differences may be its errors wherever answers change in style. Its "
    "rates are no rates of behaviour, and no difference in them may be cited as more than what this judge says."
)
UNKNOWN_JUDGE = "The judge {judge} is of no stated kind and is taken to be exact: nothing shows how it errs."
PARTLY_CALIBRATED = (
    "Human labels calibrate the judge {judge} on {num} of {total} checkpoints only: differences that involve the "
    "others may be its errors."
)
UNEVEN_JUDGE = (
    "The judge {judge} errs differently on different checkpoints ({side} for {outcome}, rater {rater}): uncorrected "
    "differences between them may be its errors."
)
ONE_RATER = "One rater alone labelled answers: nothing shows that another would agree."
RATERS_DISAGREE = (
    "The raters {raters} agree little beyond chance (kappa {kappa}, {minimum} is needed): their labels calibrate no "
    "judge."
)
FOREIGN_LABELS = "{num} labels are of answers that these rows do not hold; they were left out."
JUDGE_DEPENDENT = "Judges disagree on {num} of the claims that two of them can decide: those are about the judge too."
UNDERPOWERED = (
    "{num} of the undecided claims would find a change of their own margin in less than four studies of five: more "
    "seeds or prompts are needed."
)
BEYOND_EVIDENCE = (
    "Undecided claims that no number of seeds or prompts decides: {num}. What unscored answers or a judge without "
    "labels may hide is as large as their margin: scores or human labels are needed."
)
COHERENCE_UNKNOWN = "No benign answer was judged under {condition}: whether its answers are coherent is not known."
COHERENCE_ELSEWHERE = (
    "Whether answers under {condition} are coherent is read from benign answers under {other}: the same decoding, at "
    "another length."
)
COHERENCE_OWN = (
    "No benign answer was judged under {condition}: how coherent its answers are is read from the measured answers, "
    "which the judge {judge} tells exactly."
)
INELIGIBLE = "{num} scores of items that are not eligible were left out."
NOT_MEASURED = "Nothing was measured on all cells of this contrast."
LEFT_OUT = "Not computed: left out of this run: {arms}."
ARMS_LEFT_OUT = "Arms left out of this run: {arms}. {num} contrasts on them are listed and were not computed."
NO_ROWS = "The rows hold no scores of {measure} under {condition}."
DEAD_ASSAY = "The positive control {contrast} was not shown to move {measure}: no change of it may be called alike"
FEW_LABELS = "a checkpoint of this contrast has fewer than {minimum} labelled answers"
FEW_LABELLED_RUNS = (
    "{num} of {total} runs have {minimum} labelled answers on each of their checkpoints: "
    "all, or at least {needed}, must have them"
)
COUNTS_MORE = "labels say what an answer does, and this measure counts more than that"
NOT_A_MEAN = "labels correct rates only"
RATERS_DIFFER = "the raters agree too little"
NOT_CORRECTED = "not corrected for the judge's errors: {reason}"
NO_LABELS = "no human labels show how the judge {judge} errs, which may make such a difference of nothing"
UNSHOWN = "labels do not show how the judge errs on every cell, which may make such a difference of nothing: {reason}"
UNEVEN = "the judge errs differently on different checkpoints and {reason}"
UNEVEN_BAND = "; errors that differ as on the labelled ones put it anywhere in [{low:+.2f}, {high:+.2f}]"

ESTIMATORS_DISAGREE = (
    "{num} of the primary claims rest on the estimator too: by a Multi-Bootstrap or a mixed model they have another "
    "sign, or leave out zero where the claim does not, or the other way round."
)
MODELS_LEFT_OUT = "A mixed model was fitted to the first {num} primary claims that allow one, and not to {left} more."
MODELS_ENOUGH = "left out: a mixed model is fitted to the first {num} primary claims"
NOT_BINARY = "a mixed model of log-odds is of answers that are 0 or 1"
FEW_RUNS = "fewer than three independent runs are no sample of runs to model"
ONE_SIDED = "the answers of {cell} are all alike, so its log-odds are infinite"
MODEL_NOT_FITTED = "no optimum was found, or prompts or runs all but decide the answers"
NO_INTERVAL = "the claim has no interval to compare with"
NO_DRAWN_INTERVAL = "nothing varied between draws, or a rate that was drawn is 0 or 1"
LOOKED = (
    "These results were looked at {num} times while prompts were added ({contrast} on {measure}): intervals for a "
    "fixed number of prompts do not hold for it, those of the looks do."
)

ALIASED = "these cells cannot tell {effects} apart: run the cells that do"
NO_EFFECTS = "all effects are estimated as exactly 0"
TOTAL_NOT_FOUND = "the total effect is not distinguishable from 0"
TOTAL_WITHIN_MARGIN = "the total effect does not exceed the margin of {margin}"
NEAR_LIMIT = "a rate lies below {floor:g} or above {ceiling:g}, where differences of rates say more about the limit"
NO_SPREAD = "nothing varied between runs or prompts, so there is no interval"
SHARE_AS_JUDGED = "labels correct the judge of this claim, and shares are made of its verdicts as they were"
NO_LOG_ODDS = "a rate is, or may be, 0 or 1, which has no log-odds"
NOT_SEPARABLE = "not told apart from its teacher"
TEACHER = (
    "{num} claims are about stages that learned a model's answers, or about RL after such a stage, and no two arms "
    "differ in the teacher alone with one of them known to have seen no RL: what the stage did and what its teacher "
    "brought, the teacher's own RL included, are not separable."
)
SHARE_UNDEFINED = "share undefined: {reason}"
SCALE_SENSITIVE = "scale-sensitive yes: in log-odds the stages rank differently"
SCALE_ROBUST = "scale-sensitive no"
ORDER_SENSITIVE = "order-sensitive: {low:+.2f} to {high:+.2f} over {orders}, more than a fifth of the total apart"
ORDER_RANGE = "{low:+.2f} to {high:+.2f} over {orders}"
ALL_ORDERS, KNOWN_ORDERS = "all orders", "the orders known"
SMALL_TOTAL = (
    "{num} shares are of a total effect below {limit:g}: with any affordable number of seeds and prompts such shares "
    "are imprecise."
)
PROXIES_UNCALIBRATED: Mapping[Proxy, str] = {
    EDITED: (
        "Edited weights are uncalibrated on {measures}: {num} of at least {fewest} retrained cells show whether they "
        "predict what training does. Claims on them say so, and enter no share."
    ),
    EMULATED: (
        "Emulated tuning is uncalibrated on {measures}: {num} of at least {fewest} retrained cells show whether it "
        "predicts what training does. Claims on it say so, and enter no share."
    ),
}
PROXIES_UNFAITHFUL: Mapping[Proxy, str] = {
    EDITED: (
        "Edited weights do not predict retrained branches on {where}: Spearman is {spearman} over {num} cells, "
        "{least:g} is needed. Claims on them are greyed out, and enter no share."
    ),
    EMULATED: (
        "Emulated tuning does not predict retrained branches on {where}: Spearman is {spearman} over {num} cells, "
        "{least:g} is needed. Claims on it are greyed out, and enter no share."
    ),
}
EDITED_WORDS = {
    "faithful": (
        "Weights were edited, nothing was retrained: it supports what retrained branches show and replaces none."
    ),
    "unfaithful": "Weights were edited, and such edits do not predict retrained branches here: not to be cited.",
    "uncalibrated": (
        "Weights were edited and uncalibrated: too few retrained branches show whether such edits predict them."
    ),
}
EMULATED_WORDS = {
    "faithful": (
        "It was emulated in logit space, nothing was retrained: it supports what retrained branches show and replaces "
        "none."
    ),
    "unfaithful": (
        "It was emulated in logit space, and such emulations do not predict retrained branches here: not to be cited."
    ),
    "uncalibrated": (
        "It was emulated in logit space and is uncalibrated: too few retrained branches show whether such emulations "
        "predict them."
    ),
}
NO_SHARE_OF_EDITS = {
    "unfaithful": "edited weights do not predict retrained branches here",
    "uncalibrated": "edited weights are uncalibrated here",
}
NO_SHARE_OF_EMULATIONS = {
    "unfaithful": "emulated tuning does not predict retrained branches here",
    "uncalibrated": "emulated tuning is uncalibrated here",
}
PROXY_WORDS: Mapping[Proxy, Mapping[str, str]] = {EDITED: EDITED_WORDS, EMULATED: EMULATED_WORDS}
NO_SHARE_OF: Mapping[Proxy, Mapping[str, str]] = {EDITED: NO_SHARE_OF_EDITS, EMULATED: NO_SHARE_OF_EMULATIONS}
OVERDETERMINED = (
    "Overdetermined: alone it is enough, and the others do the same without it, so leaving it out shows little of what "
    "it does."
)
NEEDS_OTHERS = "It works only together with the others: alone it does little, and without it little is left."
DIFFER = "Alone, and with everything else on, it does not do the same: neither says what it does."

ALL_ORDER_KINDS = ("main-effect", "shapley")  # of a whole factorial; paths know the orders that were trained

ESTIMAND_WORDS = {
    "artefact": "about these checkpoints",
    "recipe-given-start": "about the recipe given its start",
    "recipe": "about the recipe",
}


def verdict_sentence(claim: Claim, label: str) -> str:
    """Return the sentence of a claim. But for L2 and L3 nothing is said to depend on, or be caused by, anything."""
    return with_scope(claim, with_judge(claim, _unqualified(claim, label)))


def _unqualified(claim: Claim, label: str) -> str:
    if claim.fidelity is not None and claim.estimate is not None:
        return " ".join([_verdict(claim, label), *(PROXY_WORDS[proxy][claim.fidelity] for proxy in claim.proxies)])
    if claim.pattern is None or claim.level == "L1":
        return _verdict(claim, label)
    patterns = {"overdetermined": OVERDETERMINED, "needs-others": NEEDS_OTHERS, "differ": DIFFER}
    return f"{_verdict(claim, label)} {patterns[claim.pattern]}"


def _verdict(claim: Claim, label: str) -> str:
    where = f"{label}: {claim.contrast}"
    if claim.verdict == "blocked":
        return f"{where}: blocked. {_first_reason(claim)}"
    if claim.verdict == "not-measurable" or claim.estimate is None:
        return f"{where}: not measurable. {_first_reason(claim)}"
    size = "; ".join(filter(None, (_size(claim), ratio_words(claim))))
    if claim.verdict == "changed":
        return f"{where}: {changed_word(claim)} ({size})."
    if claim.verdict == "equivalent" and claim.low is None:
        return f"{where}: one and the same checkpoint, so no difference, as it must be."
    if claim.verdict == "equivalent" and claim.kind in NO_PAIR:
        return (
            f"{where}: no more than {size_of_margin(claim)} either way ({size}; it would hold for any {radius(claim)})."
        )
    if claim.verdict == "equivalent":
        return f"{where}: alike within {size_of_margin(claim)} ({size}; it would hold for any {radius(claim)})."
    if claim.verdict == "negligible":
        return f"{where}: changed, but by less than the margin of {size_of_margin(claim)} ({size})."
    return f"{where}: not decided ({'; '.join((size, *why_undecided(claim)))})."


def statement(claim: Claim, label: str) -> str:
    """Return the long form of a claim in the fixed report grammar: level, estimand, numbers, robustness."""
    units = claim.units
    robust = {True: "yes", False: "no", None: "not tested"}[claim.judge_robust]
    given = f", conditional on {', '.join(claim.conditional_on)}" if claim.conditional_on else ""
    parts = [
        f"At level {claim.level}, {ESTIMAND_WORDS[claim.estimand]}{given}, with {_count(units.seeds, 'seed')} and "
        f"{_count(units.clusters, 'prompt')}, judge-robust {robust}: {verdict_sentence(claim, label).rstrip('.')}"
    ]
    if claim.estimate is not None and claim.equivalence_radius is not None:
        parts.append(f"equivalence radius {rounded_up(claim.equivalence_radius):.2f}")
    if claim.estimate is not None and claim.minimum_detectable is not None:
        parts.append(f"smallest change found with 80% power {claim.minimum_detectable:.2f}")
    parts += [*margin_words(claim), *_share(claim), *([claim.dominance_reason] if claim.dominance_reason else [])]
    if claim.teacher_separable is False:
        parts.append(NOT_SEPARABLE)
    if claim.unscored:
        parts.append(f"{claim.unscored} unscored")
    return "; ".join(parts) + "."


def _share(claim: Claim) -> list[str]:
    """Return what is to be said of the claim's share of a total, of its scale and of the order of its stages."""
    parts = []
    if claim.share is not None and claim.share_total is not None:
        interval = "" if claim.share_low is None else f" [{claim.share_low:.2f}, {claim.share_high:.2f}]"
        parts.append(f"share {claim.share:.2f}{interval} of {claim.share_total:+.2f}")
    elif claim.share_reason is not None:
        parts.append(SHARE_UNDEFINED.format(reason=claim.share_reason.rstrip(".")))
    if claim.scale_sensitive is not None:
        parts.append(SCALE_SENSITIVE if claim.scale_sensitive else SCALE_ROBUST)
    if claim.order_range is not None:
        words = ORDER_SENSITIVE if claim.order_range.is_wide else ORDER_RANGE
        orders = ALL_ORDERS if claim.kind in ALL_ORDER_KINDS else KNOWN_ORDERS
        parts.append(words.format(low=claim.order_range.low, high=claim.order_range.high, orders=orders))
    return parts


def _first_reason(claim: Claim) -> str:
    return claim.blocked_by[0] if claim.blocked_by else NOT_MEASURED


def _size(claim: Claim) -> str:
    """Return the number that decides, with its scale, and the judge's own where people's labels corrected it."""
    judged = _number(claim.estimate, claim.low, claim.high) + (" in log-odds" if claim.scale == "logit" else "")
    found = claim.corrected
    if found is not None:
        labels = _count(found.labels, "human label")
        some = "" if found.seeds == claim.units.seeds else f" on {found.seeds} of {claim.units.seeds} seeds"
        return f"{_number(found.estimate, found.low, found.high)}, corrected by {labels}{some}; as judged {judged}"
    if claim.uncorrected is not None and not claim.blocked_by:
        return f"{judged}, {NOT_CORRECTED.format(reason=claim.uncorrected)}"
    return judged


def _number(estimate: float | None, low: float | None, high: float | None) -> str:
    interval = "" if low is None or high is None else f" [{low:+.2f}, {high:+.2f}]"
    return f"{estimate:+.2f}{interval}"


def _count(num: int, noun: str) -> str:
    return f"{num} {noun}" if num == 1 else f"{num} {noun}s"
