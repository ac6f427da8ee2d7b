"""Splits are by prompt, by what is the same prompt, and by group."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtable.simulators.errors import InputError
from sandtable.simulators.language.completions import Prompt
from sandtable.simulators.language.splits import assign_splits, normalised


def prompts(*texts, **fields):
    each = [{name: values[i] for name, values in fields.items()} for i in range(len(texts))]
    return [Prompt(f"id{i}", text, ("c",), line=i + 1, **each[i]) for i, text in enumerate(texts)]


def test_sixty_twenty_twenty():
    counts = Counter(assign_splits(prompts(*(f"p{i}" for i in range(5000)))))
    assert counts["train"] == pytest.approx(3000, abs=150)
    assert counts["validation"] == pytest.approx(1000, abs=120)
    assert counts["test"] == pytest.approx(1000, abs=120)


def test_a_prompt_keeps_its_split_when_others_come_and_go():
    every = prompts(*(f"p{i}" for i in range(50)))
    splits = assign_splits(every)
    assert assign_splits(every[::-1]) == splits[::-1]
    assert assign_splits(every[:20]) == splits[:20]
    assert assign_splits(every, seed=1) != splits


@given(st.lists(st.sampled_from(["a", "A ", "b", " b\n", "\u00e9", "e\u0301", ""]), min_size=1, max_size=20), st.data())
def test_no_normalised_prompt_and_no_group_is_in_two_splits(texts, data):
    groups = data.draw(st.lists(st.sampled_from([None, "g", "h"]), min_size=len(texts), max_size=len(texts)))
    every = prompts(*texts, group=groups)
    splits = assign_splits(every)
    for key in (lambda one: normalised(one.prompt) or one.prompt_id, lambda one: one.group or one.prompt_id):
        found = {}
        for one, split in zip(every, splits, strict=True):
            found.setdefault(key(one), set()).add(split)
        assert all(len(one) == 1 for one in found.values())


def test_case_spaces_and_encodings_make_no_other_prompt():
    assert normalised(" CAFE\u0301\n  au lait") == normalised("caf\u00e9 au  lait")
    assert normalised("a b") != normalised("ab")


def test_the_file_s_own_splits_are_kept_and_spread():
    every = prompts("a", "b", " A", "c", split=["test", "train", None, None])
    assert assign_splits(every)[:3] == ("test", "train", "test")


def test_one_prompt_in_two_splits_is_refused():
    with pytest.raises(InputError, match=r"own.jsonl, line 3, field split: id2 is in test, and id0 on line 1, of the"):
        assign_splits(prompts("a", "b", "A", split=["train", "train", "test"]), path="own.jsonl")
    with pytest.raises(InputError, match="of the same group, in train"):
        assign_splits(prompts("a", "b", split=["train", "test"], group=["g", "g"]))
