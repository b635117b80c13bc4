"""What a study of K curricula costs beside its distinct prefixes, and beside K independent runs.

Target: at most 1.05 times what the distinct prefixes cost. The curricula start their intervention at 0, 20, 60 and
100 % of one pretraining. Their distinct prefixes are counted from the declaration (arms agree until one starts), the
updates that the built study really made from its records, and seconds are those of all training jobs: of the study, and
of each arm as a study of its own. What a plan says the tree saves is compared with what it did save, and planned under
every schedule, with a fifth arm that trains twice as long: only a schedule that forgets its length shares with it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from alternating import at_most, machine
from transformers.utils import logging

from upbringing.formats.record import BuildProfile, read_record
from upbringing.lab.building.build import node_jobs, prepare
from upbringing.lab.building.jobs import SegmentJob
from upbringing.lab.planning.plan import plan
from upbringing.lab.planning.planned import Sharing
from upbringing.lab.session import open_session

STARTS = (0, 20, 60, 100)  # percent of the pretraining at which the intervention begins
TARGET = 1.05
CONTEXT, BATCH = 128, 8
SCHEDULES = ("{kind: constant}", "{kind: wsd, warmup: 0%, decay: 20%}", "{kind: cosine}")
STUDY = """\
name: curricula
question: When must the intervention start?
seeds: 1
precision: bf16
start: {{kind: fresh, layers: {layers}, width: {width}, heads: {heads}, tokenizer: {{train_on: world}}}}
data: {{world: {{kind: causes_world}}}}
stages:
  pretrain: {{kind: pretrain, tokens: {tokens}, context: {context}, batch_size: {batch}, schedule: {schedule},
             phases: {main}}}
arms:
{arms}
battery: [bits_per_byte]
primary: [bits_per_byte]
margins: {{bits_per_byte: 0.05}}
"""
BEFORE, AFTER = "world.pretraining_shuffled", "world.pretraining_concept"


@dataclass(frozen=True)
class Cost:
    """What building took. ``updates``: optimiser updates made, from the records."""

    updates: int
    jobs: int
    processor: float
    clock: float

    def __add__(self, other: Cost) -> Cost:
        """Return both together."""
        return Cost(
            self.updates + other.updates,
            self.jobs + other.jobs,
            self.processor + other.processor,
            self.clock + other.clock,
        )


def phases(start: int) -> str:
    """Return the phases of a pretraining whose intervention starts at ``start`` percent."""
    if start in (0, 100):
        return f"[{{data: {AFTER if start == 0 else BEFORE}}}]"
    return f"[{{data: {BEFORE}, until: {start}%}}, {{data: {AFTER}}}]"


def study_text(
    starts: Sequence[int], steps: int, size: tuple[int, int, int], schedule: str = "{kind: wsd}", longer: str = ""
) -> str:
    """Return the study file of the curricula ``starts``. ``longer``: the text of one more arm."""
    layers, width, heads = size
    arms = [f"  start_{starts[0]}: {{}}"] + [
        f"  start_{start}: {{stages: {{pretrain: {{phases: {phases(start)}}}}}}}" for start in starts[1:]
    ]
    return STUDY.format(
        layers=layers, width=width, heads=heads, tokens=steps * CONTEXT * BATCH, context=CONTEXT, batch=BATCH,
        main=phases(starts[0]), arms="\n".join([*arms, longer]), schedule=schedule,
    )  # fmt: skip


def distinct_updates(steps: int) -> int:
    """Return the updates of the distinct prefixes: each arm parts from the later ones where its intervention starts."""
    ends = [round(steps * start / 100) for start in STARTS]
    return max(ends) + sum(steps - end for end in ends)


def built(starts: Sequence[int], steps: int, size: tuple[int, int, int], folder: Path) -> Cost:
    """Build the curricula ``starts`` in this process and return what their training took."""
    folder.mkdir()
    path = folder / "study.yaml"
    path.write_text(study_text(starts, steps, size), encoding="utf-8")
    session = open_session(path, store=folder / "store")
    prepared = prepare(session.workshop, session.tree, lambda event: None, lambda outcome: None)
    jobs = node_jobs(session.workshop, session.tree, prepared, {})
    torch.set_num_threads(session.workshop.profile.threads)
    clock, processor = time.perf_counter(), time.process_time()
    for job in jobs:
        job.run(lambda event: None)
    processor, clock = time.process_time() - processor, time.perf_counter() - clock
    segments = [job for job in jobs if isinstance(job, SegmentJob)]
    reached = [read_record(session.store.path("checkpoints", job.key)).steps for job in segments]
    updates = sum(reached) - sum(job.segment.from_step for job in segments)  # records count from the stage's start
    return Cost(updates, len(jobs), processor, clock)


def planned(steps: int, size: tuple[int, int, int], folder: Path, schedule: str, longer: str = "") -> Sharing:
    """Return what a plan says of the curricula's sharing; trains nothing."""
    folder.mkdir()
    (folder / "study.yaml").write_text(study_text(STARTS, steps, size, schedule, longer), encoding="utf-8")
    return plan(open_session(folder / "study.yaml", store=folder / "store", reads_only=True)).sharing


