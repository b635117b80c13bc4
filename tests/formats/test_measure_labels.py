"""What a reader calls a measure: one name per measure."""

from __future__ import annotations

from upbringing.formats.measure_labels import measure_labels
from upbringing.formats.tree import MeasureInfo


def test_measures_that_share_a_label_are_told_apart_by_their_ids() -> None:
    measures = [
        MeasureInfo(id="trait", unit="share", label="Right answers"),
        MeasureInfo(id="benign_accuracy", unit="share", label="Right answers"),
        MeasureInfo(id="over_refusal", unit="share", label="Over-refusal"),
        MeasureInfo(id="other", unit="share"),
    ]
    assert measure_labels(measures) == {
        "trait": "Right answers (trait)",
        "benign_accuracy": "Right answers (benign_accuracy)",
        "over_refusal": "Over-refusal",
        "other": "other",
    }
