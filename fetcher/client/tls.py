"""
Owns the TLS of a run: whom we trust, and the certificate that we show.

A context is made when the first https URL comes, because loading certifi's list takes 10 to 20 ms; at once where files
of the user's are to be read, so that they are complained of before the first request.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from fetcher.client.phases import note
from fetcher.client.trust import TrustConfig
from fetcher.errors import UsageError
from fetcher.hosts import canonical_host


class Side(ssl.SSLObject):
    """Our side of a connection. Nobody reads the peer's certificate in Python's words, so it is not put into them."""

    def getpeercert(self, binary_form: bool = False) -> Any:
        """The peer's certificate as it came; nothing for the loops, which ask for the words after each handshake."""
        return super().getpeercert(True) if binary_form else None


class Context(ssl.SSLContext):
    """An SSLContext that notes when a handshake begins, which neither aiohttp nor asyncio tells."""

    sslobject_class = Side

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """The TLS side of a connection, as the standard library makes it."""
        note("tls_started")
        return super().wrap_bio(*args, **options)


class Trust:
    """
    The run's contexts: one for all, and one for the hosts whose certificates are not looked at.

    Raises:
        UsageError: A file of certificates or the key cannot be used.
    """

    def __init__(self, config: TrustConfig) -> None:
        self._config = config
        self._unverified = frozenset(canonical_host(host, "--insecure-host") for host in config.insecure_hosts)
        self._context: ssl.SSLContext | None = None
        self._lax: ssl.SSLContext | None = None
        if config.cacert is not None or config.cert is not None or config.system_certs:
            self._context = make_context(config)

    def context(self, host: str) -> ssl.SSLContext:
        """What a connection to a host is secured with."""
        if host in self._unverified:
            if self._lax is None:
                self._lax = make_context(self._config, verified=False)
            return self._lax
        if self._context is None:
            self._context = make_context(self._config)
        return self._context


def make_context(config: TrustConfig, *, verified: bool = True) -> ssl.SSLContext:
    """
    A client's context as the settings say.

    Raises:
        UsageError: A file of certificates or the key cannot be used.
    """
    context = _system_context() if config.system_certs and verified else Context(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    if config.insecure or not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif config.cacert is not None:
        _load_authorities(context, Path(config.cacert))
    elif not config.system_certs:
        # Only for https: it brings much of importlib along.
        import certifi

        context.load_verify_locations(cafile=certifi.where())
    if config.cert is not None:
        _load_certificate(context, config.cert, config.key, config.key_password)
    return context


def _system_context() -> ssl.SSLContext:
    # Only who asks for it pays for it: on macOS and Windows it loads the system's libraries.
    import truststore

    class SystemContext(truststore.SSLContext):
        """The system's judgement, with a note of when a handshake begins."""

        def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
            note("tls_started")
            return super().wrap_bio(*args, **options)

    return SystemContext(ssl.PROTOCOL_TLS_CLIENT)


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        if path.is_dir():
            context.load_verify_locations(capath=str(path))
        else:
            context.load_verify_locations(cafile=str(path))
    except ssl.SSLError as error:
        raise UsageError(f"{path}: no certificates in it (PEM is expected); give another file with --cacert") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give another file with --cacert") from error


def _load_certificate(context: ssl.SSLContext, cert: str, key: str | None, password: str | None) -> None:
    """Show this certificate. Never asks a person for the password, as OpenSSL would."""
    asked = False

    def tell() -> str:
        nonlocal asked
        asked = True
        return password or ""

    for path, option in ((cert, "--cert"), (key, "--key")):
        if path is None:
            continue
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}; give another file with {option}") from error
    try:
        context.load_cert_chain(cert, key, tell)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(_complaint(cert, key, asked=asked, told=password is not None, error=error)) from error


def _complaint(cert: str, key: str | None, *, asked: bool, told: bool, error: Exception) -> str:
    reason = getattr(error, "reason", None) or ""
    if asked:
        return (
            f"{key or cert}: the password does not open the key; give the right one with --key-password"
            if told
            else f"{key or cert}: the key is encrypted; give its password with --key-password @FILE"
        )
    if reason == "KEY_VALUES_MISMATCH":
        return f"{key or cert}: the key is not that of the certificate in {cert}; give the right one with --key"
    if key is None and "PRIVATE KEY" not in Path(cert).read_text(errors="replace"):
        return f"{cert}: no private key in it; name the file that has it with --key"
    wrong = key if key is not None and "PRIVATE KEY" not in Path(key).read_text(errors="replace") else cert
    what = "private key" if wrong == key else "certificate"
    return f"{wrong}: no {what} in it that can be read (PEM is expected)"
