"""Under which conditions a checkpoint is probed, and the rows of what could not be."""

from __future__ import annotations

from collections.abc import Iterator

from upbringing.battery.needs import Evidence, StatesNeed
from upbringing.battery.probes.probing import Layer, Probing, probing
from upbringing.battery.probes.settings import Position, ProbeSettings, PromptForm
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import ConditionInfo

POSITION_NAMES: dict[Position, str] = {"last": "last-token", "mean": "mean-of-tokens"}


def probed_forms(evidence: Evidence, settings: ProbeSettings) -> Iterator[tuple[PromptForm, Probing | str]]:
    """Yield each form with its probes, or with the reason why there are none."""
    if settings.states(list(evidence.items.values()), fresh=False):
        for form in settings.forms:
            yield form, probing(evidence, settings, form)


def probed_layers(settings: ProbeSettings, found: Probing) -> Iterator[tuple[Position, Layer, str]]:
    """Yield (position, layer, condition), the chosen layer first."""
    layers: list[Layer] = ["chosen", *(found.layers if settings.each_layer else ())]
    for position in settings.positions:
        for layer in layers:
            yield position, layer, condition_name(found.form, position, layer, found.num_layers)


def condition_name(form: PromptForm, position: Position, layer: Layer, num_layers: int) -> str:
    """Return the name of a condition, as ``chat-last-token-layer-07`` or ``chat-mean-of-tokens-chosen-layer``."""
    where = "chosen-layer" if isinstance(layer, str) else f"layer-{layer:0{len(str(num_layers - 1))}d}"
    return f"{form}-{POSITION_NAMES[position]}-{where}"


def state_condition(name: str, form: str, template: str | None) -> ConditionInfo:
    """Return the condition's row of ``tree.json``.

    ``decoding`` says where the hidden states are read: conditions that differ in it are no formats of one question.
    """
    return ConditionInfo(
        id=name,
        elicitation="E3",
        template=template if form == "chat" else "E0",
        decoding=name.removeprefix(f"{form}-"),
    )


def unread(
    evidence: Evidence, settings: ProbeSettings, measure: str, form: PromptForm, found: Probing | str
) -> Iterator[Row]:
    """Yield rows without values for the prompts that have no score, each with its reason."""
    asked = settings.asked(list(evidence.items.values()))
    if isinstance(found, str):
        for item in asked:
            yield unscored(evidence, measure, f"{form}-states", item, found)
        return
    read = {item.id for item in found.items}
    for item in (item for item in asked if item.id not in read):
        reason = evidence.unable.get(StatesNeed(item.id, form), "no-hidden-states")
        for _, _, name in probed_layers(settings, found):
            yield unscored(evidence, measure, name, item, reason)


def unscored(evidence: Evidence, measure: str, condition: str, item: Item, reason: str) -> Row:
    """Return a row without a value, and why."""
    return Row(
        checkpoint=evidence.checkpoint,
        measure=measure,
        condition=condition,
        item=item.id,
        status="not-measurable",
        reason_code=reason,
    )
