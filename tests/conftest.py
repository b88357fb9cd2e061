"""How many examples a law gets: HYPOTHESIS_PROFILE=deep for the long run, =first for the first
fault without a search for its smallest form."""

import os

from hypothesis import HealthCheck, Phase, settings

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile("ci", max_examples=200, deadline=None, suppress_health_check=SLOW)
settings.register_profile("deep", max_examples=2000, deadline=None, suppress_health_check=SLOW)
settings.register_profile("first", settings.get_profile("deep"), phases=[Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
