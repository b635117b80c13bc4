"""What a reader calls a measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from upbringing.formats.tree import MeasureInfo


def measure_labels(measures: Sequence[MeasureInfo]) -> dict[str, str]:
    """Return the label of each measure by id. Where several share one, their ids tell them apart."""
    labels = {measure.id: measure.label or measure.id for measure in measures}
    shared = Counter(labels.values())
    return {name: f"{label} ({name})" if shared[label] > 1 else label for name, label in labels.items()}
