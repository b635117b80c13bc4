"""A few real optimiser steps and a few real batches of questions, timed: what a plan's hours rest on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from upbringing.base.description import Description
from upbringing.battery.measure import Measure
from upbringing.battery.needs import AnswerNeed, Need
from upbringing.battery.pairs.comparing import alone
from upbringing.formats.answers import write_answers
from upbringing.formats.items import Item
from upbringing.formats.record import BuildProfile, Record
from upbringing.formats.rows import rows_table, write_rows
from upbringing.lab.building.executor import Event
from upbringing.lab.measurement.measuring import asked_items, study_judges
from upbringing.lab.planning.probe_data import write_probe_data
from upbringing.lab.planning.search_probe import has_search, search_seconds
from upbringing.models.loading import load_model
from upbringing.study.recipes import DataBook
from upbringing.study.study import Study
from upbringing.training.fresh import copy_tokenizer, create_fresh
from upbringing.training.launch import launch_segment
from upbringing.training.publish import finish_checkpoint
from upbringing.training.rewards import OracleReward
from upbringing.training.rl import Rl
from upbringing.training.segment import Places, Segment
from upbringing.training.settings import TrainedStage
from upbringing.training.start import FreshStart

FLOPS_OF_A_PROBE = 3e12  # of each probe: seconds to a minute on two CPU cores, whatever the model's size
FEWEST_STEPS, MOST_STEPS = 3, 40
WARMING_STEPS = 1  # compilation and first touches belong to the fixed part
FEWEST_NEEDS = 48  # fewer would not fill a batch, and batches are what makes asking cheap
FLOPS_FORWARD, FLOPS_OF_A_STEP = 2, 6  # per weight and token: Kaplan et al. 2020, section 2.1
TOKENS_OF_A_NEED = 64  # a rough length of a question with its answer, only to size the probe


class TrainingSpeed(Description):
    """Seconds of one kind of stage on this machine while every slot is busy. ``fixed``: per checkpoint, whatever its
    steps (loading, compiling, saving, hashing). ``startup``: per worker process.
    """

    seconds_per_step: float
    fixed: float
    startup: float


class MeasuringSpeed(Description):
    """Seconds of the whole battery on one checkpoint. ``seconds_per_token``: of an answer, asked in batches.

    ``num_bytes``: of its rows and answers.
    """

    seconds: float
    seconds_per_token: float
    startup: float
    num_answers: int
    num_likelihoods: int
    num_bytes: int


@dataclass(frozen=True)
class Subject:
    """The model that is probed: random weights of the study's size, or an existing checkpoint."""

    start: FreshStart | None
    folder: Path | None
    tokenizer: Path
    num_weights: int

    def written(self, scratch: Path) -> Path:
        """Return a folder that holds the model."""
        if self.folder is not None:
            return self.folder
        assert self.start is not None
        target = scratch / "start"
        target.mkdir()
        create_fresh(self.start, self.tokenizer, 0, target)
        return target


@dataclass(frozen=True)
class TrainingProbe:
    """Train a few steps of ``stage`` for real and throw the result away."""

    key: str
    label: str
    subject: Subject
    stage: TrainedStage
    profile: BuildProfile
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> TrainingSpeed:
        """Return the speed; raises what training raises."""
        began = time.monotonic()
        _import_libraries()
        startup = time.monotonic() - began
        with TemporaryDirectory() as name:
            scratch = Path(name)
            parent = self.subject.written(scratch)
            stream = scratch / "stream"
            stream.mkdir()
            write_probe_data(self.stage, self.num_steps, self.subject.tokenizer, stream)
            return self._timed(parent, stream, scratch, startup)

    @property
    def num_steps(self) -> int:
        """As many steps as the budget allows, within bounds."""
        tokens = self.stage.context * self.stage.batch_size
        affordable = FLOPS_OF_A_PROBE / (FLOPS_OF_A_STEP * self.subject.num_weights * tokens)
        return max(FEWEST_STEPS, min(MOST_STEPS, int(affordable)))

    def _timed(self, parent: Path, stream: Path, scratch: Path, startup: float) -> TrainingSpeed:
        for folder in ("workspace", "output"):
            (scratch / folder).mkdir()
        ends: list[float] = []
        steps = self.num_steps
        stage = self.stage
        if isinstance(stage, Rl):
            stage = stage.model_copy(update={"reward": OracleReward()})  # a reward model is not there yet
        segment = Segment("probe", stage, 0, steps, 0, steps)
        places = Places(parent, None, stream, scratch / "workspace", scratch / "output", None)
        began = time.monotonic()
        launch_segment(segment, places, self.profile, lambda step, total, loss: ends.append(time.monotonic()))
        copy_tokenizer(parent, places.output)
        record = Record(id="probe", parent=None, kind="probe", stage="probe", recipe={})
        finish_checkpoint(places.output, record, self.profile)
        total = time.monotonic() - began
        per_step = (ends[-1] - ends[WARMING_STEPS - 1]) / (len(ends) - WARMING_STEPS)
        return TrainingSpeed(seconds_per_step=per_step, fixed=max(0.0, total - per_step * len(ends)), startup=startup)


def _import_libraries() -> None:
    """Import what every worker imports once."""
    import torch
    import transformers

    assert torch is not transformers


