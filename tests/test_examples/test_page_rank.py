"""The example ranks as a loop over dictionaries does."""

import random

import pytest

from examples.page_rank import DAMPING, LINKS, Link, main, page_rank
from tests import tiny


def twin(links: list[Link], steps: int) -> dict[str, float]:
    """The same with dictionaries."""
    targets: dict[str, list[str]] = {page: [] for link in links for page in link}
    for page, target in links:
        targets[page].append(target)
    ranks = dict.fromkeys(targets, 1 / len(targets))
    for _ in range(steps):
        stranded = sum(ranks[page] for page, found in targets.items() if not found)
        following = dict.fromkeys(targets, (1 - DAMPING + DAMPING * stranded) / len(targets))
        for page, found in targets.items():
            for target in found:
                following[target] += DAMPING * ranks[page] / len(found)
        ranks = following
    return ranks


def random_links(pages: int, links: int) -> list[Link]:
    """Some pages have most of the links."""
    rng = random.Random(pages)
    return [(f"p{rng.randrange(pages)}", f"p{int(pages * rng.random() ** 3)}") for _ in range(links)]


@pytest.mark.parametrize("links", [LINKS, [("a", "a")], [("a", "b")], random_links(300, 2500)], ids=len)
def test_as_dictionaries_rank(links: list[Link]) -> None:
    with tiny.machine(managed_bytes=64 << 10):
        ranks = page_rank(links, steps=5)
    assert dict(ranks) == pytest.approx(twin(links, 5))
    assert [page for page, _ in ranks] == sorted(dict(ranks))
    assert sum(rank for _, rank in ranks) == pytest.approx(1)


def test_it_prints_the_ranks(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    assert capsys.readouterr().out.splitlines()[0].endswith("home")
