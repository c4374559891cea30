"""The device that stands for a GPU refuses what a GPU refuses, and lets pass what it
lets pass.
"""

import pytest
import second_device
import torch

import implicit_bias as ib
from implicit_bias.margin import kkt


@pytest.fixture(autouse=True)
def place():
    with second_device.second_device() as device:
        yield device


def test_tensors_of_two_devices_do_not_meet(place):
    there = torch.ones(3, 3, device=place)
    with pytest.raises(RuntimeError, match="same device"):
        there + torch.ones(3, 3)
    with pytest.raises(RuntimeError, match="same device"):
        torch.stack([there, torch.ones(3, 3)])
    with pytest.raises(RuntimeError, match="same device"):
        there[0] = torch.ones(3)


def test_numbers_copies_and_indices_cross(place):
    there = torch.zeros(3, 3, device=place)
    assert (there + torch.tensor(2.0)).device == place
    there.copy_(torch.ones(3, 3))
    there[0] = 5.0
    there.diagonal().add_(1)
    assert there.cpu().tolist() == [[6, 5, 5], [1, 2, 1], [1, 1, 2]]
    assert there[torch.tensor([1])].device == place
    assert there.cpu().device.type == "cpu" and there.to("cpu").device.type == "cpu"
    assert torch.ones(3).to(there).device == place


@pytest.mark.parametrize("make", [torch.zeros, torch.ones, torch.empty])
def test_factories_make_tensors_there(make, place):
    assert make(2, device=place).device == place
    assert make(2).device.type == "cpu"
    assert torch.tensor([1.0], device=place).device == place
    assert torch.as_tensor(1.0, device=place).device == place


def test_there_is_no_memory_to_share(place):
    with pytest.raises(TypeError, match="numpy"):
        torch.ones(2, device=place).numpy()
    with pytest.raises(TypeError, match="numpy"):
        torch.ones(2, device=place).__array__()


def test_a_tensor_left_on_the_processor_is_noticed(place, monkeypatch):
    """One forgotten ``.to(device)`` in the library fails as it would on a GPU."""
    data = ib.data.gaussian(5, 40, seed=1, space="full").to(place)
    monkeypatch.setattr(kkt, "class_slopes", _on_the_processor(kkt.class_slopes))
    with pytest.raises(RuntimeError, match="same device"):
        ib.kkt_point(data, 3, 3, 0.9)


def _on_the_processor(function):
    def forgetful(*args):
        return tuple(part.cpu() for part in function(*args))

    return forgetful
