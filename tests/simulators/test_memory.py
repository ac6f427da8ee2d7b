"""What cannot fit is refused, by the machine's memory and by a container's limit."""

import pytest

from sandtable.simulators import memory
from sandtable.simulators.errors import InputError


def test_memory_left_is_a_number_of_bytes_where_somebody_tells():
    left = memory.available_bytes()
    assert left is None or 0 < left < 2**60


def test_what_does_not_fit_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 3 * 2**30)
    memory.require_memory(2**30, "width = 10", "take less")
    with pytest.raises(InputError, match=r"width = 10 needs 4 GiB of memory, 3 are left; take less"):
        memory.require_memory(4 * 2**30, "width = 10", "take less")


def test_nothing_is_refused_where_nobody_tells(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    memory.require_memory(2**80, "width = 10", "take less")


def test_a_container_s_limit_counts_what_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert memory.available_bytes() == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available_bytes() != 600


def test_the_kernel_s_word_counts_before_all_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    whole = memory.available_bytes()
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   7 kB\n")
    assert memory.available_bytes() == 7 * 1024
    assert whole is None or whole > 2**20
