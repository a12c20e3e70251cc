"""Runs experiments part by part, and keeps what they find."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, cast

from .. import __version__
from ..benchmark.machine import describe
from ..errors import ArgumentError
from ..kernels import threads
from . import EXPERIMENTS
from .experiment import Experiment, Part, Setup
from .folder import Folder
from .images import checksums


def experiments(names: Sequence[str]) -> dict[str, Experiment]:
    """The experiments of these names in their order, or all; else ArgumentError."""
    for name in names:
        if name not in EXPERIMENTS:
            known = ", ".join(EXPERIMENTS)
            raise ArgumentError(f"there is no experiment {name}; there are {known}")
    chosen = [name for name in EXPERIMENTS if name in names or not names]
    modules = [f"{__package__}.{name.replace('-', '_')}" for name in chosen]
    found = [cast(Experiment, importlib.import_module(module)) for module in modules]
    return dict(zip(chosen, found, strict=True))


def manifest(setup: Setup) -> dict[str, Any]:
    """What the results are made with, as JSON values; see `checksums` for `data`."""
    machine = describe([], threads.get_num_threads())
    machine["versions"]["matplotlib"] = version("matplotlib")
    return {
        "seed": setup.seed,
        "quick": setup.quick,
        "dtype": "float32",
        "tinygrad_cnn": __version__,
        **machine,
        "data": checksums(),
    }


@dataclass(frozen=True)
class Step:
    """Where a reproduction stands: within a part, whose share `done` is 0 to 1.

    share: of all that had to be done when it began, by the estimates of the parts.
    """

    experiment: str
    part: str
    done: float
    share: float


def reproduce(
    chosen: Mapping[str, Experiment], folder: Folder, setup: Setup
) -> Iterator[Step]:
    """Run the parts whose results are missing; after each experiment, make its report."""
    missing = {
        name: [p for p in experiment.PARTS if not folder.has(name, p.name)]
        for name, experiment in chosen.items()
    }
    total = sum(part.seconds for parts in missing.values() for part in parts)
    before = 0.0
    for name, experiment in chosen.items():
        for part in missing[name]:
            for done in _run(name, part, folder, setup):
                share = (before + done * part.seconds) / total
                yield Step(name, part.name, done, share)
            before += part.seconds
        folder.report(name, experiment)


def _run(name: str, part: Part, folder: Folder, setup: Setup) -> Iterator[float]:
    """Run a part to its end and keep its result; yields the share that is done."""
    start = time.perf_counter() - folder.spent(name, part.name)
    yield 0.0
    try:
        state = folder.state(name, part.name)
        result = yield from part.run(replace(setup, state=state))
    except (GeneratorExit, KeyboardInterrupt):
        folder.stopped(name, part.name, time.perf_counter() - start)
        raise
    folder.keep(name, part.name, time.perf_counter() - start, result)
    yield 1.0
