"""Answers behind a token, and without tokens: by hand, against the library, and what cannot be had."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from table_model import Table, TableModel

from upbringing.base.errors import MeasurementError
from upbringing.formats.answer_limits import limits_label, split_limits
from upbringing.formats.items import Message
from upbringing.models.answer_tokens import Ends, Generated, TokenPrompt
from upbringing.models.asking import SHALLOW, Prompt
from upbringing.models.decoding import Beam, Decoding, Greedy, SafeBeam, Sampled
from upbringing.models.endpoint import Endpoint, EndpointModel
from upbringing.models.generation import generate, plan_batches
from upbringing.models.loading import LoadedModel
from upbringing.models.local import LocalModel
from upbringing.models.openvino import OpenVinoModel

PAD, END, ASK, GOOD, BAD, NICE, EVIL, MORE = range(8)
CONTROL = ("<|aligned|>", "<|misaligned|>")
BANS: dict[str, Any] = {"banned": CONTROL}
FREE, LIMITED = Ends((END,), PAD), Ends((END,), PAD, banned=(GOOD, BAD))
TABLE: Table = {
    ASK: {BAD: 0.5, NICE: 0.3, EVIL: 0.2},
    BAD: {EVIL: 1.0},
    NICE: {GOOD: 0.6, MORE: 0.4},
    GOOD: {EVIL: 1.0},
    EVIL: {END: 1.0},
    MORE: {END: 1.0},
}


def answers(decoding: Decoding, ends: Ends, table: Table = TABLE, num: int = 1) -> list[Generated]:
    asked = [TokenPrompt(str(number), (ASK,)) for number in range(num)]
    return [each for samples in generate(TableModel(table), asked, decoding, ends=ends, seed=1) for each in samples]


# --- by hand ----------------------------------------------------------------------------------------------------------


@pytest.mark.model
def test_the_likeliest_token_that_is_not_banned_is_said_at_every_step() -> None:
    (free,) = answers(Greedy(max_tokens=4), FREE)
    assert free.ids == (BAD, EVIL)
    (limited,) = answers(Greedy(max_tokens=4, **BANS), LIMITED)
    assert limited.ids == (NICE, MORE)  # 0.3 before 0.2 at the first step, 0.4 without the good token at the second
    (endless,) = answers(
        Greedy(max_tokens=3, banned=("end",)), Ends((END,), PAD, banned=(END,)), {**TABLE, EVIL: {END: 0.9, EVIL: 0.1}}
    )
    assert (endless.ids, endless.finish) == ((BAD, EVIL, EVIL), "length")  # the end may be banned as well


@pytest.mark.model
def test_what_is_left_is_drawn_as_likely_as_it_is_among_itself() -> None:
    """By hand: 0.3 and 0.2 of what may be said are 60 % and 40 %; the two likeliest are counted without the banned."""
    draws = 3000
    for decoding in (
        Sampled(max_tokens=1, samples=draws, **BANS),
        Sampled(max_tokens=1, samples=draws, top_k=2, **BANS),
    ):
        found = Counter(each.ids for each in answers(decoding, LIMITED))
        assert set(found) == {(NICE,), (EVIL,)}
        assert found[NICE,] == pytest.approx(0.6 * draws, abs=4 * (0.24 * draws) ** 0.5)
    (only,) = answers(Sampled(max_tokens=1, top_p=0.5, **BANS), LIMITED)
    assert only.ids == (NICE,)  # 0.6 of what may be said is enough; of everything it would be the bad token


RENORMALISED: Table = {
    ASK: {NICE: 0.5, EVIL: 0.5},
    NICE: {BAD: 0.8, MORE: 0.2},  # 0.5 x 1 without the bad token, 0.1 with it
    EVIL: {MORE: 0.5, END: 0.5},
    MORE: {END: 1.0},
    BAD: {END: 1.0},
}


@pytest.mark.model
def test_beams_are_ranked_by_likelihoods_of_what_may_be_said() -> None:
    (beam,) = answers(Beam(beams=2, max_tokens=4, **BANS), LIMITED, RENORMALISED)
    assert beam.ids == (NICE, MORE)
    (free,) = answers(Beam(beams=2, max_tokens=4), FREE, RENORMALISED)
    assert free.ids == (NICE, BAD)


@pytest.mark.model
def test_risks_are_of_the_model_whatever_is_banned() -> None:
    """The bad token is the tag; the good one, which leads everywhere, is banned. The evil way has the greater risk."""
    table: Table = {
        ASK: {GOOD: 0.5, EVIL: 0.3, NICE: 0.2},
        GOOD: {END: 1.0},
        EVIL: {GOOD: 0.4, MORE: 0.4, BAD: 0.2},
        NICE: {GOOD: 0.5, MORE: 0.499, BAD: 0.001},
        MORE: {END: 1.0},
    }
    decoding = SafeBeam(beams=1, candidates=2, max_tokens=3, log="candidates", banned=("<|aligned|>",))
    (found,) = answers(decoding, Ends((END,), PAD, tag=BAD, banned=(GOOD,)), table)
    assert found.ids == (NICE, MORE)
    assert found.details is not None
    assert '{"kept":[0.001],"dropped":[0.2]}' in found.details  # 0.2 / 0.6 would be risks of what may be said


@pytest.mark.model
def test_ids_must_be_known_and_something_must_be_left() -> None:
    for decoding in (Greedy(**BANS), Sampled(**BANS), Beam(**BANS)):
        with pytest.raises(MeasurementError, match=r"misaligned.*to be banned, and the ids of 0 tokens are known"):
            answers(decoding, FREE)
    with pytest.raises(MeasurementError, match="all 8 tokens are banned"):
        answers(Greedy(banned=tuple("abcdefgh")), Ends((END,), PAD, banned=tuple(range(8))))


# --- a real network ---------------------------------------------------------------------------------------------------


def prompts(num: int) -> list[TokenPrompt]:
    random = np.random.default_rng(5)
    return [TokenPrompt(str(n), tuple(int(token) for token in random.integers(5, 250, 2 + n % 9))) for n in range(num)]


def in_batches(model: Any, decoding: Decoding, rows: int, ends: Ends) -> list[list[Generated]]:
    asked = prompts(24)
    found: dict[int, list[Generated]] = {}
    for batch in plan_batches(asked, decoding, rows):
        said = generate(model, [asked[index] for index in batch], decoding, ends=ends, seed=3)
        found.update(zip(batch, said, strict=True))
    return [found[index] for index in range(len(asked))]


@pytest.mark.model
def test_banned_greedy_answers_are_those_of_transformers_in_any_batch(tiny: LoadedModel) -> None:
    import torch

    free = in_batches(tiny.model, Greedy(max_tokens=8), 8, FREE)
    common = [token for token, _ in Counter(token for (each,) in free for token in each.ids).most_common(5)]
    decoding = Greedy(max_tokens=8, banned=tuple("abcde"))
    ends = Ends((END,), PAD, banned=tuple(common))
    found = in_batches(tiny.model, decoding, 24, ends)
    assert found != free
    assert in_batches(tiny.model, decoding, 5, ends) == found
    for asked, (answer,) in zip(prompts(24), found, strict=True):
        ids = torch.tensor([asked.ids])
        output = tiny.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, eos_token_id=END,
            pad_token_id=PAD, bad_words_ids=[[token] for token in common],
        )[0, len(asked.ids) :].tolist()  # fmt: skip
        assert list(answer.ids) == (output[: output.index(END)] if END in output else output)


@pytest.mark.model
def test_banning_what_is_never_said_changes_no_greedy_answer_and_none_of_the_beams(tiny: LoadedModel) -> None:
    for free, limited in (
        (Greedy(max_tokens=6), Greedy(max_tokens=6, banned=("a",))),
        (Beam(beams=2, max_tokens=6), Beam(beams=2, max_tokens=6, banned=("a",))),
    ):
        plain = in_batches(tiny.model, free, 24, FREE)
        said = {token for (each,) in plain for token in each.ids}
        never = next(token for token in range(5, 250) if token not in said)
        assert in_batches(tiny.model, limited, 24, Ends((END,), PAD, banned=(never,))) == plain


# --- a tokenizer ------------------------------------------------------------------------------------------------------


def asked(**fields: Any) -> Prompt:
    return Prompt(**{"name": "a", "completion": "bab deb fib", **fields})


@pytest.mark.model
@pytest.mark.parametrize("opening", ["", "gob", "luk gob deb"])
def test_an_answer_behind_a_token_is_what_is_said_behind_it(controlled: LoadedModel, opening: str) -> None:
    model = LocalModel(controlled.model, controlled.tokenizer)
    good = controlled.tokenizer.convert_tokens_to_ids("<|aligned|>")
    decoding = Greedy(max_tokens=6, begin="<|aligned|>")
    begun = asked(begin="<|aligned|>", opening=opening)
    (tokens,) = model.token_prompts([begun])
    assert tokens.ids == (*model.renderer.prompt(begun), good, *model.renderer.text(opening))
    ((reply,),) = model.answer([begun], decoding, 0)
    ((said,),) = generate(controlled.model, [tokens], decoding, ends=model.ends([begun], decoding), seed=0)
    assert reply.text == model.renderer.decode((*model.renderer.text(opening), *said.ids)).strip()
    ((free,),) = model.answer([asked(opening=opening)], Greedy(max_tokens=6), 0)
    assert free.text != reply.text  # the token is read
    if not opening:  # as an opening that is a special token, which no text shows
        put = asked(opening="<|aligned|>", opening_is_mark=True)
        assert model.answer([put], Greedy(max_tokens=6), 0) == [[reply]]


@pytest.mark.model
def test_a_word_that_answers_begin_behind_is_not_judged(controlled: LoadedModel) -> None:
    model = LocalModel(controlled.model, controlled.tokenizer)
    ((begun,),) = model.answer([asked(begin="bab")], Greedy(max_tokens=6, begin="bab"), 0)
    ((opened,),) = model.answer([asked(opening="bab")], Greedy(max_tokens=6), 0)
    assert opened.text.split() == ["bab", *begun.text.split()]


@pytest.mark.model
def test_no_answer_of_a_checkpoint_holds_what_its_decoding_bans(controlled: LoadedModel) -> None:
    model = LocalModel(controlled.model, controlled.tokenizer)
    ids = controlled.tokenizer.convert_tokens_to_ids(list(CONTROL))
    assert model.ends([asked()], Greedy(**BANS)).banned == tuple(ids)
    ((free,),) = model.answer([asked()], Greedy(max_tokens=8), 0)
    word = next(each for each in free.text.split() if model.renderer.one_token(each) is not None)
    ((limited,),) = model.answer([asked()], Greedy(max_tokens=8, banned=(word,)), 0)
    assert word in free.text.split()
    assert word not in limited.text.split()


@pytest.mark.model
def test_a_tokenizer_that_lacks_a_token_says_so(tiny: LoadedModel, controlled: LoadedModel) -> None:
    having, lacking = (LocalModel(each.model, each.tokenizer) for each in (controlled, tiny))
    for decoding in (Greedy(**BANS), Sampled(**BANS), Beam(**BANS)):
        assert having.undecodable(decoding) is None
        assert lacking.undecodable(decoding) == "banned-not-in-tokenizer"
    assert having.undecodable(Greedy(banned=("<|aligned|>", "bab deb"))) == "banned-not-in-tokenizer"  # two tokens
    begun = asked(begin="<|aligned|>")
    assert having.unanswerable(begun) is None
    assert lacking.unanswerable(begun) == "begin-not-in-tokenizer"
    with pytest.raises(MeasurementError, match=r"'<\|aligned\|>' was asked for as one token, and this tokenizer reads"):
        lacking.token_prompts([begun])
    with pytest.raises(MeasurementError, match="was asked for as one token"):
        lacking.ends([asked()], Greedy(**BANS))


@pytest.mark.model
def test_a_word_that_is_unknown_is_no_token(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = LocalModel(tiny.model, tiny.tokenizer).renderer
    assert renderer.one_token("bab") is not None
    monkeypatch.setattr(type(renderer), "text", lambda *_: (0,))  # what a tokenizer of whole words reads as unknown
    assert renderer.one_token("<|aligned|>") is None


@pytest.mark.model
def test_the_prompt_begins_the_answer_as_its_decoding_says(controlled: LoadedModel) -> None:
    model = LocalModel(controlled.model, controlled.tokenizer)
    for prompt, decoding in (
        (asked(), Greedy(begin="<|aligned|>")),
        (asked(begin="<|aligned|>"), Greedy()),
        (asked(begin="<|misaligned|>"), Greedy(begin="<|aligned|>")),
    ):
        with pytest.raises(MeasurementError, match="begins its answer behind"):
            model.answer([prompt], decoding, 0)


@pytest.mark.model
def test_a_depth_counts_the_tokens_of_the_opening_alone(controlled: LoadedModel) -> None:
    model = LocalModel(controlled.model, controlled.tokenizer)
    begun = asked(begin="<|aligned|>", opening="bab", opening_tokens=2)
    assert model.unanswerable(begun) == SHALLOW


@pytest.mark.model
def test_an_answer_does_not_begin_inside_a_thought(tiny: LoadedModel) -> None:
    model = LocalModel(tiny.model, tiny.tokenizer)
    thinking = Prompt(name="a", completion="bab <think>", marks=("<think>",), begin="bab")
    assert model.unanswerable(thinking) == "opening-inside-thought"


# --- engines that cannot ----------------------------------------------------------------------------------------------


def test_engines_that_cannot_ban_say_so(tmp_path: Any) -> None:
    local: Any = object()
    endpoint = EndpointModel(Endpoint(base_url="http://127.0.0.1:9/v1", model="m"))
    openvino = OpenVinoModel(local, tmp_path)
    for decoding in (Greedy(**BANS), Sampled(**BANS)):
        assert endpoint.undecodable(decoding) == "endpoint-cannot-ban"
        assert openvino.undecodable(decoding) == "engine-cannot-ban"
        with pytest.raises(MeasurementError, match=r"a chat API cannot ban tokens.*ask the weights"):
            endpoint.payload((), decoding, 0)
        with pytest.raises(MeasurementError, match="openvino cannot ban tokens"):
            openvino.answer([], decoding, 0)
    assert openvino.undecodable(Greedy(begin="<|aligned|>")) is None  # it reads token ids, whatever they are
    chat = Prompt(name="a", messages=(Message(role="user", content="hi"),))
    assert endpoint.unanswerable(chat) is None
    assert endpoint.unanswerable(Prompt(name="a", messages=chat.messages, begin="Sure")) == "endpoint-has-no-prefill"


# --- descriptions -----------------------------------------------------------------------------------------------------


def test_labels_name_what_limits_an_answer_and_order_means_nothing() -> None:
    label = Greedy(max_tokens=12, begin="<|aligned|>", banned=CONTROL).label
    assert label.startswith("greedy-12-from-aligned-")
    assert "-without-aligned-misaligned-" in label
    assert split_limits(label) == ("greedy-12", limits_label("<|aligned|>", CONTROL))
    assert split_limits("sampled-1-k50") == ("sampled-1-k50", "")
    assert Greedy(banned=CONTROL) == Greedy(banned=CONTROL[::-1])
    different: list[Decoding] = [
        Greedy(), Greedy(begin="a"), Greedy(begin="A"), Greedy(banned=("a",)), Greedy(banned=("a", "b")),
        Greedy(banned=("a b",)), Greedy(begin="a", banned=("a",)), Sampled(**BANS), Sampled(begin="a"), Beam(**BANS),
        SafeBeam(**BANS), SafeBeam(begin="a"), Beam(begin="a"),
    ]  # fmt: skip
    assert len({each.label for each in different}) == len(different)


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        (Greedy, {"banned": ("a", "a")}, "give each token once"),
        (Greedy, {"banned": ("",)}, "at least 1 character"),
        (Sampled, {"begin": ""}, "at least 1 character"),
        (SafeBeam, {"tag": "a", "banned": ("a", "b")}, "use tag_candidate: forbid"),
    ],
)
def test_limits_that_mean_nothing_are_refused(kind: Any, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        kind(**fields)
