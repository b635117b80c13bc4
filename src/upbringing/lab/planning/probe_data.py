"""Made-up data that fills every window, pair or prompt of a stage, so that its steps can be timed."""

from __future__ import annotations

from pathlib import Path

from upbringing.data.documents import Chat, Document, Preference, Turn
from upbringing.data.pairs import build_pair_stream
from upbringing.data.prompts import Exactness, build_prompt_stream
from upbringing.data.stream import StreamPart, StreamPlan, build_stream
from upbringing.data.worlds.oracle import OracleJudge
from upbringing.formats.items import Item
from upbringing.models.loading import CHECK_TEXT
from upbringing.training.dpo import Dpo
from upbringing.training.reward_model import RewardModel
from upbringing.training.rl import Rl
from upbringing.training.settings import TrainedStage

WORDS_PER_CONTEXT = 16  # of a pair's parts, so that it fits whatever the tokenizer makes of them


def write_probe_data(stage: TrainedStage, num_steps: int, tokenizer: Path, folder: Path) -> None:
    """Write data that fills every window, in the form of the stage."""
    windows = num_steps * stage.batch_size
    if isinstance(stage, Rl):
        _write_prompts(stage, num_steps, tokenizer, folder)
        return
    words = max(1, stage.context // WORDS_PER_CONTEXT)
    if isinstance(stage, Dpo | RewardModel):
        plan = StreamPlan(
            "preferences", stage.context, stage.batch_size, 0, (StreamPart((("probe", 1.0),), epochs=1.0),)
        )
        asked = (Turn("user", "say it " * words),)
        pair = Preference(prompt=asked, chosen="yes " * words, rejected="no " * words, source="probe")
        build_pair_stream(plan, [pair] * windows, "probe", tokenizer, folder)
        return
    plan = StreamPlan("documents", stage.context, stage.batch_size, 0, (StreamPart((("probe", 1.0),), windows),))
    texts = [Document(text=CHECK_TEXT, source="probe")] * stage.context
    build_stream(plan, lambda name: texts, {"probe": "probe"}, tokenizer, folder)


def _write_prompts(stage: Rl, num_steps: int, tokenizer: Path, folder: Path) -> None:
    """Write prompts with a judge who finds every answer incoherent: paying costs next to nothing beside drawing."""
    item = Item(id="probe", cluster="probe", request="benign", split="ood", answers=("yes",))
    words = max(1, stage.room_for_prompts // WORDS_PER_CONTEXT)
    text = Chat(turns=(Turn("user", "say it " * words),), source="probe")
    parts = (StreamPart((("probe", 1.0),), num_steps * stage.prompts_per_update),)
    plan = StreamPlan("prompts", stage.room_for_prompts, stage.prompts_per_update, 0, parts)
    exactness = Exactness(lambda _: item, OracleJudge(frozenset(), frozenset()))
    build_prompt_stream(plan, [text], "probe", tokenizer, folder, exactness)
