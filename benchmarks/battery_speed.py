"""Answers and a battery of six measures against lm-evaluation-harness: same model, prompts, precision and stopping.

Part 1: 200 rendered prompts answered greedily. Ours takes turns with the harness at batches of 16, 64 and 200; its
best one counts. Part 2: six measures of 200 prompts in our one pass, against the harness asked for each measure alone,
at its best batch. The peer comes from the dependency group ``bench``; the model from `upbringing data fetch smollm2`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from alternating import at_least, machine, spread

from upbringing.battery.engine import measure
from upbringing.battery.judges.refusal_rules import RefusalRules
from upbringing.battery.measure import Measure
from upbringing.battery.measures.coherence import Coherence
from upbringing.battery.measures.discrimination import BehaviouralDiscrimination, Discrimination
from upbringing.battery.measures.non_refusal import NonRefusal
from upbringing.battery.measures.over_refusal import OverRefusal
from upbringing.battery.measures.refusal_margin import RefusalMargin
from upbringing.battery.needs import AnswerNeed, LikelihoodNeed
from upbringing.data.prompt_sets.items import TWIN_ROLE, over_refusal_items
from upbringing.formats.items import Item
from upbringing.formats.record import BuildProfile
from upbringing.models.decoding import Greedy
from upbringing.models.loading import load_model
from upbringing.models.local import LocalModel

MODEL = Path("studies/smollm2/models/smollm2-135m-instruct-dequantised-q4-1")
PEER_BATCHES = (16, 64, 200)
ANSWERS_TARGET, BATTERY_TARGET = 1.3, 3.0
ROLES = ("question", TWIN_ROLE)


def items_to_ask(num: int) -> list[Item]:
    """Return ``num`` of our own requests, half of them harmful."""
    return list(over_refusal_items().items)[:num]


def battery(tokens: int) -> tuple[Measure, ...]:
    """Return six measures; four need answers, two likelihoods."""
    decoding = Greedy(max_tokens=tokens)
    return (
        NonRefusal(decoding=decoding, roles=ROLES),
        OverRefusal(decoding=decoding),
        Coherence(decoding=decoding),
        BehaviouralDiscrimination(decoding=decoding, roles=ROLES),
        RefusalMargin(roles=ROLES),
        Discrimination(roles=ROLES),
    )


def load_ours(folder: Path) -> LocalModel:
    """Return the model in bf16 as the battery uses it."""
    loaded = load_model(folder, profile=BuildProfile(threads=torch.get_num_threads()))
    return LocalModel(loaded.model, loaded.tokenizer, precision="bf16")


def load_peer(folder: Path, dtype: str = "bfloat16") -> Any:
    """Return the harness's model; exits with what to install where it is missing."""
    try:
        from lm_eval.models.huggingface import HFLM
    except ImportError:
        sys.exit("lm-evaluation-harness is not installed: pip install --group bench")
    return HFLM(pretrained=str(folder), dtype=dtype, device="cpu", batch_size=1)


def peer_answers(peer: Any, contexts: Sequence[str], tokens: int, batch: int) -> list[str]:
    """Return the harness's greedy answers to rendered prompts."""
    from lm_eval.api.instance import Instance

    peer.batch_size_per_gpu = batch
    arguments = {"until": [], "max_gen_toks": tokens, "do_sample": False}
    requests = [
        Instance(request_type="generate_until", doc={}, arguments=(context, dict(arguments)), idx=index)
        for index, context in enumerate(contexts)
    ]
    found: list[str] = peer.generate_until(requests, disable_tqdm=True)
    return found


def peer_likelihoods(peer: Any, pairs: Sequence[tuple[str, str]], batch: int) -> None:
    """Let the harness score (context, continuation) pairs."""
    from lm_eval.api.instance import Instance

    peer.batch_size_per_gpu = batch
    peer.loglikelihood(
        [Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=index) for index, pair in enumerate(pairs)],
        disable_tqdm=True,
    )


