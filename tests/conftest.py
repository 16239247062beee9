"""How hypothesis behaves here: no test depends on how quick a machine is, and every failure can be run again."""

from hypothesis import settings

settings.register_profile("spillway", deadline=None, print_blob=True)
settings.load_profile("spillway")
