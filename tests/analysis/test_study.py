import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sandtable.analysis.executor import InProcess, ProcessPool
from sandtable.analysis.report import render
from sandtable.analysis.store import Run, RunStore
from sandtable.analysis.study import (
    Claim,
    ClaimOutcome,
    Study,
    Sweep,
    UnavailableError,
    find_studies,
    find_study,
    judge,
    largest_finished,
    run_study,
    tabulate,
)
from sandtable.analysis.study_report import study_report
from sandtable.simulators.errors import InputError


@dataclass(frozen=True)
class Toss:
    coin: str
    seed: int


def grid(budget: str) -> list[Toss]:
    return [Toss(coin, seed) for coin in ("fair", "bent") for seed in range({"smoke": 1, "cpu": 3, "gpu": 9}[budget])]


def toss(config: Toss, run: Run) -> dict[str, Any]:
    run.write_text("note.txt", config.coin)
    return {"heads": 0.5 if config.coin == "fair" else 0.75 + 0.01 * config.seed, "cost": {"money": 0.0}}


def bent(table: pd.DataFrame) -> float:
    return table.heads[table.coin == "bent"].mean()


COINS = Study("coin-toss", "Tossing coins", "arXiv 0000.00000", "Coins are tossed.", grid, toss)


def claim(compute: Callable[[pd.DataFrame], float | None] = bent, **changes: Any) -> Claim:
    settings = {"statement": "bent coins show heads", "source": "table 1", "paper_value": 0.76, "tolerance": 0.02}
    return Claim(**{**settings, **changes}, compute=compute)


def outcome_of(claim: Claim, store: RunStore, study: Study = COINS, budget: str = "cpu") -> ClaimOutcome:
    (outcome,) = judge(replace(study, claims=(claim,)), store, budget)  # type: ignore[arg-type]
    return outcome


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """The finished runs of the cpu budget; tests only read it."""
    store = RunStore(tmp_path_factory.mktemp("runs"))
    assert run_study(COINS, "cpu", store, InProcess()) == Sweep(present=0, finished=6)
    return store


def test_what_is_there_is_not_run_again(store: RunStore) -> None:
    refuse = replace(COINS, run=lambda config, run: pytest.fail("was run"))
    assert run_study(refuse, "cpu", store, InProcess()) == Sweep(present=6, finished=0)


def test_budgets_share_the_runs_that_they_have_in_common(store: RunStore) -> None:
    assert run_study(COINS, "smoke", store, InProcess()) == Sweep(present=2, finished=0)


def test_another_version_is_other_runs(store: RunStore) -> None:
    assert not any(run.finished for _, run in replace(COINS, version=2).runs(store, "cpu"))


def test_a_killed_sweep_resumes(tmp_path: Path) -> None:
    store = RunStore(tmp_path)

    def kill(config: Toss, run: Run) -> dict[str, Any]:
        if config.coin == "bent":
            raise KeyboardInterrupt
        return toss(config, run)

    with pytest.raises(KeyboardInterrupt):
        run_study(replace(COINS, run=kill), "cpu", store, InProcess())
    assert len(store.finished("coin-toss")) == 3
    assert run_study(COINS, "cpu", store, InProcess()) == Sweep(present=3, finished=3)


def test_a_failure_is_kept_and_does_not_stop_the_sweep(tmp_path: Path) -> None:
    store = RunStore(tmp_path)

    def fall(config: Toss, run: Run) -> dict[str, Any]:
        if config == Toss("fair", 1):
            raise ArithmeticError("the coin stands on its edge")
        if config.coin == "bent":
            raise UnavailableError("there is no bent coin here")
        return toss(config, run)

    sweep = run_study(replace(COINS, run=fall), "cpu", store, InProcess())
    folder = store.run("coin-toss", Toss("fair", 1)).folder
    assert (sweep.finished, list(sweep.failed)) == (2, [folder])
    assert sweep.failed[folder] == "ArithmeticError: the coin stands on its edge"
    assert "Traceback" in (folder / "error.txt").read_text()
    assert set(sweep.unavailable.values()) == {"there is no bent coin here"}
    assert run_study(COINS, "cpu", store, InProcess()) == Sweep(present=2, finished=4)
    assert not (folder / "error.txt").exists()