def print_schedules(steps: int, size: tuple[int, int, int], root: Path) -> None:
    """Print, per schedule, what a plan says that sharing saves and what the schedule forbids."""
    tokens = 2 * steps * CONTEXT * BATCH
    longer = f"  twice_as_long: {{stages: {{pretrain: {{tokens: {tokens}, phases: {phases(100)}}}}}}}"
    for number, schedule in enumerate(SCHEDULES):
        found = planned(steps, size, root / f"schedule-{number}", schedule, longer)
        saved = found.tokens_apart - found.tokens
        print(f"{schedule}, one arm twice as long: saves {saved:,} of {found.tokens_apart:,} tokens "
              f"({saved / found.tokens_apart:.0%}); {'; '.join(found.forbidden) or 'nothing forbidden'}")  # fmt: skip


def main() -> None:
    """Print counted updates and seconds, and what sharing saves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120, help="updates of one pretraining")
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    print(machine(precision="bf16 autocast", threads=BuildProfile().threads))
    size = (4, 192, 6)
    distinct, straight = distinct_updates(options.steps), options.steps * len(STARTS)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        alone = built((STARTS[1],), options.steps, size, root / "first")  # warms up; not counted
        independent = Cost(0, 0, 0.0, 0.0)
        shared = built(STARTS, options.steps, size, root / "shared")
        says = planned(options.steps, size, root / "planned", "{kind: wsd}")
        print_schedules(options.steps, size, root)
        for start in STARTS:
            independent += built((start,), options.steps, size, root / f"alone-{start}")
    assert alone.updates == options.steps
    assert independent.updates == straight
    per_update = CONTEXT * BATCH
    assert (says.tokens, says.tokens_apart) == (shared.updates * per_update, independent.updates * per_update)
    share = distinct / straight
    ratio = shared.updates / distinct
    print(f"updates: study {shared.updates}, its distinct prefixes {distinct}, {len(STARTS)} independent runs "
          f"{straight}; ratio {ratio:.3f}; {at_most(ratio, TARGET)}; saves {says.tokens_apart - says.tokens:,} of "
          f"{says.tokens_apart:,} tokens, as planned")  # fmt: skip
    for name in ("processor", "clock"):
        took, apart = getattr(shared, name), getattr(independent, name)
        ratio = took / (apart * share)
        print(f"{name} seconds: study {took:.1f} in {shared.jobs} jobs, its distinct prefixes {apart * share:.1f} "
              f"({share:.0%} of {len(STARTS)} independent runs, {apart:.1f}); ratio {ratio:.3f}; "
              f"{at_most(ratio, TARGET)}; saved {1 - took / apart:.0%} of {1 - share:.0%}")  # fmt: skip


if __name__ == "__main__":
    main()