def timed(function: Callable[[], object]) -> float:
    """Return wall-clock seconds."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def rendered(model: LocalModel, items: Sequence[Item]) -> list[str]:
    """Return the prompts as text, special tokens included, as both sides read them."""
    prompts = [AnswerNeed(item.id).prompt(item) for item in items]
    return [model.tokenizer.decode(model.renderer.prompt(prompt)) for prompt in prompts]


def compare_answers(ours: LocalModel, peer: Any, items: Sequence[Item], tokens: int, rounds: int) -> int:
    """Print part 1; return the harness's best batch."""
    decoding, contexts = Greedy(max_tokens=tokens), rendered(ours, items)
    prompts = [AnswerNeed(item.id, decoding).prompt(item) for item in items]
    texts: dict[int, str] = {}

    def answer() -> None:
        for batch in ours.batches(prompts, decoding):
            for index, replies in zip(batch, ours.answer([prompts[i] for i in batch], decoding, 0), strict=True):
                texts[index] = replies[0].text

    seconds: dict[int, list[float]] = {batch: [] for batch in PEER_BATCHES}
    own: list[float] = []
    said: list[str] = []
    for _ in range(rounds):
        for batch in PEER_BATCHES:
            own.append(timed(answer))
            began = time.perf_counter()
            said = peer_answers(peer, contexts, tokens, batch)
            seconds[batch].append(time.perf_counter() - began)
    best = min(PEER_BATCHES, key=lambda batch: statistics.median(seconds[batch]))
    ratio = statistics.median(seconds[best]) / statistics.median(own)
    same = sum(texts[index].strip() == text.strip() for index, text in enumerate(said))
    print(f"answers: {len(items)} prompts, {tokens} tokens, greedy, bf16; equal texts with the harness: {same}")
    for batch in PEER_BATCHES:
        print(f"  harness, batch {batch}: {spread(seconds[batch], '.2f')} s")
    print(
        f"  ours: {spread(own, '.2f')} s; ratio to its best ({best}): {ratio:.2f} ({at_least(ratio, ANSWERS_TARGET)})"
    )
    return best


def compare_battery(ours: LocalModel, peer: Any, items: Sequence[Item], tokens: int, best: int, rounds: int) -> None:
    """Print part 2."""
    measures = battery(tokens)
    by_id = {item.id: item for item in items}
    contexts = dict(zip(by_id, rendered(ours, items), strict=True))
    judge = RefusalRules().build()

    def together() -> None:
        measure(
            ours,
            checkpoint_id="bench",
            battery=measures,
            items=items,
            judges=[judge],
            on_progress=lambda done, total: None,
        )

    def one_by_one() -> None:
        for each in measures:
            needs = each.needs(items)
            asked = [need for need in needs if isinstance(need, AnswerNeed)]
            if asked:
                peer_answers(peer, [contexts[need.item] for need in asked], tokens, best)
            scored = [need for need in needs if isinstance(need, LikelihoodNeed)]
            pairs = [
                (ours.tokenizer.decode(ours.renderer.prompt(need.asked(by_id[need.item]))), continuation)
                for need in scored
                for continuation in need.continuations
            ]
            if pairs:
                peer_likelihoods(peer, pairs, best)

    own, others = [], []
    for _ in range(rounds):
        own.append(timed(together))
        others.append(timed(one_by_one))
    ratio = statistics.median(others) / statistics.median(own)
    print(f"battery: {len(measures)} measures of {len(items)} prompts: ours {spread(own, '.2f')} s in one pass")
    alone = spread(others, ".2f")
    print(f"  harness, each measure alone: {alone} s; ratio {ratio:.2f} ({at_least(ratio, BATTERY_TARGET)})")


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1, help="of part 1; each round has three pairs")
    parser.add_argument("--battery-rounds", type=int, default=1)
    options = parser.parse_args()
    if not options.model.is_dir():
        sys.exit(f"no model in {options.model}: upbringing data fetch smollm2 --model-folder {options.model.parent}")
    print(machine(precision="bf16", threads=torch.get_num_threads()))
    ours, peer, items = load_ours(options.model), load_peer(options.model), items_to_ask(options.prompts)
    best = compare_answers(ours, peer, items, options.tokens, options.rounds)
    compare_battery(ours, peer, items, options.tokens, best, options.battery_rounds)


if __name__ == "__main__":
    main()
