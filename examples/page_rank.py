"""Page rank: how often somebody is on a page who follows links at random, and at times starts anywhere.

    links (page, targets) ─┐
                           ├─join by page──> each target gets its share ──sum by page──> ranks of the next step
    ranks (page, rank) ────┘

Links and ranks are both kept in the order of pages, so the join has nothing to sort.

Run it: python -m examples.page_rank
"""

import operator
from collections.abc import Iterable, Iterator

import shuffle

DAMPING = 0.85
"""How often a link is followed."""

Link = tuple[str, str]
Ranks = list[tuple[str, float]]
Page = tuple[str, list[str]]


def pages_of(links: Iterable[Link]) -> list[Page]:
    """Every page with its targets, in order; pages that are only linked to have none."""

    def ends() -> Iterator[tuple[str, str | None]]:
        for page, target in links:
            yield page, target
            yield target, None

    def targets(page: str, group: Iterator[tuple[str, str | None]]) -> list[Page]:
        return [(page, [target for _, target in group if target is not None])]

    with shuffle.group_reduce(ends(), targets, by=0, type_info=tuple[str, str | None], memory="256MiB") as pages:
        return list(pages)


def step(pages: list[Page], ranks: Ranks) -> Ranks:
    """The ranks after one more click. Who is on a page without links starts anywhere."""

    def shares() -> Iterator[tuple[str, float]]:
        with shuffle.merge_join(pages, ranks, on=0, left_sorted=True, right_sorted=True, memory="256MiB") as joined:
            for (page, targets), (_, rank) in joined:
                yield page, 0.0
                for target in targets:
                    yield target, rank / len(targets)

    stranded = sum(rank for (_, targets), (_, rank) in zip(pages, ranks, strict=True) if not targets)
    start = (1 - DAMPING + DAMPING * stranded) / len(pages)
    with shuffle.reduce_by_key(shares(), operator.add, memory="256MiB") as sums:
        return [(page, start + DAMPING * share) for page, share in sums]


def page_rank(links: Iterable[Link], steps: int = 20) -> Ranks:
    """(page, rank) of every page, in the order of pages; the ranks add up to 1."""
    pages = pages_of(links)
    ranks = [(page, 1 / len(pages)) for page, _ in pages]
    for _ in range(steps):
        ranks = step(pages, ranks)
    return ranks


LINKS = [("home", "news"), ("home", "shop"), ("news", "home"), ("shop", "home"), ("shop", "terms"), ("blog", "home")]


def main() -> None:
    """Rank the pages of a small site."""
    for page, rank in sorted(page_rank(LINKS), key=lambda each: -each[1]):
        print(f"{rank:.3f} {page}")


if __name__ == "__main__":
    main()
