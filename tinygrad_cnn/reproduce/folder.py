"""The folder of a reproduction: results that are kept, and the pages made from them.

manifest.json            what the results were made with: seed, versions, data, …
README.md                all experiments on one page, with the time each took
NAME/tables.md, .json    the tables of an experiment; its pictures lie beside them
NAME/results/PART.json   what a part returned, and the seconds it took
NAME/state/PART/         what a part that was stopped goes on from
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..benchmark.report import write
from ..errors import ArgumentError
from ..output import plotting
from .experiment import Cell, Experiment, Results, Table
from .pages import as_json, blocks, conditions, markdown

SAME = ("seed", "quick", "tinygrad_cnn", "data")
"""What the results in one folder must have in common."""


class Folder:
    """Reads and writes it; every file is written whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, manifest: dict[str, Any], again: Collection[str] = ()) -> None:
        """Note what results are made with from now on; those of `again` are removed.

        Raises ArgumentError, before anything is removed, if results of another kind stay.
        """
        place = self.path / "manifest.json"
        before = _read(place) if place.exists() else manifest
        kept = {path.parent.name for path in self.path.glob("*/results")} - {*again}
        other = [
            f"{key} {before.get(key)!r} is now {manifest[key]!r}"
            for key in SAME
            if before.get(key) != manifest[key]
        ]
        if other and kept:
            raise ArgumentError(
                f"the results of {', '.join(sorted(kept))} in {self.path} were made with "
                f"other settings ({other[0]}): give another folder with --out, or replace "
                "all of them with --again"
            )
        for name in again:
            for folder in ("results", "state"):
                shutil.rmtree(self.path / name / folder, ignore_errors=True)
        _write(place, manifest)

    def manifest(self) -> dict[str, Any]:
        """What the results were made with."""
        return _read(self.path / "manifest.json")

    def state(self, name: str, part: str) -> Path:
        """The directory that a part may use while it runs."""
        state = self.path / name / "state" / part
        state.mkdir(parents=True, exist_ok=True)
        return state

    def spent(self, name: str, part: str) -> float:
        """The seconds that a part had taken when it was stopped."""
        place = self.state(name, part) / "seconds.json"
        return float(_read(place)) if place.exists() else 0.0

    def stopped(self, name: str, part: str, seconds: float) -> None:
        """Note how long a part has taken that goes on another time."""
        _write(self.state(name, part) / "seconds.json", seconds)

    def has(self, name: str, part: str) -> bool:
        """Whether the result of a part is there."""
        return self._result(name, part).exists()

    def keep(self, name: str, part: str, seconds: float, result: Any) -> None:
        """Write the result of a part, which needs no state any more."""
        value = {"seconds": round(seconds, 1), "result": result}
        _write(self._result(name, part), value)
        state = self.path / name / "state"
        shutil.rmtree(state / part, ignore_errors=True)
        with contextlib.suppress(OSError):
            state.rmdir()  # unless another part was stopped

    def results(self, name: str, experiment: Experiment, of: str = "result") -> Results:
        """The results of all parts, or the `seconds` of each."""
        parts = [part.name for part in experiment.PARTS]
        return {part: _read(self._result(name, part))[of] for part in parts}

    def seconds(self, name: str, experiment: Experiment) -> float:
        """How long all parts took."""
        return sum(self.results(name, experiment, "seconds").values())

    def report(self, name: str, experiment: Experiment) -> None:
        """Make the tables and pictures of an experiment from its results."""
        results = self.results(name, experiment)
        tables, pictures = experiment.tables(results), experiment.pictures(results)
        for picture in pictures:
            plotting.save(picture.draw, self.path / name / f"{picture.name}.svg")
        _write(self.path / name / "tables.json", [as_json(t) for t in tables])
        write("\n".join(blocks(tables, pictures)), self.path / name / "tables.md")

    def index(self, experiments: Mapping[str, Experiment]) -> None:
        """Make the page of all experiments that have their results."""
        rows: list[list[Cell]] = []
        shown: list[str] = []
        total = 0.0
        for name, experiment in experiments.items():
            if not all(self.has(name, part.name) for part in experiment.PARTS):
                continue
            seconds = self.seconds(name, experiment)
            total += seconds
            rows.append([name, experiment.TITLE, seconds / 60])
            results = self.results(name, experiment)
            tables, pictures = experiment.tables(results), experiment.pictures(results)
            shown += [f"## {name}: {experiment.TITLE}", ""]
            shown += blocks(tables, pictures, f"{name}/")
        columns = {"experiment": "", "what": "", "minutes": ".1f"}
        times = markdown(Table("Time", columns, [*rows, ["all", "", total / 60]]), "##")
        lines = ["# Reproduced", "", *conditions(self.manifest()), times, *shown]
        write("\n".join(lines), self.path / "README.md")

    def _result(self, name: str, part: str) -> Path:
        return self.path / name / "results" / f"{part}.json"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ArgumentError(
            f"{path} is no result of `reproduce`: {error}; remove it, or run with --again"
        ) from error


def _write(path: Path, value: Any) -> None:
    write(json.dumps(value, indent=1, ensure_ascii=False) + "\n", path)
