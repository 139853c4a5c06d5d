"""Owns what can be said of certificates: whose are trusted, and which is ours. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field

from fetcher.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class TrustConfig:
    """
    Whom to trust, and who we are.

    Attributes:
        cacert: A PEM file of certificate authorities to trust instead of certifi's.
        system_certs: Trust those that the system trusts instead of certifi's.
        insecure: Trust every certificate.
        insecure_hosts: Trust every certificate of these hosts: names or addresses as URLs have them.
        cert: A PEM file with our certificate, and those in between, for servers that ask for one.
        key: A PEM file with its private key, where that is not in `cert`.
        key_password: What the key is encrypted with.
    """

    cacert: str | None = None
    system_certs: bool = False
    insecure: bool = False
    insecure_hosts: tuple[str, ...] = ()
    cert: str | None = None
    key: str | None = None
    key_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        said = {"cacert": self.cacert is not None, "system_certs": self.system_certs, "insecure": self.insecure}
        both = [name for name, given in said.items() if given]
        if len(both) > 1:
            raise UsageError(f"{both[0]} and {both[1]} contradict each other: that file, the system, or everyone")
        if self.key is not None and self.cert is None:
            raise UsageError("key without cert: name the certificate that the key is of")
        if self.key_password is not None and self.cert is None:
            raise UsageError("key_password without cert: name the certificate whose key it opens")
