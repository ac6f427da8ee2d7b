"""The files of recorded games."""

import bz2

import numpy as np
import pytest

from sandtable.envs.nethack.recording import Recording, ends_as_bzip2
from sandtable.simulators.errors import InputError


def test_the_end_of_a_bzip2_stream_is_found_at_any_bit(tmp_path):
    file = tmp_path / "game"
    rng = np.random.default_rng(0)
    for size in range(1, 60):
        whole = bz2.compress(rng.bytes(size))
        file.write_bytes(whole)
        assert ends_as_bzip2(file)
        file.write_bytes(whole[:-1])
        assert not ends_as_bzip2(file)
    file.write_bytes(b"")
    assert not ends_as_bzip2(file)
    assert not ends_as_bzip2(tmp_path / "none")


def test_recordings_in_one_folder_do_not_meet(tmp_path):
    some, others = (Recording(tmp_path / "new" / "folder", 400) for _ in range(2))
    names = [one.next_game().name for one in (some, others, some, others)]
    assert names == ["nle.1.0.ttyrec3.bz2", "nle.2.0.ttyrec3.bz2", "nle.1.1.ttyrec3.bz2", "nle.2.1.ttyrec3.bz2"]
    assert Recording(tmp_path / "new" / "folder", 400).next_game().name == "nle.3.0.ttyrec3.bz2"
    files = [f"nle.{n}.{kind}" for n in (1, 2, 3) for kind in ("logfile", "record", "xlogfile")]
    assert sorted(file.name for file in some.folder.iterdir()) == files


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for folder, said in ((tmp_path / "file", "cannot be written"), ("a\0b", "null"), (tmp_path / ("x" * 400), "400")):
        with pytest.raises(InputError, match=said):
            Recording(folder, 400).next_game()


def test_a_recording_that_was_cut_is_removed(tmp_path):
    recording = Recording(tmp_path, 400)
    recording.next_game().write_bytes(bz2.compress(b"a game")[:-3])
    with pytest.raises(InputError, match="disk full"):
        recording.finish()
    assert not recording.game.exists()
