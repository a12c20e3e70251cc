"""PyTorch without what its seeding does for GPUs."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def seeding_is_cheap():
    """The same numbers. PyTorch's own notes the whole stack as text, for each kind of GPU
    that is not there, and its samples seed before each of them.
    """
    torch = pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "manual_seed", torch.default_generator.manual_seed)
        yield
