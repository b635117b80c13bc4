"""What people call a stage of one arm in one whole pipeline: in plans, on progress bars and in errors."""

from __future__ import annotations

from upbringing.study.lineage import Lineage, Run


def run_label(lineage: Lineage, run: Run) -> str:
    """Return the arm, the stage and the seed of a run, such as ``main: sft, seed 0``."""
    return f"{lineage.arm.name}: {run.stage_name}, seed {lineage.replicate.number}"
