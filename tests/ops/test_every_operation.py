"""What holds for every registered operation, on the examples that `cases` draws."""

import numpy as np
import oracles
from cases import CASES, LAYOUTS, is_array, leaf_on
from each import for_each

from tinygrad_cnn import autograd
from tinygrad_cnn.ops import registry

DTYPES = np.float32, np.float64
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}

every_case = for_each("case", CASES, ids=str)


def assert_close(found, expected, tolerance):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_every_operation_has_a_case():
    assert {case.op.__name__ for case in CASES} == set(registry)


@for_each("op", registry.values(), ids=registry)
def test_every_input_has_a_gradient_rule_or_is_declared_constant(op):
    assert set(op.rules) == set(op.inputs) - set(op.constant)


@every_case
def test_the_result_equals_the_oracle(case, for_drawn):
    @for_drawn(12)
    def _(d):
        d.dtype = np.dtype(d.of(DTYPES))
        example = case.draw(d)
        y = example.result()
        assert y.dtype == getattr(example.op, "dtype", d.dtype)
        assert y.shape == np.shape(example.expected())
        assert_close(y, example.expected(), TOLERANCE[d.dtype.name])


@every_case
def test_the_gradient_equals_central_differences(case, for_drawn):
    @for_drawn(10)
    def _(d):
        example = case.draw(d)
        g = example.cotangent()
        inputs = example.differentiated()
        slopes = oracles.partial_derivatives(
            lambda *xs: [example.with_differentiated(xs).result()], inputs, [g], d.rng
        )
        for found, (at, slope) in zip(example.gradients(g), slopes, strict=True):
            np.testing.assert_allclose(found.flat[at], slope, rtol=1e-6, atol=1e-9)


@every_case
def test_the_gradient_of_the_gradient_equals_central_differences(case, for_drawn):
    @for_drawn(6)
    def _(d):
        example = case.draw(d)
        g = example.cotangent()
        inputs = example.differentiated()
        weights = [d.rng.uniform(0.5, 1.5, x.shape) for x in inputs]

        def gradients(*arrays):
            *xs, g = arrays
            return example.with_differentiated(xs).gradients(g)

        slopes = oracles.partial_derivatives(
            gradients, [*inputs, g], weights, d.rng, most=8
        )
        second = example.second_gradients(g, weights)
        for found, (at, slope) in zip(second, slopes, strict=True):
            np.testing.assert_allclose(found.flat[at], slope, rtol=1e-5, atol=1e-8)


@for_each("case", [c for c in CASES if c.linear], ids=str)
def test_linear_operations_satisfy_the_adjoint_identity(case, for_drawn):
    """⟨Jv, g⟩ = ⟨v, Jᵀg⟩, where Jv = f(v) − f(0) in the one input."""

    @for_drawn(8)
    def _(d):
        example = case.draw(d)
        g, v, y = example.cotangent(), example.differentiated(), example.result()
        for k, (i, back) in enumerate(
            zip(example.wrt, example.gradients(g), strict=True)
        ):
            if example.name(i) in case.linear:
                zeroed = example.with_differentiated([*v[:k], 0 * v[k], *v[k + 1 :]])
                forward, backward = (y - zeroed.result()) * g, v[k] * back
                size = np.sum(np.abs(forward)) + np.sum(np.abs(y * g))
                assert abs(np.sum(forward) - np.sum(backward)) <= 1e-13 * size


@every_case
def test_gradients_on_tensors_equal_those_on_arrays(case, for_drawn):
    @for_drawn(4)
    def _(d):
        example = case.draw(d)
        g = example.cotangent()
        pairs = zip(example.gradients(g), example.gradients(g, True), strict=True)
        for on_arrays, on_tensors in pairs:
            assert_close(on_tensors, on_arrays, 1e-12)


@every_case
@for_each("dtype", DTYPES)
def test_gradients_of_both_orders_keep_shape_and_dtype(case, dtype, for_drawn):
    @for_drawn(3, dtype=dtype)
    def _(d):
        example = case.draw(d)
        g = example.cotangent()
        inputs = example.differentiated()
        kinds = [(x.shape, x.dtype) for x in [*inputs, g]]
        first = example.gradients(g)
        graph = example.gradients(g, create_graph=True)
        second = example.second_gradients(g, inputs)
        assert [(x.shape, x.dtype) for x in first] == kinds[:-1]
        assert [(x.shape, x.dtype) for x in graph] == kinds[:-1]
        assert [(x.shape, x.dtype) for x in second] == kinds