@dataclass(frozen=True)
class MeasuringProbe:
    """Ask a share of the study's questions for real and scale up: answers by their longest length, likelihoods by
    number. A model that does not stop early is asked, so that its seconds are an upper bound of a trained one's.
    """

    key: str
    label: str
    store: Path
    study: Study
    book: DataBook
    subject: Subject
    profile: BuildProfile
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> MeasuringSpeed:
        """Return the speed; raises what measuring raises."""
        began = time.monotonic()
        _import_libraries()
        startup = time.monotonic() - began
        items = asked_items(self.study, self.book, 0)
        needs = _needs(self.study.battery, items)
        chosen = sampled(items, self._share(len(needs)))
        with TemporaryDirectory() as name:
            folder = self.subject.written(Path(name))
            seconds, num_bytes = self._timed(folder, chosen, Path(name))
            searching = self._searching(folder, needs, items)
        part = _Amount.of(_needs(self._without_searches(chosen), chosen))
        whole = _Amount.of(needs)
        return MeasuringSpeed(
            seconds=seconds[0]
            + seconds[1] * whole.ratio(part, "tokens")
            + seconds[2] * whole.ratio(part, "likelihoods")
            + searching,
            seconds_per_token=seconds[1] / part.tokens if part.tokens else 0.0,
            startup=startup,
            num_answers=whole.answers,
            num_likelihoods=whole.likelihoods,
            num_bytes=round(num_bytes * len(needs) / max(1, part.answers + part.likelihoods)),
        )

    def _without_searches(self, items: Sequence[Item]) -> list[Measure]:
        """Return the measures to time on ``items``: those that ask something and need no suffix to be searched."""
        asked = {each.id: each.needs(items) for each in self.study.battery}
        return [each for each in self.study.battery if asked[each.id] and not has_search(asked[each.id])]

    def _searching(self, folder: Path, needs: Sequence[Need], items: Sequence[Item]) -> float:
        """Return the seconds of searches for suffixes."""
        from upbringing.battery.engine import local_model

        if not has_search(needs):
            return 0.0
        with _one_thread(self.profile.threads):
            loaded = load_model(folder, profile=self.profile)
            local = local_model(loaded, precision=self.study.measure_precision, hashed=False)
            return search_seconds(local, needs, items)

    def _share(self, num_needs: int) -> float:
        affordable = FLOPS_OF_A_PROBE / (FLOPS_FORWARD * self.subject.num_weights * TOKENS_OF_A_NEED)
        return min(1.0, max(FEWEST_NEEDS, affordable) / max(1, num_needs))

    def _timed(self, folder: Path, items: Sequence[Item], scratch: Path) -> tuple[tuple[float, float, float], int]:
        """Return seconds of (everything else, answers, likelihoods), and the bytes of what was written."""
        from upbringing.battery.engine import measure_checkpoint

        battery = self._without_searches(items)
        num_answers = _Amount.of(_needs(battery, items)).answers
        asked: list[float] = []
        scored: list[float] = []

        def on_progress(done: int, total: int) -> None:
            (asked if done <= num_answers else scored).append(time.monotonic())

        with _one_thread(self.profile.threads):
            began = time.monotonic()
            loaded = load_model(folder, profile=self.profile)
            loading = time.monotonic() - began
            begin_asking = time.monotonic()
            measured = measure_checkpoint(
                loaded,
                checkpoint="probe",
                battery=alone(battery),
                items=items,
                judges=study_judges(self.study, self.book, 0),
                precision=self.study.measure_precision,
                seed=0,
                on_progress=on_progress,
                answers_cache=scratch / "answers",
            )
            ended_asking = asked[-1] if asked else begin_asking
            ended_scoring = scored[-1] if scored else ended_asking
            write_rows(rows_table(measured.rows), scratch / "rows.parquet")
            write_answers(measured.answers, scratch / "answers.parquet")
            saving = time.monotonic() - ended_scoring
        written = sum((scratch / f"{name}.parquet").stat().st_size for name in ("rows", "answers"))
        return (loading + saving, ended_asking - begin_asking, ended_scoring - ended_asking), written


@contextmanager
def _one_thread(threads: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _needs(battery: Sequence[Measure], items: Sequence[Item]) -> list[Need]:
    return list(dict.fromkeys(need for each in battery for need in each.needs(items)))


@dataclass(frozen=True)
class _Amount:
    """How much is asked. ``tokens``: the longest that answers may become, summed."""

    answers: int
    tokens: int
    likelihoods: int

    @classmethod
    def of(cls, needs: Sequence[Need]) -> _Amount:
        answers = [need for need in needs if isinstance(need, AnswerNeed)]
        tokens = sum(need.decoding.max_tokens * need.decoding.rows for need in answers)
        return cls(len(answers), tokens, len(needs) - len(answers))

    def ratio(self, part: _Amount, name: str) -> float:
        """Return how many times ``part`` this is; 1 where neither asks for any."""
        return float(getattr(self, name)) / float(getattr(part, name) or 1)


def sampled(items: Sequence[Item], share: float) -> list[Item]:
    """Return about ``share`` of the items, whole clusters, evenly over every role and split."""
    groups: dict[tuple[str, str], dict[str, list[Item]]] = {}
    for item in items:
        groups.setdefault((item.role, item.split or ""), {}).setdefault(item.cluster, []).append(item)
    chosen: list[Item] = []
    for clusters in groups.values():
        wanted = max(1, round(share * len(clusters)))
        names = list(clusters)
        for index in range(wanted):
            chosen += clusters[names[index * len(names) // wanted]]
    return chosen
