"""Measure how fast the networks and operations are, beside what is installed of PyTorch
(as it is and compiled) and JAX. Each computes in a process of its own, on the same batches,
weights and threads; they take turns; who computes other numbers is not timed. --model
measures your own file against PyTorch."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import DATA, UsageError, assignment, number_from

if TYPE_CHECKING:
    from ..benchmark.cases import Case
    from ..benchmark.peers import Peer
    from ..benchmark.rounds import Plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `bench`."""
    add, count = parser.add_argument, number_from(int, 1)
    names = "names of cases or groups of them; default: all"
    add("cases", nargs="*", metavar="CASE", help=names)
    add("--list", action="store_true", help="list the cases, groups and peers")
    add("--rounds", type=count, metavar="N", help="turns of each peer; default: 11")
    add("--threads", type=count, metavar="N", help="of each peer; default: all cores")
    add("--peers", metavar="NAME,...", help="the others are compared with the first")
    add("--quick", action="store_true", help="3 short rounds: to try, not to quote")
    add("--model", metavar="MODEL.py[:Class]", help="your own file, against PyTorch")
    several: Any = {"type": assignment, "action": "append", "default": []}
    keyword = "a keyword argument of --model; may be repeated"
    add("--set", metavar="NAME=VALUE", help=keyword, **several)
    add("--data", choices=DATA, help="images for --model; default: digits")
    add("--batch-size", type=count, metavar="N", help="of --model; default: as `train`")
    add("--json", type=Path, metavar="FILE", help="write the results")
    page = "write tables; into a page, between its marks <!-- bench: begin/end -->"
    add("--markdown", type=Path, metavar="FILE", help=page)
    add("--picture", type=Path, metavar="FILE", help="draw bars: .svg, .png or .pdf")


def run(args: argparse.Namespace) -> int:
    """Measure, and print a table for each case as soon as it is done."""
    if args.list:
        return _list()
    if args.model and args.cases:
        raise UsageError("--model is a case itself: give no others beside it")
    if not args.model and (args.set or args.data or args.batch_size):
        raise UsageError(
            "--set, --data and --batch-size are of --model, which is missing"
        )
    from ..benchmark.cases import choose_cases
    from ..output.plotting import check
    from .model_peers import case_of_file

    if args.picture:
        check(args.picture)  # before minutes of measuring
    cases = choose_cases(args.cases or ["all"])
    if args.model:
        given = args.model, dict(args.set), args.data, args.batch_size
        cases = [case_of_file(*given)]
    return _measure(args, cases, _peers(args), _plan(args))


def _list() -> int:
    from ..benchmark.cases import CASES, GROUPS
    from ..benchmark.peers import PEERS

    for name, case in CASES.items():
        print(f"{name:27s}{case.kind}, {case.what}")
    print("\ngroups:")
    for name, of in GROUPS.items():
        print(f"{name:27s}{len(of)} cases")
    print("\npeers:")
    for name, peer in PEERS.items():
        print(f"{name:27s}{peer.label}, {peer.available() or 'not available'}")
    return 0


def _plan(args: argparse.Namespace) -> Plan:
    from ..benchmark.machine import cores
    from ..benchmark.rounds import Plan

    plan = Plan(threads=args.threads or cores())
    if args.quick:
        plan = replace(plan, rounds=3, round_seconds=0.05)
    return replace(plan, rounds=args.rounds or plan.rounds)


def _peers(args: argparse.Namespace) -> list[Peer]:
    """Those that are asked for, or all that are installed; a note names the others."""
    from ..benchmark.peers import PEERS, choose_peers
    from .display import note
    from .model_peers import MODEL_PEERS

    known = MODEL_PEERS if args.model else PEERS
    names = args.peers.split(",") if args.peers else list(known)
    wanted = choose_peers(names, known)
    missing = [peer for peer in wanted if not peer.available()]
    labels = ", ".join([peer.label for peer in missing])
    if missing:
        if args.peers:
            raise UsageError(f"{labels} cannot take part: not available here")
        note(f"without {labels}: not available here")
    return [peer for peer in wanted if peer not in missing]


def _measure(
    args: argparse.Namespace, cases: Sequence[Case], peers: Sequence[Peer], plan: Plan
) -> int:
    """Measure case by case; the files have at any time what is done.

    The status is 1 if nothing could be timed.
    """
    from ..benchmark import report
    from ..benchmark.results import measure
    from .bench_progress import Progress
    from .display import can_be_live
    from .tables import show

    with Progress(len(cases), len(peers), plan.rounds, can_be_live()) as display:
        told = display.begin, display.tell
        for results in measure(cases, peers, plan, _command(args), *told):
            _write(args, results)
            case = results["cases"][-1]
            print(report.title(case))
            show(report.HEADINGS, report.rows(case))
            print(*report.notes(case), "", sep="\n", flush=True)
    print("\n".join([*report.conditions(results), "", report.explanation(results)]))
    return 0 if any(report.timed_peers(case) for case in results["cases"]) else 1


def _write(args: argparse.Namespace, results: dict[str, Any]) -> None:
    """Write the files that are asked for."""
    from ..benchmark import picture, report

    shown = None
    if args.picture:
        picture.save(results, args.picture)
        beside = args.markdown.parent if args.markdown else Path()
        shown = Path(os.path.relpath(args.picture, beside)).as_posix()
    if args.json:
        report.write_json(results, args.json)
    if args.markdown:
        report.write_markdown(report.to_markdown(results, shown), args.markdown)


def _command(args: argparse.Namespace) -> str:
    """The command line that gives these results again."""
    words = ["tinygrad-cnn", "bench", *args.cases]
    words += ["--quick"] if args.quick else []
    names = ("rounds", "threads", "peers", "model", "data", "batch_size")
    for name in (*names, "json", "markdown", "picture"):
        if (value := getattr(args, name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    for name, value in args.set:
        values = value if isinstance(value, tuple) else (value,)
        words += ["--set", f"{name}={','.join(map(str, values))}"]
    return shlex.join(words)
