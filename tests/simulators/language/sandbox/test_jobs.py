"""A worker's job has no place for tests; what is no job is refused."""

import dataclasses
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtable.simulators.language.sandbox.codec import CodecError, encode
from sandtable.simulators.language.sandbox.jobs import (
    JudgeJob,
    WorkerJob,
    decode_judge_job,
    decode_worker_job,
    encode_judge_job,
    encode_worker_job,
    read_job,
)

TEXT = st.text(st.characters(), max_size=20)  # half surrogate pairs included


@given(TEXT, TEXT, st.integers())
def test_a_worker_s_job_comes_back(program, setup, seed):
    assert decode_worker_job(encode_worker_job(program, setup, seed)) == WorkerJob(program, setup, seed)


@given(TEXT, TEXT, TEXT, st.lists(TEXT).map(tuple), st.integers())
def test_a_judge_s_job_comes_back(tests, entry_point, helpers, names, seed):
    data = encode_judge_job(tests, entry_point, helpers, names, seed)
    assert decode_judge_job(data) == JudgeJob(tests, entry_point, helpers, names, seed)


def test_strings_and_numbers_of_other_classes_are_what_they_say():
    assert decode_worker_job(encode_worker_job(np.str_("a"), np.str_("b"), np.int64(3))) == WorkerJob("a", "b", 3)
    judge = encode_judge_job(np.str_("a"), np.str_("f"), np.str_("b"), (np.str_("c"),), np.int64(3))
    assert decode_judge_job(judge) == JudgeJob("a", "f", "b", ("c",), 3)


def test_a_worker_is_told_the_program_alone():
    assert {field.name for field in dataclasses.fields(WorkerJob)} == {"program", "setup", "seed"}


@pytest.mark.parametrize(
    "data", [b"", b"abc", encode(1), encode(("a", "b")), encode(("a", "b", "c")), encode(["", "", 0])]
)
def test_what_is_no_job_is_refused(data):
    with pytest.raises(CodecError):
        decode_worker_job(data)
    with pytest.raises(CodecError):
        decode_judge_job(data)


def test_a_job_is_read_once():
    reading, writing = os.pipe()
    os.write(writing, b"job")
    os.close(writing)
    assert read_job(reading) == b"job"
    with pytest.raises(OSError, match="Bad file"):
        os.close(reading)


def test_a_judge_s_own_seed_is_made_of_the_tests_and_the_seed():
    seeds = [JudgeJob(tests, "f", "", (), seed).own_seed for tests in ("a", "b", "\ud800") for seed in (0, 1, -1)]
    assert len(set(seeds)) == 9
    assert {0, 1, -1}.isdisjoint(seeds)
    assert JudgeJob("a", "f", "", (), 0).own_seed == seeds[0] == JudgeJob("a", "g", "x", ("y",), 0).own_seed
