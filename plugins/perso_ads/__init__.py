"""What an ad server may be told of a visitor, in the form it takes, and what was left out.

Pure translations: from an answer (`perso_core.DestinationLookup`) to targeting. No I/O.
"""

from perso_ads.errors import BadTargeting
from perso_ads.gam import GamConfig, GamTargeting, gam_targeting
from perso_ads.withheld import Dropped

__all__ = ["BadTargeting", "Dropped", "GamConfig", "GamTargeting", "gam_targeting"]
