"""Programming tasks, text in and text out, keep what every environment promises."""

import gc
import json
import os
import pickle
import signal
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import sandtable
from sandtable.envs.language.text import CompletionTextEnv, CompletionTextVectorEnv
from sandtable.simulators.errors import InputError
from sandtable.simulators.language.sandbox.grader import Sandbox
from sandtable.simulators.language.tasks import Task
from sandtable.simulators.language.tasks_file import write_tasks
from sandtable.simulators.language.text_tasks import TextTasks

ID = "sandtable/CompletionText-v0"
assert ID in sandtable.ENVIRONMENTS


@pytest.fixture(scope="module", autouse=True)
def confined():
    """Skip where programs cannot be confined."""
    try:
        Sandbox()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture
def small(tmp_path):
    """Return the path of a file of tasks that need no sandbox: a number and a text a split at least."""
    tasks = [Task(f"sum/{i}", "number", f"What is {i} + {i}?", answer=str(2 * i)) for i in range(40)]
    write_tasks(tmp_path / "sums.jsonl", tasks)
    return str(tmp_path / "sums.jsonl")


def references(env):
    return {task.prompt: task.reference for task in env.unwrapped.tasks.tasks}


def test_gymnasium_accepts_the_environment():
    env = gym.make(ID, render_mode="ansi")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check_env(env.unwrapped)
    env.close()


def test_a_reference_passes_and_other_completions_do_not():
    env = gym.make(ID, cpu=0.5, render_mode="ansi")
    prompt, info = env.reset(seed=2)
    assert prompt in env.observation_space
    reference = references(env)[prompt]
    for completion, status in [
        (reference, "passed"),
        (reference + "\nassert f([1]) == 7", "passed"),  # cut by the stop rule
        ("    return [100]\n", "failed"),
        ("    return\x00 x", "error"),
        ("    return '\ud800'", "error"),
        ("", "error"),
        ("    while True: pass", "cpu"),
    ]:
        seen, reward, terminated, truncated, told = env.step(completion)
        assert (seen, reward, terminated, truncated) == (prompt, float(status == "passed"), True, False)
        assert told == {**info, "status": status, "episode_return": reward, "episode_length": 1}
    assert env.render() == f"{prompt}    while True: pass\ncpu"
    with pytest.raises(ValueError, match="a text of at most 65536 characters, not 65537 characters"):
        env.step("x" * 65_537)
    with pytest.raises(ValueError, match="a text of at most 65536 characters, not int"):
        env.step(3)
    env.close()


def test_env_and_vector_env_show_and_pay_the_same_rows(small):
    """Also Gymnasium's own vector of the same environments does."""
    ours = gym.make_vec(ID, num_envs=3, source=small)
    theirs = gym.vector.SyncVectorEnv(
        [lambda: gym.make(ID, source=small)] * 3, autoreset_mode=AutoresetMode.SAME_STEP
    )
    alone = [gym.make(ID, source=small) for _ in range(3)]
    seen, info = ours.reset(seed=5)
    others, other_info = theirs.reset(seed=5)
    assert seen == tuple(others)
    assert info["task_id"].tolist() == list(other_info["task_id"])
    assert list(seen) == [env.reset(seed=5 + row)[0] for row, env in enumerate(alone)]
    assert seen in ours.observation_space
    for t in range(4):
        answers = [str(2 * int(prompt.split()[2])) if (row + t) % 2 else "7.5" for row, prompt in enumerate(seen)]
        steps = [env.step(answer) for env, answer in zip(alone, answers, strict=True)]
        last = seen
        seen, reward, terminated, truncated, info = ours.step(answers)
        others, other_reward, *_, other_info = theirs.step(answers)
        assert seen == tuple(others)
        assert list(seen) == [env.reset()[0] for env in alone]
        assert reward.tolist() == other_reward.tolist() == [step[1] for step in steps]
        assert set(reward) == {0.0, 1.0}
        assert terminated.all()
        assert not truncated.any()
        assert info["final_obs"] == last
        assert info["final_info"]["status"].tolist() == [step[4]["status"] for step in steps]
        assert info["final_info"]["task_id"].tolist() == list(other_info["final_info"]["task_id"])
        assert info["task_id"].tolist() == list(other_info["task_id"])
        assert info["episode_return"].tolist() == reward.tolist()
        assert all(info[f"_{name}"].all() for name in info if not name.startswith("_"))


def test_rows_are_graded_together_and_the_same_program_once(monkeypatch):
    vector = gym.make_vec(ID, num_envs=6)
    seen, _ = vector.reset(seed=0, options={"task_id": vector.unwrapped.tasks.tasks[0].task_id})
    assert len({*seen}) == 1
    graded = []
    grade = Sandbox.grade

    def counted(self, jobs):
        jobs = list(jobs)
        graded.append(len(jobs))
        return grade(self, jobs)

    monkeypatch.setattr(Sandbox, "grade", counted)
    reference = references(vector)[seen[0]]
    wrong = "    return []\n"
    _, reward, *_ = vector.step([reference, wrong, reference, "    return 1\n", reference, wrong])
    assert reward.tolist() == [1, 0, 1, 0, 1, 0]
    assert graded == [3]
    vector.close()


def test_a_specification_survives_json_and_pickle(small):
    env = gym.make(ID, source=small, split="test")
    copies = [
        gym.make(EnvSpec.from_json(env.spec.to_json())),
        gym.make(pickle.loads(pickle.dumps(env.spec))),
        pickle.loads(pickle.dumps(env)),
    ]
    assert json.loads(env.spec.to_json())["kwargs"] == {"source": small, "split": "test"}
    first = env.reset(seed=3)
    assert all(copy.reset(seed=3) == first for copy in copies)


