"""`pytest --nbval book` compares what a reader reads; see tests/notebooks/reading.py."""

import sys
from pathlib import Path

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/notebooks"))

import reading  # noqa: E402


class ReadCell(IPyNbCell):
    """A cell whose outputs are put in words before nbval compares them."""

    def compare_outputs(self, test, ref, skip_compare=None):
        stored = reading.stored_models(self.parent.nb)
        old, new = reading.sides(ref, test, stored, self.parent.models)
        return super().compare_outputs(new, old, skip_compare)


class ReadNotebook(IPyNbFile):
    """A notebook that keeps what its kernel says of the widgets; nbval does not listen
    to it.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.models = {}

    def get_kernel_message(self, timeout=None, stream="iopub"):
        message = super().get_kernel_message(timeout, stream)
        reading.heard(self.models, message)
        return message

    def collect(self):
        for cell in super().collect():
            yield ReadCell.from_parent(
                self,
                name=cell.name,
                cell_num=cell.cell_num,
                cell=cell.cell,
                options=cell.options,
            )


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    found = yield
    return [
        ReadNotebook.from_parent(parent, path=file_path)
        if isinstance(one, IPyNbFile)
        else one
        for one in found
    ]
