"""The settings of accounts: whether users sign in with a password, and what that may cost.

Numbers and words only: who may is decided in `identity/trust.py`, and done in
`identity/sign_in.py`.
"""

import os
from typing import Final

import attrs

from greenroom.node.settings.kinds import Flag, Integer, about

DAY_SECONDS: Final = 86_400
LEAST_CHARACTERS: Final = 8
"""Of a password, on any node: NIST SP 800-63B-3, 5.1.1.2."""
TRIES_SECONDS: Final = 3_600
"""The time that all numbers of tries are for: so many at once, and again within an hour."""


@attrs.frozen(kw_only=True)
class HashCost:
    """What one hash of a password costs whoever makes it (Argon2id; RFC 9106)."""

    memory_kib: int
    passes: int
    lanes: int


@attrs.frozen(kw_only=True, slots=False)  # one base of several may have slots
class AccountSettings:
    """What an operator can choose about accounts."""

    accounts: bool | None = attrs.field(
        default=None,
        metadata=about(
            Flag(),
            "Let users sign in with a name and a password. Unset: where the node signs tokens.",
        ),
    )
    registration: bool = attrs.field(
        default=False, metadata=about(Flag(), "Let anybody make an account.")
    )
    sign_in_days: int = attrs.field(
        default=30,
        metadata=about(
            Integer(1, 365), "Days that a sign-in is renewed before the password is asked for."
        ),
    )
    password_characters: int = attrs.field(
        default=LEAST_CHARACTERS,
        metadata=about(Integer(LEAST_CHARACTERS, 64), "Fewest characters of a new password."),
    )
    password_memory_mib: int = attrs.field(
        default=64,
        metadata=about(Integer(8, 4_096), "Memory that hashing a password takes (Argon2id), MiB."),
    )
    password_passes: int = attrs.field(
        default=3, metadata=about(Integer(1, 100), "Passes over that memory.")
    )
    password_lanes: int = attrs.field(
        default=1, metadata=about(Integer(1, 64), "Threads that make one hash.")
    )
    password_hashes: int | None = attrs.field(
        default=None,
        metadata=about(Integer(1, 256), "Hashes made at a time. Unset: one for each core but one."),
    )
    password_waiting: int = attrs.field(
        default=32,
        metadata=about(Integer(1, 10_000), "Passwords that wait for that; one more is 503."),
    )
    login_tries: int = attrs.field(
        default=20,
        metadata=about(
            Integer(1, 1_000_000), "Wrong passwords of one address for a name, an hour."
        ),
    )
    login_tries_per_address: int = attrs.field(
        default=100,
        metadata=about(
            Integer(1, 1_000_000), "Wrong passwords of one address for all names, an hour."
        ),
    )
    login_tries_per_name: int = attrs.field(
        default=100,
        metadata=about(
            Integer(1, 1_000_000),
            "Wrong passwords for one name, from all addresses its user did not come from, an hour.",
        ),
    )
    registrations_per_address: int = attrs.field(
        default=10,
        metadata=about(Integer(1, 1_000_000), "Tries to make an account of one address, an hour."),
    )

    @property
    def sign_in_seconds(self) -> float:
        """How long a sign-in is renewed."""
        return float(self.sign_in_days * DAY_SECONDS)

    @property
    def hash_cost(self) -> HashCost:
        """What a password's hash costs."""
        return HashCost(
            memory_kib=self.password_memory_mib * 1024,
            passes=self.password_passes,
            lanes=self.password_lanes,
        )

    @property
    def hashes_at_once(self) -> int:
        """How many hashes are made at a time: the event loop has a core for itself, if there is."""
        return self.password_hashes or max(1, (os.cpu_count() or 1) - 1)
