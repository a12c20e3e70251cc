"""Run the experiments of the documents on real data, and write tables and pictures into a
folder. What is there already is not computed again; a run that was stopped goes on."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ModelFileError
from ..output import plotting
from ..reproduce.experiment import Setup
from ..reproduce.folder import Folder
from ..reproduce.run import Step, experiments, manifest, reproduce
from .display import Display, show
from .options import note


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `reproduce`."""
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="of experiments; default: all")
    add("--list", action="store_true", help="list the experiments and what they take")
    out = Path("reproduced")
    add("--out", type=Path, metavar="DIR", default=out, help=f"default: {out}")
    add("--again", action="store_true", help="compute what is there already")
    add("--quick", action="store_true", help="on little data: to try, not to quote")
    first = "of the first of several runs; default: 0"
    add("--seed", type=int, metavar="N", default=0, help=first)
    add("--models", type=Path, metavar="DIR", help="default: models/ of the repository")


def run(args: argparse.Namespace) -> int:
    """Run what is missing, and say where it lies."""
    chosen = experiments(args.names)
    if args.list:
        rows = []
        for name, experiment in chosen.items():
            minutes = sum(part.seconds for part in experiment.PARTS) / 60
            parts = len(experiment.PARTS)
            rows.append([name, experiment.TITLE, f"{parts}", f"{minutes:.0f}"])
        show(("experiment", "what", "parts", "minutes, about"), rows)
        return 0
    plotting.check(args.out / "any.svg")  # before an hour of training
    folder = Folder(args.out)
    setup = Setup(_models(args.models), args.seed, args.quick, args.out)
    folder.begin(manifest(setup), chosen if args.again else ())
    try:
        with Progress() as display:
            for step in reproduce(chosen, folder, setup):
                display.show(step)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped; all that is done is in {args.out}; the same command goes on"
        ) from None
    finally:
        folder.index(experiments([]))
    for name, experiment in chosen.items():
        note(f"{name}: {folder.seconds(name, experiment) / 60:.1f} minutes")
        print(args.out / name / "tables.md")
    print(args.out / "README.md")
    return 0


def _models(given: Path | None) -> Path:
    """The directory of the model files; ModelFileError if it has none."""
    beside = Path(__file__).parents[2] / "models"
    for folder in [given] if given else [Path("models"), beside]:
        if (folder / "lenet5.py").is_file():
            return folder
    raise ModelFileError(
        f"there are no model files in {given or 'models'}: run it in the repository, or "
        "give its models/ with --models"
    )


class Progress(Display):
    """Says which part runs: a bar of the whole, or a line for each part and minute."""

    part = ""

    def show(self, step: Step) -> None:
        """Report where it stands."""
        part = f"{step.experiment}: {step.part}"
        every = 60.0 if part == self.part else 0.0
        text = f"{part}, {step.done:.0%}" if every else part
        self.part = part
        self.update(text, step.share, every=every)
