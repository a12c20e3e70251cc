"""Measure how fast the networks and operations are, beside what is installed of PyTorch
(as it is and compiled) and JAX. Each computes in a process of its own, on the same batches,
weights and threads; they take turns; who computes other numbers is not timed. --model
measures your own file against PyTorch. `scale` in the place of cases shows how cost grows
with the batch, the channels, the image, the depth and the threads."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..benchmark import picture, report, scale, scale_report
from ..benchmark.cases import CASES, GROUPS, choose_cases
from ..benchmark.machine import cores
from ..benchmark.peers import PEERS, Peer, choose_peers
from ..benchmark.results import measure
from ..benchmark.rounds import Plan
from ..output.plotting import check
from .display import Display, show
from .model_peers import MODEL_PEERS, case_of_file
from .options import DATA, UsageError, add_set, note, number_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `bench`."""
    add, count = parser.add_argument, number_from(int, 1)
    names = "names of cases or groups of them, or scale; default: all"
    add("cases", nargs="*", metavar="CASE", help=names)
    add("--list", action="store_true", help="list the cases, groups and peers")
    add("--rounds", type=count, metavar="N", help="turns of each peer; default: 11")
    add("--threads", type=count, metavar="N", help="of each peer; default: all cores")
    add("--peers", metavar="NAME,...", help="the others are compared with the first")
    add("--quick", action="store_true", help="3 short rounds: to try, not to quote")
    add("--model", metavar="MODEL.py[:Class]", help="your own file, against PyTorch")
    add_set(parser, "a keyword argument of --model; may be repeated")
    add("--data", choices=DATA, help="images for --model; default: digits")
    add("--batch-size", type=count, metavar="N", help="of --model; default: as `train`")
    add("--json", type=Path, metavar="FILE", help="write the results")
    page = "write tables; into a page, between its marks <!-- bench: begin/end -->, of "
    page += "scale <!-- scale: begin/end -->"
    add("--markdown", type=Path, metavar="FILE", help=page)
    add("--picture", type=Path, metavar="FILE", help="draw bars: .svg, .png or .pdf")


def run(args: argparse.Namespace) -> int:
    """Print a table for each case as soon as it is done; status 1: nothing was timed."""
    if args.list:
        return _list()
    if args.model and args.cases:
        raise UsageError("--model is a case itself: give no others beside it")
    if not args.model and (args.set or args.data or args.batch_size):
        raise UsageError(
            "--set, --data and --batch-size are of --model, which is missing"
        )
    if args.picture:
        check(args.picture)  # before minutes of measuring
    command = shlex.join(["tinygrad-cnn", *args.words])
    if args.cases == ["scale"]:
        return _scale(args, command)
    cases = choose_cases(args.cases or ["all"])
    if args.model:
        cases = [case_of_file(args)]
    rounds, seconds = (3, 0.05) if args.quick else (Plan.rounds, Plan.round_seconds)
    plan = Plan(args.rounds or rounds, seconds, threads=args.threads or cores())
    known = MODEL_PEERS if args.model else PEERS
    peers = _peers(args, known, list(known))
    with Progress(len(cases), len(peers), plan.rounds) as display:
        told = display.begin, display.tell
        for results in measure(cases, peers, plan, command, *told):
            _write(args, results, picture.save, report.to_markdown, "bench")
            case = results["cases"][-1]
            print(report.title(case))
            show(report.HEADINGS, report.rows(case))
            print(*report.notes(case), "", sep="\n", flush=True)
    print("\n".join([*report.conditions(results), "", report.explanation(results)]))
    return 0 if any(report.timed_peers(case) for case in results["cases"]) else 1


def _scale(args: argparse.Namespace, command: str) -> int:
    """Print a table for each axis when all are done; status 1: nothing was timed."""
    plan = Plan(
        args.rounds or (3 if args.quick else 5), 0.05, 0.05, args.threads or cores()
    )
    peers = _peers(args, PEERS, scale.PEERS)
    points = scale.points(plan.threads, args.quick)
    with Progress(len(points), len(peers), plan.rounds) as display:
        told = display.begin, display.tell
        for results in scale.measure(points, peers, plan, command, *told):
            _write(args, results, scale_report.save, scale_report.to_markdown, "scale")
    columns = scale_report.labels(results)
    for axis, found in results["axes"].items():
        show([scale.WHAT[axis], *columns], scale_report.rows(found, columns))
        print(*[n for point in found for n in report.notes(point)], "", sep="\n")
    print("\n".join([*report.conditions(results), "", scale_report.EXPLAINED]))
    done = [point for found in results["axes"].values() for point in found]
    return 0 if any(report.timed_peers(point) for point in done) else 1


def _list() -> int:
    for name, case in CASES.items():
        print(f"{name:27s}{case.kind}, {case.what}")
    print("\ngroups:")
    for name, of in GROUPS.items():
        print(f"{name:27s}{len(of)} cases")
    print("\npeers:")
    for name, peer in PEERS.items():
        print(f"{name:27s}{peer.label}, {peer.available() or 'not available'}")
    return 0


def _peers(
    args: argparse.Namespace, known: Mapping[str, Peer], usual: Sequence[str]
) -> list[Peer]:
    """Those that are asked for, or the usual ones; a note names what is not installed."""
    wanted = choose_peers(args.peers.split(",") if args.peers else usual, known)
    missing = [peer for peer in wanted if not peer.available()]
    labels = ", ".join([peer.label for peer in missing])
    if missing:
        if args.peers:
            raise UsageError(f"{labels} cannot take part: not available here")
        note(f"without {labels}: not available here")
    return [peer for peer in wanted if peer not in missing]


def _write(
    args: argparse.Namespace,
    results: dict[str, Any],
    save: Callable[[dict[str, Any], Path], None],
    to_markdown: Callable[[dict[str, Any], str | None], str],
    of: str,
) -> None:
    """Write the files that are asked for: at any time they have what is done."""
    shown = None
    if args.picture:
        save(results, args.picture)
        beside = args.markdown.parent if args.markdown else Path()
        shown = Path(os.path.relpath(args.picture, beside)).as_posix()
    if args.json:
        report.write_json(results, args.json)
    if args.markdown:
        report.write_markdown(to_markdown(results, shown), args.markdown, of)


class Progress(Display):
    """Counts what is told of each case: a bar of the whole, or a line where one begins."""

    def __init__(self, cases: int, peers: int, rounds: int, live: bool = False) -> None:
        super().__init__(live)
        self.cases, self.done, self.case = cases, 0, "first"
        # Each peer is built and warmed up, then come the rounds.
        self.events, self.seen = 2 * peers + rounds, 0

    def begin(self, case: str) -> None:
        """A case begins."""
        self.case, self.seen, self.done = case, 0, self.done + 1
        self.update(case, self.share, f"{self.done} of {self.cases}")

    def tell(self, what: str) -> None:
        """Something of the case begins."""
        self.seen = min(self.seen + 1, self.events)
        self.share = max(0, self.done - 1 + self.seen / self.events) / self.cases
        if self.bar:
            self.update(f"{self.case}: {what}", self.share)
