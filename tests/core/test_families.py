"""A Tensor knows its views for as long as they live, and no longer."""

import gc

import tinygrad_cnn as tg


def test_views_that_are_gone_leave_nothing_behind():
    base = tg.zeros(4, 3)
    kept = base[1]
    for i in range(100):
        base[i % 4]
    assert len(base._family) == 2
    del kept
    assert len(base._family) == 1


def test_a_view_outlives_what_it_was_taken_of():
    base = tg.zeros(4, 3)
    first, second = base[1], base[1:]
    del base
    assert len(first._family) == 2
    second.fill_(5.0)
    assert first.tolist() == [5.0] * 3


def test_a_family_of_a_cycle_is_freed():
    base = tg.zeros(2)
    view = base[:1]
    family = base._family
    ring = [base, view]
    ring.append(ring)
    del base, view, ring
    gc.collect()
    assert not family
