"""What was tried, and what came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from memory import format_size
from shuffle.stress.judge import Answer, Verdict
from shuffle.stress.trial import Trial
from shuffle.stress.victim import Ended

PROBLEMS_MAX = 100
"""Kept with their text; all are counted."""


@dataclass
class Tally:
    """Counts of a campaign. `by_harm` counts jobs by what was done to them and how they answered."""

    by_harm: dict[str, Counter[str]] = field(default_factory=dict)
    injected: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    jobs: int = 0
    broken: int = 0
    wrong_outputs: int = 0
    budget_overruns: int = 0
    leftovers: int = 0
    bytes: int = 0
    records: int = 0
    seconds: float = 0.0

    def note(self, trial: Trial, ended: Ended, verdict: Verdict) -> None:
        """Count a job."""
        row = self.by_harm.setdefault(trial.harm.name, Counter())
        row[verdict.answer.value] += 1
        row["faults"] += ended.injected.total()
        row["broken"] += bool(verdict.problems)
        self.injected += ended.injected
        self.jobs += 1
        self.broken += bool(verdict.problems)
        self.wrong_outputs += verdict.is_wrong
        self.budget_overruns += verdict.over_budget
        if verdict.answer is Answer.RIGHT and ended.stats is not None:
            self.bytes += ended.stats["output_bytes"]
            self.records += ended.stats["records"]
        for problem in verdict.problems:
            self.complain(f"job {trial.number} ({trial.verb} {trial.kind}, {trial.harm.name}): {problem}")

    def complain(self, problem: str) -> None:
        """Keep the text of a broken promise."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)

    @property
    def ok(self) -> bool:
        """Whether every promise was kept."""
        return not (self.broken or self.leftovers)

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        return {**vars(self), "ok": self.ok}

    def describe(self) -> str:
        """A table for people, and a last line that says it all."""
        columns = ("jobs", *(answer.value for answer in Answer), "faults", "broken")
        width = max(len(name) for name in (*self.by_harm, "all"))
        head = " ".join([f"{'':{width}}", *(f"{column:>9}" for column in columns)])
        rows = [_row(name, counts, columns, width) for name, counts in sorted(self.by_harm.items())]
        total = sum(self.by_harm.values(), Counter[str]())
        return "\n".join([head, *rows, _row("all", total, columns, width), "", self._last_line()])

    def _last_line(self) -> str:
        return (
            f"{self.records:,} records, {format_size(self.bytes)}, in {self.seconds:.0f} s: "
            f"{self.wrong_outputs} wrong outputs, {self.broken} broken promises, {self.leftovers} leftovers, "
            f"{self.budget_overruns} budget overruns"
        )


def _row(name: str, counts: Counter[str], columns: tuple[str, ...], width: int) -> str:
    shown = {**counts, "jobs": sum(counts[answer.value] for answer in Answer)}
    return " ".join([f"{name:{width}}", *(f"{shown.get(column, 0):9,}" for column in columns)])
