"""Clean-up that a cancellation cannot break off.

Whoever is cancelled gives back what it holds; if that could be cancelled too, by the next error of the same job, a file
would stay open, or a buffer out, behind its owner's back.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Run `work`, whatever happens meanwhile. A cancellation is passed on when it has ended."""
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    task.result()
    if cancellation is not None:
        raise cancellation
