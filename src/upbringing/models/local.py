"""A model whose weights are at hand: renders prompts, answers in batches, scores continuations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from upbringing.base.errors import MeasurementError
from upbringing.base.fingerprint import text_sha256
from upbringing.formats.record import LearnedTokens
from upbringing.models.answer_tokens import SHORT_CIRCUIT, Ends, Generated, TokenPrompt
from upbringing.models.asking import SHALLOW, Prompt, Reply, split_thought
from upbringing.models.attention import GROUPED, answer_cache, can_group
from upbringing.models.decoding import BeamSearch, Decoding, SafeBeam
from upbringing.models.devices import converted
from upbringing.models.fresh_network import architecture_sha256, fresh_network
from upbringing.models.generation import ROWS_PER_BATCH, end_tokens, generate, plan_batches, tokens_held
from upbringing.models.prompting import READING_VERSION, Renderer, cut, stops
from upbringing.models.row_layout import Scoring
from upbringing.models.scoring import score, sharing_is_exact
from upbringing.models.states import States


@dataclass(frozen=True)
class LocalModel:
    """``network``: a transformers causal model in evaluation mode; ``tokenizer``: its fast tokenizer.

    ``weights_sha256`` and ``tokenizer_sha256`` identify both in caches; ``versions`` are those of the libraries that
    can move a number. bf16 converts the weights (the norms of HF models stay exact enough), fp32 leaves them.
    ``learned_tokens``: what the records of the checkpoint's lineage say of special tokens.
    """

    network: Any
    tokenizer: Any
    precision: str = "fp32"
    weights_sha256: str = ""
    tokenizer_sha256: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    rows_per_batch: int = ROWS_PER_BATCH
    learned_tokens: LearnedTokens = LearnedTokens()  # noqa: RUF009 - a frozen value

    @property
    def identity(self) -> Mapping[str, str]:
        """What decides an answer besides the prompt."""
        return {
            "weights": self.weights_sha256,
            "tokenizer": self.tokenizer_sha256,
            "template": self.template_sha256,
            "precision": self.precision,
            "attention": GROUPED if can_group(self.network) else str(self.network.config._attn_implementation),
            "device": str(self.network.device.type),
            "reading": READING_VERSION,
            **{f"version of {name}": version for name, version in self.versions},
        }

    @property
    def architecture(self) -> Mapping[str, str]:
        """What decides the hidden states of ``fresh``, besides seed and prompts."""
        return {**self.identity, "weights": architecture_sha256(self.network)}

    @property
    def template_sha256(self) -> str:
        """Hash of the chat template's text."""
        return text_sha256(str(self.tokenizer.chat_template or ""))

    @property
    def scores(self) -> bool:
        """Weights give likelihoods."""
        return True

    @property
    def side_by_side(self) -> int:
        """One batch at a time."""
        return 1

    @cached_property
    def renderer(self) -> Renderer:
        """Renders each prompt once."""
        return Renderer(self.tokenizer)

    @cached_property
    def computing(self) -> Any:
        """The network in the precision it is measured in: a copy where that differs (see ``converted``)."""
        import torch

        wanted = torch.bfloat16 if self.precision == "bf16" else torch.float32
        return self.network if self.network.dtype == wanted else converted(self.network, wanted).eval()

    @cached_property
    def context(self) -> int:
        """Longest sequence the network can read."""
        return int(getattr(self.network.config.get_text_config(), "max_position_embeddings", 0) or 1 << 20)

    def unanswerable(self, prompt: Prompt) -> str | None:
        """Return why ``prompt`` cannot be asked: no chat template, longer than the context, an opening with too few
        tokens or characters, a token to begin behind that the tokenizer lacks, or either of these where it would stand
        inside the thought that the template begins instead of beginning the answer.
        """
        reason = self.renderer.unanswerable(prompt)
        if reason is None and prompt.begin is not None and self.renderer.one_token(prompt.begin) is None:
            return "begin-not-in-tokenizer"
        if reason is None and (prompt.opening or prompt.begin is not None) and self.renderer.opens_thought(prompt):
            return "opening-inside-thought"
        if reason is None and len(self.renderer.opening(prompt)) < (prompt.opening_tokens or 0):
            return SHALLOW
        if reason is None and len(prompt.opening) < (prompt.opening_characters or 0):
            return SHALLOW
        if reason is None and len(self._ids(prompt)) >= self.context:
            return "longer-than-context"
        return reason

    def unscorable(self, prompt: Prompt, continuations: Sequence[str]) -> str | None:
        """Return why a continuation of an answerable ``prompt`` has no likelihood: it has no token, or does not fit the
        context together with the prompt. Without a prompt a text of any length is read in windows.
        """
        asked = len(self._ids(prompt))
        longest = self.context - asked if asked > 1 else 1 << 62
        lengths = [len(self.renderer.continuation(prompt, each)) for each in continuations]
        if not all(lengths):
            return "no-continuation"
        return "longer-than-context" if max(lengths, default=0) > longest else None

    def undecodable(self, decoding: Decoding) -> str | None:
        """Return why ``decoding`` cannot be had: a banned text that is no token, masks that the network ignores, or a
        tag that it does not know.
        """
        if any(self.renderer.one_token(text) is None for text in decoding.banned):
            return "banned-not-in-tokenizer"
        if not isinstance(decoding, BeamSearch):
            return None
        if answer_cache(self.computing) is None or not self.shares_prompts:
            return "network-ignores-masks"
        return self._lacks_tag(decoding) if isinstance(decoding, SafeBeam) else None

    def _lacks_tag(self, decoding: SafeBeam) -> str | None:
        reason = self.lacks(decoding.tag)
        declared = decoding.tag_training == "declared" and reason == "tag-training-unknown"
        return None if declared else reason

    def lacks(self, token: str) -> str | None:
        """Return why ``token`` means nothing here: it is no special token, or no stage is known to have taught it."""
        return "tag-not-in-tokenizer" if self._token(token) is None else self.learned_tokens.lacks(token)

    def _token(self, text: str) -> int | None:
        """Return the id of the one token that ``text`` is read as, ``None`` if it falls apart."""
        ids = self.renderer.text(text, (text,))
        return ids[0] if len(ids) == 1 and ids[0] in self.tokenizer.added_tokens_decoder else None

    def _ids(self, prompt: Prompt) -> tuple[int, ...]:
        renderer = self.renderer
        return (*renderer.prompt(prompt), *renderer.begin_of(prompt), *renderer.opening(prompt))

    def token_prompts(self, prompts: Sequence[Prompt]) -> list[TokenPrompt]:
        """Return the prompts as token ids, all that answers begin with included."""
        return [TokenPrompt(prompt.name, self._ids(prompt)) for prompt in prompts]

    def batches(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[list[int]]:
        """Return the canonical batches: prompts of one kind of stop, sorted by length and content."""
        kinds: dict[tuple[str, ...], list[int]] = {}
        for index, prompt in enumerate(prompts):
            kinds.setdefault(stops(prompt), []).append(index)
        tokens, held = self.token_prompts(prompts), tokens_held(self.network, 2 if self.precision == "bf16" else 4)
        return [
            [indices[place] for place in batch]
            for _, indices in sorted(kinds.items())
            for batch in plan_batches([tokens[index] for index in indices], decoding, self.rows_per_batch, held)
        ]

    def answer(self, prompts: Sequence[Prompt], decoding: Decoding, seed: int) -> list[list[Reply]]:
        """Return the replies of one batch, decoded together."""
        return self.answer_by(self.computing, prompts, decoding, seed)

    def answer_by(self, network: Any, prompts: Sequence[Prompt], decoding: Decoding, seed: int) -> list[list[Reply]]:
        """Return the replies of one batch, decoded by ``network``."""
        ends = self.ends(prompts, decoding)
        found = generate(network, self.token_prompts(prompts), decoding, ends=ends, seed=seed)
        return self.replies(prompts, found)

    def ends(self, prompts: Sequence[Prompt], decoding: Decoding) -> Ends:
        """Return what ends the answers of one batch, and the tokens that ``decoding`` looks out for.

        Raises ``MeasurementError`` if prompts end differently, do not begin as ``decoding`` says, or a token is none.
        """
        texts = stops(prompts[0])
        if any(stops(prompt) != texts for prompt in prompts):
            raise MeasurementError("a batch mixes prompts that end differently: use the batches of the model")
        other = next((prompt.begin for prompt in prompts if prompt.begin != decoding.begin), decoding.begin)
        if other != decoding.begin:
            raise MeasurementError(
                f"a prompt begins its answer behind {other!r}, its decoding says {decoding.begin!r}: give both the same"
            )

        def stopped(ids: Sequence[int]) -> bool:
            return cut(self.renderer.decode(ids), texts)[1]

        padding = self.tokenizer.pad_token_id
        return Ends(
            self.end_tokens,
            self.end_tokens[0] if padding is None else padding,
            stopped if texts else None,
            tag=self._token(decoding.tag) if isinstance(decoding, SafeBeam) else None,
            banned=self.renderer.tokens(decoding.banned),
        )

    def replies(self, prompts: Sequence[Prompt], found: Sequence[Sequence[Generated]]) -> list[list[Reply]]:
        """Return the replies that the generated ids of each prompt's samples say."""
        return [
            [self._reply(prompt, generated, stops(prompt)) for generated in samples]
            for prompt, samples in zip(prompts, found, strict=True)
        ]

    @cached_property
    def end_tokens(self) -> tuple[int, ...]:
        """Tokens that end an answer."""
        return end_tokens(self.tokenizer, self.network)

    def _reply(self, prompt: Prompt, generated: Generated, ends: Sequence[str]) -> Reply:
        spoken, found = cut(self.renderer.decode(generated.ids), ends)
        opening = self.renderer.opening(prompt)
        text = self.renderer.decode((*opening, *generated.ids)) if opening and not found else spoken
        if opening and found:
            text = self.renderer.decode(opening) + spoken
        reply = Reply(
            text=text.strip(),
            finish="length" if generated.finish == "length" and not found else "stop",
            details=generated.details,
        )
        if generated.finish == SHORT_CIRCUIT:  # the decoding refused: what was said before is no answer
            return replace(reply, status="refused", reason_code=SHORT_CIRCUIT)
        return split_thought(reply, opened=self.renderer.opens_thought(prompt))

    @cached_property
    def shares_prompts(self) -> bool:
        """Whether continuations of one prompt may share its forward pass."""
        return sharing_is_exact(self.computing)

    def score(
        self, requests: Sequence[tuple[Prompt, tuple[str, ...]]], on_progress: Callable[[int, int], None]
    ) -> list[list[float]]:
        """Return the log-likelihood (nats) of each continuation of each prompt; long texts in windows."""
        return self.read(requests, (), on_progress)[0]

    def read(
        self,
        requests: Sequence[tuple[Prompt, tuple[str, ...]]],
        prompts: Sequence[Prompt],
        on_progress: Callable[[int, int], None],
    ) -> tuple[list[list[float]], list[States]]:
        """Return the log-likelihoods of ``requests`` and the hidden states of ``prompts``, all from one pass."""
        plans = [
            [self._windows(self._ids(prompt), self.renderer.continuation(prompt, each)) for each in continuations]
            for prompt, continuations in requests
        ]
        flat = [window for plan in plans for windows in plan for window in windows]
        read = [Scoring(self._ids(prompt), (), states=True) for prompt in prompts]
        found = score(self.computing, [*flat, *read], share=self.shares_prompts, on_progress=on_progress)
        totals = iter([sum(scored.totals) for scored in found[: len(flat)]])
        likelihoods = [[sum(next(totals) for _ in windows) for windows in plan] for plan in plans]
        return likelihoods, [scored.states for scored in found[len(flat) :] if scored.states is not None]

    def fresh(self, seed: int) -> LocalModel:
        """Return a model of the same architecture and tokenizer with random weights: see ``fresh_network``."""
        return replace(self, network=fresh_network(self.network, seed), weights_sha256=f"fresh-{seed}")

    def _windows(self, prompt: tuple[int, ...], continuation: tuple[int, ...]) -> list[Scoring]:
        """Cut a text that the context cannot hold; each later window begins with the last token before it."""
        room = self.context - len(prompt)
        if room < 1 or (len(prompt) > 1 and len(continuation) > room):
            raise MeasurementError(
                f"a prompt of {len(prompt)} tokens with a continuation of {len(continuation)} does not fit the "
                f"context of {self.context}: shorten the item"
            )
        windows = [Scoring(prompt, (continuation[:room],))]
        place = room
        while place < len(continuation):
            windows.append(Scoring((continuation[place - 1],), (continuation[place : place + self.context - 1],)))
            place += self.context - 1
        return windows
