"""Caps on repetition, asked before anything is trained: data is packed in a scratch folder, as a build would."""

from __future__ import annotations

from pathlib import Path

from upbringing.lab.building.cap_places import at_stage
from upbringing.lab.planning.reading import FactsJob, facts_key, missing_file, tokenizers_for
from upbringing.lab.session import Session
from upbringing.lab.storage.remembered import keep, recall
from upbringing.study.lineage import Lineage
from upbringing.study.stream_recipes import StreamRecipe


def require_caps(session: Session, scratch: Path) -> None:
    """Pack, in child processes, every stream of given length with a cap; raises the first error of any of them.

    What was found to fit is remembered. Streams in epochs are read by ``reading.read_data``, and streams whose files or
    tokenizers are not here are left to the build, which packs all data before it trains.
    """
    capped = {
        recipe: (lineage, root)
        for recipe, (lineage, root) in _capped(session).items()
        if missing_file(session, recipe, root) is None
    }
    if not capped:
        return
    tokenizers = tokenizers_for(session, scratch)
    jobs = []
    for recipe, (lineage, root) in capped.items():
        tokenizer = tokenizers.get(lineage.start_key)
        if tokenizer is not None and recall(session.store, facts_key(session, lineage, recipe)) is None:
            book, store = session.workshop.book, session.store.root
            jobs.append(FactsJob(recipe.key, "data", store, book, root, recipe, tokenizer))
    outcomes = session.workshop.run(jobs, lambda event: None, lambda outcome: None) if jobs else {}
    for job in jobs:
        outcome = outcomes[job.key]
        if outcome.error is not None:
            raise at_stage(outcome.error, session.tree.lineages, job.recipe)
        keep(session.store, facts_key(session, capped[job.recipe][0], job.recipe), outcome.value.model_dump())


def _capped(session: Session) -> dict[StreamRecipe, tuple[Lineage, int]]:
    return {
        run.stream: (lineage, run.root)
        for lineage in session.tree.lineages
        for run in lineage.runs
        if run.stream is not None
        and run.stream.num_windows is not None
        and any(part.max_repetition is not None for part in run.stream.parts)
    }
