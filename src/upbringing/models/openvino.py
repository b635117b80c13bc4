"""A second engine for CPUs: the same checkpoint, rendered and ended by us, decoded by OpenVINO GenAI.

OpenVINO sees token ids and returns token ids; templates, special tokens, stops and thoughts stay with the local
model that it answers for. Likelihoods stay with transformers. Its greedy answers are not bound to be the same: the
agreement is measured before a study uses it (``lab/measurement/engine_agreement.py``); no cache line is shared.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

from upbringing.base.errors import IntegrityError, MeasurementError, MissingExtraError
from upbringing.base.files import TEMPORARY_PREFIX, publish_folder, remove_tree
from upbringing.base.fingerprint import fingerprint
from upbringing.base.manifest import check_manifest, write_manifest
from upbringing.base.streams import derived_seed
from upbringing.models.answer_tokens import CHECK_STOP_EVERY, Ends, Generated, TokenPrompt, finished
from upbringing.models.asking import Prompt, Reply
from upbringing.models.banning import refuse_bans
from upbringing.models.decoding import BeamSearch, Decoding, Sampled
from upbringing.models.local import LocalModel
from upbringing.models.states import States

Engine = Literal["transformers", "openvino"]
CONVERSION_VERSION = 1  # raise it when the graph of the same checkpoint can compute another number
GRAPH_NAME = "openvino_model.xml"
MAX_SEQUENCES = 256  # decoded at once, as many as a canonical batch has rows
MAX_STEP_TOKENS = 1024  # prompt and answer tokens per step; prompts are read in pieces of at most so many
HINTS = {"fp32": "f32", "bf16": "bf16"}


def require_openvino() -> dict[str, str]:
    """Return the versions of the engine's packages; raises ``MissingExtraError`` where one is not installed."""
    try:
        return {name: version(name) for name in ("openvino", "openvino-genai")}
    except PackageNotFoundError as error:
        raise MissingExtraError(
            f"engine: openvino needs the package {error.name}, which is not installed: pip install "
            "'upbringing[openvino,train]', or use engine: transformers"
        ) from None


@dataclass(frozen=True)
class OpenVinoModel:
    """``local`` renders, ends and scores; ``folder`` keeps the converted graph; ``threads``: of the processor."""

    local: LocalModel
    folder: Path
    threads: int = 1

    @property
    def identity(self) -> Mapping[str, str]:
        """What decides an answer besides the prompt: all that decides the local model's, and the engine."""
        return {
            **self.local.identity,
            "engine": "openvino",
            "conversion": str(CONVERSION_VERSION),
            "threads": str(self.threads),
            **{f"version of {name}": found for name, found in require_openvino().items()},
        }

    @property
    def architecture(self) -> Mapping[str, str]:
        """The local model's."""
        return self.local.architecture

    @property
    def template_sha256(self) -> str | None:
        """Hash of the chat template's text."""
        return self.local.template_sha256

    @property
    def scores(self) -> bool:
        """Likelihoods are computed by transformers, whatever the engine of the answers."""
        return self.local.scores

    @property
    def side_by_side(self) -> int:
        """One batch at a time."""
        return 1

    def unanswerable(self, prompt: Prompt) -> str | None:
        """Return why ``prompt`` cannot be asked."""
        return self.local.unanswerable(prompt)

    def unscorable(self, prompt: Prompt, continuations: Sequence[str]) -> str | None:
        """Return why ``continuations`` have no likelihood."""
        return self.local.unscorable(prompt, continuations)

    def undecodable(self, decoding: Decoding) -> str | None:
        """Return why ``decoding`` cannot be computed: beam searches and bans need logits that this engine keeps."""
        if isinstance(decoding, BeamSearch):
            return "engine-has-no-beam-search"
        return "engine-cannot-ban" if decoding.banned else None

    def lacks(self, token: str) -> str | None:
        """Return why a special token means nothing to the checkpoint."""
        return self.local.lacks(token)

    def batches(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[list[int]]:
        """Return the local model's canonical batches."""
        return self.local.batches(prompts, decoding)

    def score(
        self, requests: Sequence[tuple[Prompt, tuple[str, ...]]], on_progress: Callable[[int, int], None]
    ) -> list[list[float]]:
        """Return the log-likelihoods (nats) that transformers computes."""
        return self.local.score(requests, on_progress)

    def read(
        self,
        requests: Sequence[tuple[Prompt, tuple[str, ...]]],
        prompts: Sequence[Prompt],
        on_progress: Callable[[int, int], None],
    ) -> tuple[list[list[float]], list[States]]:
        """Return the likelihoods and hidden states that transformers computes."""
        return self.local.read(requests, prompts, on_progress)

    def fresh(self, seed: int) -> LocalModel:
        """Return the local model with random weights."""
        return self.local.fresh(seed)

    def answer(self, prompts: Sequence[Prompt], decoding: Decoding, seed: int) -> list[list[Reply]]:
        """Return the replies of one batch. Stream: ``decode/<name>/<sample>`` seeds the engine's generator of each."""
        refuse_bans(decoding, "openvino")
        ends = self.local.ends(prompts, decoding)
        requests = [
            (prompt, self._settings(decoding, ends, derived_seed(seed, "decode", prompt.name, sample)))
            for prompt in self.local.token_prompts(prompts)
            for sample in range(decoding.samples)
        ]
        found = decode(self.pipeline, requests, ends)
        return self.local.replies(
            prompts, [found[first : first + decoding.samples] for first in range(0, len(found), decoding.samples)]
        )

    def _settings(self, decoding: Decoding, ends: Ends, seed: int) -> Any:
        from openvino_genai import GenerationConfig

        settings = GenerationConfig()
        settings.max_new_tokens = decoding.max_tokens
        settings.stop_token_ids = set(ends.tokens)
        settings.eos_token_id = ends.tokens[0]
        settings.apply_chat_template = False
        settings.do_sample = isinstance(decoding, Sampled)
        if isinstance(decoding, Sampled):
            settings.rng_seed = seed
            settings.temperature = decoding.temperature
            settings.top_p = decoding.top_p
            if decoding.top_k:
                settings.top_k = decoding.top_k
        return settings

    @cached_property
    def pipeline(self) -> Any:
        """The engine with the checkpoint's graph, converted if it is not there yet."""
        require_openvino()
        from openvino_genai import ContinuousBatchingPipeline, SchedulerConfig

        scheduler = SchedulerConfig()
        scheduler.max_num_seqs = MAX_SEQUENCES
        scheduler.max_num_batched_tokens = MAX_STEP_TOKENS
        scheduler.enable_prefix_caching = False  # what was asked before must not matter
        hint = HINTS[self.local.precision]
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "KV_CACHE_PRECISION": hint,
            "INFERENCE_NUM_THREADS": self.threads,
        }
        return ContinuousBatchingPipeline(str(converted(self.local, self.folder)), scheduler, "CPU", settings)


