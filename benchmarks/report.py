"""Results as Markdown: claims, each with its target and verdict, and plain tables of figures.

A claim is judged only if what was measured is what is claimed: a rehearsal with fewer records proves nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.measure import Runs, describe, ratios

CLAIM_HEADER = ("claim", "target", "measured", "range", "ours", "peer", "verdict")


@dataclass(frozen=True)
class Claim:
    """One statement and the values that bear it out, or do not.

    values        one for each pair or run, in `unit`: none for a ratio
    at_worst      the highest value decides, and not the median
    ours, peer    what both took, for people
    problem       why there are no values
    """

    what: str
    target: float
    values: Sequence[float] = ()
    unit: str = ""
    ours: str = ""
    peer: str = ""
    at_worst: bool = False
    is_judged: bool = True
    problem: str = ""

    @property
    def measured(self) -> float:
        """The value that decides."""
        return max(self.values) if self.at_worst else median(self.values)

    @property
    def verdict(self) -> str:
        """One word, or why there is none."""
        if not self.values:
            return f"not measured: {self.problem}"
        if not self.is_judged:
            return "not judged: another size than claimed"
        return "met" if self.measured <= self.target else "**missed**"

    def cells(self) -> tuple[str, ...]:
        """The row of a table."""
        target = f"<= {self._format(self.target)}"
        if not self.values:
            return self.what, target, "", "", self.ours, self.peer, self.verdict
        spread = f"{self._format(min(self.values))} to {self._format(max(self.values))}"
        return self.what, target, self._format(self.measured), spread, self.ours, self.peer, self.verdict

    def _format(self, value: float) -> str:
        digits = 1 if abs(value) >= 100 else 3 if not self.unit else 2
        return f"{value:.{digits}f} {self.unit}".rstrip()


def ratio_claim(what: str, target: float, ours: Runs, peers: Runs, *, is_judged: bool) -> Claim:
    """A claim about the wall seconds of pairs."""
    values = ratios(ours, peers)
    return Claim(what, target, values, ours=describe(ours), peer=describe(peers), is_judged=is_judged)


@dataclass(frozen=True)
class Table:
    """Figures that no claim hangs on."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def render(self) -> str:
        """A heading, the table, the note."""
        parts = [f"### {self.title}", render_rows(self.header, self.rows), self.note]
        return "\n\n".join(part for part in parts if part)


@dataclass(frozen=True)
class Section:
    """What one benchmark found."""

    claims: Sequence[Claim] = field(default_factory=tuple)
    tables: Sequence[Table] = field(default_factory=tuple)

    def render(self) -> str:
        """All of it."""
        claims = [render_claims(self.claims)] if self.claims else []
        return "\n\n".join([*claims, *(table.render() for table in self.tables)])


def render_claims(claims: Iterable[Claim]) -> str:
    """A table with one row for each claim."""
    return render_rows(CLAIM_HEADER, [claim.cells() for claim in claims])


def render_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    assert all(len(line) == len(header) for line in lines), header
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
