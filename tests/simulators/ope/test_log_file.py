"""Logs are read, or refused with file, row, column and what to do."""

import numpy as np
import pytest

from sandtable.simulators.errors import InputError, MissingExtraError
from sandtable.simulators.ope.log_file import describe_log, is_log, read_log

PLAIN = "episode,step,action,reward,terminated,truncated,state,next_state"
ROWS = ["a,0,0,1.5,0,0,3,", "a,1,1,2,1,0,4,", "b,0,1,0,0,0,3,", "b,1,0,1,0,1,5,6"]


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a log and returns its path."""

    def writer(rows=ROWS, header=PLAIN, name="log.csv"):
        path = tmp_path / name
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return writer


def with_columns(names: str, values: list[str], rows: list[str] = ROWS) -> tuple[list[str], str]:
    return [f"{row},{value}" for row, value in zip(rows, values, strict=True)], f"{PLAIN},{names}"


def test_the_next_state_is_that_of_the_row_that_follows(write):
    log = read_log(write())
    assert (log.episodes, log.actions, len(log)) == (2, 2, 4)
    assert log.observation.tolist() == [3, 4, 3, 5]
    assert log.next_observation.tolist()[0] == 4
    assert log.next_observation.tolist()[2:] == [5, 6]
    assert log.names.tolist() == ["a", "b"]
    assert log.rows.tolist() == [2, 3, 4, 5]
    assert log.warnings == ()


def test_columns_come_in_any_order_and_case_and_others_are_ignored(write):
    header = "Note,REWARD,Action,step,episode,Truncated,terminated,Observation_1,observation_0"
    log = read_log(write(["x,1,0,0,7,0,0,.5,2", "y,2,0,1,7,0,1,.25,3"], header))
    assert log.observation.tolist() == [[2, 0.5], [3, 0.25]]
    assert log.names.tolist() == ["7"]


def test_target_probabilities_at_the_next_step_are_those_of_the_row_that_follows(write):
    values = [".5,.5", ".2,.8", "1,0", "0,1"]
    log = read_log(write(*with_columns("target_probability_0,target_probability_1", values)))
    assert log.next_target_probability[0].tolist() == [0.2, 0.8]
    assert log.next_target_probability[1].tolist() == [0, 0]  # after a termination
    assert np.isnan(log.next_target_probability[3]).all()  # after a truncation nobody knows


def test_the_target_probability_of_the_logged_action_alone_is_one_number_a_row(write):
    log = read_log(write(*with_columns("target_probability", ["1", ".5", "0", ".25"])))
    assert log.target_probability.tolist() == [1, 0.5, 0, 0.25]
    assert log.next_target_probability is None


def test_steps_that_count_from_one_are_told(write):
    log = read_log(write(["a,1,0,1.5,0,0,3,", "a,2,1,2,1,0,4,", "b,1,1,0,0,0,3,", "b,2,0,1,0,1,5,6"]))
    assert log.step.tolist() == [0, 1, 0, 1]
    assert log.warnings == ("steps are counted from 1 in the file",)


def test_features_after_a_termination_are_set_to_zero_and_told(write):
    rows, header = with_columns("feature_0,next_feature_0", ["1,2", "2,7", "1,2", "2,3"])
    log = read_log(write(rows, header))
    assert log.next_features[:, 0].tolist() == [2, 0, 2, 3]
    assert "features after 1 terminations were not 0" in log.warnings[0]


def test_a_next_state_that_is_not_the_row_that_follows_is_used_and_told(write):
    log = read_log(write(["a,0,0,1,0,0,3,9", "a,1,1,2,1,0,4,"]))
    assert log.next_observation[0] == 9
    assert "differs from observation in the row that follows in 1 rows (first: row 2)" in log.warnings[0]


BAD = {
    "a column is missing": (ROWS, PLAIN.replace("reward", "rewards"), "column reward is missing; found episode, step"),
    "its likely name": (ROWS, PLAIN.replace("reward", "rewards"), "rename rewards to reward"),
    "no rows": ([], PLAIN, "the log has no rows"),
    "a word": (["a,0,0,much,1,0,3,"], PLAIN, "row 2, column reward: 'much' is not a number"),
    "no reward": (["a,0,0,,1,0,3,"], PLAIN, "row 2, column reward: '' is no finite number"),
    "NaN": (["a,0,0,1,0,0,3,", "a,1,0,nan,1,0,3,"], PLAIN, "row 3, column reward: '' is no finite number"),
    "infinite": (["a,0,0,inf,1,0,3,"], PLAIN, "row 2, column reward: 'inf' is no finite number; correct it"),
    "no episode": ([",0,0,1,1,0,3,"], PLAIN, "row 2, column episode: '' names no episode"),
    "half an action": (["a,0,0.5,1,1,0,3,"], PLAIN, "row 2, column action: '0.5' is no number of an action, 0 or more"),
    "an action below 0": (["a,0,-1,1,1,0,3,"], PLAIN, "row 2, column action: '-1' is no number of an action"),
    "a step is missing": (
        ["a,0,0,1,0,0,3,", "a,2,0,1,1,0,3,"], PLAIN,
        "row 3, column step: '2' where step 1 of episode a is due: a step is missing",
    ),
    "steps out of order": (["a,1,0,1,0,0,3,", "a,0,0,1,1,0,3,"], PLAIN, "row 3, column step: '0' where step 2 of epi"),
    "a late start": (["a,3,0,1,1,0,3,"], PLAIN, "row 2, column step: '3' where step 0 of episode a is due"),
    "an episode in two parts": (
        ["a,0,0,1,1,0,3,", "b,0,0,1,1,0,3,", "a,0,0,1,1,0,3,"], PLAIN,
        "row 4, column episode: 'a' occurs again after another episode; put the rows of an episode together",
    ),
    "no end": (
        [*ROWS[:2], "b,0,1,0,0,0,3,"], PLAIN,
        "row 4: episode b ends here, and neither terminated nor truncated is 1 (1 of 2 episodes); mark the end, or "
        "pass --unfinished truncated",
    ),
    "no marks at all": (["a,0,0,1"], "episode,step,action,reward", "episode a ends here, and neither terminated nor"),
    "both ends": (["a,0,0,1,1,1,3,"], PLAIN, "row 2, column truncated: '1' and terminated is 1 too"),
    "an early end": (["a,0,0,1,1,0,3,", "a,1,0,1,1,0,3,"], PLAIN, "row 2, column terminated: '1' and the next row"),
    "half an end": (["a,0,0,1,.5,0,3,"], PLAIN, "row 2, column terminated: '0.5' is neither 0 nor 1"),
    "cut, and what then": (["a,0,0,1,0,1,3,"], PLAIN, "row 2, column next_state: it is blank, and truncated is 1"),
    "no state": (["a,0,0,1,1,0,,"], PLAIN, "row 2, column state: '' is blank; every row needs it"),
    "half a state": (["a,0,0,1,1,0,1.5,"], PLAIN, "row 2, column state: '1.5' is no state: 0, 1, 2, ..."),
    "impossible behaviour": (
        *with_columns("behaviour_probability", ["1", "1.5", "1", "1"]),
        "row 3, column behaviour_probability: '1.5' is no probability, in [0, 1]",
    ),
    "behaviour in part": (
        *with_columns("behaviour_probability", ["1", "", "1", "1"]),
        "row 3, column behaviour_probability: '' is blank; fill it in for every row, or for none",
    ),
    "a target that is no distribution": (
        *with_columns("target_probability_0,target_probability_1", [".5,.5", ".5,.4", "1,0", "1,0"]),
        "row 3, columns target_probability_0 ..: the target policy's probabilities sum to 0.9, not to 1",
    ),
    "a next target that is no distribution": (
        *with_columns("next_target_probability_0,next_target_probability_1", ["0,0", ",", ",", ","]),
        "row 2, columns next_target_probability_0 ..: the target policy's probabilities sum to 0, not to 1",
    ),
    "a negative probability": (
        *with_columns("target_probability_0,target_probability_1", [".5,.5", "-.5,1.5", "1,0", "1,0"]),
        "row 3, column target_probability_0: '-0.5' is no probability",
    ),
    "an action outside the table": (
        *with_columns("target_probability_0", ["1", "1", "1", "1"]),
        "row 3, column action: '1' is outside the table of 1 actions, 0 to 0",
    ),
    "a gap in numbers": (
        *with_columns("target_probability_0,target_probability_2", [".5,.5"] * 4),
        "column target_probability_1 is missing, and target_probability_2 is there",
    ),
    "two kinds of target": (
        *with_columns("target_probability,target_probability_0", ["1,1"] * 4),
        "columns target_probability and target_probability_0 are both there; keep one kind",
    ),
    "two kinds of state": (*with_columns("observation_0", ["1"] * 4), "columns state and observation_0 are both there"),
    "a column twice": (*with_columns("reward", ["1"] * 4), "column reward is there 2 times; keep one"),
    "a feature is NaN": (
        *with_columns("feature_0,next_feature_0", ["1,1", "nan,1", "1,1", "1,1"]),
        "row 3, column feature_0: '' is no finite number",
    ),
    "features stop": (
        *with_columns("feature_0,next_feature_0", ["1,", "1,1", "1,1", "1,1"]),
        "row 2, column next_feature_0: '' is blank or infinite, and the episode goes on after it",
    ),
    "widths": (*with_columns("feature_0,next_feature_0,next_feature_1", ["1,1,1"] * 4), "next_features has 2 columns"),
    "next features alone": (*with_columns("next_feature_0", ["1"] * 4), "next_feature_0 is there, and the features of"),
    "negative weight": (*with_columns("weight", ["1", "-1", "1", "1"]), "row 3, column weight: '-1' is no weight"),
    "no weight": (*with_columns("weight", ["0"] * 4), "column weight: all weights are 0"),
    "semicolons": (["a;0;0;1"], "episode;step;action;reward", "the columns are separated by semicolons"),
    "more values": (["a,0,0,1,1,0,3,,,"], PLAIN, "row 2: 10 values where the header names 8 columns"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "header", "said"), BAD.values(), ids=BAD)
def test_a_log_that_cannot_be_used_is_refused_with_its_place(write, rows, header, said):
    path = write(rows, header)
    with pytest.raises(InputError) as raised:
        read_log(path)
    message = str(raised.value)
    assert message.startswith(f"{path}")
    assert said in message
    assert "\n" not in message


def test_a_blank_line_is_no_step_and_rows_keep_their_number(write):
    with pytest.raises(InputError, match="row 4, column reward"):
        read_log(write([ROWS[0], ",,,,,,,", "a,1,1,x,1,0,4,"]))


@pytest.mark.parametrize("blank", ["", ",,,,,,,"])
def test_lines_without_anything_are_left_out(write, blank):
    assert len(read_log(write([*ROWS, blank]))) == 4


def test_a_zero_behaviour_probability_is_told_and_kept(write):
    log = read_log(write(*with_columns("behaviour_probability", ["1", "0", ".5", ".5"])))
    assert log.behaviour_probability[1] == 0
    assert "behaviour_probability is 0 in 1 rows (first: row 3)" in log.warnings[0]


def test_unfinished_episodes_end_as_one_says(write):
    open_end = [*ROWS[:2], "b,0,1,0,0,0,3,", "b,1,0,1,0,0,5,"]
    ended = read_log(write(open_end), unfinished="terminated")
    assert ended.terminated.tolist() == [False, True, False, True]
    cut = read_log(write(open_end), unfinished="truncated")
    assert cut.truncated.tolist() == [False, False, True]  # the last row only tells what came after the one before
    assert cut.next_observation[2] == 5
    assert "1 episodes without a mark" in cut.warnings[0]
    assert "the last row of 1 unfinished episodes was left out" in cut.warnings[1]


def test_an_unfinished_episode_whose_next_state_is_known_stays_whole(write):
    cut = read_log(write([*ROWS[:3], "b,1,0,1,0,0,5,6"]), unfinished="truncated")
    assert len(cut) == 4
    assert cut.truncated[3]
    with pytest.raises(InputError, match="no episode has two rows"):
        read_log(write(["a,0,0,1,0,0,3,"]), unfinished="truncated")


def arrays(**changed):
    held = {
        "episode": np.array([4, 4, 9]), "step": np.array([0, 1, 0]), "action": np.array([0, 1, 1]),
        "reward": np.array([1.0, 2.0, 3.0]), "terminated": np.array([0, 1, 1], bool), "truncated": np.zeros(3),
        "observation": np.array([1, 2, 1]),
    }  # fmt: skip
    return {name: array for name, array in (held | changed).items() if array is not None}


def test_npz_holds_the_same(tmp_path):
    np.savez(tmp_path / "log.npz", **arrays(features=np.ones((3, 2)), next_features=np.ones((3, 2)),
                                            initial_features=np.ones((5, 2))))  # fmt: skip
    log = read_log(tmp_path / "log.npz")
    assert log.names.tolist() == ["4", "9"]
    assert log.observation.tolist() == [1, 2, 1]
    assert log.next_features.tolist() == [[1, 1], [0, 0], [0, 0]]
    assert log.initial_features.shape == (5, 2)
    assert not log.independent


def test_single_steps_with_given_starts_are_independent_draws(tmp_path):
    single = arrays(
        episode=np.arange(3), step=np.zeros(3), terminated=np.array([0, 1, 0]), truncated=np.array([1, 0, 1]),
        features=np.ones((3, 1)), next_features=np.ones((3, 1)), initial_features=np.ones((1, 1)), observation=None,
    )  # fmt: skip
    np.savez(tmp_path / "log.npz", **single)
    assert read_log(tmp_path / "log.npz").independent


def test_observations_of_any_shape_are_floats(tmp_path):
    np.savez(tmp_path / "log.npz", **arrays(observation=np.zeros((3, 2, 2), np.float32)))
    log = read_log(tmp_path / "log.npz")
    assert (log.observation.dtype, log.observation.shape, log.next_observation.shape) == (
        np.float64, (3, 2, 2), (3, 2, 2),
    )  # fmt: skip
    np.savez(tmp_path / "log.npz", **arrays(observation=np.array([0.5, 1.5, 2.5])))
    assert read_log(tmp_path / "log.npz").observation.shape == (3, 1)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"reward": None}, "array reward is missing; found episode, step, action"),
        ({"reward": np.ones(2)}, "array reward: it has 2 rows, and episode has 3"),
        ({"reward": np.ones((3, 1))}, r"array reward: it has shape \[3, 1\]; 1 axes are needed"),
        ({"reward": np.array(["1", "2", "3"])}, "array reward: it holds <U1; numbers are needed"),
        ({"reward": np.array([1, None, 2], object)}, "array reward: it holds Python objects"),
        ({"episode": np.zeros(3, complex)}, "array episode: it holds complex128"),
        ({"reward": np.array([1, np.nan, 2])}, "row 1, array reward: '' is no finite number"),
        (
            {"features": np.array([[1, 2], [1, np.inf], [1, 1]]), "next_features": np.ones((3, 2))},
            r"row 1, array features\[1\]: 'inf' is no finite number",
        ),
        ({"features": np.ones((3, 1)), "initial_features": np.ones((0, 1))}, "initial_features: it is empty or holds"),
        ({"observation": None, "next_observation": np.ones(3)}, "array next_observation is there, and observation is"),
        ({"next_observation": np.ones((3, 2))}, "next_observation has shape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, changed, said):
    np.savez(tmp_path / "log.npz", **arrays(**changed))
    with pytest.raises(InputError, match=said):
        read_log(tmp_path / "log.npz")


def test_files_that_are_no_logs_are_refused(tmp_path, write):
    (tmp_path / "no.npz").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(InputError, match="cannot be read as npz"):
        read_log(tmp_path / "no.npz")
    (tmp_path / "no.npz").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="it is neither npz nor npy"):  # and not an advice to unpickle it
        read_log(tmp_path / "no.npz")
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(InputError, match="this is one array"):
        read_log(tmp_path / "one.npz")
    with pytest.raises(InputError, match="there is no such file"):
        read_log(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="write truncated or terminated"):
        read_log(write(), unfinished="cut")  # type: ignore[arg-type]


def test_a_log_is_told_from_sales_by_its_columns(write, tmp_path):
    assert is_log(str(write()))
    assert is_log("minari:some/thing-v0")
    assert not is_log(str(write(["a,2024-01-01,3"], "sku,date,units", "sales.csv")))
    assert not is_log(str(tmp_path / "absent.csv"))


def test_a_log_is_described(write):
    told = describe_log(read_log(write()))
    assert told["source"] == "log.csv"
    assert (told["rows"], told["episodes"], told["states"]) == (4, 2, 3)
    assert told["action_shares"] == [0.5, 0.5]
    assert told["reward"] == {"mean": 1.125, "least": 0.0, "largest": 2.0}


@pytest.fixture
def minari_dataset(tmp_path, monkeypatch):
    """Two episodes in a dataset of Minari's own making."""
    minari = pytest.importorskip("minari", reason="needs the extra minari")
    gym = pytest.importorskip("gymnasium")
    from minari.data_collector.episode_buffer import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))

    def episode(number, steps, infos, ended):
        return EpisodeBuffer(
            id=number, observations=np.arange(steps + 1), actions=np.zeros(steps, np.int64), rewards=[1.0] * steps,
            terminations=[False] * (steps - 1) + [ended], truncations=[False] * (steps - 1) + [not ended], infos=infos,
        )  # fmt: skip

    buffers = [
        episode(0, 2, {"behaviour_probability": np.array([0.0, 0.5, 0.25])}, True),
        episode(1, 3, {"behaviour_probability": np.array([0.0, 1.0, 1.0, 0.5])}, False),
    ]
    minari.create_dataset_from_buffers(
        "tiny/log-v0", buffers, action_space=gym.spaces.Discrete(3), observation_space=gym.spaces.Discrete(5),
        data_format="hdf5",
    )  # fmt: skip
    return tmp_path / "tiny" / "log-v0"


@pytest.mark.filterwarnings("ignore")
def test_a_minari_dataset_is_a_log(minari_dataset):
    by_name, by_folder = read_log("minari:tiny/log-v0"), read_log(minari_dataset)
    for log in (by_name, by_folder):
        assert (log.actions, log.episodes, len(log)) == (3, 2, 5)
        assert log.next_observation.tolist()[2:] == [1, 2, 3]
        assert log.behaviour_probability.tolist() == [0.5, 0.25, 1.0, 1.0, 0.5]  # not the reset's
        assert (log.terminated[1], log.truncated[4]) == (True, True)
    with pytest.raises(InputError, match="minari:tiny/none-v0: there is no such dataset in Minari's folder; fetch it"):
        read_log("minari:tiny/none-v0")
    with pytest.raises(InputError, match="this is no Minari dataset"):
        read_log(minari_dataset.parent)


def test_without_minari_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sandtable\[minari\]'"):
        read_log("minari:tiny/log-v0")
