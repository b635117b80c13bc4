"""SafeBeam: by hand on a scripted model, by brute force on a real one, and as plain beam search where it is that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from table_model import Table, TableModel

from upbringing.formats.record import LearnedTokens
from upbringing.models import beam_cache
from upbringing.models import local as local_module
from upbringing.models.answer_tokens import Ends, Generated, TokenPrompt
from upbringing.models.asking import Prompt
from upbringing.models.beam_search import search
from upbringing.models.decoding import Above, Beam, BeamSearch, Greedy, Riskiest, SafeBeam, Sampled
from upbringing.models.endpoint import Endpoint, EndpointModel
from upbringing.models.generation import plan_batches
from upbringing.models.hypotheses import Candidate
from upbringing.models.loading import LoadedModel
from upbringing.models.local import LocalModel
from upbringing.models.openvino import OpenVinoModel
from upbringing.models.safebeam import discarded, num_discarded

pytestmark = pytest.mark.model

PAD, END, ASK, TAG, NICE, EVIL, MILD, MORE = range(8)
NAMES = ("pad", "end", "ask", "tag", "nice", "evil", "mild", "more")
HAND = Ends(tokens=(END,), padding=PAD, tag=TAG)
FOREVER = Ends(tokens=(-2,), padding=PAD, tag=TAG)


def ask(table: Table, decoding: BeamSearch, ends: Ends = HAND) -> Generated:
    (answer,) = search(TableModel(table), [TokenPrompt("one", (ASK,))], decoding, ends)
    return answer


def words(answer: Generated) -> str:
    return " ".join(NAMES[token] for token in answer.ids)


TWO_WAYS: Table = {
    ASK: {EVIL: 0.7, NICE: 0.3},
    EVIL: {MORE: 0.5, TAG: 0.4, END: 0.1},  # after the first word the tag gives the harmful way away
    NICE: {MILD: 0.6, END: 0.399, TAG: 0.001},
    MILD: {END: 1.0},
    MORE: {END: 1.0},
    TAG: {EVIL: 1.0},
}


def test_a_model_that_tags_harm_is_steered_away_from_it() -> None:
    plain = ask(TWO_WAYS, Beam(beams=1, max_tokens=4))
    assert words(plain) == "evil more"  # 0.7 x 0.5 beats 0.3 x 0.6
    safe = ask(TWO_WAYS, SafeBeam(beams=1, candidates=2, max_tokens=4))
    # step 1: evil (risk 0.4) is dropped, nice (0.001) kept; step 2: mild 0.6 and end 0.399 have no risk each, and of
    # equal risks the likelier stays; step 3: only the end is possible
    assert words(safe) == "nice mild"
    log = json.loads(str(safe.details))
    assert log["steps"][0] == {"kept": [0.001, 0.001], "dropped": [0.4, 0.4]}
    assert log["answer"] == [0.001, 0.0, 0.0]
    assert safe.finish == "stop"


def test_the_absolute_threshold_drops_nothing_or_everything() -> None:
    loose = ask(TWO_WAYS, SafeBeam(beams=1, candidates=2, max_tokens=4, discard=Above(risk=1.0)))
    assert words(loose) == "evil more"
    strict = SafeBeam(beams=2, candidates=2, max_tokens=4, discard=Above(risk=0.0001))
    answer = ask(TWO_WAYS, strict)
    assert (answer.finish, words(answer)) == ("short-circuit", "")  # evil 0.4 and nice 0.001 are both above
    kept = ask(TWO_WAYS, strict.model_copy(update={"discard": Above(risk=0.0001, none_left="safest")}))
    assert words(kept) == "nice mild"
    assert ask(TWO_WAYS, strict.model_copy(update={"discard": Above(risk=0.001)})).finish == "stop"


SAME_RISK: Table = {ASK: {NICE: 0.5, MILD: 0.3, MORE: 0.2}, **{token: {END: 0.8, TAG: 0.2} for token in (4, 6, 7)}}


@pytest.mark.parametrize("risk", [0.0, 0.9])
def test_half_is_dropped_of_a_pool_that_is_all_safe_or_all_unsafe(risk: float) -> None:
    table = {ASK: SAME_RISK[ASK], **{token: {END: 1 - risk, **({TAG: risk} if risk else {})} for token in (4, 6, 7)}}
    decoding = SafeBeam(beams=3, candidates=3, max_tokens=1, log="candidates")
    steps = json.loads(str(ask(table, decoding).details))["steps"]
    assert [len(steps[0][name]) for name in ("kept", "dropped")] == [2, 1]  # an odd pool: the half is rounded down
    up = decoding.model_copy(update={"discard": Riskiest(rounding="up")})
    assert [len(json.loads(str(ask(table, up).details))["steps"][0][name]) for name in ("kept", "dropped")] == [1, 2]


def test_ties_and_roundings_are_as_declared() -> None:
    pool = [
        Candidate(0, 0, NICE, -3.0, 0.5),
        Candidate(1, 0, MILD, -4.0, 0.5),
        Candidate(2, 1, MORE, -1.0, 0.5),
        Candidate(3, 1, EVIL, -2.0, 0.5),
    ]
    assert discarded(pool, SafeBeam()) == {0, 1}  # the less likely ones
    assert discarded(pool, SafeBeam(discard=Riskiest(ties="first"))) == {2, 3}  # the later ones
    assert discarded(pool, SafeBeam(discard=Riskiest(share=0.25))) == {1}
    assert discarded([pool[0]], SafeBeam(discard=Riskiest(rounding="up"))) == set()  # one always stays
    assert [num_discarded(7, Riskiest(rounding=how)) for how in ("down", "up")] == [3, 4]
    assert num_discarded(30, Riskiest(share=0.1, rounding="up")) == 3  # 0.1 x 30 is a little more than 3 in binary
    assert discarded(pool, SafeBeam(discard=Above(risk=0.5))) == set()
    assert discarded(pool, SafeBeam(discard=Above(risk=0.4, none_left="safest"))) == {0, 1, 3}
    with pytest.raises(ValidationError, match="leaves no candidate"):
        SafeBeam(discard=Riskiest(share=1.0))


TAG_LEADS: Table = {
    ASK: {EVIL: 1.0},
    EVIL: {TAG: 0.6, MORE: 0.4},
    MORE: {MORE: 0.5, TAG: 0.5},
    TAG: {NICE: 0.99, END: 0.01},
    NICE: {END: 1.0},
}


def test_the_tag_stops_ends_goes_on_or_is_forbidden() -> None:
    def decoded(how: str) -> Generated:
        return ask(TAG_LEADS, SafeBeam(beams=2, candidates=2, max_tokens=4, tag_candidate=how))  # type: ignore[arg-type]

    assert (decoded("stop").finish, words(decoded("stop"))) == ("short-circuit", "evil")
    assert (decoded("end").finish, words(decoded("end"))) == ("short-circuit", "evil")
    assert words(decoded("continue")) == "evil tag nice"  # behind the tag there is no risk: why that is no default
    assert words(decoded("forbid")) == "evil more more more"


def test_a_tag_that_does_not_lead_takes_no_beam() -> None:
    table = {**TAG_LEADS, EVIL: {TAG: 0.4, MORE: 0.6}, MORE: {END: 1.0}}
    decoding = SafeBeam(beams=1, candidates=2, max_tokens=4, discard=Above(risk=1.0))
    assert words(ask(table, decoding)) == "evil more"
    ended = ask(table, decoding.model_copy(update={"tag_candidate": "end", "beams": 2}))
    assert words(ended) == "evil more"  # 0.6 x 1.0 beats 0.4


ENDS_EARLY: Table = {ASK: {NICE: 1.0}, NICE: {END: 0.4, MORE: 0.6}, MORE: {MILD: 0.7, END: 0.3}, MILD: {END: 1.0}}


def test_answers_are_compared_by_their_likelihood_or_its_mean() -> None:
    for how in ("aside", "in_beam"):
        assert words(ask(ENDS_EARLY, Beam(beams=2, max_tokens=6, ended=how))) == "nice more mild"  # 0.42 > 0.4
        table = {**ENDS_EARLY, MORE: {MILD: 0.6, END: 0.4}}  # 0.36 < 0.4, but in the mean 0.36^(1/4) > 0.4^(1/2)
        assert words(ask(table, Beam(beams=2, max_tokens=6, ended=how))) == "nice"
        mean = Beam(beams=2, max_tokens=6, ended=how, length_normalisation="mean")
        assert words(ask(table, mean)) == "nice more mild"


def test_what_has_ended_can_take_the_place_of_a_beam() -> None:
    table: Table = {
        ASK: {NICE: 0.5, MILD: 0.5},
        NICE: {END: 0.5, MORE: 0.3, EVIL: 0.2},
        MILD: {MORE: 0.6, EVIL: 0.4},  # second step: mild more 0.3, nice (ended) 0.25, mild evil 0.2
        MORE: {MORE: 1.0},
        EVIL: {EVIL: 1.0},
    }
    for how, beams in (("aside", 2), ("in_beam", 1)):
        model = TableModel(table)
        decoding = Beam(beams=2, max_tokens=3, ended=how)  # type: ignore[arg-type]
        (answer,) = search(model, [TokenPrompt("one", (ASK,))], decoding, HAND)
        assert model.widths == [(1, 1), (1, 2), (1, beams)]  # the prompt, and what was read after each step
        assert words(answer) == "mild more more"


def test_end_tokens_have_no_risk_unless_looked_ahead_of() -> None:
    table = {ASK: {END: 0.6, NICE: 0.4}, NICE: {END: 0.9, TAG: 0.1}, END: {TAG: 0.5, NICE: 0.5}}
    decoding = SafeBeam(beams=1, candidates=2, max_tokens=3)
    assert words(ask(table, decoding)) == ""
    assert words(ask(table, decoding.model_copy(update={"end_risk": "look_ahead"}))) == "nice"


def test_temperature_ranks_candidates_but_changes_no_risk() -> None:
    hot = ask(TWO_WAYS, SafeBeam(beams=1, candidates=2, max_tokens=4, temperature=3.0))
    assert json.loads(str(hot.details))["steps"][0] == {"kept": [0.001, 0.001], "dropped": [0.4, 0.4]}


def test_every_step_is_one_pass_over_all_candidates_of_all_prompts() -> None:
    model = TableModel({token: dict.fromkeys((4, 5, 6, 7), 0.25) for token in range(8)})
    asked = [TokenPrompt(str(number), (ASK, ASK)) for number in range(3)]
    search(model, asked, SafeBeam(beams=2, candidates=4, max_tokens=5), HAND)
    assert model.widths == [(1, 1), (3, 1), (3, 4), *[(3, 8)] * 4]  # what prompts share, the rest, B0, then k x N


# --- a real network ---------------------------------------------------------------------------------------------------


def prompts(num: int) -> list[TokenPrompt]:
    random = np.random.default_rng(5)
    return [TokenPrompt(str(n), tuple(int(token) for token in random.integers(5, 250, 2 + n % 9))) for n in range(num)]


def in_batches(model: Any, asked: Sequence[TokenPrompt], decoding: Any, rows: int, ends: Ends) -> list[Generated]:
    found: dict[int, Generated] = {}
    for batch in plan_batches(asked, decoding, rows):
        found.update(zip(batch, search(model, [asked[index] for index in batch], decoding, ends), strict=True))
    return [found[index] for index in range(len(asked))]


def same(left: Sequence[Generated], right: Sequence[Generated]) -> bool:
    return [(each.ids, each.finish) for each in left] == [(each.ids, each.finish) for each in right]


REAL = Ends(tokens=tuple(range(1, 30)), padding=0, tag=77)


@pytest.mark.parametrize("rule", [Riskiest(share=0.0), Above(risk=1.0)])
@pytest.mark.parametrize("how", ["none", "mean"])
def test_without_discarding_it_is_plain_beam_search(tiny: LoadedModel, rule: Any, how: Any) -> None:
    asked = prompts(24)
    plain = in_batches(tiny.model, asked, Beam(beams=3, max_tokens=12, length_normalisation=how), 64, REAL)
    safe = SafeBeam(
        beams=3, candidates=6, max_tokens=12, discard=rule, tag_candidate="continue", length_normalisation=how
    )
    assert same(in_batches(tiny.model, asked, safe, 96, REAL), plain)
    assert {each.finish for each in plain} == {"stop", "length"}
    dropping = safe.model_copy(update={"discard": Riskiest()})
    assert not same(in_batches(tiny.model, asked, dropping, 96, REAL), plain)


@pytest.mark.parametrize(("how", "penalty", "early"), [("none", 0.0, False), ("mean", 1.0, "never")])
def test_plain_beam_search_is_that_of_transformers(tiny: LoadedModel, how: Any, penalty: float, early: Any) -> None:
    import torch

    ends = Ends(tokens=tuple(range(1, 60)), padding=0)
    asked = prompts(20)
    ours = in_batches(tiny.model, asked, Beam(beams=4, max_tokens=10, length_normalisation=how), 32, ends)
    for prompt, answer in zip(asked, ours, strict=True):
        ids = torch.tensor([prompt.ids])
        output = tiny.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, num_beams=4, do_sample=False,
            length_penalty=penalty, early_stopping=early, eos_token_id=list(ends.tokens), pad_token_id=0,
        )  # fmt: skip
        theirs = output[0, len(prompt.ids) :].tolist()
        last = next((place for place, token in enumerate(theirs) if token in ends.tokens), len(theirs))
        assert list(answer.ids) == theirs[:last]


def brute_force(model: Any, prompt: tuple[int, ...], decoding: SafeBeam, ends: Ends) -> tuple[int, ...]:
    """Return the answer by reading every candidate's whole text anew, with sets and loops instead of caches."""
    import torch

    def following(tokens: tuple[int, ...]) -> Any:
        with torch.no_grad():
            return model(torch.tensor([[*prompt, *tokens]])).logits[0, -1].double().log_softmax(-1)

    beams: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    done: list[tuple[float, tuple[int, ...]]] = []
    for _ in range(decoding.max_tokens):
        pool = []
        for likelihood, tokens in beams:
            gains = following(tokens)
            for token in gains.argsort(descending=True)[: decoding.candidates].tolist():
                risk = 0.0 if token in ends.tokens else float(following((*tokens, token))[ends.tag].exp())
                pool.append((risk, likelihood + float(gains[token]), (*tokens, token)))
        pool.sort(key=lambda each: (-each[0], each[1]))
        kept = sorted(pool[len(pool) // 2 :], key=lambda each: -each[1])
        done += [(each[1], each[2]) for each in kept[: decoding.beams] if each[2][-1] in ends.tokens]
        beams = [(each[1], each[2]) for each in kept if each[2][-1] not in ends.tokens][: decoding.beams]
    best = max([*done, *beams])[1]
    return best[:-1] if best[-1] in ends.tokens else best


@pytest.mark.parametrize("prune", [64, 4])
def test_cached_search_is_the_search_by_whole_texts(
    tiny: LoadedModel, prune: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam_cache, "PRUNE_COLUMNS", prune)
    decoding = SafeBeam(beams=3, candidates=4, max_tokens=9, tag_candidate="continue")
    asked = prompts(9)
    found = in_batches(tiny.model, asked, decoding, 60, REAL)
    for prompt, answer in zip(asked, found, strict=True):
        assert answer.ids == brute_force(tiny.model, prompt.ids, decoding, REAL), prompt.name


def test_answers_depend_on_nobody_in_the_batch(tiny: LoadedModel) -> None:
    asked = prompts(30)
    for decoding in (SafeBeam(beams=2, candidates=4, max_tokens=10), Beam(beams=4, max_tokens=10)):
        whole = in_batches(tiny.model, asked, decoding, 256, REAL)
        assert same(in_batches(tiny.model, asked, decoding, decoding.rows * 3, REAL), whole)
        assert same(in_batches(tiny.model, asked[:8], decoding, 1, REAL), whole[:8])
        assert same(in_batches(tiny.model, asked[::-1], decoding, 64, REAL)[::-1], whole)


def test_an_answer_can_be_stopped_by_its_text(tiny: LoadedModel) -> None:
    asked = prompts(4)
    decoding = Beam(beams=2, max_tokens=24)
    free = in_batches(tiny.model, asked, decoding, 64, Ends((-2,), 0))
    assert all(len(each.ids) == 24 and each.finish == "length" for each in free)
    stopped = in_batches(tiny.model, asked, decoding, 64, Ends((-2,), 0, stopped=lambda ids: len(ids) >= 5))
    assert all(len(each.ids) == 8 and each.finish == "stop" for each in stopped)  # looked at every eight tokens


def test_labels_tell_decodings_apart() -> None:
    assert SafeBeam().label == "safebeam-k4-n8-drop0.5"
    assert Beam().label == "beam-k4"
    different: list[Beam | SafeBeam] = [
        SafeBeam(beams=2), SafeBeam(candidates=4), SafeBeam(tag="<|other|>"), SafeBeam(tag_candidate="end"),
        SafeBeam(end_risk="look_ahead"), SafeBeam(discard=Above(risk=0.1)), SafeBeam(discard=Riskiest(share=0.25)),
        SafeBeam(discard=Riskiest(ties="first")), SafeBeam(discard=Riskiest(rounding="up")), SafeBeam(max_tokens=9),
        SafeBeam(discard=Above(risk=0.1, none_left="safest")), SafeBeam(temperature=0.5), SafeBeam(ended="in_beam"),
        SafeBeam(length_normalisation="mean"), SafeBeam(), Beam(), Beam(ended="in_beam"), Beam(temperature=2.0),
    ]  # fmt: skip
    assert len({each.label for each in different}) == len(different)


# --- what cannot be decoded says so -----------------------------------------------------------------------------------


def test_a_checkpoint_answers_with_a_tag_that_it_learned(tiny: LoadedModel) -> None:
    """``<think>`` stands for the tag here: it is a special token of the tiny tokenizer."""
    tag = "<think>"
    decoding = SafeBeam(tag=tag, beams=2, candidates=3, max_tokens=4)

    def local(**learned: Any) -> LocalModel:
        return LocalModel(tiny.model, tiny.tokenizer, learned_tokens=LearnedTokens(**learned))

    assert local(counts={tag: 7}).undecodable(decoding) is None
    assert local(counts={tag: 0}, complete=True).undecodable(decoding) == "tag-never-trained"
    assert local().undecodable(decoding) == "tag-training-unknown"
    declared = decoding.model_copy(update={"tag_training": "declared"})
    assert local().undecodable(declared) is None
    assert local(counts={tag: 0}, complete=True).undecodable(declared) == "tag-never-trained"  # the records know better
    assert local(counts={"<|other|>": 7}).undecodable(SafeBeam(tag="<|other|>")) == "tag-not-in-tokenizer"
    assert local(counts={"bab": 7}).undecodable(SafeBeam(tag="bab")) == "tag-not-in-tokenizer"  # one token, not special
    assert local().undecodable(Beam()) is None
    ((reply,),) = local(counts={tag: 7}).answer([Prompt(name="a", completion="bab deb")], decoding, 0)
    assert reply.details is not None
    assert json.loads(reply.details)["steps"]


def test_a_short_circuit_is_a_refusal_with_a_reason(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        local_module, "generate", lambda *_, **__: [[Generated((7, 9), "short-circuit", '{"steps":[]}')]]
    )
    model = LocalModel(tiny.model, tiny.tokenizer)
    ((reply,),) = model.answer([Prompt(name="a", completion="bab")], Beam(), 0)
    assert (reply.status, reply.reason_code, reply.details) == ("refused", "short-circuit", '{"steps":[]}')


def test_other_engines_say_that_they_cannot(tiny: LoadedModel, tmp_path: Path) -> None:
    endpoint = EndpointModel(Endpoint(base_url="http://127.0.0.1:9/v1", model="m"))
    openvino = OpenVinoModel(LocalModel(tiny.model, tiny.tokenizer), tmp_path)
    for decoding in (Beam(), SafeBeam()):
        assert endpoint.undecodable(decoding) == "endpoint-has-no-beam-search"
        assert openvino.undecodable(decoding) == "engine-has-no-beam-search"
    assert endpoint.undecodable(Sampled(top_k=50)) == "endpoint-has-no-top-k"
    for plain in (Greedy(), Sampled()):
        assert endpoint.undecodable(plain) is None is openvino.undecodable(plain)


def test_networks_that_ignore_masks_are_told_apart(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_module, "sharing_is_exact", lambda model: False)
    assert LocalModel(tiny.model, tiny.tokenizer).undecodable(Beam()) == "network-ignores-masks"
