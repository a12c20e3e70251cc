"""PyTorch's own samples of its operations and modules give here what they give there."""

import itertools
from collections import Counter

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's samples need expecttest")

FLAT = (
    "composed here of operations that are linear: the gradient does not ask for one of its "
    "own, which in PyTorch would be 0"
)
UNUSED = "the second gradient by what is linear is 0, in PyTorch None"
DIFFERENCES = {
    **dict.fromkeys(
        ("topk", "kthvalue", "sort", "argsort"),
        "of equal values, either may come first",
    ),
    "nn_functional_scaled_dot_product_attention": "the numbers that dropout draws",
    "normal_in_place": "PyTorch's form here draws into its first argument",
    "nn_functional_normalize": "of p = 0 the second gradient is 0, in PyTorch None",
    **dict.fromkeys(
        (
            *("nn_functional_conv1d", "nn_functional_conv2d", "nn_functional_conv3d"),
            *("nn_functional_conv_transpose1d", "nn_functional_conv_transpose2d"),
        ),
        UNUSED,
    ),
    "nn_functional_grid_sample": FLAT,
    "nn_functional_hardsigmoid": "PyTorch takes the sixth of its slope from float32",
    "nn_functional_layer_norm": FLAT,
    "copysign": "the second gradient is None, in PyTorch 0",
    "quantile": FLAT,
    **dict.fromkeys(
        (
            *("norm", "linalg_norm", "linalg_norm_subgradients_at_zero"),
            "linalg_vector_norm",
        ),
        "of p = 0 the gradient is 0, in PyTorch None",
    ),
}
"""Operations that differ, and in what."""

OF_MODULES = {
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"), FLAT),
    **dict.fromkeys(("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"), UNUSED),
    **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d"), UNUSED),
    **dict.fromkeys(("ConvTranspose1d", "ConvTranspose2d"), UNUSED),
    **dict.fromkeys(("LazyConv2d", "LazyConvTranspose2d"), UNUSED),
    **dict.fromkeys(("LayerNorm", "Transformer"), FLAT),
    **dict.fromkeys(("TransformerEncoderLayer", "TransformerDecoderLayer"), FLAT),
}
"""Modules that differ, and in what."""

NOT_REFUSED = {
    "nn_functional_max_pool1d": "images (0, L), of which there are none",
    "nn_functional_max_pool3d": "a volume without channels",
    "NLLLoss": "weights of another dtype, which are taken to that of the input",
    "HuberLoss": "a complex delta, before it is used",
}
"""What PyTorch refuses, and is not refused here."""


PARTS = 4
"""Operations are gone through in so many, which processes share."""


def operations(part=slice(None), first_only=False):
    """(entry, what came of it) for each sample of each operation, or of some of them."""
    from . import samples  # with seconds of imports

    for entry in samples.operations()[part]:
        forms = list(samples.forms_of(entry))[: 1 if first_only else None]
        for form, dtype in itertools.product(forms, samples.DTYPES):
            for sample in samples.samples_of(entry, dtype):
                found = samples.compare(entry, form, sample)
                yield entry.formatted_name, f"{form}, {dtype}", found
                if first_only:
                    break
            if first_only:
                break


def modules(first_only=False):
    """The same for modules, in training and in evaluation."""
    from . import module_samples as samples

    for entry in samples.modules():
        for dtype, training in itertools.product(samples.DTYPES, (True, False)):
            for sample in samples.samples_of(entry, dtype, training):
                found = samples.compare(entry, dtype, training, sample)
                yield samples.name_of(entry), f"{dtype}, training {training}", found
                if first_only:
                    break
            if first_only:
                break


def errors():
    """The same for what PyTorch says that its operations and modules refuse."""
    from . import module_samples, samples

    for entry in samples.operations():
        for sample in samples.errors_of(entry):
            yield entry.formatted_name, "error", samples.compare_error(entry, sample)
    for entry in module_samples.modules():
        for sample in module_samples.errors_of(entry):
            found = module_samples.compare_error(entry, sample)
            yield module_samples.name_of(entry), "error", found


def summed_up(comparisons):
    """How often each outcome came, and why those differ that do, by name."""
    outcomes, differing = Counter(), {}
    for name, where, found in comparisons:
        outcomes[found.outcome] += 1
        if found.outcome == "differs":
            differing.setdefault(name, f"{where}: {found.why}")
    return outcomes, differing


def beyond(differing, known):
    return {name: why for name, why in differing.items() if name not in known}


def test_the_first_sample_of_each_operation_and_module_is_equal():
    _, differing = summed_up(operations(first_only=True))
    assert beyond(differing, DIFFERENCES) == {}
    _, differing = summed_up(modules(first_only=True))
    assert beyond(differing, OF_MODULES) == {}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_operations_give_what_those_of_pytorch_give(part):
    from . import samples

    some = slice(part, None, PARTS)
    outcomes, differing = summed_up(operations(some))
    assert beyond(differing, DIFFERENCES) == {}
    assert outcomes["equal"] > 5 * (outcomes["refused"] + outcomes["unknown"])
    # What is mended leaves the list.
    tried = {entry.formatted_name for entry in samples.operations()[some]}
    assert differing.keys() == DIFFERENCES.keys() & tried


@pytest.mark.slow
def test_modules_give_what_those_of_pytorch_give():
    outcomes, differing = summed_up(modules())
    assert beyond(differing, OF_MODULES) == {}
    assert outcomes["equal"] > 5 * (outcomes["refused"] + outcomes["unknown"])
    assert differing.keys() == OF_MODULES.keys()


def test_every_known_difference_is_of_something_that_is_tried():
    from . import module_samples, samples

    assert DIFFERENCES.keys() <= {e.formatted_name for e in samples.operations()}
    assert OF_MODULES.keys() <= {*map(module_samples.name_of, module_samples.modules())}


@pytest.mark.slow
def test_what_pytorch_refuses_is_refused():
    _, differing = summed_up(errors())
    assert beyond(differing, NOT_REFUSED) == {}
    assert differing.keys() == NOT_REFUSED.keys()
