"""What the report says of reward models and rl stages, from records as anybody may have written them."""

from __future__ import annotations

from upbringing.reporting.rewards import reward_facts


def test_facts_are_means_over_runs_and_nothing_is_made_of_what_is_not_known() -> None:
    group = {"policy": "all", "held_out": True, "accuracy": 0.75, "calibration_error": 0.1}
    read = {"policy": "all", "held_out": False, "accuracy": 1.0, "calibration_error": 0.0}
    first = {"reward": 0.0, "oracle": None, "divergence": 0.0, "length": 4.0, "distinct": 1.0}
    last = {"reward": 1.0, "oracle": None, "divergence": 0.25, "length": 8.0, "distinct": 0.5}
    records = [
        {"reward_model": [group, read]},
        {"reward_model": [{**group, "accuracy": 0.85, "calibration_error": 0.2}]},
        {"rl": {"updates": [first, last], "num_varied": 2}},
    ]
    found = {fact.name: fact.value for fact in reward_facts(records)}
    assert found == {
        "Held-out pairs ranked rightly (all)": "80%, calibration error 0.15",
        "Reward": "0.00 to 1.00",
        "Nats per token from the start of the stage": "0.00 to 0.25",
        "Tokens per answer": "4.00 to 8.00",
        "Distinct answers to a prompt": "1.00 to 0.50",
    }


def test_other_stages_and_torn_records_say_nothing() -> None:
    torn = [{}, {"rl": None, "reward_model": []}, {"rl": {"updates": "x"}, "reward_model": "x"}]
    assert list(reward_facts(torn)) == []
