import pytest

from sandtable.simulators.errors import InputError, require_name


def test_an_unknown_name_is_answered_with_those_there_are_and_the_nearest():
    require_name("loss", "hinge", ["hinge", "square"])
    with pytest.raises(InputError, match=r"^loss 'hing': there are hinge, square; is it hinge\?$"):
        require_name("loss", "hing", ["hinge", "square"])
    with pytest.raises(InputError, match=r"^loss 3: there are hinge, square$"):
        require_name("loss", 3, iter(["hinge", "square"]))
