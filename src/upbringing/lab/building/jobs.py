"""The pieces of work a study consists of: make a tokenizer, a stream, a start, a segment. Each is idempotent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upbringing.base.errors import IntegrityError, StudyError
from upbringing.base.files import remove_tree
from upbringing.data.compared import read_compared
from upbringing.data.held_out import read_held_out
from upbringing.data.planted.source import Planted
from upbringing.data.spelled_tokens import read_spelled, spelled_warnings
from upbringing.data.stream import StreamInfo, read_info
from upbringing.data.tally import Tally, read_tally
from upbringing.data.tokenizer import train_tokenizer
from upbringing.data.worlds.causes_world import CausesWorld
from upbringing.formats.record import BuildProfile, HeldOutLoss, Record, RewardGroup, SourceTokens
from upbringing.lab.building.executor import Event
from upbringing.lab.building.filling import fill_stream
from upbringing.lab.building.library import Library
from upbringing.lab.building.recorded import recorded_phases, recorded_sources
from upbringing.lab.building.special_tokens import learned_special_tokens
from upbringing.lab.storage.store import Store
from upbringing.study.recipes import DataBook
from upbringing.study.stream_recipes import StreamRecipe
from upbringing.training.dpo import Dpo
from upbringing.training.fresh import copy_tokenizer, create_fresh
from upbringing.training.held_out import NO_TARGETS, NO_WINDOWS, held_out_loss, held_out_warnings
from upbringing.training.launch import launch_segment
from upbringing.training.publish import finish_checkpoint, thinned
from upbringing.training.ranking import ranking, ranking_warnings
from upbringing.training.reward_model import RewardModel
from upbringing.training.rl import Rl
from upbringing.training.rl_curve import curve_of
from upbringing.training.segment import Places, Realised, Segment
from upbringing.training.start import FreshStart

STEPS_BETWEEN_EVENTS = 10  # a progress bar needs no more


@dataclass(frozen=True)
class TokenizerJob:
    """Train the study's tokenizer on the lexicon of a world."""

    key: str
    label: str
    store: Path
    book: DataBook
    start: FreshStart
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> None:
        """Publish the tokenizer folder."""
        recipe = self.start.tokenizer
        description, _ = self.book.describe(recipe.train_on)
        if not isinstance(description, CausesWorld | Planted):
            said = f"tokenizer.train_on names {recipe.train_on!r}, which has no lexicon: name a world"
            raise StudyError(said, ("start", "tokenizer", "train_on"))

        def fill(folder: Path) -> None:
            train_tokenizer(
                description.lexicon(),
                vocabulary=recipe.vocabulary,
                special_tokens=recipe.special_tokens,
                chat_template=recipe.chat_template,
                folder=folder,
            )

        Store(self.store).publish("data", self.key, fill)


@dataclass(frozen=True)
class StreamJob:
    """Render, pack and fix the data of one run of a stage."""

    key: str
    label: str
    store: Path
    book: DataBook
    root: int
    recipe: StreamRecipe
    tokenizer: Path
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> StreamInfo:
        """Publish the stream folder and return what it turned out to be."""
        library = Library(self.book, self.root, self.store)

        def fill(folder: Path) -> None:
            fill_stream(self.recipe, library, self.tokenizer, folder)

        return read_info(Store(self.store).publish("data", self.key, fill))


@dataclass(frozen=True)
class StartJob:
    """Write the random weights that a fresh lineage begins with."""

    key: str
    label: str
    store: Path
    start: FreshStart
    tokenizer: Path
    seed: int
    inputs: dict[str, Any]
    profile: BuildProfile
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> None:
        """Publish the checkpoint of the start."""

        def fill(folder: Path) -> None:
            create_fresh(self.start, self.tokenizer, self.seed, folder)
            record = Record(id=self.key, parent=None, kind="fresh", stage="start", recipe=self.inputs, seed=self.seed)
            finish_checkpoint(folder, record, self.profile)

        Store(self.store).publish("checkpoints", self.key, fill)


