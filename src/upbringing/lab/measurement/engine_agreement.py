"""Before a study is measured: how far its answers depend on how they are computed, on its first checkpoint.

Another engine than transformers is compared with it and must agree. In bf16, transformers is compared with itself in
other batches: the share of verdicts that flip is the noise floor of all that is generated.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import TypeAdapter, ValidationError

from upbringing.base.errors import MeasurementError
from upbringing.base.files import TEMPORARY_PREFIX, write_json_atomic
from upbringing.base.fingerprint import fingerprint
from upbringing.base.streams import stream
from upbringing.battery.engine import engine_model, local_model
from upbringing.battery.judges.refusal_rules import RefusalRuleJudge
from upbringing.battery.needs import AnswerNeed
from upbringing.battery.unasked import why_unasked
from upbringing.formats.items import Item, Judge
from upbringing.formats.tree import FlipRate
from upbringing.lab.building.executor import Event, Outcome
from upbringing.lab.measurement.agreement import Agreement, compare, greedy_answers, outcomes_of
from upbringing.lab.measurement.measuring import MeasureJob, asked_items, study_judges
from upbringing.models.asking import Model
from upbringing.models.decoding import Greedy
from upbringing.models.local import LocalModel
from upbringing.models.openvino import require_openvino
from upbringing.study.study import Study

NUM_PROMPTS = 50
OTHER_BATCH = 16  # rows at most; studies answer in batches of up to 256
KEPT_NAME = "engine_agreement.json"
COMPARISON_VERSION = 2  # raised where the same study is compared in another way
_AGREEMENT = TypeAdapter(Agreement)
_MAYBE_AGREEMENT: TypeAdapter[Agreement | None] = TypeAdapter(Agreement | None)


@dataclass(frozen=True)
class AgreementJob:
    """Compare the study's engine with transformers, or transformers with itself in other batches.

    ``measurement``: of the checkpoint on which; ``kept``: a file.
    """

    measurement: MeasureJob
    kept: Path

    @property
    def key(self) -> str:
        """Unique among the jobs of a run."""
        return f"agreement-{self.measurement.key}"

    @property
    def label(self) -> str:
        """What the job does, for people."""
        engine = self.measurement.study.engine
        return "answer in other batches" if engine == "transformers" else f"compare {engine} with transformers"

    @property
    def after(self) -> tuple[str, ...]:
        """Runs once everything is built."""
        return ()

    def run(self, report: Callable[[Event], None]) -> str:
        """Return the agreement as JSON: what was kept under the same key, or a new comparison; null where none is."""
        job = self.measurement
        folder = job.checkpoint_folder()
        items = asked_items(job.study, job.book, job.root)
        judges = exact_judges(study_judges(job.study, job.book, job.root))
        key = fingerprint([job.measurement_key(folder, items, judges), NUM_PROMPTS, COMPARISON_VERSION])
        found = _kept(self.kept, key)
        if found is None:
            found = self._compare(folder, items, judges, report)
        if found is not None:
            write_json_atomic(self.kept, {"key": key, "agreement": _AGREEMENT.dump_python(found, mode="json")})
        return _MAYBE_AGREEMENT.dump_json(found).decode()

    def _compare(
        self, folder: Path, items: Sequence[Item], judges: Sequence[Judge], report: Callable[[Event], None]
    ) -> Agreement | None:
        import torch

        job = self.measurement
        torch.set_num_threads(job.threads)
        local = local_model(job.loaded(folder), precision=job.study.measure_precision, hashed=True)
        found = None
        if job.study.engine == "transformers":
            if needs := in_company(job.study, items, local):
                found = agreement(local, lambda group: in_other_batches(local, len(group)), needs, items, judges)
        else:
            with TemporaryDirectory(dir=self.kept.parent, prefix=TEMPORARY_PREFIX) as conversions:
                engine = engine_model(local, job.study.engine, Path(conversions))
                needs = sampled_needs(job.study, items, engine)
                found = agreement(local, lambda _: engine, needs, items, judges)
        report(Event(self.key, 1, 1))
        return found


def exact_judges(judges: Sequence[Judge]) -> list[Judge]:
    """Return the judges that say the same of the same answer for nothing; the refusal rules where there is none."""
    return [judge for judge in judges if judge.judge_kind in ("oracle", "rule")] or [RefusalRuleJudge()]


def sampled_needs(study: Study, items: Sequence[Item], model: Model) -> list[AnswerNeed]:
    """Return a fixed sample of the greedy answers that the battery needs and ``model`` can give.

    Stream: ``engine-agreement``. Raises ``MeasurementError`` where there is none: there is nothing to compare, and
    nothing to gain.
    """
    greedy = _possible_needs(study, items, model)
    if not greedy:
        raise MeasurementError(
            f"engine: {study.engine} cannot be compared with transformers: the battery asks for no greedy answer that "
            "it can give. Add a measure with greedy decoding that bans nothing, or use engine: transformers"
        )
    return [greedy[place] for place in sorted(_order(study, len(greedy))[:NUM_PROMPTS])]


def in_company(study: Study, items: Sequence[Item], model: Model) -> list[AnswerNeed]:
    """Return such a sample in which no need is the only one of its condition, so that each can be in another batch.

    One that would be alone gets the next of its condition beside it. Empty where every condition asks a single prompt.
    """
    possible = _possible_needs(study, items, model)
    num_asked = Counter(need.condition for need in possible)
    possible = [need for need in possible if num_asked[need.condition] > 1]
    order = _order(study, len(possible))
    chosen, rest = order[:NUM_PROMPTS], order[NUM_PROMPTS:]
    num_chosen = Counter(possible[place].condition for place in chosen)
    lonely = {condition for condition, num in num_chosen.items() if num == 1}
    for place in rest:
        if possible[place].condition in lonely:
            lonely.remove(possible[place].condition)
            chosen.append(place)
    return [possible[place] for place in sorted(chosen)]


def in_other_batches(local: LocalModel, num: int) -> LocalModel:
    """Return ``local`` answering ``num`` prompts, which it would answer together, in two batches or more."""
    return replace(local, rows_per_batch=min(OTHER_BATCH, (num + 1) // 2))


def _order(study: Study, num: int) -> list[int]:
    return [int(place) for place in stream(study.seed, "engine-agreement").permutation(num)]


def _possible_needs(study: Study, items: Sequence[Item], model: Model) -> list[AnswerNeed]:
    """Return the greedy answers of the battery that ``model`` can give."""
    by_id = {item.id: item for item in items}
    return [
        need
        for need in greedy_needs(study, items)
        if model.undecodable(need.decoding) is None and why_unasked(model, need.prompt(by_id[need.item])) is None
    ]


def greedy_needs(study: Study, items: Sequence[Item]) -> list[AnswerNeed]:
    """Return the greedy answers that the battery needs, each once."""
    needs = dict.fromkeys(need for measure in study.battery for need in measure.needs(items))
    asked = [need for need in needs if isinstance(need, AnswerNeed) and need.is_plain]
    return [need for need in asked if isinstance(need.decoding, Greedy)]


def agreement(
    local: LocalModel,
    other: Callable[[Sequence[AnswerNeed]], Model],
    needs: Sequence[AnswerNeed],
    items: Sequence[Item],
    judges: Sequence[Judge],
) -> Agreement:
    """Return how far another model agrees with ``local`` on ``needs``; conditions never share a batch.

    ``other``: the model for the needs of one condition.
    """
    by_id = {item.id: item for item in items}
    ordered = sorted(needs, key=lambda need: need.condition)
    groups: dict[str, list[AnswerNeed]] = {}
    for need in ordered:
        groups.setdefault(need.condition, []).append(need)
    first = [answer for group in groups.values() for answer in _answers(local, group, by_id)]
    second = [answer for group in groups.values() for answer in _answers(other(group), group, by_id)]
    asked = [by_id[need.item] for need in ordered]
    return compare(
        first,
        second,
        tokens=local.renderer.text,
        judges={judge.id: outcomes_of(judge, asked) for judge in judges},
    )


def _answers(model: Model, group: Sequence[AnswerNeed], items: Mapping[str, Item]) -> list[str]:
    decoding = group[0].decoding
    assert isinstance(decoding, Greedy)
    return greedy_answers(model, [need.prompt(items[need.item]) for need in group], decoding)


def _kept(path: Path, key: str) -> Agreement | None:
    try:
        content = json.loads(path.read_bytes())
        return _AGREEMENT.validate_python(content["agreement"]) if content["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None  # never made, or torn: it is measured again


RunJobs = Callable[[Sequence[AgreementJob]], Mapping[str, Outcome]]


def check_engine(study: Study) -> None:
    """Raise ``MissingExtraError`` before anything is trained where the study's engine is not installed."""
    if study.engine == "openvino":
        require_openvino()


