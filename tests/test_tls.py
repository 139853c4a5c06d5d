"""Whom we trust and the certificate that we show, with real handshakes and, for client certificates, a real nginx."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from trustme import CA

from fetcher.client.tls import make_context
from fetcher.client.trust import TrustConfig
from tests.conftest import Afetch, MakeNginx, MakeTlsSite
from tests.servers import Authority, Certificate, Site


class Me:
    """
    A certificate of ours, in files.

    Attributes:
        issuer: The file that a server needs to know us.
        cert, key: Two files; `both` is one with the two of them; `locked` the key with a password.
    """

    PASSWORD = "open, sesame"

    def __init__(self, folder: Path) -> None:
        authority = CA()
        leaf = authority.issue_cert("me@example.com")
        other = authority.issue_cert("other@example.com")
        self.issuer = folder / "clients.pem"
        authority.cert_pem.write_to_path(self.issuer)
        self.cert, self.key = folder / "me.pem", folder / "me.key"
        leaf.cert_chain_pems[0].write_to_path(self.cert)
        leaf.private_key_pem.write_to_path(self.key)
        self.both = folder / "both.pem"
        leaf.private_key_and_cert_chain_pem.write_to_path(self.both)
        self.other_key = folder / "other.key"
        other.private_key_pem.write_to_path(self.other_key)
        self.locked = folder / "locked.key"
        key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
        self.locked.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(self.PASSWORD.encode()),
            )
        )


@pytest.fixture
def me(tmp_path: Path) -> Me:
    """Our certificate."""
    folder = tmp_path / "me"
    folder.mkdir()
    return Me(folder)


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (Certificate.EXPIRED, "the certificate has expired"),
        (Certificate.WRONG_HOST, "the certificate is for another"),
        (Certificate.UNKNOWN_ISSUER, "the certificate's issuer is unknown"),
        (Certificate.SELF_SIGNED, "the certificate is self-signed"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told_apart(
    afetch: Afetch, make_tls_site: MakeTlsSite, ca_file: Path, certificate: Certificate, words: str
) -> None:
    """Four mistakes of servers, four messages; each means another thing to do."""
    site = make_tls_site(certificate)

    [record] = afetch("--json", "--cacert", ca_file, site.page()).records

    assert record["error"]["kind"] == "tls"
    assert words in record["error"]["message"]
    assert record["attempts"] == 1


def test_a_peers_certificate_is_not_put_into_words_that_nobody_reads() -> None:
    """Which is done for each connection, and takes the longer the more names there are in it; its bytes can be had."""
    authority = CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("a.test").configure_cert(server)
    client = make_context(TrustConfig())
    authority.configure_trust(client)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(down, up, server_hostname="a.test")
    theirs = server.wrap_bio(up, down, server_side=True)

    for side in (ours, theirs, ours):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()

    assert ours.getpeercert() is None
    assert ssl.DER_cert_to_PEM_cert(ours.getpeercert(binary_form=True) or b"").startswith(
        "-----BEGIN CERTIFICATE-----\n"
    )
    assert ours.version()


def test_one_host_can_be_excepted(afetch: Afetch, make_tls_site: MakeTlsSite, ca_file: Path) -> None:
    """--insecure-host takes any certificate of that host, and still looks at those of all others; it says so."""
    sites = [make_tls_site(Certificate.EXPIRED) for _ in range(2)]
    urls = [sites[0].page(), sites[1].page().replace("127.0.0.1", "localhost")]

    done = afetch("--json", "--cacert", ca_file, "--insecure-host", "LOCALHOST", *urls)

    assert {record["url"]: record["ok"] for record in done.records} == {urls[0]: False, urls[1]: True}
    assert "certificates of LOCALHOST are not verified" in done.stderr


def test_the_systems_list_can_be_the_one_that_counts(afetch: Afetch, tls_site: Site, ca_file: Path) -> None:
    """--system-certs trusts what OpenSSL's own place has, which the environment can move; certifi's list does not."""
    known = afetch("--json", "--system-certs", tls_site.page(), env={"SSL_CERT_FILE": str(ca_file)})
    unknown = afetch("--json", tls_site.page(), env={"SSL_CERT_FILE": str(ca_file)})
    other = afetch("--json", "--system-certs", tls_site.page())

    assert [run.records[0]["ok"] for run in (known, unknown, other)] == [True, False, False]
    assert known.records[0]["timings"]["tls"] > 0


@pytest.fixture
def guarded(nginx: MakeNginx, me: Me, authority: Authority, tmp_path: Path) -> str:
    """A page that nginx shows only to those with a certificate of our authority."""
    # nginx may read it as another user.
    known = tmp_path / "known-clients.pem"
    known.write_bytes(me.issuer.read_bytes())
    server = nginx(
        f"ssl_certificate {authority.cert_file}; ssl_certificate_key {authority.key_file};\n"
        f"ssl_client_certificate {known}; ssl_verify_client on;\n"
        'location / { default_type text/plain; return 200 "$ssl_client_verify $ssl_client_s_dn"; }',
        tls=True,
    )
    return server.url("/")


def test_our_certificate_is_shown_to_servers_that_ask(
    afetch: Afetch, guarded: str, me: Me, authority: Authority
) -> None:
    """In one file with its key, in two, with a locked key; without it nginx says 400."""
    ways = [
        ("--cert", me.both),
        ("--cert", me.cert, "--key", me.key),
        ("--cert", me.cert, "--key", me.locked, "--key-password", Me.PASSWORD),
        (),
    ]

    runs = [afetch("--json", "-r", "0", "--cacert", authority.ca_file, *way, guarded).records[0] for way in ways]

    assert [record["status"] for record in runs] == [200, 200, 200, 400]
    assert all(record["body"].startswith("SUCCESS") for record in runs[:3])


def test_our_certificate_is_shown_to_servers_that_are_not_verified_too(afetch: Afetch, guarded: str, me: Me) -> None:
    """-k and --insecure-host say nothing about who we are."""
    careless = afetch("--json", "-k", "--cert", me.both, guarded)
    excepted = afetch("--json", "--insecure-host", "127.0.0.1", "--cert", me.both, guarded)

    assert [run.records[0]["status"] for run in (careless, excepted)] == [200, 200]


def test_a_keys_password_comes_from_a_file_or_the_environment(
    afetch: Afetch, guarded: str, me: Me, authority: Authority
) -> None:
    """So that no list of processes has it; a line's end behind it is none of it."""
    (afetch.folder / "password").write_text(f"{Me.PASSWORD}\n")
    mine = ("--json", "--cacert", authority.ca_file, "--cert", me.cert, "--key", me.locked)

    of_file = afetch(*mine, "--key-password", "@password", guarded)
    of_environment = afetch(*mine, guarded, env={"AFETCH_KEY_PASSWORD": Me.PASSWORD})

    assert [run.records[0]["status"] for run in (of_file, of_environment)] == [200, 200]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cert", "{cert}"], "no private key in it; name the file that has it with --key"),
        (["--cert", "{cert}", "--key", "{other_key}"], "the key is not that of the certificate"),
        (["--cert", "{cert}", "--key", "{locked}"], "the key is encrypted; give its password"),
        (["--cert", "{cert}", "--key", "{locked}", "--key-password", "wr0ng"], "the password does not open the key"),
        (["--cert", "{cert}", "--key", "{cert}"], "no private key in it"),
        (["--cert", "{key}"], "no certificate in it"),
        (["--cert", "nowhere.pem"], "nowhere.pem: No such file or directory; give another file with --cert"),
        (["--cert", "{cert}", "--key", "nowhere.key"], "give another file with --key"),
        (["--key", "{key}"], "key without cert"),
        (["--cert", "{both}", "--key-password", "@nowhere"], "--key-password: not text, or @FILE"),
        (["--system-certs", "--cacert", "ca.pem"], "contradict each other"),
        (["--insecure", "--system-certs"], "contradict each other"),
        (["--insecure-host", "https://a.test/"], "--insecure-host"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_status_2(
    afetch: Afetch, tls_site: Site, me: Me, options: list[str], words: str
) -> None:
    """One line that says what to do, before any connection; and never the password, nor a prompt for it."""
    names = {name: str(getattr(me, name)) for name in ("cert", "key", "both", "locked", "other_key")}

    done = afetch(*(option.format(**names) for option in options), tls_site.page())

    assert (done.returncode, tls_site.connections) == (2, 0)
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "wr0ng" not in done.stderr
