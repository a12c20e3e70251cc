"""What can be done with a Tensor, against PyTorch."""

import pytest

pytest.register_assert_rewrite("methods.agreement")
