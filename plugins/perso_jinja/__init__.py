"""Audiences in Jinja templates: `{% audience "returning" %} … {% else %} … {% endaudience %}`."""

from perso_jinja.extension import AudienceExtension
from perso_jinja.lint import UnknownName, lint
from perso_jinja.targeting import Targeting

__all__ = ["AudienceExtension", "Targeting", "UnknownName", "lint"]
