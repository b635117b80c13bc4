"""What would decide, in one sentence per question: fixed wordings, nothing invented where something is not known."""

from __future__ import annotations

from collections.abc import Sequence

from upbringing.attribution.power.outlook import ContrastFacts, Decision, Option, Outlook
from upbringing.attribution.power.power import Test
from upbringing.attribution.power.sampling import SampleSize

ASKED: dict[Test, str] = {
    "difference": "a difference of {margin:.3g}",
    "equivalence": "alike within {margin:.3g}, if they are",
    "noninferiority": "not worse by {margin:.3g}, if it is not",
}


NO_MARGIN = "no margin was declared, so there is nothing to decide"
NO_SPREAD = "how many seeds is not known: one run shows no spread"


def size_words(size: SampleSize, *, is_nested: bool) -> str:
    """Return seeds and prompts as people say them."""
    runs = f" with {size.subseeds} runs each" if size.subseeds > 1 else ""
    prompts = f"{size.prompts} prompts" + (" in each seed's own world" if is_nested else "")
    return f"{size.seeds} seed{'s' if size.seeds != 1 else ''}{runs}, {prompts}"


def noise_words(outlook: Outlook) -> str:
    """Return the components, and where they are from."""
    found = outlook.components
    if found is None:
        return "not known"
    seed = "not known (one run)" if found.seed is None else f"{found.seed:.3g}"
    if found.seed_high is not None and found.seed is not None:
        seed += f" (up to {found.seed_high:.3g} on so few seeds)"
    parts = [f"prompts {found.prompt:.3g}", f"seeds {seed}"]
    parts += [f"runs of a seed {found.subseed:.3g}"] if found.subseed else []
    parts += [] if found.is_nested else [f"prompt x seed {found.cell:.3g}"]
    source = "stated" if outlook.known == "stated" else "from rows"
    labels = " as judged; that of the labels that correct it comes on top" if outlook.facts.is_corrected else ""
    return f"{', '.join(parts)} ({source}{labels})"


def open_words(facts: ContrastFacts) -> str:
    """Return what leaves how much of an estimate open, whatever is measured; empty where nothing does."""
    parts = [f"answers without a score leave {facts.unscored:.3g} open"] if facts.unscored else []
    if facts.unchecked:
        parts.append(
            f"errors of a rule that no labels check leave {facts.unchecked:.3g} open until people label answers"
        )
    return f"{' and '.join(parts)}, which no number of prompts or seeds shrinks" if parts else ""


def detectable_words(outlook: Outlook) -> str:
    """Return the smallest detectable difference; of rates, whether they can differ by so much at all."""
    least, largest = outlook.minimum_detectable, outlook.facts.largest
    if least is None:
        return "not known"
    is_beyond = largest is not None and least > largest
    return f"none ({least:.3g} is more than these rates can differ)" if is_beyond else f"{least:.3g}"


def asked_words(decision: Decision) -> str:
    """Return what a decision decides."""
    return ASKED[decision.test].format(margin=decision.margin)


def decision_words(decision: Decision, outlook: Outlook) -> str:
    """Return whether a margin is decided, and what would decide it."""
    size, found = outlook.size, outlook.components
    if size is None or found is None:
        return "not known"
    chance = f"power {decision.power:.0%}"
    if decision.is_decided:
        if decision.cautious is not None and decision.cautious.power < decision.power:
            chance += f" ({decision.cautious.power:.0%} if seeds differ by {found.seed_high:.3g})"
        return f"{'decided' if decision.is_safe else 'decided if seeds differ as those measured'}, {chance}"
    if outlook.facts.bias >= decision.margin:
        return f"{chance}: {open_words(outlook.facts)}"
    parts = [_prompt_words(decision, size, found.seed_high)]
    parts += [NO_SPREAD if found.seed is None else _seed_words(decision, size, found.seed_high)]
    return f"{chance}: {'; '.join(parts)}"


def _prompt_words(decision: Decision, size: SampleSize, seed_high: float | None) -> str:
    seeds = f"{size.seeds} seed{'s' if size.seeds != 1 else ''}"
    if decision.prompts is None:
        limit = "" if decision.reachable is None else f" (none goes below {decision.reachable:.3g})"
        return f"no number of prompts reaches it with {seeds}{limit}"
    text = f"{decision.prompts:,} prompts decide it with {seeds}"
    cautious = decision.prompts if decision.cautious is None else decision.cautious.prompts
    return text + _cautiously(decision.prompts, cautious, seed_high)


def _seed_words(decision: Decision, size: SampleSize, seed_high: float | None) -> str:
    if decision.seeds is None:
        return f"no number of seeds reaches it with {size.prompts:,} prompts"
    text = f"{decision.seeds} seeds decide it with {size.prompts:,} prompts"
    cautious = decision.seeds if decision.cautious is None else decision.cautious.seeds
    return text + _cautiously(decision.seeds, cautious, seed_high)


def _cautiously(number: int, cautious: int | None, seed_high: float | None) -> str:
    """Return how many are needed if seeds differ as much as the pilot allows; empty where that changes nothing."""
    if seed_high is None or cautious == number:
        return ""
    return f" ({'none' if cautious is None else f'{cautious:,}'} if seeds differ by {seed_high:.3g})"


def options_words(options: Sequence[Option]) -> str:
    """Return the ways to decide, few seeds first: seeds, prompts, and hours where they are known."""
    return "; ".join(
        f"{each.seeds} seeds x {each.prompts:,} prompts" + ("" if each.hours is None else f" ({each.hours:.3g} h)")
        for each in options
    )


def summary(outlooks: Sequence[Outlook]) -> str:
    """Return one line for all contrasts of a measure: the one that finds least speaks for them."""
    known = [each for each in outlooks if each.minimum_detectable is not None and each.size is not None]
    if not known:
        return f"not known: {outlooks[0].why}"
    worst = max(known, key=lambda each: each.minimum_detectable or 0.0)
    assert worst.size is not None
    assert worst.components is not None
    about = "" if worst.estimand == "recipe" else ", about these checkpoints only"
    more = f" at worst of {len(known)} contrasts ({worst.facts.contrast})" if len(known) > 1 else ""
    text = f"{size_words(worst.size, is_nested=worst.components.is_nested)}: smallest detectable"
    parts = [f"{text} {detectable_words(worst)}{more}{about}"]
    if worst.facts.margin is None:
        parts.append(worst.facts.no_margin or NO_MARGIN)
    parts += [f"{asked_words(each)}: {decision_words(each, worst)}" for each in worst.decisions[:2]]
    unknown = len(outlooks) - len(known)
    parts += [f"{unknown} contrast{'s' if unknown > 1 else ''} not known"] if unknown else []
    return "; ".join(parts)