@pytest.mark.parametrize("terminal", [True, False])
def test_on_a_terminal_the_slowest_replica_of_a_run_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    def long_toss(config: Toss, run: Run) -> dict[str, Any]:
        run.progress()(200, 1000, {"loss": [0.5, 0.75]})
        time.sleep(1)  # the display looks twice a second
        assert run.status() is not None
        return {"heads": 0.5}

    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "120")
    store = RunStore(tmp_path)
    one = replace(COINS, run=long_toss, grid=lambda budget: [Toss("fair", 0)])
    assert run_study(one, "cpu", store, InProcess()).finished == 1
    shown = capsys.readouterr().err
    if terminal:
        assert "Tossing coins" in shown
        assert "step 200 of 1,000, 2 of 2 replicas; the slowest, 1: loss 0.75" in shown
    else:
        assert shown == ""
    assert store.run(COINS.name, Toss("fair", 0)).status() is None


def test_processes_run_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\n"
        "class Square:\n"
        "    side: int\n"
        "def run(config, run):\n"
        "    return {'area': config.side ** 2, 'inverse': 1 / config.side}\n"
    )
    (tmp_path / "squares_of_a_test.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    squares = __import__("squares_of_a_test")
    study = replace(COINS, grid=lambda budget: [squares.Square(side) for side in range(4)], run=squares.run)
    store = RunStore(tmp_path / "runs")
    sweep = run_study(study, "cpu", store, ProcessPool(2))
    assert sweep.finished == 3
    assert list(sweep.failed.values()) == ["ZeroDivisionError: division by zero"]
    assert sorted(run.result()["area"] for run in store.finished(COINS.name)) == [1, 4, 9]
    assert all(run.attempts()[0]["wall_seconds"] >= 0 for run in store.finished(COINS.name))


def test_the_table_has_settings_and_metrics_by_dotted_name(store: RunStore) -> None:
    table = tabulate([run for _, run in COINS.runs(store, "cpu")])
    assert list(table.columns) == ["run", "coin", "seed", "heads", "cost.money"]
    assert list(table.seed) == [0, 1, 2, 0, 1, 2]


def test_a_run_may_give_several_rows(tmp_path: Path) -> None:
    run = RunStore(tmp_path).run("coin-toss", Toss("fair", 0))
    run.finish([{"replica": 0, "heads": 0.4}, {"replica": 1, "heads": math.nan}])
    table = tabulate([run])
    assert list(table.replica) == [0, 1]
    assert math.isnan(table.heads[1])


def test_a_metric_cannot_have_the_name_of_a_setting(tmp_path: Path) -> None:
    run = RunStore(tmp_path).run("coin-toss", Toss("fair", 0))
    run.finish({"seed": 3})
    with pytest.raises(ValueError, match="'seed'"):
        tabulate([run])


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "holds"),
        ({"paper_value": 0.5}, "fails"),
        ({"paper_value": 0.77, "tolerance": 0.0, "relation": "at least"}, "fails"),
        ({"paper_value": 0.77, "tolerance": 0.02, "relation": "at least"}, "holds"),
        ({"paper_value": 0.6, "tolerance": 0.0, "relation": "at least"}, "holds"),
        ({"paper_value": 0.6, "tolerance": 0.0, "relation": "at most"}, "fails"),
        ({"paper_value": 0.9, "tolerance": 0.0, "relation": "at most"}, "holds"),
    ],
)
def test_a_claim_is_held_against_the_runs(store: RunStore, changes: dict[str, Any], status: str) -> None:
    outcome = outcome_of(claim(**changes), store)
    assert outcome.status == status
    assert outcome.observed == pytest.approx(0.76)


