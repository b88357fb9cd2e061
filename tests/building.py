"""Builders: each says only what matters to a test; the rest is ordinary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perso_core.decision.event import Event, event_from
from perso_core.definitions.activation import Activation
from perso_core.definitions.audience import Audience
from perso_core.definitions.datastream import Datastream, DefaultConsent
from perso_core.definitions.destination import Destination
from perso_core.definitions.document import Definitions
from perso_core.definitions.snapshot import Snapshot, compile_snapshot

ORG = "5BFE274A5F6980A50A495C08@AdobeOrg"
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
# Noon on 15 March 2026, UTC: a Sunday.
NOON_MS = 1_773_576_000_000

BASKET_RULE = (
    'CHAIN(xEvent, timestamp, [C0: WHAT(eventType.equals("commerce.productListAdds", false)) '
    "WHEN(<= 1 hour before now)])"
)
GOLD_RULE = 'loyalty.tier.equals("gold", false)'


def definitions(
    rules: Mapping[str, str] | None = None,
    *,
    default_consent: DefaultConsent = "in",
    activations: tuple[Activation, ...] | None = None,
    edge_segmentation: bool = True,
    personalization_destinations: bool = True,
    enabled: bool = True,
    allowed_origins: tuple[str, ...] = ("https://www.shop.test",),
    consent_strings_opt_in: bool = False,
    advertising: bool = False,
    fpid_cookie: str | None = None,
    trust_fpid_cookie: bool = False,
) -> Definitions:
    """One datastream `demo`, the destination `cms`, and audiences by id, all activated."""
    rules = rules if rules is not None else {"basket": BASKET_RULE, "gold": GOLD_RULE}
    if activations is None:
        activations = tuple(Activation(audience=name, destination="d-cms") for name in rules)
    return Definitions(
        org=ORG,
        datastreams=(
            Datastream(
                id="demo",
                name="Demo",
                enabled=enabled,
                default_consent=default_consent,
                edge_segmentation=edge_segmentation,
                personalization_destinations=personalization_destinations,
                allowed_origins=allowed_origins,
                consent_strings_opt_in=consent_strings_opt_in,
                fpid_cookie=fpid_cookie,
                trust_fpid_cookie=trust_fpid_cookie,
            ),
        ),
        destinations=(
            Destination(
                id="d-cms",
                kind="custom-personalization",
                name="Banners",
                integration_alias="cms",
                datastream="demo",
                advertising=advertising,
            ),
        ),
        audiences=tuple(
            Audience(id=name, name=f"Audience {name}", pql=rule) for name, rule in rules.items()
        ),
        activations=activations,
    )


def snapshot(rules: Mapping[str, str] | None = None, **more: Any) -> Snapshot:
    """The above, compiled."""
    return compile_snapshot(definitions(rules, **more))


def event(
    event_type: str = "web.webpagedetails.pageViews",
    *,
    at_ms: int = NOON_MS,
    event_id: str = "e1",
    **fields: Any,
) -> Event:
    """An event of a type at an instant."""
    return event_from({"eventType": event_type, **fields}, event_id=event_id, received_ms=at_ms)