@dataclass(frozen=True)
class SegmentJob:
    """Train one segment and publish its checkpoint (and the state that a branch continues from).

    ``parent``: the folder of an existing checkpoint, or the key of one in the store, that the stage started from.
    ``reward_model``: the key of the one that pays the stage's answers, if one does.
    """

    key: str
    label: str
    store: Path
    segment: Segment
    parent: str | Path
    state: str | None
    stream: str
    needs_state: bool
    inputs: dict[str, Any]
    profile: BuildProfile
    after: tuple[str, ...] = ()
    reward_model: str | None = None

    def run(self, report: Callable[[Event], None]) -> None:
        """Train, publish the state first and the checkpoint last, so that a found checkpoint has its state."""
        store = Store(self.store)
        if self.is_done(store):
            return
        with store.claim(f"build-{self.key}"):
            if self.is_done(store):
                return
            workspace = store.workspace(self.key)
            final_state = workspace / "final"
            if final_state.exists():
                remove_tree(final_state)
            if self.needs_state:
                final_state.mkdir()

            def fill(folder: Path) -> None:
                self._train(store, workspace, folder, final_state if self.needs_state else None, report)
                if self.needs_state:
                    store.publish("states", self.key, lambda target: _move(final_state, target))

            if store.whole("checkpoints", self.key) is None:
                store.publish("checkpoints", self.key, fill)
            else:  # built before a branch needed its state: it stays, others may be reading it
                again = workspace / "again"
                if again.exists():
                    remove_tree(again)
                again.mkdir()
                fill(again)
            store.discard_workspace(self.key)

    def is_done(self, store: Store) -> bool:
        """Return whether the checkpoint, and the state if one is needed, are whole in the store, every byte of them."""
        if store.whole("checkpoints", self.key) is None:
            return False
        return not self.needs_state or store.whole("states", self.key) is not None

    def _train(
        self, store: Store, workspace: Path, folder: Path, final_state: Path | None, report: Callable[[Event], None]
    ) -> None:
        stream = present(store.find("data", self.stream, full=True), self.stream)
        parent = (
            self.parent
            if isinstance(self.parent, Path)
            else present(store.find("checkpoints", self.parent, full=True), self.parent)
        )
        state = None if self.state is None else present(store.find("states", self.state, full=True), self.state)
        segment = self.segment

        def on_progress(step: int, total: int, loss: float) -> None:
            if step % STEPS_BETWEEN_EVENTS == 0 or step == total:
                report(Event(self.key, step - segment.from_step, total - segment.from_step, f"loss {loss:.3f}"))

        pays = self.reward_model
        reward_model = None if pays is None else present(store.find("checkpoints", pays, full=True), pays)
        places = Places(parent, state, stream, workspace, folder, final_state, reward_model)
        realised = launch_segment(segment, places, self.profile, on_progress)
        copy_tokenizer(parent, folder)
        finish_checkpoint(folder, self._record(realised, stream, parent, folder), self.profile)

    def _record(self, realised: Realised, stream: Path, parent: Path, folder: Path) -> Record:
        segment, info, tally = self.segment, read_info(stream), read_tally(stream)
        sources = recorded_sources(segment, info, tally)
        held_out = self._held_out_loss(stream, tally, parent, folder)
        ranked = self._ranking(stream, folder)
        return Record(
            id=self.key,
            parent=str(self.parent) if isinstance(self.parent, str) else self.parent.name,
            kind=segment.stage.kind if hasattr(segment.stage, "kind") else "stage",
            stage=segment.name,
            recipe=self.inputs,
            seed=segment.seed,
            steps=segment.to_step,
            total_steps=segment.total_steps,
            data_sha256=info.prefix_sha256(segment.to_step),
            sources=sources,
            phases=recorded_phases(segment, info, tally),
            tokens=self._tokens(realised, info, sources),
            supervised_tokens=realised.supervised_tokens,
            examples=sum(source.examples for source in sources),
            special_tokens=learned_special_tokens(segment.stage, stream, parent, segment.to_step),
            updates=len(realised.losses),
            learning_rate_sum=realised.learning_rate_sum,
            loss_curve=thinned(realised.losses),
            weights_changed=realised.weights_changed,
            guard=realised.guard,
            held_out=held_out,
            reward_model=ranked,
            rl=curve_of(realised.updates) if realised.updates else None,
            warnings=(
                *realised.warnings,
                *held_out_warnings(held_out),
                *ranking_warnings(ranked),
                *spelled_warnings(read_spelled(stream)),
            ),
            seconds=round(realised.seconds, 3),
        )

    def _tokens(self, realised: Realised, info: StreamInfo, sources: Sequence[SourceTokens]) -> int:
        """Return the tokens that the stage has read up to here; of its own answers each with its prompt."""
        stage = self.segment.stage
        if isinstance(stage, Rl):
            prompts = sum(source.realised_tokens for source in sources)
            return prompts * stage.group_size + realised.supervised_tokens
        return info.tokens * self.segment.to_step // info.num_steps  # whole: only streams of equal windows are cut

    def _ranking(self, stream: Path, folder: Path) -> tuple[RewardGroup, ...]:
        if not isinstance(self.segment.stage, RewardModel):
            return ()
        return ranking(folder, read_compared(stream), self.profile)

    def _held_out_loss(self, stream: Path, tally: Tally, parent: Path, folder: Path) -> HeldOutLoss:
        if isinstance(self.segment.stage, Dpo | RewardModel):
            return HeldOutLoss(reason=NO_WINDOWS)
        if isinstance(self.segment.stage, Rl):
            return HeldOutLoss(reason=NO_TARGETS)
        held_out = read_held_out(stream)
        return held_out_loss(held_out, held_out.places(tally.keys(self.segment.to_step)), parent, folder, self.profile)


def _move(source: Path, target: Path) -> None:
    for path in source.iterdir():
        path.rename(target / path.name)


def present(folder: Path | None, key: str) -> Path:
    """Return ``folder``; raises ``IntegrityError`` where the store has nothing whole under ``key``."""
    if folder is None:
        raise IntegrityError(f"{key} is not in the store or was damaged: run the same command again to rebuild it")
    return folder
