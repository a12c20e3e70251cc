"""A digit set that needs no download and no file: written by a program, from a seed.

Each image is one way of writing its digit (`strokes.STYLES`), bent, slanted, turned,
stretched and placed at random, drawn with a pen of random width, and made noisy. As in
MNIST the writing is white on black, fills a box of about 20 pixels, and its centre of
mass lies near the middle of the 28 × 28 pixels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..core.generator import stream
from ..errors import ArgumentError
from .strokes import POINTS, STYLES, Array, ink, trace

SIZE = 28
MARGIN = 2.75  # pixels between the pen and the edge of the image
BLOCK = 500  # images that share one random stream

_TRACES = [(digit, *trace(style)) for digit in STYLES for style in STYLES[digit]]
_DIGIT = np.array([digit for digit, _, _ in _TRACES])
_PATH = np.stack([path for _, path, _ in _TRACES])
_DOWN = np.stack([down for _, _, down in _TRACES])


def draw_digits(
    seed: int, train: bool, start: int, stop: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images `start` to `stop` as uint8 (N, 1, 28, 28) and their labels as int64 (N,).

    Image i is a pure function of (seed, train, i); the training and the test images
    come from streams of their own, and each run of 500 has every digit 50 times.
    """
    if not 0 <= start <= stop:
        raise ArgumentError(f"digits need 0 <= start <= stop, not {start} and {stop}")
    blocks = range(start // BLOCK, -(-stop // BLOCK))
    drawn = [_draw_block(seed, 1 if train else 2, b + 1) for b in blocks]
    images = np.concatenate(
        [np.empty((0, SIZE, SIZE), np.uint8), *(d[0] for d in drawn)]
    )
    labels = np.concatenate([np.empty(0, np.int64), *(d[1] for d in drawn)])
    wanted = slice(start % BLOCK, start % BLOCK + stop - start)
    return images[wanted, None], labels[wanted]


@lru_cache(maxsize=14)  # the images that both sets have by default
def _draw_block(*key: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """500 images and their labels, a function of the key of their random stream."""
    rng = stream(*key)
    labels = rng.permutation(np.arange(BLOCK) % 10)
    # Each image takes the style of its digit that draws the largest number.
    lots = rng.random((BLOCK, len(_DIGIT)))
    style = np.where(labels[:, None] == _DIGIT, lots, -1).argmax(1)
    path = _place(_distort(_bend(_PATH[style], rng), rng), _DOWN[style], rng)
    images = ink(path, _DOWN[style], _draw_pen(rng), SIZE)
    shade = rng.uniform(0.85, 1.15, (BLOCK, 1, 1)).astype(np.float32)
    noise = rng.normal(0, 0.05, images.shape).astype(np.float32)
    images = images * (shade + noise)
    return (255 * np.clip(images, 0, 1)).round().astype(np.uint8), labels


def _bend(path: Array, rng: np.random.Generator) -> Array:
    """Wander smoothly off the path: Σ_k a_k sin(π k t + φ_k) along the pen's way t."""
    k = np.arange(1, 5, dtype=np.float32)
    t = np.linspace(0, 1, POINTS, dtype=np.float32)
    size = rng.normal(0, 0.035, (BLOCK, 4, 2)).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, (BLOCK, 4, 1)).astype(np.float32)
    bent: Array = path + np.sin(np.pi * k[:, None] * t + phase).swapaxes(1, 2) @ size
    return bent


def _distort(path: Array, rng: np.random.Generator) -> Array:
    """Elastic distortion: every place is moved by waves of random direction."""
    wave = rng.normal(0, 3.0, (BLOCK, 2, 3)).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, (BLOCK, 1, 3)).astype(np.float32)
    size = rng.normal(0, 0.025, (BLOCK, 3, 2)).astype(np.float32)
    distorted: Array = path + np.sin(path @ wave + phase) @ size
    return distorted


def _place(path: Array, down: Array, rng: np.random.Generator) -> Array:
    """Stretch, slant and turn the digit, fit it to its box and centre it by mass."""
    turn = rng.normal(0, 0.12, BLOCK)
    slant = rng.normal(-0.15, 0.2, BLOCK)
    width = rng.uniform(0.6, 1.0, BLOCK)
    cos, sin = np.cos(turn), np.sin(turn)
    affine = [[width * cos, width * sin], [slant * cos - sin, slant * sin + cos]]
    path = path @ np.moveaxis(np.array(affine, np.float32), -1, 0)
    extent = np.ptp(path, axis=1).max(1)
    box = np.clip(rng.normal(17.5, 1.0, BLOCK), 14, 20) / extent
    path = path * box.astype(np.float32)[:, None, None]
    mass = (np.hypot(*np.moveaxis(np.diff(path, axis=1), -1, 0)) * down)[..., None]
    centre = (path[:, 1:] * mass).sum(1, keepdims=True) / mass.sum(1, keepdims=True)
    shift = rng.normal(0, 0.5, (BLOCK, 1, 2)).astype(np.float32)
    placed: Array = path - centre + shift + np.float32((SIZE - 1) / 2)
    left = np.maximum(MARGIN - placed.min(1, keepdims=True), 0)
    right = np.maximum(placed.max(1, keepdims=True) - (SIZE - 1 - MARGIN), 0)
    return placed + left - right


def _draw_pen(rng: np.random.Generator) -> Array:
    """Half the width of the stroke in pixels, for each gap: the pressure changes."""
    radius = rng.gamma(20.0, 1.25 / 20.0, (BLOCK, 1)).clip(0.8, 1.9)
    phase = rng.uniform(0, 2 * np.pi, (BLOCK, 1))
    t = np.linspace(0, 2 * np.pi, POINTS - 1)
    return (radius * (1 + 0.12 * np.sin(t + phase))).astype(np.float32)
