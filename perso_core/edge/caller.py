"""Who calls: the device that cookies prove, that the request names, or that is new."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from perso_core.decision.identity import Device, ecid_from, named_suffix
from perso_core.edge.cookies import (
    SOURCE_FIRST_PARTY_ID,
    SOURCE_RANDOM,
    SOURCE_RECEIVED_IN_REQUEST,
    CookieKeys,
    Proof,
    cookie_names,
    due_for_reissue,
    identity_cookies,
    proven_device,
    reissued,
)
from perso_core.edge.fpid import Fpid, ecid_of, trusted_device
from perso_core.edge.version_token import presented
from perso_core.visitor import SetCookie


class Caller(Struct, frozen=True, kw_only=True):
    """device: who calls. device_key: of its own profile. proof: what proved it, None for a new
    device.
    source: where a new device's ECID comes from.
    replaced: the device that is proven where the request named another one.
    said_out: its browser holds the consent cookie `general=out`, which counts where the store has
    no word of this device. person: the key of the profile of whoever an identity assertion proves
    to hold the device; None: the device is all that is known. tokens: version tokens that its
    browser holds.
    """

    device: Device
    device_key: str
    proof: Proof | None = None
    source: int = SOURCE_RANDOM
    replaced: Device | None = None
    said_out: bool = False
    person: str | None = None
    tokens: tuple[str, ...] = ()

    @property
    def profile_key(self) -> str:
        """Of the profile that this call touches."""
        return self.person or self.device_key

    @property
    def of_nobody(self) -> bool:
        """Whether nothing proves that anybody was here before."""
        return self.person is None and self.device.new

    @property
    def of_device_alone(self) -> bool:
        """Whether it is a device that was here before, of which its browser says nothing more."""
        return (
            not self.device.new
            and self.person is None
            and self.replaced is None
            and not self.said_out
        )

    @property
    def beside(self) -> str | None:
        """The key of the device's own profile, where the call is about the person who holds it."""
        return self.device_key if self.person is not None else None

    def cookies(self, *, org: str, keys: CookieKeys, now_ms: int) -> tuple[SetCookie, ...]:
        """The identity cookies to set; none where those that the browser holds are fresh."""
        if self.proof is None:
            return identity_cookies(
                self.device,
                org=org,
                keys=keys,
                now_ms=now_ms,
                source=self.source,
                created_ms=now_ms,
            )
        if due_for_reissue(self.proof, keys=keys, now_ms=now_ms):
            return reissued(self.proof, org=org, keys=keys, now_ms=now_ms)
        return ()


def caller_from(
    received: Mapping[str, tuple[str, ...]],
    named: str | None,
    fpid: Fpid | None = None,
    *,
    org: str,
    keys: CookieKeys,
    entropy: Callable[[int], bytes],
) -> Caller:
    """named: the ECID in the request's identity map. It beats the cookies (protocol.md, 2.5),
    but selects an empty profile of its own: anybody can write anybody's ECID there. fpid: the
    site's own device id; it names a visitor whom nothing else names.
    """
    proof = proven_device(received, org=org, keys=keys)
    out, tokens = said_out(received, org), presented(received, org)
    if proof is not None and (named is None or proof.device.ecid == named):
        return Caller(
            device=proof.device, device_key=proof.key, proof=proof, said_out=out, tokens=tokens
        )
    proven = proven_by(proof, fpid, org=org, keys=keys)
    if named is not None and (proven is None or proven.ecid != named):
        device = named_device(named, entropy)
        return Caller(
            device=device,
            device_key=device.profile_key,
            source=SOURCE_RECEIVED_IN_REQUEST,
            replaced=proven,
            said_out=out,
            tokens=tokens,
        )
    if fpid is not None:
        device = proven or named_device(ecid_of_fpid(fpid, org=org, keys=keys), entropy)
        return Caller(
            device=device,
            device_key=device.profile_key,
            source=SOURCE_FIRST_PARTY_ID,
            said_out=out,
            tokens=tokens,
        )
    device = Device(ecid_from(entropy(16)), new=True)
    return Caller(device=device, device_key=device.profile_key, said_out=out, tokens=tokens)


def proven_by(
    proof: Proof | None, fpid: Fpid | None, *, org: str, keys: CookieKeys
) -> Device | None:
    """The device that our cookies prove, else that of the site's own cookie where its datastream
    trusts it."""
    if proof is not None:
        return proof.device
    if fpid is None or not fpid.trusted:
        return None
    return trusted_device(fpid.id, org=org, naming=keys.naming_key)


def ecid_of_fpid(fpid: Fpid, *, org: str, keys: CookieKeys) -> str:
    return ecid_of(fpid.id, org=org, naming=keys.naming_key)


def named_device(ecid: str, entropy: Callable[[int], bytes]) -> Device:
    """A new device that is called by an ECID which is not its own."""
    return Device(ecid, named_suffix(entropy(8)), new=True)


def said_out(received: Mapping[str, tuple[str, ...]], org: str) -> bool:
    """Whether the browser still holds the consent cookie `general=out`."""
    return "general=out" in received.get(cookie_names(org).consent, ())
