"""What a hop means, without a wire: hops are made up, chance and the date are in the test's hand."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from fetcher.errors import ErrorKind, UsageError
from fetcher.model import Error, Hop, Job, Request, Result
from fetcher.policy import Again, Policy, PolicyConfig, first_job
from fetcher.urls import parse_url

NOON = 1_700_000_000.0


def job(url: str = "http://a.test/start", method: str = "GET", body: bytes | None = None, **headers: str) -> Job:
    target, _ = parse_url(url)
    return first_job(Request(0, url, target, method, body, tuple(headers.items())), target)


def hop(of: Job, status: int | None = 200, error: ErrorKind | None = None, **headers: str) -> Hop:
    pairs = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return Hop(of.url, of.method, status, Error(error, "so it is") if error else None, NOON, 0.25, pairs)


def policy(*, chance: float = 1.0, **config: object) -> Policy:
    return Policy(PolicyConfig(**config), chance=lambda: chance, wall=lambda: NOON)  # type: ignore[arg-type]  # per test


def again(outcome: Result | Again) -> Again:
    assert isinstance(outcome, Again)
    return outcome


def final(outcome: Result | Again) -> Result:
    assert isinstance(outcome, Result)
    return outcome


def test_a_good_reply_is_a_result_of_one_attempt() -> None:
    """200 is done."""
    start = job()

    result = final(policy().decide(start, hop(start)))

    assert result.ok
    assert len(result.attempts) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_status_that_can_get_better_is_tried_again(status: int) -> None:
    """With the attempt behind it, and nothing left of its time."""
    start = job()

    outcome = again(policy().decide(start, hop(start, status)))

    assert [attempt.status for attempt in outcome.job.attempts] == [status]
    assert outcome.job.spent == 0.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 501, 505])
def test_a_status_that_cannot_get_better_is_final(status: int) -> None:
    """404 today is 404 in a second."""
    start = job()

    assert final(policy().decide(start, hop(start, status))).status == status


@pytest.mark.parametrize(
    "kind",
    ["dns", "refused", "unreachable", "connect-timeout", "disconnected", "read-timeout", "timeout", "incomplete"],
)
def test_trouble_on_the_way_is_tried_again(kind: str) -> None:
    """Connections, timeouts, cut bodies."""
    start = job()

    assert again(policy().decide(start, hop(start, None, ErrorKind(kind))))


@pytest.mark.parametrize("kind", ["tls", "protocol", "decode", "too-large", "internal", "blocked"])
def test_trouble_that_stays_is_final(kind: str) -> None:
    """A certificate does not renew itself within seconds."""
    start = job()

    assert final(policy().decide(start, hop(start, None, ErrorKind(kind)))).error is not None


def test_a_name_that_does_not_exist_is_not_asked_for_again() -> None:
    """A lookup that failed for lack of an answer is; `lasting` tells them apart."""
    start = job()
    gone = Hop(start.url, "GET", None, Error(ErrorKind.DNS, "no such name", True), NOON, 0.1)

    assert final(policy().decide(start, gone)).error == gone.error


def test_retries_end() -> None:
    """Two retries are three attempts."""
    start = job()
    deciding = policy(retries=2)

    second = again(deciding.decide(start, hop(start, 503))).job
    third = again(deciding.decide(second, hop(second, 503))).job
    result = final(deciding.decide(third, hop(third, 503)))

    assert [attempt.status for attempt in result.attempts] == [503, 503, 503]


def test_waits_double_and_chance_spreads_them() -> None:
    """Full jitter: anything from nothing to 1 s, then 2 s, then 4 s, up to the longest."""
    deciding = policy(chance=0.5, retries=9, retry_wait=1.0, retry_wait_max=3.0)
    current, waits = job(), []

    for _ in range(4):
        outcome = again(deciding.decide(current, hop(current, 500)))
        waits.append(outcome.wait)
        current = outcome.job

    assert waits == [0.5, 1.0, 1.5, 1.5]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        (formatdate(NOON + 60, usegmt=True), 60.0),
        (formatdate(NOON - 60, usegmt=True), 0.0),
    ],
)
def test_retry_after_is_honoured_in_seconds_and_as_a_date(value: str, seconds: float) -> None:
    """It wins over our own backoff, and a date gone by is now."""
    start = job()

    outcome = again(policy().decide(start, hop(start, 503, retry_after=value)))

    assert outcome.wait == seconds
    assert outcome.job.waited_for == "retry-after"


@pytest.mark.parametrize("value", ["soon", "-5", "1.5", "Thu, 99 Foo 2026", "", "\u0663"])
def test_a_retry_after_that_says_nothing_leaves_our_own_backoff(value: str) -> None:
    """Garbage there is not an error and not a wait of its own."""
    start = job()

    outcome = again(policy(chance=0.5).decide(start, hop(start, 503, retry_after=value)))

    assert (outcome.wait, outcome.job.waited_for) == (0.5, "retry")


@pytest.mark.parametrize("value", ["301", "99999999999999999999999"])
def test_a_retry_after_beyond_the_longest_is_final(value: str) -> None:
    """Nobody waits a day for one URL: the reply stands."""
    start = job()

    assert final(policy(retry_after_max=300).decide(start, hop(start, 503, retry_after=value))).status == 503


def test_a_post_is_not_sent_twice_unless_asked() -> None:
    """Whoever names what to retry means it for every method."""
    start = job(method="POST", body=b"x")

    by_default = policy().decide(start, hop(start, 503))
    asked = policy(retry_on=("503",)).decide(start, hop(start, 503))

    assert isinstance(by_default, Result)
    assert isinstance(asked, Again)


def test_a_post_that_never_left_is_tried_again() -> None:
    """A refused connection has carried nothing."""
    start = job(method="POST", body=b"x")

    assert again(policy().decide(start, hop(start, None, ErrorKind.REFUSED)))
    assert final(policy().decide(start, hop(start, None, ErrorKind.DISCONNECTED)))


def test_retry_on_replaces_the_list() -> None:
    """Named: tried again. Not named: not."""
    start = job()
    deciding = policy(retry_on=("4xx", "tls"))

    assert again(deciding.decide(start, hop(start, 404)))
    assert again(deciding.decide(start, hop(start, None, ErrorKind.TLS)))
    assert final(deciding.decide(start, hop(start, 500)))


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "GET", "GET"),
        (301, "POST", "GET"),
        (301, "PUT", "PUT"),
        (302, "POST", "GET"),
        (302, "HEAD", "HEAD"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
    ],
)
def test_a_redirect_changes_the_method_as_the_standard_says(status: int, method: str, then: str) -> None:
    """RFC 9110 15.4: the body goes when the method becomes GET, and the headers about it."""
    body = None if method in {"GET", "HEAD"} else b"data"
    start = job("http://a.test/", method, body, **{"Content-Type": "text/plain", "X-Own": "1"})

    following = again(policy().decide(start, hop(start, status, location="/there"))).job

    assert following.method == then
    assert following.body == (body if then == method else None)
    kept = {name for name, _ in following.request.headers}
    assert kept == ({"X-Own"} if body and then != method else {"X-Own", "Content-Type"})


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b?c=d", "http://a.test/b?c=d"),
        ("b", "http://a.test/x/b"),
        ("../b", "http://a.test/b"),
        ("//b.test/c", "http://b.test/c"),
        ("?q", "http://a.test/x/y?q"),
        ("https://b.test:8443/c#part", "https://b.test:8443/c"),
        ("/with space/ü", "http://a.test/with%20space/%C3%BC"),
        ("/already%2Fencoded%20", "http://a.test/already%2Fencoded%20"),
    ],
)
def test_a_location_is_followed_wherever_it_points(location: str, target: str) -> None:
    """Relative, absolute, with a fragment, badly encoded."""
    start = job("http://a.test/x/y?z")

    following = again(policy().decide(start, hop(start, 302, location=location))).job

    assert str(following.url) == target


def test_the_bytes_of_a_latin_1_location_are_kept() -> None:
    """Servers of old file systems: what they sent is what they understand."""
    start = job()
    reply = Hop(start.url, "GET", 302, None, NOON, 0.1, ((b"Location", b"/caf\xe9"),))

    assert str(again(policy().decide(start, reply)).job.url) == "http://a.test/caf%E9"


def test_a_loop_and_too_many_are_told_apart() -> None:
    """Both are `redirects` with the last status; the sentence says which."""
    deciding = policy(max_redirects=2)
    start = job("http://a.test/1")

    two = again(deciding.decide(start, hop(start, 302, location="/2"))).job
    loop = final(deciding.decide(two, hop(two, 302, location="/1")))
    three = again(deciding.decide(two, hop(two, 302, location="/3"))).job
    many = final(deciding.decide(three, hop(three, 302, location="/4")))

    for result in (loop, many):
        assert result.error is not None
        assert (result.error.kind, result.status) == (ErrorKind.REDIRECTS, 302)
    assert loop.error is not None
    assert many.error is not None
    assert "loop" in loop.error.message
    assert "more than 2" in many.error.message


@pytest.mark.parametrize("location", ["ftp://a.test/", "javascript:alert(1)", "http://", "http://[::1/", "//"])
def test_a_location_that_leads_nowhere_ends_the_chain(location: str) -> None:
    """Only http and https are followed."""
    start = job()

    result = final(policy().decide(start, hop(start, 302, location=location)))

    assert result.error is not None
    assert result.error.kind == ErrorKind.REDIRECTS


def test_a_redirect_without_a_location_is_a_reply() -> None:
    """And so is any redirect when redirects are not followed."""
    start = job()

    bare = final(policy().decide(start, hop(start, 302)))
    unfollowed = final(policy(follow=False).decide(start, hop(start, 302, location="/b")))

    assert bare.ok
    assert unfollowed.ok


def test_a_redirect_with_a_broken_body_is_followed() -> None:
    """Nobody reads it."""
    start = job()

    assert again(policy().decide(start, hop(start, 302, ErrorKind.INCOMPLETE, location="/b")))


def test_trust_ends_at_the_first_other_origin_and_does_not_come_back() -> None:
    """Credentials go to the origin that was named, not to where others lead from there."""
    deciding = policy()
    start = job("http://a.test/")

    same = again(deciding.decide(start, hop(start, 302, location="/b"))).job
    other = again(deciding.decide(same, hop(same, 302, location="https://a.test/c"))).job
    back = again(deciding.decide(other, hop(other, 302, location="http://a.test/d"))).job

    assert [same.trusted, other.trusted, back.trusted] == [True, False, False]


def test_a_retry_keeps_the_redirects_before_it_and_starts_at_the_hop_that_failed() -> None:
    """The host that is in trouble is asked again, not the one that led there."""
    deciding = policy()
    start = job("http://a.test/1")

    two = again(deciding.decide(start, hop(start, 302, location="http://b.test/2"))).job
    outcome = again(deciding.decide(two, hop(two, 503))).job
    result = final(deciding.decide(outcome, hop(outcome, 200)))

    assert str(outcome.url) == "http://b.test/2"
    assert [str(seen.url) for seen in result.redirects] == ["http://a.test/1"]
    assert [attempt.status for attempt in result.attempts] == [503, 200]


def test_an_attempt_adds_up_its_hops_and_not_what_it_waited() -> None:
    """Two hops of a quarter of a second are half a second."""
    deciding = policy()
    start = job("http://a.test/1")

    two = again(deciding.decide(start, hop(start, 302, location="/2"))).job
    result = final(deciding.decide(two, hop(two, 200)))

    assert two.spent == 0.25
    assert result.attempts[0].elapsed == 0.5


@pytest.mark.parametrize("config", [{"retries": -1}, {"retry_on": ("sometimes",)}, {"max_redirects": -1}])
def test_a_setting_that_cannot_be_is_refused(config: dict[str, object]) -> None:
    """With a sentence, before anything runs."""
    with pytest.raises(UsageError):
        PolicyConfig(**config)  # type: ignore[arg-type]  # per test
