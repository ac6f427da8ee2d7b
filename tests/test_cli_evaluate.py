"""What a user types to evaluate a policy from a log, and what comes of it: files and a document, or one line."""

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from sandtable.analysis.ope.run_evaluation import identity
from sandtable.analysis.ope.settings import EvaluateSettings
from sandtable.cli import main
from sandtable.simulators.ope.linear_mdp import LinearMDP
from sandtable.simulators.ope.log_writer import write_log


class Said(NamedTuple):
    code: int
    out: str
    err: str


def sandtable(*arguments: str) -> Said:
    """Run a command in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([str(argument) for argument in arguments])
    return Said(code, out.getvalue(), err.getvalue())


def evaluated(*arguments: str) -> dict:
    said = sandtable("evaluate", *arguments, "--fqe-steps", "0", "--json")
    assert (said.code, said.err) == (0, "")
    assert said.out.count("\n") == 1
    return json.loads(said.out)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with two logs of a world and functions of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    write_log(LinearMDP("cobs-graph").sample(200, 4, "episodes"), "graph.csv")
    write_log(LinearMDP("R5", noise=0.5).sample(500, 1), "r5.npz")
    Path("mine.py").write_text(
        "import numpy as np\n"
        "def policy(state):\n    print('asked')\n    return np.tile([0.2, 0.8], (len(state), 1))\n"
        "def features(state): return np.eye(8)[state]\n"
        "def broken(state): return np.ones((len(state), 2))\n"
    )
    sys.modules.pop("mine", None)
    yield tmp_path
    sys.modules.pop("mine", None)


def test_a_log_on_which_fqi_diverges_gives_lstd_s_answer(folder):
    told = evaluated("r5.npz", "--discount", ".9")
    rows = {row["estimator"]: row for row in told["estimates"]}
    assert rows["fqi"]["status"] == "diverged"
    assert rows["fqi"]["value"] is None
    assert rows["lstd"]["ci"][0] < 0.5 < rows["lstd"]["ci"][1]
    assert told["diagnostics"]["spectral_radius"] == pytest.approx(1.8)
    assert told["diagnostics"]["iterations_to_1e-6"] is None
    assert (told["n"], told["episodes"], told["actions"], told["features"]) == (500, 500, 1, 2)


def test_the_run_holds_report_and_results_and_is_not_done_again(folder):
    told = evaluated("graph.csv", "--discount", ".98", "--features", "tabular", "--runs", "kept")
    report = Path(told["report"])
    assert report.is_relative_to("kept/evaluate")
    assert {path.name for path in report.parent.iterdir()} == {
        "config.json", "provenance.json", "result.json", "results.json", "report.html",
    }  # fmt: skip
    written = {path: path.stat().st_mtime_ns for path in Path("kept").rglob("*")}
    assert evaluated("graph.csv", "--discount", ".98", "--features", "tabular", "--runs", "kept") == told
    assert {path: path.stat().st_mtime_ns for path in Path("kept").rglob("*")} == written
    other = evaluated("graph.csv", "--discount", ".97", "--features", "tabular", "--runs", "kept")
    assert other["report"] != told["report"]


def test_the_words_end_with_answer_regime_and_report(folder):
    said = sandtable("evaluate", "graph.csv", "--discount", ".98", "--features", "tabular", "--fqe-steps", "0")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[-1].startswith("report: runs/evaluate/")
    assert any(line.startswith("The target policy is worth −1.") for line in lines)
    assert any(line.startswith("FQI converges here (spectral radius") for line in lines)
    assert "not run: fqe: left out by --fqe-steps 0" in lines


def test_functions_of_one_s_own_serve_and_what_they_print_does_not_mix(folder):
    said = sandtable("evaluate", "graph.csv", "--discount", ".98", "--target", "mine:policy", "--features",
                     "mine:features", "--ridge", "1e-6", "--fqe-steps", "0", "--json")  # fmt: skip
    told = json.loads(said.out)
    columns = evaluated("graph.csv", "--discount", ".98", "--features", "tabular")
    value = [one["estimates"][0]["value"] for one in (told, columns)]
    assert value[0] == pytest.approx(value[1], abs=1e-3)
    assert "asked" in said.err


@pytest.mark.slow
def test_other_questions_of_the_same_log(folder):
    states = evaluated("graph.csv", "--discount", ".98", "--features", "tabular", "--value", "v")
    assert states["features"] == 7
    random = evaluated("graph.csv", "--discount", ".98", "--features", "rff:6:1", "--target", "uniform",
                       "--ridge", "1e-4", "--alpha", ".1", "--bootstrap", "50", "--seed", "3")  # fmt: skip
    assert random["features"] == 12
    assert random["estimates"][0]["alpha"] == 0.1
    guessed = evaluated("graph.csv", "--discount", ".98", "--features", "tabular", "--behaviour", "estimate")
    assert any("behaviour probabilities by counts" in warning for warning in guessed["warnings"])


def test_a_log_of_probabilities_alone_serves_weighting(folder):
    rows = [
        f"{episode},{step},{action},{action},{int(step == 1)},0,0.5,{0.4 if action else 0.6}"
        for episode in range(40)
        for step, action in enumerate((episode % 2, episode // 2 % 2))
    ]
    head = "episode,step,action,reward,terminated,truncated,behaviour_probability,target_probability"
    Path("bare.csv").write_text("\n".join([head, *rows]) + "\n")
    told = evaluated("bare.csv", "--discount", "1")
    ran = [row["estimator"] for row in told["estimates"] if row["status"] != "not run"]
    assert (ran, told["features"]) == (["is", "wis", "pdis", "wpdis"], 0)
    assert [row["value"] for row in told["estimates"] if row["estimator"] in ran] == pytest.approx([0.8] * 4)
    assert set(told["diagnostics"].values()) == {None}
    said = sandtable("evaluate", "bare.csv", "--discount", "1", "--fqe-steps", "0")
    assert "by WIS from 40 episodes" in said.out
    assert "No value is fitted: the log holds neither states nor features" in said.out


def test_another_version_of_the_computation_is_another_run(folder, monkeypatch):
    told = evaluated("r5.npz", "--discount", ".9")
    monkeypatch.setattr("sandtable.analysis.ope.run_evaluation.VERSION", 10**6)
    assert evaluated("r5.npz", "--discount", ".9")["report"] != told["report"]


def test_files_of_one_name_in_two_parts_of_a_folder_both_name_the_run(tmp_path):
    for part in ("a", "b"):
        (tmp_path / "log" / part).mkdir(parents=True)
        (tmp_path / "log" / part / "data").write_text(part)
    digests = identity(str(tmp_path / "log"), EvaluateSettings(0.9))["sha256"]
    assert set(digests) == {"target", "log/a/data", "log/b/data"}


def refused(*arguments: str) -> str:
    """Return the one line with which a command refuses its input, after making sure that it left nothing behind."""
    said = sandtable(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.count("\n") == 1
    assert not Path("runs").exists()
    return said.err.removeprefix("sandtable: ").strip()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("graph.csv", "--discount"),
        ("graph.csv --discount 1.5", "--discount: 1.5 is not in [0, 1]"),
        ("graph.csv --discount .9 --bootstrap 1", "--bootstrap: 1 is not at least 20"),
        ("graph.csv --discount .9 --value w", "'w'"),
        ("graph.csv --discount .9 --behaviour guess", "'guess'"),
        ("graph.csv --discount .9 --unfinished maybe", "'maybe'"),
        ("graph.csv --discount .9 --features rff:0:1", "--features rff:0:1: the count must be at least 1"),
        ("graph.csv --discount .9 --features nosuch:f", "--features nosuch:f: there is no module nosuch"),
        ("graph.csv --discount .9 --features mine:absent", "mine has no function absent"),
        ("graph.csv --discount .9 --target nosuch:f", "--target nosuch:f: there is no module nosuch"),
        ("graph.csv --discount .9 --target mine:broken", "mine:broken, row 2 of graph.csv: it returned [1, 1]"),
        ("graph.csv --discount .9 --target sb3:PPO:mine.py", "pass --trust"),
        ("absent.csv --discount .9", "absent.csv: there is no such file"),
        ("mine.py --discount .9", "mine.py"),
        ("r5.npz --discount .9 --features tabular", "their starts are known in the log's own features alone"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(folder, arguments, said):
    assert said in refused("evaluate", *arguments.split())


def test_a_bad_row_is_refused_with_its_place(folder):
    lines = Path("graph.csv").read_text().splitlines()
    lines[5] = lines[5].replace(",", ",x", 3).replace("x", "", 2)
    cells = lines[5].split(",")
    cells[3] = "nan"
    Path("bad.csv").write_text("\n".join([*lines[:5], ",".join(cells), *lines[6:]]) + "\n")
    for command in (("evaluate", "bad.csv", "--discount", ".9"), ("data", "check", "bad.csv")):
        assert refused(*command).startswith("bad.csv, row 6, column reward: '' is no finite number")


def test_episodes_without_an_end_are_refused_or_resolved(folder):
    rows = [f"{e},{t},0,{e % 3},{t}" for e in range(30) for t in range(3)]
    Path("open.csv").write_text("\n".join(["episode,step,action,reward,state", *rows]) + "\n")
    assert "row 4: episode 0 ends here, and neither terminated" in refused("evaluate", "open.csv", "--discount", ".9")
    cut = evaluated("open.csv", "--discount", ".5", "--unfinished", "truncated")
    ended = evaluated("open.csv", "--discount", ".5", "--unfinished", "terminated")
    assert (cut["n"], ended["n"]) == (60, 90)
    assert any("30 unfinished episodes was left out" in warning for warning in cut["warnings"])


def test_data_describes_a_log_and_still_sales(folder):
    told = json.loads(sandtable("data", "describe", "graph.csv", "--json").out)
    assert (told["rows"], told["episodes"], told["actions"]) == (800, 200, 2)
    assert json.loads(sandtable("data", "check", "r5.npz", "--json").out)["warnings"] == []
    Path("sales.csv").write_text("sku,date,units\n" + "".join(f"a,2024-01-{d:02d},3\n" for d in range(1, 30)))
    assert "repairs" in json.loads(sandtable("data", "check", "sales.csv", "--json").out)


def test_minari_datasets_are_logs_of_the_command(folder, monkeypatch):
    minari = pytest.importorskip("minari", reason="needs the extra minari")
    import gymnasium as gym
    from minari.data_collector.episode_buffer import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder))
    buffers = [
        EpisodeBuffer(
            id=e, observations=np.array([0, 1, 0]), actions=np.array([e % 2, e // 2 % 2]), rewards=[1.0, 0.5],
            terminations=[False, True], truncations=[False, False],
            infos={"behaviour_probability": np.array([0.5, 0.5])},
        )
        for e in range(40)
    ]  # fmt: skip
    with contextlib.suppress(Warning):
        minari.create_dataset_from_buffers(
            "tiny-v0", buffers, action_space=gym.spaces.Discrete(2), observation_space=gym.spaces.Discrete(2),
            data_format="hdf5",
        )  # fmt: skip
    told = evaluated("minari:tiny-v0", "--discount", ".9", "--target", "uniform")
    assert told["estimates"][0]["value"] == pytest.approx(1 + 0.9 * 0.5)
    assert evaluated("tiny-v0", "--discount", ".9", "--target", "uniform")["n"] == 80