@every_case
def test_gradients_in_float32_are_those_in_float64_rounded(case, for_drawn):
    @for_drawn(3, dtype=np.float32)
    def _(d):
        example = case.draw(d)
        g = example.cotangent()
        single = example.gradients(g)
        wide = example.with_inputs(
            lambda x: x.astype(np.float64) if x.dtype.kind == "f" else x
        )
        for narrow, exact in zip(single, wide.gradients(g.astype(float)), strict=True):
            scale = np.max(np.abs(exact), initial=1.0)
            np.testing.assert_allclose(narrow, exact, rtol=1e-4, atol=1e-5 * scale)


@every_case
@for_each("layout", LAYOUTS)
def test_memory_layout_changes_nothing_but_rounding(case, layout, for_drawn):
    @for_drawn(2)
    def _(d):
        d.dtype = np.dtype(d.of(DTYPES))
        example = case.draw(d)
        straight = example.with_inputs(LAYOUTS["row-major"])
        laid = example.with_inputs(LAYOUTS[layout])
        g = LAYOUTS["row-major"](example.cotangent())
        rounding = 4 * np.finfo(d.dtype).eps
        results = [(laid.result(), straight.result())]
        gradients = laid.gradients(LAYOUTS[layout](g)), straight.gradients(g)
        for found, expected in results + list(zip(*gradients, strict=True)):
            size = max(x.size for x in (*filter(is_array, example.inputs), g))
            scale = np.max(np.abs(expected), initial=0)
            np.testing.assert_allclose(found, expected, 0, rounding * size * scale)


@every_case
def test_inputs_are_not_modified(case, for_drawn):
    @for_drawn(3)
    def _(d):
        example = case.draw(d)
        g = example.cotangent()
        arrays = [*filter(is_array, example.inputs), g]
        before = [x.copy() for x in arrays]
        example.gradients(g)
        example.second_gradients(g, example.differentiated())
        for x, was in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(x, was)


@every_case
def test_only_views_share_memory_with_their_input(case, for_drawn):
    @for_drawn(3)
    def _(d):
        example = case.draw(d)
        y = example.result()
        shared = [np.shares_memory(y, x) for x in filter(is_array, example.inputs)]
        assert example.op.view or not any(shared)


@every_case
@for_each("create_graph", [False, True])
def test_gradients_share_memory_with_nothing(case, create_graph, for_drawn):
    @for_drawn(3)
    def _(d):
        example = case.draw(d)
        g = example.cotangent()
        leaves, y = example.recorded()
        cotangent = leaf_on(g)
        found = autograd.grad(
            y, leaves, cotangent, retain_graph=True, create_graph=create_graph
        )
        y.backward(cotangent, create_graph=create_graph)
        gradients = [x._array for x in (*found, *(x.grad for x in leaves))]
        others = [y._array, g, *filter(is_array, example.inputs)]
        for i, x in enumerate(gradients):
            for other in (*gradients[:i], *others):
                assert not np.shares_memory(x, other)


@every_case
def test_batches_of_size_zero_work(case, for_drawn):
    @for_drawn(4, empty=True)
    def _(d):
        example = case.draw(d)
        y, g = example.result(), example.cotangent()
        assert y.shape == np.shape(example.expected())
        assert_close(y, example.expected(), 1e-12)
        inputs = example.differentiated()
        found = [*example.gradients(g), *example.second_gradients(g, inputs)]
        shapes = [x.shape for x in (*inputs, *inputs, g)]
        assert [x.shape for x in found] == shapes


@every_case
def test_nan_reaches_exactly_the_results_that_depend_on_it(case, for_drawn):
    @for_drawn(6)
    def _(d):
        example = case.draw(d)
        arrays = example.differentiated()
        for i, x in enumerate(arrays):
            if x.size:
                poisoned = np.array(x)
                poisoned.flat[d.int(0, x.size - 1)] = np.nan
                sick = example.with_differentiated(
                    [*arrays[:i], poisoned, *arrays[i + 1 :]]
                )
                expected = np.isnan(sick.expected())
                np.testing.assert_array_equal(np.isnan(sick.result()), expected)


@every_case
def test_no_result_comes_from_uninitialised_memory(case, for_drawn, monkeypatch):
    """np.empty, full of NaN, changes no result and no gradient."""

    def poisoned(allocate):
        def full(*args, **kwargs):
            x = allocate(*args, **kwargs)
            x[...] = np.nan if x.dtype.kind == "f" else True
            return x

        return full

    for name in ("empty", "empty_like"):
        monkeypatch.setattr(np, name, poisoned(getattr(np, name)))

    @for_drawn(3)
    def _(d):
        example = case.draw(d)
        assert_close(example.result(), example.expected(), 1e-12)
        found = example.gradients(example.cotangent())
        assert all(np.isfinite(x).all() for x in found)
