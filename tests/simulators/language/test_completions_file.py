"""Completions: what is read, what is kept, and what is refused by line and field."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.errors import InputError
from sandtable.simulators.language.completions import Greedy, Prompt
from sandtable.simulators.language.completions_file import (
    is_completions,
    read_completions,
    to_fields,
    write_completions,
)
from sandtable.simulators.language.tasks_file import read_tasks

LINE = {"prompt_id": "a", "prompt": "1+1=", "completions": ["2", "3"]}


@pytest.fixture
def read(tmp_path):
    """Return what reads lines, each a dict or raw text, as a file."""

    def read(*lines, tasks=None):
        path = tmp_path / "lines.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("\n".join(texts), encoding="utf-8")
        return read_completions(path, tasks)

    return read


@pytest.fixture(scope="module")
def language_data():
    folder = data_folder()
    if folder is None or not (folder / "lm").is_dir():
        pytest.skip("there is no folder of language-model data")
    return folder / "lm"


def test_every_field_is_read_and_unknown_ones_are_kept(read):
    greedy = {"completion": "2", "own": [1], "reward": 1, "logprob": -0.5, "tokens": 1, "finish": "stop", "visible": 1}
    (prompt,) = read(
        LINE | {
            "rewards": [1, None], "verdicts": ["passed", None], "logprobs": [-1, -2.5], "sampling_logprobs": [-1, -2],
            "tokens": [1, 1], "finish": ["stop", "length"], "answers": ["2", "3"], "visible": [1, 0],
            "signatures": [None, "x"], "greedy": greedy, "preferences": [[0, 1]], "split": "test", "group": "g",
            "task_id": "t", "source": {"model": "m", "temperature": 0.8}, "note": {"mine": [1]},
        }
    ).prompts  # fmt: skip
    assert prompt.completions == ("2", "3")
    assert prompt.rewards == (1.0, None)
    assert (prompt.finish, prompt.visible, prompt.signatures) == (("stop", "length"), (1, 0), (None, "x"))
    known = {"reward": 1.0, "logprob": -0.5, "tokens": 1, "finish": "stop", "visible": 1}
    assert prompt.greedy == Greedy("2", others={"own": [1]}, **known)
    assert prompt.preferences == ((0, 1),)
    assert (prompt.split, prompt.group, prompt.task_id) == ("test", "g", "t")
    assert prompt.source == {"model": "m", "temperature": 0.8}
    assert prompt.others == {"note": {"mine": [1]}}
    assert prompt.line == 1


def test_what_is_not_given_is_none(read):
    (prompt,) = read(LINE | {"rewards": None, "colour": None}).prompts
    assert prompt == Prompt("a", "1+1=", ("2", "3"), line=1, others={"colour": None})


def test_blank_lines_a_mark_of_order_and_gzip_are_no_harm(tmp_path):
    path = tmp_path / "lines.jsonl.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"\xef\xbb\xbf" + json.dumps(LINE).encode() + b"\r\n\n")
        file.write(json.dumps(LINE | {"prompt_id": "b"}).encode())
    assert [(one.prompt_id, one.line) for one in read_completions(path)] == [("a", 1), ("b", 3)]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"prompt_id": 3}, "field prompt_id: it must be a string, not 3"),
        ({"prompt_id": " "}, "field prompt_id: it is empty"),
        ({"prompt_id": "\ud800"}, "field prompt_id: it holds half of a surrogate pair"),
        ({"prompt_id": "a\0"}, "field prompt_id: it holds the character NUL"),
        ({"prompt": None}, "field prompt: it must be a string, not null"),
        ({"completions": []}, "field completions: it is empty"),
        ({"completions": "2"}, "field completions: it must be a list"),
        ({"completions": ["2", 3]}, r"field completions\[1\]: it must be a string, not 3"),
        ({"completions": ["2", None]}, r"field completions\[1\]: it must be a string, not null"),
        ({"rewards": [1]}, "field rewards: it has 1 values for 2 completions"),
        ({"rewards": [1, "x"]}, r"field rewards\[1\]: it must be a number or null"),
        ({"rewards": [1, True]}, r"field rewards\[1\]: it must be a number or null"),
        ({"rewards": [float("nan"), 1]}, r"field rewards\[0\]: it must be finite or null"),
        ({"rewards": [1, float("inf")]}, r"field rewards\[1\]: it must be finite or null"),
        ({"logprobs": [10**400, 0]}, r"field logprobs\[0\]: it must be finite or null"),
        ({"tokens": [1, -1]}, r"field tokens\[1\]: it must be an integer of at least 0"),
        ({"finish": ["stop", "end"]}, r"field finish\[1\]: it must be one of stop, length"),
        ({"visible": [0, 2]}, r"field visible\[1\]: it must be one of 0, 1"),
        ({"answers": ["2", 3]}, r"field answers\[1\]: it must be a string"),
        ({"greedy": "2"}, "field greedy: it must be an object"),
        ({"greedy": {"reward": 1}}, "field greedy.completion: it must be a string"),
        ({"greedy": {"completion": "2", "reward": "x"}}, "field greedy.reward: it must be a number"),
        ({"preferences": [[0, 0]]}, r"field preferences\[0\]: it must name two of the 2 completions"),
        ({"preferences": [[0, 2]]}, r"field preferences\[0\]: it must name two"),
        ({"preferences": [[0]]}, r"field preferences\[0\]: it must be \[winner, loser\]"),
        ({"split": "dev"}, "field split: it must be one of train, validation, test"),
        ({"group": 1}, "field group: it must be a string"),
        ({"source": []}, "field source: it must be an object"),
        ({"source": {"top_p": float("nan")}}, "field source.top_p: it holds a number that is not finite"),
        ({"mine": [{"x": float("inf")}]}, "field mine: it holds a number that is not finite"),
        ({"greedy": {"completion": "2", "mine": -float("inf")}}, "field greedy.mine: it holds a number that is not"),
        ({"mine": json.loads("[" * 101 + "]" * 101)}, "field mine: lists or objects are nested more than 100 deep"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_by_line_and_field(read, change, where):
    with pytest.raises(InputError, match=rf"lines.jsonl, line 2, {where}"):
        read(LINE | {"prompt_id": "first"}, LINE | change)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"prompt_id": "b"', "line 2, column 18: this is no JSON"),
        ("[1]", "line 2: a line must hold an object"),
        ("[" * 100_000, "line 2: lists or objects are nested too deeply"),
        ('{"prompt_id": ' + "1" * 5000 + "}", "line 2: this is no JSON that can be read"),
        ({"prompt": "x"}, "line 2, field completions: it is missing"),
        ({"prompt_id": "b", "completions": ["x"]}, "line 2, field prompt: it is missing"),
        (LINE, 'line 2, field prompt_id: "a" is also on line 1'),
    ],
)
def test_a_broken_line_is_told_by_its_number(read, line, what):
    with pytest.raises(InputError, match=what):
        read(LINE, line)


def test_text_that_is_not_utf8_is_told_by_its_line(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(json.dumps(LINE).encode() + b'\n{"prompt": "\xff"}')
    with pytest.raises(InputError, match="line 2: the text is not UTF-8"):
        read_completions(path)


def test_files_that_are_none_are_refused(tmp_path):
    for name, content, what in (("empty", b"", "empty"), ("blank", b"\n \n", "empty"), ("x.gz", b"no", "decompressed")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=what):
            read_completions(path)
    with pytest.raises(InputError, match="there is no such file"):
        read_completions(tmp_path / "absent")
    with pytest.raises(InputError, match="folder"):
        read_completions(tmp_path)
    assert not is_completions(tmp_path)


@given(
    st.lists(st.text(st.characters()), min_size=1, max_size=4),
    st.dictionaries(st.text(min_size=1).map(lambda key: f"x{key}"), st.integers() | st.none() | st.text()),
)
def test_what_is_written_is_read_again(tmp_path_factory, completions, others):
    """Also halves of surrogate pairs, NUL and line separators, which JSON holds."""
    path = tmp_path_factory.mktemp("written") / "completions.jsonl"
    rewards = tuple(0.1 if i % 2 else None for i in range(len(completions)))
    greedy = Greedy("g", others=others)
    prompt = Prompt("id", "p", tuple(completions), rewards=rewards, greedy=greedy, others=others, line=1)
    write_completions(path, [prompt])
    assert read_completions(path).prompts == (prompt,)
    assert is_completions(path)


def test_a_megabyte_and_nothing_are_completions(read):
    (prompt,) = read({"prompt_id": "a", "prompt": "", "completions": ["", "x" * 10**6, "\0", "\ud800"]}).prompts
    assert [len(one) for one in prompt.completions] == [0, 10**6, 1, 1]


def test_nothing_half_written_is_left(tmp_path):
    path = tmp_path / "completions.jsonl"
    path.write_text("old")

    def prompts():
        yield Prompt("a", "p", ("c",))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_completions(path, prompts())
    assert [one.name for one in tmp_path.iterdir()] == ["completions.jsonl"]
    assert path.read_text() == "old"


def test_rows_of_one_task_become_one_prompt(read, tmp_path):
    rows = [{"task_id": "t/1", "completion": one} for one in "ab"] + [{"task_id": 2, "completion": "c"}]
    rows.insert(1, {"task_id": 2, "completion": "d"})
    told = [(one.prompt_id, one.prompt, one.completions, one.line) for one in read(*rows)]
    assert told == [("t/1", "", ("a", "b"), 1), ("2", "", ("d", "c"), 2)]
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps({"task_id": "t/1", "kind": "text", "prompt": "?", "answer": "a"}))
    assert read(rows[0], tasks=read_tasks(path)).prompts[0].prompt == "?"
    with pytest.raises(InputError, match=r'line 2, field task_id: there is no task "2" in .*tasks.jsonl'):
        read(*rows, tasks=read_tasks(path))
    with pytest.raises(InputError, match="line 2, field completion: it must be a string"):
        read(rows[0], {"task_id": "t/1", "completion": None})


def test_codet_s_samples_find_their_tasks_by_their_prompts(language_data, tmp_path):
    """CodeT (arXiv 2207.10397): 100 samples of each problem of HumanEval, in an order of their own."""
    name = "HumanEval_codegen16B_temp0.8_topp0.95_num100_max300_code_solution.jsonl"
    file = read_completions(language_data / "codet" / name)
    assert (file.source, len(file), file.size) == ("codet", 164, 16_400)
    assert [one.task_id for one in file][:4] == ["HumanEval/0", "HumanEval/1", "HumanEval/10", "HumanEval/100"]
    assert all(">>>" not in one.prompt for one in file)
    alone = tmp_path / name
    alone.write_text((language_data / "codet" / name).read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InputError, match=r"HumanEval_for_code_generation.jsonl, .* must lie beside it"):
        read_completions(alone)
    (tmp_path / "HumanEval_for_code_generation.jsonl").write_text(
        json.dumps({"task_id": "x", "prompt": "y", "test": "", "entry_point": "f"})
    )
    with pytest.raises(InputError, match=r"line 1, field prompt: .* has no such prompt"):
        read_completions(alone)


def test_model_solutions_are_one_completion_a_model(language_data):
    """GSM8K's README: 175B verification solves more than 6B fine-tuning."""
    file = read_completions(language_data / "gsm8k" / "example_model_solutions.jsonl")
    assert (file.source, len(file), file.size) == ("gsm8k", 1319, 5276)
    first = file.prompts[0]
    assert first.others["models"] == ["6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"]
    assert first.rewards == (0.0, 0.0, 0.0, 1.0)
    means = [sum(one.rewards[i] for one in file) / len(file) for i in range(4)]
    assert means == pytest.approx([0.2168, 0.3904, 0.3472, 0.5625], abs=5e-5)


def test_fields_come_in_the_order_of_the_format():
    assert list(to_fields(Prompt("a", "p", ("c",), rewards=(1.0,), others={"z": 1}))) == [
        "prompt_id", "prompt", "completions", "rewards", "z",
    ]  # fmt: skip
