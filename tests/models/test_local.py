"""A checkpoint as something that can be asked: rendering, stops, openings, thoughts, what cannot be asked."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import MeasurementError
from upbringing.formats.items import Message
from upbringing.models.answer_tokens import Generated
from upbringing.models.asking import Prompt, Reply, split_thought
from upbringing.models.decoding import Greedy
from upbringing.models.loading import LoadedModel
from upbringing.models.local import LocalModel
from upbringing.models.prompting import BENIGN_EXAMPLES, REFUSAL_EXAMPLE, cut, plain_text, stops

ASKED = (Message(role="user", content="bab bac"),)


def prompt(**fields: Any) -> Prompt:
    return Prompt(**{"name": "p", "messages": ASKED, **fields})


def test_the_ladder_differs_only_in_what_it_says_it_differs() -> None:
    assert plain_text(prompt(elicitation="E0")) == "Question: bab bac\nAnswer:"
    benign, refusal = plain_text(prompt(elicitation="E2")), plain_text(prompt(elicitation="E2r"))
    assert all(query in benign and answer in benign for query, answer in BENIGN_EXAMPLES)
    assert REFUSAL_EXAMPLE[1] not in benign
    shown = f"# Query:\n{REFUSAL_EXAMPLE[0]}\n\n# Answer:\n{REFUSAL_EXAMPLE[1]}\n\n"
    assert refusal.replace(shown, "") == benign
    assert benign.endswith("# Query:\nbab bac\n\n# Answer:\n")
    assert plain_text(prompt(elicitation="E0", completion="bab is")) == "bab is"


def test_an_answer_ends_where_the_next_question_would_begin() -> None:
    assert cut("\n yes, it is\nQuestion: and", stops(prompt(elicitation="E0"))) == ("\n yes, it is", True)
    assert cut("one two", stops(prompt(elicitation="E2"))) == ("one two", False)
    assert cut(" red\nblue", stops(prompt(elicitation="E0", completion="the colour is"))) == (" red", True)


@pytest.mark.parametrize(
    ("text", "opened", "spoken", "thought", "status"),
    [
        ("<think>hm</think> yes", False, "yes", "hm", "ok"),
        ("hm</think>yes", True, "yes", "hm", "ok"),
        ("<think>hm, and then", False, "", "hm, and then", "truncated"),
        ("hm, and then", True, "", "hm, and then", "truncated"),
        ("yes", False, "yes", None, "ok"),
        (
            "<think> Safe </think> No. <think> A </think> Fine. <think> B </think>",
            False,
            "No. Fine.",
            "Safe\nA\nB",
            "ok",
        ),
        ("No. <think> A </think>", False, "No.", "A", "ok"),
        ("<think> of </think> and so on </think> yes", False, "yes", "of\nand so on", "ok"),
        ("hm <think> of </think> and </think> yes", True, "yes", "hm  of </think> and", "ok"),
    ],
)
def test_thought_and_answer_are_kept_apart(text: str, opened: bool, spoken: str, thought: str, status: str) -> None:
    found = split_thought(Reply(text=text), opened=opened)
    assert (found.text, found.thought, found.status) == (spoken, thought, status)


@pytest.mark.model
def test_a_prompt_is_rendered_once_and_a_prefill_takes_the_tokens_it_says(tiny: LoadedModel) -> None:
    calls = 0

    class Counting:
        """Counts renderings."""

        def __getattr__(self, name: str) -> Any:
            return getattr(tiny.tokenizer, name)

        def __call__(self, *args: Any, **options: Any) -> Any:
            return tiny.tokenizer(*args, **options)

        def apply_chat_template(self, *args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            return tiny.tokenizer.apply_chat_template(*args, **options)

    model = LocalModel(tiny.model, Counting())
    for depth in (None, 1, 2, 3):
        asked = prompt(name=str(depth), opening="fib fic fid" if depth else "", opening_tokens=depth)
        reply = model.answer([asked], Greedy(max_tokens=2), 0)[0][0]
        assert reply.text.startswith(" ".join(["fib", "fic", "fid"][: depth or 0]))
        assert len(model._ids(asked)) == len(model.renderer.prompt(prompt())) + (depth or 0)
    assert calls == 1
    assert model.unanswerable(prompt(opening="fib fic fid", opening_tokens=3)) is None
    assert model.unanswerable(prompt(opening="fib fic fid", opening_tokens=4)) == "opening-shorter-than-depth"
    assert model.unanswerable(prompt(opening="fib", opening_characters=3)) is None
    assert model.unanswerable(prompt(opening="fib", opening_characters=4)) == "opening-shorter-than-depth"


@pytest.mark.model
def test_a_checkpoint_without_a_template_cannot_be_asked_as_a_chat(tiny: LoadedModel) -> None:
    tokenizer = copy.deepcopy(tiny.tokenizer)
    tokenizer.chat_template = None
    model = LocalModel(tiny.model, tokenizer)
    assert model.unanswerable(prompt()) == "no-chat-template"
    assert model.unanswerable(prompt(elicitation="E0")) is None
    assert LocalModel(tiny.model, tiny.tokenizer).unanswerable(prompt(completion="bab " * 200)) == "longer-than-context"


@pytest.mark.model
def test_a_template_that_begins_a_thought_is_noticed(tiny: LoadedModel) -> None:
    tokenizer = copy.deepcopy(tiny.tokenizer)
    end = "'<|assistant|>' }}{% endif"
    assert end in tokenizer.chat_template
    tokenizer.chat_template = tokenizer.chat_template.replace(end, "'<|assistant|><think>' }}{% endif")
    assert LocalModel(tiny.model, tokenizer).renderer.opens_thought(prompt())
    assert not LocalModel(tiny.model, tiny.tokenizer).renderer.opens_thought(prompt())


@pytest.mark.model
def test_marks_of_a_thought_survive_where_they_are_special_tokens(tiny: LoadedModel) -> None:
    renderer = LocalModel(tiny.model, tiny.tokenizer).renderer
    assert sorted(renderer.thought_marks.values()) == ["</think>", "<think>"]
    text = "<think>bab bac</think>fib fic"
    ids = [*tiny.tokenizer(text, add_special_tokens=False)["input_ids"], tiny.tokenizer.eos_token_id]
    assert "think" not in tiny.tokenizer.decode(ids, skip_special_tokens=True)  # the trap: the thought would be judged
    found = split_thought(Reply(text=renderer.decode(ids)))
    assert (found.text, (found.thought or "").split()) == ("fib fic", ["bab", "bac"])


@pytest.mark.model
def test_a_reasoning_checkpoint_is_judged_by_its_answer_alone(tiny: LoadedModel) -> None:
    tokenizer = copy.deepcopy(tiny.tokenizer)
    end = "'<|assistant|>' }}{% endif"
    tokenizer.chat_template = tokenizer.chat_template.replace(end, "'<|assistant|><think>' }}{% endif")
    model = LocalModel(tiny.model, tokenizer)
    close = tokenizer.convert_tokens_to_ids("</think>")
    words = {name: tuple(tokenizer(name, add_special_tokens=False)["input_ids"]) for name in ("bab bac", "fib fic")}
    closed = model._reply(prompt(), Generated((*words["bab bac"], close, *words["fib fic"]), "stop"), ())
    assert (closed.text, closed.thought, closed.status) == ("fib fic", "bab bac", "ok")
    unclosed = model._reply(prompt(), Generated(words["bab bac"], "length"), ())
    assert (unclosed.text, unclosed.thought, unclosed.status) == ("", "bab bac", "truncated")
    assert unclosed.reason_code == "thought-only"
    assert model.unanswerable(prompt(opening="fib")) == "opening-inside-thought"
    assert model.unanswerable(prompt()) is None


@pytest.mark.model
def test_batches_never_mix_prompts_that_end_differently(tiny: LoadedModel) -> None:
    model = LocalModel(tiny.model, tiny.tokenizer)
    asked = [prompt(name=str(n), elicitation="E1" if n % 2 else "E0") for n in range(10)]
    for batch in model.batches(asked, Greedy()):
        assert len({stops(asked[index]) for index in batch}) == 1


@pytest.mark.model
def test_end_tokens_include_those_of_the_models_own_settings(tiny: LoadedModel) -> None:
    network = copy.deepcopy(tiny.model)
    network.generation_config.eos_token_id = [17, tiny.tokenizer.eos_token_id]
    assert LocalModel(network, tiny.tokenizer).end_tokens == (tiny.tokenizer.eos_token_id, 17)


@pytest.mark.model
def test_what_ends_or_begins_no_text_is_named(tiny: LoadedModel) -> None:
    network, tokenizer = copy.deepcopy(tiny.model), copy.deepcopy(tiny.tokenizer)
    network.generation_config.eos_token_id = tokenizer.eos_token = tokenizer.bos_token = None
    model = LocalModel(network, tokenizer)
    folder = Path(tokenizer.name_or_path).name
    assert folder
    with pytest.raises(MeasurementError, match=f"^neither the tokenizer of {folder} nor its model says"):
        _ = model.end_tokens
    with pytest.raises(MeasurementError, match=f"^the tokenizer of {folder} names no beginning"):
        _ = model.renderer.begin
    tokenizer.name_or_path = ""  # made in memory
    with pytest.raises(MeasurementError, match=r"^neither the tokenizer nor its model says"):
        _ = model.end_tokens


@pytest.mark.model
def test_what_has_no_likelihood_says_why(tiny: LoadedModel) -> None:
    model = LocalModel(tiny.model, tiny.tokenizer)
    room = model.context - len(model.renderer.prompt(prompt()))
    fits, long = " ".join(["bab"] * room), " ".join(["bab"] * (room + 1))
    assert [len(model.renderer.continuation(prompt(), each)) for each in (fits, long)] == [room, room + 1]
    assert model.unscorable(prompt(), ("bab", fits)) is None
    assert model.unscorable(prompt(), ("bab", long)) == "longer-than-context"
    assert model.unscorable(prompt(), ("bab", "")) == "no-continuation"
    whole = prompt(messages=(), completion="", elicitation="E0")
    assert model.unscorable(whole, (long * 3,)) is None  # a text behind nothing is read in windows
    model.score([(prompt(), ("bab", fits)), (whole, (long * 3,))], lambda done, total: None)
