"""What holds in every test of autograd: nothing stays switched on."""

import pytest

from tinygrad_cnn import is_grad_enabled
from tinygrad_cnn.core import recording


@pytest.fixture(autouse=True)
def modes_are_left_as_they_were():
    yield
    assert is_grad_enabled()
    assert recording.backward_observer.get() is None
