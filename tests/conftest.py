"""Settings for all tests."""

from hypothesis import settings

# The first example of a test may load a tokenizer, and machines are shared: time says nothing here.
settings.register_profile("rbridge", deadline=None)
settings.load_profile("rbridge")
