"""What moves without any training: another prompt format, another judge, another batch. Each has a place of its own."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from simulated_studies import two_arms

from upbringing.attribution.attribute import attribute
from upbringing.attribution.claims.controls import with_batch_noise
from upbringing.formats.findings import Claim
from upbringing.formats.tree import ConditionInfo, FlipRate, Tree

FLIPS = FlipRate(rate=0.08, low=0.03, high=0.16, num=100, judge="rules")


def repeated(table: pa.Table, column: str, *words: str, moved: float) -> pa.Table:
    """``table`` once per word of ``column``; under the second, ``moved`` of the values that were 0 are 1."""
    parts = []
    for place, word in enumerate(words):
        values = table["value"].to_numpy().copy()
        if place:
            zeros = np.flatnonzero(values == 0)
            values[zeros[np.random.default_rng(1).random(zeros.size) < moved]] = 1.0
        part = table.set_column(table.column_names.index("value"), "value", pa.array(values))
        where = part.column_names.index(column) if column in part.column_names else None
        labels = pa.array([word] * part.num_rows)
        parts.append(part.append_column(column, labels) if where is None else part.set_column(where, column, labels))
    return pa.concat_tables(parts)


def study() -> tuple[pa.Table, Tree]:
    table, tree = two_arms(3, effect=0.0, num_items=80, num_seeds=4, seed_deviation=0.1)
    return table.select(["checkpoint", "measure", "item", "value"]), tree


def test_another_prompt_format_is_a_row_of_its_own_for_every_cell() -> None:
    table, tree = study()
    conditions = (
        ConditionInfo(id="chat", elicitation="E1", decoding="greedy"),
        ConditionInfo(id="plain", elicitation="E0", decoding="greedy"),
    )
    asked = repeated(table, "condition", "chat", "plain", moved=0.5)
    findings = attribute(asked, tree.model_copy(update={"conditions": conditions}))
    found = [claim for claim in findings.claims if claim.kind == "format-sensitivity"]
    assert sorted(claim.contrast for claim in found) == ["a@sft: plain - chat", "b@sft: plain - chat"]
    for claim in found:
        assert claim.estimate is not None
        assert claim.low is not None
        assert claim.low > 0.1
        assert "the prompt's format moves it up" in claim.sentence
        assert claim.level == "L1"
        assert claim.role == "exploratory"


def test_other_decoding_is_no_prompt_format() -> None:
    table, tree = study()
    conditions = (
        ConditionInfo(id="chat", elicitation="E1", decoding="greedy"),
        ConditionInfo(id="sampled", elicitation="E1", decoding="sampled"),
    )
    asked = repeated(table, "condition", "chat", "sampled", moved=0.5)
    findings = attribute(asked, tree.model_copy(update={"conditions": conditions}))
    assert not [claim for claim in findings.claims if claim.kind == "format-sensitivity"]


def claim(**fields: object) -> Claim:
    plain = {"id": "c", "kind": "branch", "measure": "harm", "contrast": "b - a", "condition": "chat"}
    return Claim.model_validate({**plain, "discordance": 0.16, **fields})


def test_flips_of_batches_are_the_noise_floor_of_generated_answers() -> None:
    _, tree = study()
    conditions = (ConditionInfo(id="chat", elicitation="E1"), ConditionInfo(id="likelihood", elicitation="E3"))
    noisy = tree.model_copy(update={"conditions": conditions, "flip_rate": FLIPS})
    generated, scored, repeated_answers, copied = with_batch_noise(
        [claim(), claim(condition="likelihood"), claim(noise_floor=0.2), claim(noise_floor=0.0)], noisy
    )
    assert generated.noise_floor == 0.08
    assert (generated.model_extra or {})["profile_ratio"] == 2.0  # 16 % differ where 8 % would anyway
    assert scored.noise_floor is None  # likelihoods do not depend on their batch
    assert repeated_answers.noise_floor == 0.2  # what repeated answers showed is more than what batches move
    assert copied.noise_floor == 0.08  # copies with one and the same weights never differ, and show nothing
    assert with_batch_noise([claim()], tree)[0].noise_floor is None
