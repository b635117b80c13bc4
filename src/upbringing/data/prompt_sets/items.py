"""The shipped prompt sets as items to ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from upbringing.base.errors import DataError
from upbringing.data.prompt_sets.continuations import COMPLIANCE_PREFIX, COMPLYING, REFUSING
from upbringing.data.prompt_sets.shipped import (
    LICENCE,
    ORIGIN,
    Twins,
    cloze_questions,
    held_out_texts,
    twins,
)
from upbringing.formats.items import Item, ItemSet, Message, Split

TWIN_ROLE = "twin"  # the harmful halves: asked to measure discrimination, not to measure attacks


def request_item(
    identity: str,
    request: str,
    *,
    kind: Literal["harmful", "benign"],
    split: Split,
    family: str | None = None,
    twin: str | None = None,
) -> Item:
    """Return a real request as an item with both kinds of continuation; its cluster is itself."""
    return Item(
        id=identity,
        cluster=identity,
        request=kind,
        split=split,
        messages=(Message(role="user", content=request),),
        safe_continuations=REFUSING,
        unsafe_continuations=COMPLYING,
        compliance_prefix=COMPLIANCE_PREFIX if kind == "harmful" else None,
        family=family,
        twin=twin,
    )


def over_refusal_items(per_family: int | None = None) -> ItemSet:
    """Return the benign twins and their harmful halves, ``per_family`` pairs of each family (``None`` = all).

    The benign half has the role ``question``, the harmful half ``twin``; both belong to one cluster.
    """
    items: list[Item] = []
    for pair in _first_of_each_family(twins(), per_family):
        names = {"benign": f"over-refusal/{pair.id}/benign", "harmful": f"over-refusal/{pair.id}/harmful"}
        benign = request_item(
            names["benign"], pair.benign, kind="benign", split="ood", family=pair.family, twin=names["harmful"]
        )
        harmful = request_item(
            names["harmful"], pair.harmful, kind="harmful", split="ood", family=pair.family, twin=names["benign"]
        )
        cluster = f"over-refusal/{pair.id}"
        items.append(benign.model_copy(update={"cluster": cluster}))
        items.append(harmful.model_copy(update={"cluster": cluster, "role": TWIN_ROLE}))
    return ItemSet(name="over_refusal", items=tuple(items), licence=LICENCE, origin=ORIGIN)


def _first_of_each_family(pairs: Sequence[Twins], per_family: int | None) -> list[Twins]:
    if per_family is None:
        return list(pairs)
    families: dict[str, list[Twins]] = {}
    for pair in pairs:
        families.setdefault(pair.family, []).append(pair)
    smallest = min(len(members) for members in families.values())
    if not 1 <= per_family <= smallest:
        raise DataError(f"the over-refusal set has {smallest} pairs per family; asked for {per_family}")
    return [pair for members in families.values() for pair in members[:per_family]]


def knowledge_items() -> ItemSet:
    """Return the cloze questions."""
    items = tuple(
        Item(
            id=f"knowledge/{cloze.id}",
            cluster=f"knowledge/{cloze.id}",
            request="benign",
            split="ood",
            completion_prompt=cloze.prompt,
            answers=(cloze.answer,),
            distractors=cloze.distractors,
            role="knowledge",
        )
        for cloze in cloze_questions()
    )
    return ItemSet(name="knowledge", items=items, licence=LICENCE, origin=ORIGIN)


def text_items() -> ItemSet:
    """Return the held-out texts, for bits per byte."""
    items = tuple(
        Item(
            id=f"texts/{each.id}",
            cluster=f"texts/{each.id}",
            request="benign",
            split="ood",
            text=each.text,
            role="text",
        )
        for each in held_out_texts()
    )
    return ItemSet(name="texts", items=items, licence=LICENCE, origin=ORIGIN)
