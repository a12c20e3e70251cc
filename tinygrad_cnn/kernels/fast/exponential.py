"""Exponential functions of numbers as arithmetic, which vectorises; libm's calls do not.

With x = k ln 2 + r and |r| ≤ ln 2 / 2, eˣ = 2ᵏ eʳ, where eʳ − 1 is its Taylor polynomial.
Two constants k is found and ln 2 is taken off with: a large number that is added and taken
off again rounds to a whole one, which its lowest bits then are; and ln 2 is the sum of a
few leading bits, whose product with k is exact, and a rest. So nothing here may be
regrouped: these functions only fuse products with sums. For float32 and float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

EXACT = {"fastmath": {"contract"}, "error_model": "numpy", "forceinline": True}


class Format(NamedTuple):
    """What a type of numbers asks for."""

    of: Callable[[float], Any]
    digits: int
    """The bits of the mantissa."""
    leading: float
    rest: float
    """Their sum is ln 2."""
    terms: int
    """Of the Taylor polynomial."""
    least: float
    most: float
    """Beyond these eˣ is 0 and inf."""


FORMATS = {
    types.float32: Format(np.float32, 23, 355 / 512, -2.12194440e-4, 7, -104, 89),
    types.float64: Format(
        np.float64, 52, 6.93145751953125e-1, 1.42860682030941723212e-6, 13, -746, 710
    ),
}


@intrinsic
def power_of_two(context: Any, kind: Any) -> tuple[Any, Callable[..., ir.Value]]:
    """2ᵏ of k as it stands in the lowest bits of a number that k was added to."""
    digits, integer = FORMATS[kind].digits, ir.IntType(kind.bitwidth)
    one = (1 << kind.bitwidth - digits - 2) - 1  # the exponent of 1

    def write(_: Any, build: ir.IRBuilder, __: Any, given: Any) -> ir.Value:
        bits = build.bitcast(given[0], integer)
        bits = build.shl(build.add(bits, integer(one)), integer(digits))
        return build.bitcast(bits, given[0].type)

    return kind(kind), write


def reduced(x: Any) -> Any:
    """k and eʳ − 1."""
    raise NotImplementedError


@overload(reduced, jit_options=EXACT)
def _(x: Any) -> Any:
    of, digits, leading, rest, terms, *_ = FORMATS[x]
    large, per = of(1.5 * 2.0**digits), of(1 / math.log(2))
    leading, rest, zero = of(leading), of(rest), of(0)
    powers = range(terms, 1, -1)
    coefficients = tuple([of(1 / math.factorial(power)) for power in powers])

    def function(x: Any) -> Any:
        k = (x * per + large) - large
        r = x - k * leading - k * rest
        total = zero
        for coefficient in coefficients:
            total = total * r + coefficient
        return k, total * r * r + r

    return function


def exp(x: Any) -> Any:
    """eˣ, to about 1 ulp."""
    raise NotImplementedError


@overload(exp, jit_options=EXACT)
def _(x: Any) -> Any:
    of, digits, *_, least, most = FORMATS[x]
    large, half, least, most = of(1.5 * 2.0**digits), of(0.5), of(least), of(most)

    def function(x: Any) -> Any:
        x = least if x < least else x
        x = most if x > most else x
        k, more = reduced(x)
        part = (k * half + large) - large
        # In two steps, since 2ᵏ alone may lie beyond all numbers, or below.
        factor = power_of_two(part + large)
        return (more * factor + factor) * power_of_two((k - part) + large)

    return function


def expm1(x: Any) -> Any:
    """eˣ − 1 for x ≤ 0, to about 1 ulp, also where x is small."""
    raise NotImplementedError


@overload(expm1, jit_options=EXACT)
def _(x: Any) -> Any:
    of, digits, *_ = FORMATS[x]
    large, one, least = of(1.5 * 2.0**digits), of(1), of(-40)

    def function(x: Any) -> Any:
        k, more = reduced(least if x < least else x)
        power = power_of_two(k + large)
        return more * power + (power - one)

    return function


def log1p(x: Any) -> Any:
    """ln(1 + x) for 0 ≤ x ≤ 1, to 2 ulp, also where x is small.

    With s = x / (2 + x) ≤ 1/3 it is 2 (s + s³ / 3 + s⁵ / 5 + …).
    """
    raise NotImplementedError


@overload(log1p, jit_options=EXACT)
def _(x: Any) -> Any:
    of, *_ = FORMATS[x]
    two, zero, powers = of(2), of(0), range(17 if of is np.float32 else 35, 1, -2)
    coefficients = tuple([of(2 / power) for power in powers])

    def function(x: Any) -> Any:
        s = x / (two + x)
        square, total = s * s, zero
        for coefficient in coefficients:
            total = total * square + coefficient
        return total * square * s + two * s

    return function


def erf(x: Any) -> Any:
    """The error function, to about 1 ulp."""
    raise NotImplementedError


NEAR = [-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1]
NEAR += [-3.76125336e-1, 1.28379166e-1]
FAR = [-1.72853470e-5, 3.83197126e-4, -3.88396438e-3, 2.42546219e-2]
FAR += [-1.06777877e-1, -6.34846687e-1, -1.28717512e-1]
# erf x is x + x · NEAR(x²), and far from 0 it is 1 − exp(|x| · FAR(|x|) − |x|)


@overload(erf, jit_options=EXACT)
def _(x: Any) -> Any:
    of, *_ = FORMATS[x]
    if of is not np.float32:

        def from_library(x: Any) -> Any:
            return math.erf(x)

        return from_library
    near, far = (tuple([of(v) for v in values]) for values in (NEAR, FAR))
    one, zero, border, most = of(1), of(0), of(0.927734375), of(10)

    def function(x: Any) -> Any:
        size, square = abs(x), x * x
        inner = outer = zero
        for coefficient in near:
            inner = inner * square + coefficient
        size = most if size > most else size
        for coefficient in far:
            outer = outer * size + coefficient
        outer = one - exp(outer * size - size)
        outer = -outer if x < zero else outer
        return outer if size > border else inner * x + x

    return function
