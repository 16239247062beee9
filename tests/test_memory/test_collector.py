"""The garbage collector rests, and goes on as it was."""

import gc

import pytest

from memory import collector_at_rest


@pytest.mark.parametrize("enabled", [True, False])
def test_it_goes_on_as_it_was(enabled: bool) -> None:
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(ZeroDivisionError), collector_at_rest():
            assert not gc.isenabled()
            raise ZeroDivisionError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()
