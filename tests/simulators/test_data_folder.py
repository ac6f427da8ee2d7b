import pytest

from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.errors import InputError


def test_data_folder_is_the_one_that_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("SANDTABLE_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.setenv("SANDTABLE_DATA", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"SANDTABLE_DATA: .* is not a folder; correct or unset it"):
        data_folder()