@dataclass(frozen=True)
class Compared:
    """What a comparison says: sentences for ``tree.json``, and the flip rate of batches where it was measured."""

    warnings: tuple[str, ...] = ()
    flip_rate: FlipRate | None = None


def compare_computation(study: Study, jobs: Sequence[MeasureJob], folder: Path, run_jobs: RunJobs) -> Compared:
    """Return how far the study's answers depend on their engine, or in bf16 on their batch; nothing in fp32.

    Raises ``MeasurementError`` where another engine's verdicts agree less often than the study's ``engine_agreement``,
    and ``MissingExtraError`` where the engine is not installed.
    """
    if not jobs or (study.engine == "transformers" and not _batches_matter(study, jobs[0])):
        return Compared()
    check_engine(study)
    job = AgreementJob(jobs[0], folder / KEPT_NAME)
    outcome = run_jobs([job])[job.key]
    found = _MAYBE_AGREEMENT.validate_json(str(outcome.value))
    if found is None:
        return Compared()
    return _batch_noise(found) if study.engine == "transformers" else _engine_said(study, found)


def _batches_matter(study: Study, job: MeasureJob) -> bool:
    """In fp32 batches change no greedy answer (a test); without greedy answers there is nothing to compare."""
    return study.measure_precision == "bf16" and bool(greedy_needs(study, asked_items(study, job.book, job.root)))