def converted(local: LocalModel, folder: Path) -> Path:
    """Return the folder below ``folder`` with the graph of ``local``, written there if it is missing or damaged.

    Its name hashes the weights, the network's sizes, the precision and the versions of the conversion.
    """
    from upbringing.models.openvino_graph import network_facts

    facts = {
        "weights": local.weights_sha256,
        "network": network_facts(local.network),
        "precision": local.precision,
        "conversion": CONVERSION_VERSION,
        "openvino": require_openvino()["openvino"],
    }
    if not local.weights_sha256:
        raise MeasurementError("the engine openvino needs the weights' hash: load the model from its folder")
    final = folder / fingerprint(facts)[:24]
    if final.is_dir():
        try:
            check_manifest(final, full=True)
        except IntegrityError:
            remove_tree(final)  # it can be made again from the checkpoint
        else:
            return final
    _write_graph(local, final)
    return final


def _write_graph(local: LocalModel, final: Path) -> None:
    from openvino import save_model

    from upbringing.models.openvino_graph import build_graph

    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(mkdtemp(prefix=TEMPORARY_PREFIX, dir=final.parent))
    try:
        graph = build_graph(local.network, local.precision)
        save_model(graph, str(temporary / GRAPH_NAME), compress_to_fp16=False)
        write_manifest(temporary)
        with suppress(FileExistsError):  # another process was faster, with the same bytes
            publish_folder(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def decode(pipeline: Any, requests: Sequence[tuple[TokenPrompt, Any]], ends: Ends) -> list[Generated]:
    """Return the answer to each request (prompt, settings); raises ``MeasurementError`` where memory ran out."""
    import numpy as np
    from openvino import Tensor
    from openvino_genai import GenerationStatus

    handles = [
        pipeline.add_request(number, Tensor(np.array([prompt.ids], dtype=np.int64)), settings)
        for number, (prompt, settings) in enumerate(requests)
    ]
    answers: list[list[int]] = [[] for _ in handles]
    stopped: set[int] = set()
    while pipeline.has_non_finished_requests():
        pipeline.step()
        for number, handle in enumerate(handles):
            if number in stopped or not handle.can_read():
                continue
            answers[number] += [token for output in handle.read().values() for token in output.generated_ids]
            if ends.stopped and len(answers[number]) % CHECK_STOP_EVERY == 0 and ends.stopped(answers[number]):
                handle.stop()
                stopped.add(number)
    states = [handle.get_status() for number, handle in enumerate(handles) if number not in stopped]
    if GenerationStatus.IGNORED in states:  # the stopped ones are marked so as well
        raise MeasurementError("openvino had no memory left for keys and values: free memory, or lower max_tokens")
    return [finished(answer, ends) for answer in answers]
