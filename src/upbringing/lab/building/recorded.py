"""What a record says about the data of a segment: tokens per source, of the whole and of every phase."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from upbringing.data.stream import StreamInfo
from upbringing.data.tally import Tally
from upbringing.formats.record import PhaseTokens, SourceTokens
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain
from upbringing.training.schedules import rate_factors
from upbringing.training.segment import Segment


def recorded_sources(segment: Segment, info: StreamInfo, tally: Tally) -> tuple[SourceTokens, ...]:
    """Return planned and realised tokens per source to the segment's end; only stages of declared tokens plan any."""
    sources = tally.sources(segment.to_step)
    if not isinstance(segment.stage, Pretrain | Midtrain):
        return sources
    return _with_planned_tokens(sources, segment.to_step * info.batch_size * info.context)


def recorded_phases(segment: Segment, info: StreamInfo, tally: Tally) -> tuple[PhaseTokens, ...]:
    """Return what each phase read that the segment's stage has reached; the last one may have more to come."""
    stage = segment.stage
    if not isinstance(stage, Pretrain | Midtrain):
        return ()
    factors = rate_factors(stage.schedule, segment.total_steps)
    borders = tally.borders(segment.to_step)
    found = []
    for begin, end in pairwise(borders):
        tokens = (end - begin) * info.batch_size * info.context
        found.append(
            PhaseTokens(
                first_step=begin,
                last_step=end,
                learning_rate=float(factors[begin]) * stage.learning_rate,
                peak_share=float(factors[begin]),
                tokens=tokens,
                sources=_with_planned_tokens(tally.sources(end, first_step=begin), tokens),
            )
        )
    return tuple(found)


def _with_planned_tokens(sources: Sequence[SourceTokens], tokens: int) -> tuple[SourceTokens, ...]:
    return tuple(
        source
        if source.planned_share is None
        else source.model_copy(update={"planned_tokens": round(source.planned_share * tokens)})
        for source in sources
    )