def test_nan_fails_and_says_so(store: RunStore) -> None:
    for relation in ("within", "at least", "at most"):
        outcome = outcome_of(claim(lambda table: math.nan, relation=relation), store)
        assert (outcome.status, outcome.note) == ("fails", "the observed value is not a number")
        assert outcome.as_json()["observed"] is None


def test_what_cannot_be_computed_fails_and_says_why(store: RunStore) -> None:
    outcome = outcome_of(claim(lambda table: table.tails.mean()), store)
    assert outcome.status == "fails"
    assert "tails" in outcome.note


def test_a_claim_without_its_runs_is_not_run(store: RunStore) -> None:
    missing = outcome_of(claim(), store, budget="gpu")
    assert (missing.status, missing.observed, missing.note) == ("not run", None, "12 of 18 runs are missing")
    assert outcome_of(claim(lambda table: None), store).status == "not run"
    assert outcome_of(claim(needs=lambda config: config.coin == "gold"), store).status == "not run"


def test_a_claim_needs_its_own_runs_only(store: RunStore) -> None:
    outcome = outcome_of(claim(needs=lambda config: config.coin == "bent" and config.seed < 3), store, budget="gpu")
    assert outcome.status == "holds"


def test_the_json_of_a_claim_has_the_published_fields(store: RunStore) -> None:
    assert outcome_of(claim(), store).as_json() == {
        "study": "coin-toss",
        "statement": "bent coins show heads",
        "source": "table 1",
        "paper_value": 0.76,
        "tolerance": 0.02,
        "observed": pytest.approx(0.76),
        "budget": "cpu",
        "status": "holds",
    }


@pytest.mark.parametrize("changes", [{"tolerance": -1}, {"tolerance": math.inf}, {"paper_value": math.nan}])
def test_a_claim_states_finite_numbers(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=min(changes)):
        claim(**changes)


def test_the_largest_finished_budget_is_judged(store: RunStore, tmp_path: Path) -> None:
    assert largest_finished(COINS, store) == "cpu"
    assert largest_finished(COINS, RunStore(tmp_path)) == "cpu"


@pytest.mark.parametrize("name", ["Coin", "coin toss", "../coin", "coin-", ""])
def test_the_name_of_a_study_names_a_folder(name: str) -> None:
    with pytest.raises(ValueError, match="name must be"):
        replace(COINS, name=name)


def test_studies_are_found_by_being_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "studies_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name in ("zeta", "alpha"):
        source = f"from sandtable.analysis.study import Study\nSTUDY = Study({name!r}, '', '', '', list, dict)\n"
        (package / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert list(find_studies("studies_of_a_test")) == ["alpha", "zeta"]
    (package / "twice.py").write_text((package / "alpha.py").read_text())
    with pytest.raises(ValueError, match="two studies are called 'alpha'"):
        find_studies("studies_of_a_test")


def test_a_study_that_is_not_there_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no study is called 'no-such-study'"):
        find_study("no-such-study")


def test_listing_studies_imports_nothing_slow() -> None:
    slow = "torch pandas matplotlib scipy jinja2 rich"
    code = "import sys; from sandtable.analysis.study import find_studies; find_studies(); "
    code += f"print([name for name in {slow.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_report_of_a_study_says_how_many_claims_hold(store: RunStore) -> None:
    claims = (claim(), claim(paper_value=0.1, statement="wrong <b>"), claim(lambda table: None))
    report = study_report(replace(COINS, claims=claims), store, "cpu")
    assert report.answer == "1 of 2 checked claims hold; 1 not run."
    page = render(report)
    assert "wrong &lt;b&gt;" in page
    assert "Every finished run" in page


def test_the_report_of_a_study_says_what_is_missing(store: RunStore, tmp_path: Path) -> None:
    study = replace(COINS, claims=(claim(),))
    assert "12 of 18 runs are missing" in render(study_report(study, store, "gpu"))
    nothing = study_report(study, RunStore(tmp_path), "cpu")
    assert nothing.answer == "No claim has been checked yet: the runs are missing."
    assert "6 of 6 runs are missing" in render(nothing)
