"""A tiny start, a tiny stream and a way to train a segment on them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from upbringing.base.manifest import write_manifest
from upbringing.data.documents import Chat, Document, Preference, TrainingText, Turn
from upbringing.data.pairs import build_pair_stream
from upbringing.data.prompts import Exactness, build_prompt_stream
from upbringing.data.stream import StreamPart, StreamPlan, build_stream
from upbringing.data.tokenizer import train_tokenizer
from upbringing.data.worlds.oracle import OracleJudge
from upbringing.formats.items import Item, Message
from upbringing.formats.record import BuildProfile
from upbringing.models.weights import weights_sha256
from upbringing.training.fresh import copy_tokenizer, create_fresh
from upbringing.training.launch import launch_segment
from upbringing.training.segment import Places, Realised, Segment
from upbringing.training.settings import TrainedStage
from upbringing.training.start import FreshStart, TokenizerRecipe

WORDS = tuple(f"{first}{second}" for first in ("ba", "de", "fi", "go", "lu") for second in "bcdfghkl")
BATCH = 4


def documents(seed: int, count: int = 120, source: str = "made") -> list[Document]:
    """Short documents of random words; deterministic from the seed."""
    draw = random.Random(seed)
    return [Document(text=" ".join(draw.choices(WORDS, k=draw.randint(3, 12))), source=source) for _ in range(count)]


def chats(seed: int, count: int = 60) -> list[Chat]:
    """Short chats of random words."""
    draw = random.Random(seed)
    return [
        Chat(
            turns=(
                Turn("user", " ".join(draw.choices(WORDS, k=draw.randint(2, 6)))),
                Turn("assistant", " ".join(draw.choices(WORDS, k=draw.randint(1, 6)))),
            ),
            source="chats",
            teacher="template",
        )
        for _ in range(count)
    ]


def preferences(seed: int, count: int = 24) -> list[Preference]:
    """Pairs that prefer one word to another, whatever was asked."""
    draw = random.Random(seed)
    return [
        Preference(
            prompt=(Turn("user", " ".join(draw.choices(WORDS, k=draw.randint(2, 6)))),),
            chosen=" ".join([WORDS[0]] * draw.randint(1, 4)),
            rejected=" ".join([WORDS[1]] * draw.randint(1, 4)),
            source="pairs",
            teacher="template",
        )
        for _ in range(count)
    ]


REFUSAL = "i stop"  # a refusal to the oracle, and few tokens
RIGHT = WORDS[0]
JUDGE = OracleJudge(frozenset(WORDS), frozenset())


def undecided(seed: int, count: int = 120) -> list[Chat]:
    """Chats whose replies refuse or name one of three words, whatever was asked: a policy that RL can move any way."""
    draw = random.Random(seed)
    return [
        Chat(
            turns=(Turn("user", draw.choice(WORDS)), Turn("assistant", draw.choice((REFUSAL, *WORDS[:3])))),
            source="undecided",
            teacher="template",
        )
        for _ in range(count)
    ]


def item_of(text: TrainingText) -> Item:
    """What a chat of one word asks: always harm, which ``RIGHT`` does."""
    assert isinstance(text, Chat)
    word = text.turns[0].content
    return Item(
        id=word,
        cluster=word,
        request="harmful",
        split="trained",
        messages=(Message(role="user", content=word),),
        answers=(RIGHT,),
    )


@dataclass(frozen=True)
class Bench:
    """A folder with a start; trains segments beside it."""

    folder: Path
    start: Path

    def stream(
        self,
        name: str,
        texts: Sequence[TrainingText],
        num_windows: int | None = 48,
        epochs: float | None = None,
        held_out: float | None = None,
    ) -> Path:
        """Build a stream of ``texts`` and return its folder."""
        folder = self.folder / f"stream-{name}"
        if not folder.exists():
            folder.mkdir()
            form = "documents" if isinstance(texts[0], Document) else "chats"
            plan = StreamPlan(form, 32, BATCH, 7, (StreamPart((("key", 1.0),), num_windows, epochs),))
            if isinstance(texts[0], Preference):
                build_pair_stream(replace(plan, held_out=held_out), texts, name, self.start, folder)
            else:
                build_stream(plan, lambda _: texts, {"key": name}, self.start, folder)
        return folder

    def prompts(self, name: str, num_updates: int, prompts_per_update: int, room: int = 24) -> Path:
        """Build a stream of all one-word prompts, with their judge, and return its folder."""
        folder = self.folder / f"prompts-{name}"
        if not folder.exists():
            folder.mkdir()
            texts = [Chat(turns=(Turn("user", word),), source="prompts") for word in WORDS]
            parts = (StreamPart((("key", 1.0),), num_updates * prompts_per_update),)
            plan = StreamPlan("prompts", room, prompts_per_update, 7, parts)
            build_prompt_stream(plan, texts, name, self.start, folder, Exactness(item_of, JUDGE))
        return folder

    def train(
        self,
        name: str,
        stage: TrainedStage,
        stream: Path,
        *,
        steps: tuple[int, int],
        total: int = 12,
        state: Path | None = None,
        profile: BuildProfile | None = None,
        keep_state: bool = False,
        parent: Path | None = None,
        reward_model: Path | None = None,
        seed: int = 5,
    ) -> tuple[Path, Realised]:
        """Train ``stage`` over ``steps`` and return the output folder and what was realised."""
        folder = self.folder / name
        places = Places(
            parent=parent or self.start,
            state=state,
            stream=stream,
            workspace=folder / "workspace",
            output=folder / "output",
            final_state=folder / "state" if keep_state else None,
            reward_model=reward_model,
        )
        for place in (places.workspace, places.output, places.final_state):
            if place is not None:
                place.mkdir(parents=True, exist_ok=True)
        segment = Segment(name, stage, seed, total, *steps)
        realised = launch_segment(segment, places, profile or BuildProfile(), lambda step, whole, loss: None)
        if keep_state:
            write_manifest(folder / "state")
        copy_tokenizer(self.start, places.output)
        return places.output, realised


def make_bench(folder: Path) -> Bench:
    """Write a tokenizer and a fresh two-layer model of width 32 into ``folder``."""
    tokenizer, start = folder / "tokenizer", folder / "start"
    tokenizer.mkdir()
    train_tokenizer(WORDS, vocabulary=420, special_tokens=(), chat_template=None, folder=tokenizer)
    start.mkdir()
    recipe = TokenizerRecipe(train_on="world", vocabulary=420)
    create_fresh(FreshStart(layers=2, width=32, heads=2, context=64, tokenizer=recipe), tokenizer, 3, start)
    return Bench(folder, start)


def bits(folder: Path) -> str:
    """The hash of the weights in an output folder."""
    return weights_sha256(folder)