def _engine_said(study: Study, found: Agreement) -> Compared:
    checked_agreement(study, found)
    versions = require_openvino()
    said = f"{study.engine} ({', '.join(f'{name} {number}' for name, number in sorted(versions.items()))})"
    return Compared(
        (
            f"answers were generated by {said}, not by transformers; compared on the first checkpoint, "
            f"{found.sentence}; likelihoods are from transformers",
        )
    )


def _batch_noise(found: Agreement) -> Compared:
    if found.weakest is None:
        return Compared()
    judge = found.weakest[0]
    same = found.verdicts[judge]
    assert same.share is not None
    assert same.low is not None
    assert same.high is not None
    flips = FlipRate(rate=1.0 - same.share, low=1.0 - same.high, high=1.0 - same.low, num=same.num, judge=judge)
    return Compared(
        (
            f"in bf16 an answer depends on its batch; compared with smaller batches on the first checkpoint, "
            f"{found.sentence}; the {flips.rate:.1%} of flipped verdicts are the noise floor of generated answers",
        ),
        flips,
    )


def checked_agreement(study: Study, found: Agreement) -> None:
    """Raise ``MeasurementError`` where the verdicts agree less often than the study declares."""
    weakest = found.weakest
    if weakest is not None and weakest[1] < study.engine_agreement:
        raise MeasurementError(
            f"engine: {study.engine} does not agree with transformers: {weakest[1]:.1%} of the verdicts of "
            f"{weakest[0]} are the same, engine_agreement asks for {study.engine_agreement:.1%} ({found.sentence}). "
            "Use engine: transformers, measure_precision: fp32, or declare a lower engine_agreement"
        )
