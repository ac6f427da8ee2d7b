import bz2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtable.simulators.nethack.bzip2_append import appended


@given(st.binary(max_size=500), st.binary(min_size=1, max_size=50), st.integers(1, 9))
def test_the_content_is_the_old_one_and_the_new_one_behind_it(content, more, level):
    assert bz2.decompress(appended(bz2.compress(content, level), more)) == content + more


def test_files_of_many_blocks_can_be_appended_to():
    content = bytes(range(256)) * 2_000
    assert bz2.decompress(appended(bz2.compress(content, 1), b"more")) == content + b"more"


def test_what_does_not_end_as_a_bz2_file_is_told():
    whole = bz2.compress(b"content" * 100)
    for broken in (b"", b"BZh9", whole[:-1], whole[:30], whole + b"x", b"no bz2 at all", whole[1:]):
        assert appended(broken, b"more") is None


def test_an_empty_or_a_large_addition_is_refused():
    for more in (b"", bytes(100_001)):
        with pytest.raises(ValueError, match="more must have 1 to 100,000 bytes"):
            appended(bz2.compress(b"content"), more)
