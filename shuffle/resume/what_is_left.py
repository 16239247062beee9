"""What is left of a merge that was broken off, and whether what its journal says of it can be true.

A place in the middle of a run is where a kernel will begin to read, so it is not believed: the slices must tile every
run, the offsets must be the sums of what lies before them, and what is written must be what is missing from the runs.
"""

from collections.abc import Mapping
from dataclasses import replace

from shuffle.cuts import Position, RunSlice, whole
from shuffle.resume.records import Cut, CutRange, RangeProgress
from shuffle.runs import Run

NOTHING_DONE = RangeProgress(0, 0, {}, 0)


def divides(cut: Cut, runs: Mapping[int, Run]) -> bool:
    """Whether the ranges of a cut are all of `runs`, one behind another."""
    reached = {number: Position(0, 0) for number in runs}
    offset = 0
    for each in cut.ranges:
        if each.offset != offset:
            return False
        for part in each.slices:
            run = runs.get(part.number)
            if run is None or reached[part.number] != part.start or not _is_place(run, part.stop):
                return False
            if part.start >= part.stop:
                return False
            reached[part.number] = part.stop
            offset += RunSlice(run, part.start, part.stop).raw_bytes
    return all(place == whole(runs[number]).stop for number, place in reached.items())


def is_possible(
    done: RangeProgress, cut: CutRange, runs: Mapping[int, Run], output_bytes: int, *, drops_records: bool
) -> bool:
    """Whether so much of a range can be done, in an output that is `output_bytes` long."""
    if done.last_bytes > done.written_bytes or cut.offset + done.written_bytes > output_bytes:
        return False
    stops = {part.number: (part.start, part.stop) for part in cut.slices}
    for number, place in (done.rest or {}).items():
        if number not in stops or not stops[number][0] <= place <= stops[number][1]:
            return False
        if not _is_place(runs[number], place):
            return False
    slices = [RunSlice(runs[part.number], part.start, part.stop) for part in cut.slices]
    taken_bytes = sum(part.raw_bytes for part in slices)
    taken_bytes -= sum(part.raw_bytes for part in slices_left(cut, runs, done))
    return done.written_bytes <= taken_bytes if drops_records else done.written_bytes == taken_bytes


def slices_left(cut: CutRange, runs: Mapping[int, Run], done: RangeProgress) -> list[RunSlice]:
    """The parts of the runs that have not gone into the output."""
    slices = [RunSlice(runs[part.number], part.start, part.stop) for part in cut.slices]
    if done == NOTHING_DONE:
        return slices
    rest = done.rest or {}
    left = [replace(part, start=rest[part.run.number]) for part in slices if part.run.number in rest]
    return [part for part in left if part.start != part.stop]


def _is_place(run: Run, place: Position) -> bool:
    """Whether there is such a place in a run."""
    if place.block == len(run.index):
        return place.offset == 0
    return place.block < len(run.index) and place.offset < int(run.index.raw_lengths[place.block])
