"""What nodes cost: steps, tokens, FLOPs, bytes and seconds, each ``None`` where it is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from upbringing.base.errors import UpbringingError
from upbringing.lab.planning.calibration import Calibration, shape_of
from upbringing.lab.planning.reading import BYTES_PER_POSITION, DataFacts
from upbringing.lab.session import FLOPS_PER_TOKEN_AND_WEIGHT, Session
from upbringing.models.weights import num_weights
from upbringing.study.lineage import Run
from upbringing.study.tree import Node
from upbringing.training.ablate import Ablate
from upbringing.training.average_checkpoints import AverageCheckpoints
from upbringing.training.edit_weights import EditWeights
from upbringing.training.emulate_tuning import EmulateTuning
from upbringing.training.existing import Existing
from upbringing.training.fresh import num_parameters
from upbringing.training.rewards import ModelReward
from upbringing.training.rl import Rl
from upbringing.training.settings import Lora, TrainedStage
from upbringing.training.start import FreshStart

BYTES_PER_WEIGHT = 4  # published in fp32
STATE_COPIES = 3  # weights and AdamW's two moments
HELD_COPIES = 4  # while weights are trained: those, and their gradients
BYTES_PER_CAST = 2  # of frozen matrices, held in bf16 as well; on an accelerator instead
FLOPS_FORWARD = 2  # of the 6 that learning from a token takes
FLOPS_WITH_ADAPTERS = 4  # the frozen weights' own gradients are not computed
BYTES_PER_STEP = 68  # of a stream's chain of hashes
BYTES_PER_TOKENIZER_ENTRY = 50  # of tokenizer.json, copied into every checkpoint
COPIES_OF_AN_EDIT = 5  # three checkpoints are read, one is written, and read again to check that it loads
COPIED_BYTES_PER_SECOND = 2e8  # assumed of a disk and one core that hashes
BYTES_OF_A_RECORD = 12_000  # record, card, configuration and manifest of a checkpoint


@dataclass(frozen=True)
class Cost:
    """Of one node: its own segment, no ancestor's. ``data_bytes``: its stage's stream, at the stage's first node.

    ``generated_tokens``: those of ``tokens`` that an rl stage draws itself, at most.
    """

    steps: int | None = None
    tokens: int | None = None
    flops: float | None = None
    disk_bytes: int | None = None
    data_bytes: int | None = None
    seconds: float | None = None
    generated_tokens: int | None = None


@dataclass(frozen=True)
class Costs:
    """Prices the nodes of a session's tree with what is known of its data and of this machine."""

    session: Session
    facts: DataFacts
    speeds: Calibration

    def of(self, node: Node) -> Cost:
        """Return the cost of making ``node`` from its parent."""
        weights = self.weights(node)
        if node.run is None or isinstance(node.run.stage, Existing):
            return self._of_start(node, weights)
        stage = node.run.stage
        if isinstance(stage, EditWeights | Ablate | AverageCheckpoints):
            return self._of_edit(node, weights)
        if isinstance(stage, EmulateTuning):  # a record beside a tokenizer: the cost is that of asking three networks
            return Cost(0, 0, 0.0, self._checkpoint_bytes(node, 0), 0, 0.0)
        steps = self._own_steps(node)
        tokens = self._own_tokens(node, steps)
        per_token = FLOPS_WITH_ADAPTERS if isinstance(stage.weights, Lora) else FLOPS_PER_TOKEN_AND_WEIGHT
        generated = None
        if isinstance(stage, Rl):
            per_token += FLOPS_FORWARD * forward_passes(stage)
            generated = None if steps is None else steps * stage.batch_size * stage.max_new_tokens
        flops = None if tokens is None or weights is None else float(per_token * tokens * weights)
        speed = self.speeds.training.get((self.root(node).key, shape_of(stage)))
        seconds = None if speed is None or steps is None else speed.fixed + steps * speed.seconds_per_step
        data = self._stream_bytes(node.run) if node.from_step == 0 else 0
        return Cost(steps, tokens, flops, self._checkpoint_bytes(node, weights), data, seconds, generated)

    def _of_start(self, node: Node, weights: int | None) -> Cost:
        if isinstance(node.start, FreshStart):
            return Cost(0, 0, 0.0, self._checkpoint_bytes(node, weights), 0, 0.0)
        return Cost(0, 0, 0.0, 0, 0, 0.0)

    def _of_edit(self, node: Node, weights: int | None) -> Cost:
        read = None if weights is None else COPIES_OF_AN_EDIT * weights * BYTES_PER_WEIGHT
        seconds = None if read is None else read / COPIED_BYTES_PER_SECOND
        return Cost(0, 0, 0.0, self._checkpoint_bytes(node, weights), 0, seconds)

    def weights(self, node: Node) -> int | None:
        """Return how many weights a node has; those of a checkpoint that is not here only where declared."""
        while True:
            given = node.start if node.start is not None else node.run.stage if node.run is not None else None
            if isinstance(given, FreshStart):
                return num_parameters(given, given.tokenizer.vocabulary)
            if isinstance(given, Existing):
                folder = self.session.workshop.checkpoints.find(given.checkpoint)
                return given.parameters if folder is None else _counted(self.session, given.checkpoint)
            node = self._parent(node)

    def asked(self, node: Node) -> tuple[Node, ...]:
        """Return the nodes whose networks compute when ``node`` is asked: itself, or those that answer for it."""
        keys = dict.fromkeys(node.emulated_by or (node.key,))
        return tuple(self.session.tree.nodes[key] for key in keys)

    def root(self, node: Node) -> Node:
        """Return the start that a node comes from."""
        while node.parent is not None:
            node = self._parent(node)
        return node

    def _parent(self, node: Node) -> Node:
        assert node.parent is not None
        return self.session.tree.nodes[node.parent]

    def _own_steps(self, node: Node) -> int | None:
        run = node.run
        assert run is not None
        total = self.total_steps(run)
        end = node.to_step if node.to_step is not None else total
        return None if end is None else end - node.from_step

    def total_steps(self, run: Run) -> int | None:
        """Return the updates of a whole stage, from its tokens or from its data."""
        if run.total_steps is not None or run.stream is None:
            return run.total_steps
        facts = self.facts.streams.get(run.stream.key)
        return None if facts is None else facts.num_steps

    def _own_tokens(self, node: Node, steps: int | None) -> int | None:
        run = node.run
        assert run is not None
        assert run.stream is not None
        facts = self.facts.streams.get(run.stream.key)
        if facts is not None:
            return facts.tokens
        return None if steps is None else steps * tokens_per_step(run)

    def _stream_bytes(self, run: Run) -> int | None:
        steps = self.total_steps(run)
        if steps is None or run.stream is None:
            return None
        facts = self.facts.streams.get(run.stream.key)
        tokens = facts.tokens if facts is not None else steps * run.stream.context * run.stream.batch_size
        is_pairs = run.stream.form == "preferences"
        return tokens * (BYTES_PER_WEIGHT if is_pairs else BYTES_PER_POSITION) + steps * BYTES_PER_STEP

    def _checkpoint_bytes(self, node: Node, weights: int | None) -> int | None:
        if weights is None:
            return None
        root = self.root(node).start
        entries = root.tokenizer.vocabulary if isinstance(root, FreshStart) else 0
        state = self._state_bytes(node, weights) if node.needs_state else 0
        return weights * BYTES_PER_WEIGHT + state + entries * BYTES_PER_TOKENIZER_ENTRY + BYTES_OF_A_RECORD

    def _state_bytes(self, node: Node, weights: int) -> int:
        stage = node.run.stage if node.run is not None else None
        if isinstance(stage, TrainedStage) and isinstance(stage.weights, Lora):
            return 0  # adapters are small beside the checkpoint
        return weights * BYTES_PER_WEIGHT * STATE_COPIES

    def held_bytes(self, nodes: Sequence[Node]) -> int | None:
        """Return the least memory that a process needs for any of ``nodes``: weights, gradients and AdamW's moments.

        Activations, other networks that a stage asks and the libraries come on top, and so does what nodes of unknown
        size need. ``None`` where no size is known.
        """
        held = [self._held(node, weights) for node in nodes if (weights := self.weights(node)) is not None]
        return max(held, default=0) if held or not nodes else None

    def _held(self, node: Node, weights: int) -> int:
        stage = node.run.stage if node.run is not None else None
        if not isinstance(stage, TrainedStage):
            return weights * BYTES_PER_WEIGHT
        if not isinstance(stage.weights, Lora):
            return weights * BYTES_PER_WEIGHT * HELD_COPIES
        profile = self.session.workshop.profile
        cast = BYTES_PER_CAST if profile.precision == "bf16" and profile.device == "cpu" else 0
        return weights * (BYTES_PER_WEIGHT + cast)

    def working_bytes(self, nodes: Sequence[Node]) -> int | None:
        """Return what unfinished segments hold at most: two states in every slot, gone when a checkpoint is done.

        ``None`` where the size of any is not known.
        """
        trained = [
            (node, self.weights(node)) for node in nodes if node.run and isinstance(node.run.stage, TrainedStage)
        ]
        states = [self._state_bytes(node, weights) for node, weights in trained if weights is not None]
        if len(states) < len(trained):
            return None
        return sum(2 * size for size in sorted(states, reverse=True)[: self.session.workshop.slots])


