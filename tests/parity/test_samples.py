"""PyTorch's own samples of its operations give here what they give there."""

from collections import Counter

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's samples need expecttest")

FLAT = (
    "composed here of operations that are linear: the gradient does not ask for one of its "
    "own, which in PyTorch would be 0"
)
DIFFERENCES = {
    "topk": "of equal values, either may come first",
    "__rmod__": FLAT,
    **dict.fromkeys(
        (
            *("nn_functional_conv1d", "nn_functional_conv2d", "nn_functional_conv3d"),
            *("nn_functional_conv_transpose1d", "nn_functional_conv_transpose2d"),
        ),
        "the second gradient by what is linear is 0, in PyTorch None",
    ),
    "nn_functional_grid_sample": FLAT,
    "nn_functional_batch_norm": FLAT,
}
"""Operations that differ, and in what."""


@pytest.mark.slow  # the samples alone take ten seconds to be imported
def test_operations_give_what_those_of_pytorch_give():
    from . import samples  # with seconds of imports

    outcomes, differing = Counter(), {}
    for entry in samples.operations():
        for form in samples.forms_of(entry):
            for dtype in samples.DTYPES:
                for sample in samples.samples_of(entry, dtype):
                    found = samples.compare(entry, form, sample)
                    outcomes[found.outcome] += 1
                    if found.outcome == "differs":
                        why = f"{form}, {dtype}: {found.why}"
                        differing.setdefault(entry.formatted_name, why)
    assert {k: why for k, why in differing.items() if k not in DIFFERENCES} == {}
    assert outcomes["equal"] > 5 * (outcomes["refused"] + outcomes["unknown"])
    # what differs no longer leaves the list
    assert differing.keys() == DIFFERENCES.keys()