def test_no_prompt_is_in_two_splits_and_all_are_in_one(small):
    for source in ("lists", small):
        splits = [{task.prompt for task in TextTasks(source, split).tasks} for split in ("train", "validation", "test")]
        total = len(set.union(*splits))
        assert total == sum(map(len, splits)) == (1000 if source == "lists" else 40)
        assert len(splits[0]) == pytest.approx(0.6 * total, rel=0.2)


def test_every_task_of_a_split_is_drawn_and_seeds_lead_to_the_same(small):
    vector = gym.make_vec(ID, num_envs=400, source=small)
    seen, _ = vector.reset(seed=0)
    assert len({*seen}) == len(vector.unwrapped.tasks.tasks)
    following, _ = vector.reset()
    again, _ = vector.reset(seed=[*range(200), *[None] * 200])
    assert again[:200] == seen[:200]
    assert seen != following != again


def test_a_task_can_be_named(small):
    env = gym.make(ID, source=small)
    task = env.unwrapped.tasks.tasks[4]
    assert env.reset(options={"task_id": task.task_id}) == (task.prompt, {"task_id": task.task_id})
    other = TextTasks(small, "test").tasks[0].task_id
    with pytest.raises(InputError, match=f"task_id '{other}': the split has no such task"):
        env.reset(options={"task_id": other})
    with pytest.raises(ValueError, match="the option of reset is task_id, not prompt"):
        env.reset(options={"prompt": "x"})
    vector = gym.make_vec(ID, num_envs=2, source=small)
    ids = [one.task_id for one in env.unwrapped.tasks.tasks[:2]]
    assert vector.reset(options={"task_id": ids})[1]["task_id"].tolist() == ids
    with pytest.raises(InputError, match="task_id 1 for 2 rows"):
        vector.reset(options={"task_id": ids[:1]})


def test_the_shared_memory_of_async_vector_env_is_refused(small):
    """With Gymnasium's own space of texts it returns other characters than were sent (gymnasium 1.2.0)."""
    with pytest.raises(InputError, match="garbles texts in its shared memory: make it with shared_memory=False"):
        gym.make_vec(ID, num_envs=2, vectorization_mode="async", source=small)


@pytest.mark.slow
def test_async_vector_env_without_shared_memory_shows_the_same_rows(small):
    plain = {"shared_memory": False}
    spawned = gym.make_vec(ID, num_envs=2, vectorization_mode="async", vector_kwargs=plain, source=small)
    try:
        ours = gym.make_vec(ID, num_envs=2, source=small)
        seen, _ = ours.reset(seed=1)
        assert tuple(spawned.reset(seed=1)[0]) == seen
        answers = [str(2 * int(seen[0].split()[2])), "no number"]
        assert spawned.step(answers)[1].tolist() == ours.step(answers)[1].tolist() == [1, 0]
    finally:
        spawned.close()


def test_a_sandbox_ends_with_its_environment():
    for ending in ("close", "del"):
        env = CompletionTextEnv()
        prompt, _ = env.reset(seed=0)
        env.step(references(env)[prompt])
        server = env.tasks._sandbox._server
        assert server.poll() is None
        if ending == "close":
            env.close()
        del env
        gc.collect()
        assert server.poll() is not None


def test_a_sandbox_that_was_ended_from_outside_is_an_error_once_and_then_there_is_another():
    env = CompletionTextEnv(source="lists", tasks=20)
    env.reset(seed=0)
    assert env.step("return 1\n")[4]["status"] in ("failed", "error")
    os.kill(env.tasks._sandbox.server_pid, signal.SIGKILL)
    env.reset()
    with pytest.raises(ChildProcessError, match="server has ended"):
        env.step("return 1\n")
    env.reset()
    assert env.step("return 1\n")[4]["status"] in ("failed", "error")
    env.close()


def test_what_cannot_be_is_refused(small, tmp_path):
    for arguments, error, message in [
        ({"split": "tests"}, InputError, "split 'tests': there are train, validation, test"),
        ({"source": small, "max_length": 5}, InputError, "max_length = 5: the prompt of sum/"),
        ({"source": str(tmp_path / "none.jsonl")}, InputError, "none.jsonl"),
        ({"cpu": 0.0}, InputError, "cpu 0.0: it must be at least"),
        ({"stop": ""}, InputError, "the string is empty"),
        ({"render_mode": "human"}, ValueError, "render_mode must be None or 'ansi'"),
    ]:
        with pytest.raises(error, match=message):
            CompletionTextEnv(**arguments)
    write_tasks(tmp_path / "one.jsonl", [Task("one", "number", "1?", answer="1")])
    with pytest.raises(InputError, match=r"one.jsonl: none of 1 tasks is in the (train|test) split"):
        [CompletionTextEnv(source=str(tmp_path / "one.jsonl"), split=split) for split in ("train", "test")]
    for arguments, message in [
        ({"num_envs": 0}, "num_envs must be a whole number, at least 1"),
        ({"autoreset_mode": "next-step"}, "autoreset_mode must be SAME_STEP"),
    ]:
        with pytest.raises(ValueError, match=message):
            CompletionTextVectorEnv(source=small, **arguments)
    vector = CompletionTextVectorEnv(2, source=small)
    with pytest.raises(gym.error.ResetNeeded):
        vector.step(["1", "2"])
    vector.reset(seed=0)
    for actions in ("12", ["1"]):
        with pytest.raises(ValueError, match="actions must be 2 texts"):
            vector.step(actions)
    with pytest.raises(ValueError, match="seed has 1 entries"):
        vector.reset(seed=[1])
    assert np.array_equal(vector.metadata["autoreset_mode"], AutoresetMode.SAME_STEP)