def tokens_per_step(run: Run) -> int:
    """Return the tokens that one update of a stage reads, padding included; of an rl stage its longest answers."""
    if isinstance(run.stage, Rl):
        return run.stage.batch_size * run.stage.context
    assert run.stream is not None
    return run.stream.context * run.stream.batch_size


def forward_passes(stage: Rl) -> int:
    """Return how often an rl stage reads an answer without learning from it: to draw it, and to score it."""
    scored = (stage.algorithm == "rloo", stage.beta > 0, isinstance(stage.reward, ModelReward))
    return 1 + sum(scored)


def _counted(session: Session, checkpoint: str) -> int | None:
    folder = session.workshop.checkpoints.needed(checkpoint)
    try:
        return num_weights(folder)
    except UpbringingError:
        return None


def makespan(seconds: Mapping[str, float], parents: Mapping[str, str | None], slots: int) -> float:
    """Return how long jobs take on ``slots`` when each waits for its parent, in the order of ``seconds``.

    Parents that are not among the jobs are done.
    """
    waiting = dict(seconds)
    done: set[str] = set()
    running: list[tuple[float, str]] = []
    now = 0.0
    while waiting or running:
        for key in list(waiting):
            parent = parents.get(key)
            if len(running) < slots and (parent is None or parent in done or parent not in seconds):
                heappush(running, (now + waiting.pop(key), key))
        now, key = heappop(running)
        done.add(key)
    return now
