"""Rounds in which all contenders take turns, A B C A B C, so that what slows the machine down slows everybody down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from benchmarks.clips import ROOT
from benchmarks.contenders import Contender, Environment, is_ours
from benchmarks.oracle import Oracle, Tally
from benchmarks.results import Runs
from benchmarks.session import Session, WorkerError
from benchmarks.works import Contest, Setting

__all__ = ["gather", "hold"]

_FAILURES_TOLD = 3


def gather(
    wanted: list[Contender], environment: Environment, log: IO[Any]
) -> tuple[list[Contender], dict[str, dict[str, str]], dict[str, str]]:
    """Install the contenders and ask each for its versions; those that cannot take part are given with the reason."""
    there, versions, absent = [], {}, {}
    for contender in wanted:
        try:
            environment.install(contender)
            with Session(
                environment.command(contender), environment.variables(contender), str(ROOT), log
            ) as session:
                versions[contender.name] = session.hello["versions"]
        except (RuntimeError, WorkerError) as error:
            absent[contender.name] = str(error)
        else:
            there.append(contender)
    return there, versions, absent


def hold(
    contest: Contest,
    clip: Path,
    contenders: Sequence[Contender],
    environment: Environment,
    *,
    oracles: Path,
    threads: int,
    rounds: int,
    log: IO[Any],
    say: Callable[[str], None],
    stand_still: bool,
) -> dict[str, Runs]:
    """Measure all contenders on a contest, and give the runs by name; ours are `name/form` where there are two forms.

    `stand_still`: whoever has no turn is stopped; some libraries go on decoding ahead, on the cores of whoever comes next.

    A contender takes part in the first of the contest's forms that it has; ours take part in all of them. One that fails goes on with
    the next round, its error counted.
    """
    oracle = Oracle(clip, oracles, contest.work.frames)
    runs: dict[str, Runs] = {}
    seats: list[tuple[str, Session, Setting]] = []
    with ExitStack() as stack:
        for contender in contenders:
            command, variables = environment.command(contender), environment.variables(contender)
            wanted = contest.forms if is_ours(contender.name) else contest.forms[:1]
            for form in wanted:
                name = f"{contender.name}/{form}" if len(wanted) > 1 else contender.name
                try:
                    session = stack.enter_context(
                        Session(command, variables, str(ROOT), log, stands_still=stand_still)
                    )
                except WorkerError as error:
                    say(f"{name} cannot take part: {error} (see the log)")
                    continue
                if form not in session.hello["forms"]:
                    others = [other for other in contest.forms if other in session.hello["forms"]]
                    if not others:
                        continue
                    form = others[0]
                runs[name] = Runs(form)
                seats.append((name, session, Setting(clip, oracle, contender.threads or threads, form)))

        for name, session, setting in seats:
            try:
                runs[name].tally.add(contest.work.prepare(session.ask, setting))
            except WorkerError as error:
                _note(runs[name], error)
        for turn in range(rounds):
            first = turn % len(seats)  # nobody always comes after the same one
            for name, session, setting in seats[first:] + seats[:first]:
                run = runs[name]
                try:
                    outcome = contest.work.measure(session.ask, setting, turn)
                except WorkerError as error:
                    _note(run, error)
                    continue
                run.rounds.append(turn)
                run.seconds.append(outcome.seconds)
                run.cpu.append(outcome.cpu)
                run.tally.add(outcome.tally)
                for figure, value in outcome.figures.items():
                    run.figures.setdefault(figure, []).append(value)
    return runs


def _note(run: Runs, error: WorkerError) -> None:
    run.tally.add(Tally(1, errors=1))
    if len(run.failures) < _FAILURES_TOLD:
        run.failures.append(str(error))
