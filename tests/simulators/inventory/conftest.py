import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.sales_file import read_sales


@pytest.fixture
def sales(tmp_path):
    """Write text (or bytes) to a file, and read it."""

    def write_and_read(content, name="sales.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_sales(path, **options)

    return write_and_read


@pytest.fixture
def refusal(sales, tmp_path):
    """Return the message with which a file is refused, the folder cut off; it is one line."""

    def refuse(content, name="sales.csv", **options):
        with pytest.raises(InputError) as caught:
            sales(content, name, **options)
        message = str(caught.value)
        assert "\n" not in message
        return message.replace(f"{tmp_path}/", "")

    return refuse
