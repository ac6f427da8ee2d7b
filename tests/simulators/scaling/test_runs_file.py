"""RUNS.csv: what is read, what is computed, what is left out and why, what is refused and in which row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.runs_file import read_runs


@pytest.fixture
def read(tmp_path):
    def read(text, **settings):
        path = tmp_path / "runs.csv"
        path.write_text(text, encoding="utf-8")
        return read_runs(path, **settings)

    return read


def codes(file):
    return [finding.code for finding in file.warnings]


def test_names_ignore_case_space_and_hyphen(read):
    file = read("N-Params,Tokens,Final Loss,Mean-Return,Arch,node\n10,20,3,7,gpt,a\n11,21,2,8,gpt,b\n")
    assert file.columns == {
        "parameters": "n-params",
        "data": "tokens",
        "loss": "final loss",
        "return": "mean-return",
        "group": "arch",
    }
    assert file.runs.parameters.tolist() == [10, 11]
    assert file.runs.returns.tolist() == [7, 8]
    assert file.labels("node", file.runs.rows).tolist() == ["a", "b"]
    assert file.labels("group", file.runs.rows).tolist() == ["gpt", "gpt"]
    with pytest.raises(InputError, match="there is no column rack"):
        file.labels("rack", file.runs.rows)


@pytest.mark.parametrize(
    ("header", "both"), [("N,params", "n and params"), ("loss,val-loss", "loss and val-loss"), ("loss,loss", "2 times")]
)
def test_two_names_for_one_column_are_refused(read, header, both):
    with pytest.raises(InputError, match=both):
        read(f"{header},flops\n1,2,3\n")


def test_units_are_declared_and_never_guessed(read):
    text = "params_millions,tokens,loss,loss_se\n10,2,3,.1\n20,3,2,.1\n"
    file = read(text, units={"D": 1e9}, loss_unit="bits")
    assert file.runs.parameters.tolist() == [1e7, 2e7]
    assert file.runs.data.tolist() == [2e9, 3e9]
    assert file.runs.loss == pytest.approx(np.log(2) * np.array([3, 2]))
    assert file.runs.loss_se == pytest.approx(np.log(2) * 0.1 * np.ones(2))
    with pytest.raises(InputError, match="names its unit already"):
        read(text, units={"N": 2})
    with pytest.raises(InputError, match="no such column"):
        read(text, units={"flops": 2})
    with pytest.raises(InputError, match="loss unit 'bit'"):
        read(text, loss_unit="bit")


@given(st.integers(1, 10**9), st.integers(1, 10**12), st.sampled_from(["parameters", "data", "flops"]))
def test_the_missing_third_follows_from_the_other_two(tmp_path_factory, size, data, missing):
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    values = {"parameters": size, "data": data, "flops": 5 * size * data}
    kept = [name for name in values if name != missing]
    path.write_text(",".join([*kept, "loss"]) + "\n" + ",".join([*(str(values[name]) for name in kept), "1.5"]) + "\n")
    file = read_runs(path, flops_factor=5)
    assert getattr(file.runs, missing)[0] == pytest.approx(values[missing])
    assert file.ratio is None


def test_with_all_three_the_ratio_is_reported_and_nothing_is_changed(read):
    file = read("N,D,C,loss\n10,10,600,3\n10,20,1500,2\n10,30,,2\n")
    assert file.runs.flops.tolist() == [600, 1500, 1800]
    assert file.ratio == pytest.approx((1.0, 1.0, 1.25))
    assert codes(file) == []
    file = read("N,D,C,loss\n10,10,600,3\n10,20,1500,2\n10,30,2400,2\n")
    assert [(one.code, one.rows) for one in file.warnings] == [("flops_mismatch", (4,))]
    assert "1.33 to 1.33 times 6 x parameters x data in row 4" in file.warnings[0].message


def test_a_curve_is_ordered_by_step_and_its_last_row_is_the_run(read):
    file = read("run,step,N,tokens,loss\na,2,5,20,2\nb,1,7,10,4\na,1,5,10,3\nb,2,7,20,3\na,0,5,0,9\n")
    assert file.curves.rows.tolist() == [4, 2, 3, 5]
    assert file.runs.rows.tolist() == [2, 5]
    assert file.runs.budget.tolist() == [0, 1]
    assert [tuple(one) for one in file.dropped] == [(6, "no data was seen yet")]


def test_data_that_goes_down_names_the_rows(read):
    with pytest.raises(InputError, match="row 4: data goes down along run a"):
        read("run,step,N,tokens,loss\na,1,5,20,2\na,2,5,30,2\na,3,5,10,2\n")
    assert read("run,step,N,tokens,loss\na,1,5,20,2\na,2,5,20,2\n").curves is not None
    with pytest.raises(InputError, match="rows 2, 3: parameters varies within run a"):
        read("run,step,N,tokens,loss\na,1,5,20,2\na,2,6,30,2\n")
    with pytest.raises(InputError, match="no step"):
        read("run,N,tokens,loss\na,5,20,2\na,5,30,2\n")


def test_seeds_of_one_run_are_runs_of_their_own(read):
    file = read("run,seed,step,N,D,loss\na,0,1,5,20,2\na,1,1,5,20,2.1\n")
    assert file.curves is None
    assert len(file.runs) == 2


def test_diverged_runs_are_left_out_listed_and_counted(read):
    file = read("N,D,loss,status\n1,2,3,finished\n1,2,nan,Diverged\n1,3,2,\n")
    assert file.runs.rows.tolist() == [2, 4]
    assert file.dropped == ((3, "the run diverged"),)
    assert [(one.code, one.rows) for one in file.warnings] == [("diverged_rows", (3,))]
    assert codes(read("N,D,loss,status\n1,2,3,finished\n1,3,2,\n")) == []


def test_stopped_runs_serve_the_curves_alone(read):
    text = "run,step,N,D,loss,status\na,1,5,10,3,stopped\na,2,5,20,2,stopped\nb,1,7,10,3,\nb,2,7,20,2,finished\n"
    file = read(text)
    assert file.curves.rows.tolist() == [2, 3, 4, 5]
    assert file.runs.rows.tolist() == [5]
    assert file.dropped[0].row == 3
    assert "approach1 alone" in file.dropped[0].reason


def test_an_unknown_status_names_its_rows(read):
    with pytest.raises(InputError, match=r"rows 2, 4: unknown status 'killed'; it must be one of finished, diverged"):
        read("N,D,loss,status\n1,2,3,killed\n1,2,3,\n2,2,3,lost\n")


def test_rows_that_repeat_another_are_dropped_and_replicates_are_kept(read):
    file = read("N,D,loss,seed\n1,2,3,0\n1,2,3,0\n1,2,3.1,1\n")
    assert file.runs.rows.tolist() == [2, 4]
    assert file.dropped == ((3, "the same as row 2 in every column"),)
    assert codes(file) == ["duplicate_rows"]
    assert codes(read("N,D,loss,seed\n1,2,3,0\n1,2,3,1\n")) == []
    file = read("N,D,loss,seed\n1,2,3,0\n1,2,3.1,0\n")
    assert [(one.code, one.rows) for one in file.warnings] == [("duplicate_rows", (2, 3))]
    assert len(file.runs) == 2


def test_a_step_that_comes_twice_counts_once(read):
    file = read("run,step,N,D,loss\na,1,5,10,3\na,1,5,10,2.9\na,2,5,20,2\n")
    assert file.curves.rows.tolist() == [3, 4]
    assert codes(file) == ["duplicate_rows"]


def test_a_leap_between_values_is_told(read):
    text = "N,D,loss\n1e7,1e9,3\n2e7,2e9,2\n{},3e9,2\n"
    assert [(one.code, one.rows) for one in read(text.format(30)).warnings] == [("mixed_units", (4,))]
    assert codes(read(text.format(2e10))) == ["mixed_units"]
    assert codes(read(text.format(1.9e10))) == []


def test_losses_read_in_the_middle_of_a_schedule_are_told(read):
    text = "N,D,loss,data_planned\n1,100,3,100\n2,{},2,200\n"
    assert [(one.code, one.rows) for one in read(text.format(180)).warnings] == [("mixed_schedule", (3,))]
    assert codes(read(text.format(192))) == []


def test_repeated_data_is_told(read):
    text = "N,D,loss,data_unique\n1,100,3,100\n2,{},2,150\n"
    assert [(one.code, one.rows) for one in read(text.format(300)).warnings] == [("repeated_data", (3,))]
    assert codes(read(text.format(150))) == []


def test_budgets_are_those_of_the_column_or_of_the_gaps_in_compute_group_by_group(read):
    text = "C,N,loss{}\n1e18,10,3{}\n1.04e18,20,2{}\n1e19,10,1{}\n1.08e18,10,1{}\n"
    assert read(text.format("", "", "", "", "")).runs.budget.tolist() == [0, 0, 1, 0]
    assert read(text.format(",isoflop", ",a", ",b", ",c", ",b")).runs.budget.tolist() == [0, 1, 2, 1]
    assert read(text.format(",arch", ",x", ",y", ",x", ",x")).runs.budget.tolist() == [0, 0, 2, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("N,D,loss\n1,2,3\n1,2,0\n1,3,-1\n", "rows 3, 4: loss must be above 0"),
        ("N,D,loss\n1,2,3\n0,2,1\n", "row 3: n must be above 0"),
        ("N,D,loss\n1,2,3\n1e6,2,ten\n", "row 3: column loss must hold numbers, not 'ten'"),
        ("N,D,loss,loss_se\n1,2,3,-1\n", "row 2: loss_se must be at least 0"),
        ("N,D,loss\n1,2,inf\n", "row 2: loss must be above 0 and finite"),
        ("N,D,loss\n", "no rows below the header"),
        ("N,D,loss\n1,2,\n", "no row can be used .row 2: loss is not known"),
        ("flop,lloss\n1,2\n", "rename flop to flops; rename lloss to loss"),
        ("N,D,loss,status\n1,2,3,stopped\n", "every run was stopped early"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_rows(read, text, message):
    with pytest.raises(InputError, match=message):
        read(text)


def test_rows_with_blanks_are_dropped_by_line_and_the_rest_is_used(read):
    file = read("N,D,loss,return\n1,2,3,5\n,,,\n1,2,,6\n1,,2,7\n2,3,1,\n")
    assert file.rows == 4
    assert file.runs.rows.tolist() == [2, 6]
    assert [tuple(one) for one in file.dropped] == [(4, "loss is not known"), (5, "data is not known")]
    assert np.isnan(file.runs.returns[1])


@pytest.mark.parametrize("text", ["loss,return\n1,2\n2,1\n", "flops,score\n1,2\n2,1\n", "C,N\n1e3,2\n2e3,4\n"])
def test_tables_that_serve_a_single_law_are_read(read, text):
    assert len(read(text).runs) == 2


CELLS = st.sampled_from(["", "1", "2.5", "-1", "0", "nan", "inf", "x", "diverged", "stopped", "1e9", " 3 ", "finished"])
NAMES = st.sampled_from(["N", "tokens", "C", "loss", "R", "run", "step", "seed", "status", "budget", "arch", "loss se"])


@given(st.lists(NAMES, min_size=1, max_size=8, unique=True), st.data())
def test_whatever_the_cells_hold_the_table_is_read_or_refused_in_one_line(tmp_path_factory, names, data):
    cells = st.lists(CELLS, min_size=len(names), max_size=len(names))
    lines = data.draw(st.lists(cells, min_size=1, max_size=6))
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    path.write_text("\n".join(",".join(line) for line in [names, *lines]) + "\n")
    try:
        file = read_runs(path)
    except InputError as error:
        message = str(error)
    else:
        message = ""
    assert "\n" not in message
    if message:
        return
    used = set(file.runs.rows.tolist()) | (set(file.curves.rows.tolist()) if file.curves is not None else set())
    left_out = {one.row for one in file.dropped}
    assert used | left_out >= set(range(2, 2 + len(lines))) - _blank(lines)
    assert len(file.runs) + len(left_out) <= file.rows or file.curves is not None
    for name in ("parameters", "data", "flops", "loss"):
        if getattr(file.runs, name) is not None:
            assert (np.isfinite(getattr(file.runs, name)) & (getattr(file.runs, name) > 0)).all()


def _blank(lines):
    return {row for row, line in enumerate(lines, start=2) if all(cell in ("", "nan") for cell in line)}
