"""What a hop means, without a wire: hops are made up, chance and the date are in the test's hand."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.errors import ErrorKind, UsageError
from fetcher.hosts import HostConfig, Hosts, HostsConfig
from fetcher.model import UNCONNECTED, Error, Hop, Job, Request, Result, Word
from fetcher.policy import OURS, REFUSALS, Again, Policy, PolicyConfig, first_job, given_up
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
    [
        "dns",
        "refused",
        "unreachable",
        "connect-timeout",
        "proxy",
        "disconnected",
        "read-timeout",
        "timeout",
        "incomplete",
    ],
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


@given(
    st.one_of(
        st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.from_regex(rb"(Mon, )?\d{1,30} Jan \d{1,30} \d{1,30}:\d{1,30}:\d{1,30} (GMT|[+-]\d{1,30})", fullmatch=True),
    )
)
def test_no_retry_after_ends_the_run(value: bytes) -> None:
    """Whatever a server writes there, it is a number of seconds or it is nothing."""
    start = job()
    reply = Hop(start.url, "GET", 429, None, NOON, 0.1, ((b"Retry-After", value),))

    news = policy().news(reply)
    policy().decide(start, reply)

    assert news.wait is None or news.wait >= 0.0


def test_a_date_with_absurd_numbers_is_no_date() -> None:
    """Numbers too large for a clock are not an error of ours."""
    start = job()
    absurd = f"Mon, {'9' * 20} Jan 2026 00:00:00 GMT"

    outcome = again(policy().decide(start, hop(start, 429, retry_after=absurd)))

    assert (outcome.wait, outcome.job.waited_for) == (0.0, "refused")


def test_a_wait_that_doubled_a_thousand_times_is_still_the_longest() -> None:
    """With ten thousand retries the arithmetic does not break off on the way."""
    deciding = policy(retries=10_000, retry_wait_max=3.0, retry_max_time=0)
    current = job()

    for _ in range(1_100):
        outcome = again(deciding.decide(current, hop(current, 500)))
        current = outcome.job

    assert outcome.wait == 3.0


# A host that wants less.


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_with_a_time_costs_no_retry(status: int) -> None:
    """Not even `retries=0` forbids it: the server said when another time will do."""
    deciding = policy(retries=0)
    start = job()

    refused = again(deciding.decide(start, hop(start, status, retry_after="7")))
    result = final(deciding.decide(refused.job, hop(refused.job, 500)))

    assert (refused.wait, refused.behind, refused.job.waited_for) == (7.0, True, "retry-after")
    assert refused.job.refusals == 1
    assert [attempt.status for attempt in result.attempts] == [status, 500]


def test_refusals_between_failures_leave_all_retries() -> None:
    """Two retries are two retries, however often the host asked for patience, and the waits double by them alone."""
    deciding = policy(retries=2)
    current, waits = job(), []

    for status in (429, 500, 429, 429, 500, 429):
        outcome = again(deciding.decide(current, hop(current, status)))
        waits.append((outcome.wait, outcome.behind))
        current = outcome.job
    result = final(deciding.decide(current, hop(current, 500)))

    assert waits == [(0.0, True), (1.0, False), (0.0, True), (0.0, True), (2.0, False), (0.0, True)]
    assert len(result.attempts) == 7


def test_a_429_without_a_time_is_a_refusal_and_a_503_without_one_is_a_failure() -> None:
    """429 always means less; 503 may mean anything."""
    start = job()

    less = again(policy().decide(start, hop(start, 429)))
    broken = again(policy().decide(start, hop(start, 503)))

    assert (less.job.waited_for, less.job.refusals, less.behind) == ("refused", 1, True)
    assert (broken.job.waited_for, broken.job.refusals, broken.behind) == ("retry", 0, False)


def test_a_refusal_without_a_time_is_final_where_nothing_is_to_be_sent_twice() -> None:
    """`retries=0` and a bare 429: nobody said that another time will do."""
    start = job()

    result = final(policy(retries=0).decide(start, hop(start, 429)))

    assert (result.status, len(result.attempts)) == (429, 1)


def test_a_post_whose_proxy_failed_goes_again_unless_that_lasts() -> None:
    """The host was sent nothing; wrong credentials will be wrong the next time, too."""
    start = job(method="POST", body=b"x")
    passing = hop(start, None, ErrorKind.PROXY)
    lasting = Hop(start.url, "POST", None, Error(ErrorKind.PROXY, "so it is", lasting=True), NOON, 0.25)

    assert isinstance(policy().decide(start, passing), Again)
    assert isinstance(policy().decide(start, lasting), Result)


def test_a_post_that_was_refused_goes_again() -> None:
    """The host did not do what it was asked."""
    start = job(method="POST", body=b"x")

    outcome = again(policy().decide(start, hop(start, 429, retry_after="1")))

    assert (outcome.job.method, outcome.job.body) == ("POST", b"x")


@pytest.mark.parametrize("headers", [{}, {"retry_after": "0"}])
def test_the_tenth_refusal_is_final(headers: dict[str, str]) -> None:
    """The last reply is the result, and history has all ten."""
    deciding = policy()
    current = job()

    for _ in range(REFUSALS - 1):
        current = again(deciding.decide(current, hop(current, 429, None, **headers))).job
    result = final(deciding.decide(current, hop(current, 429, None, **headers)))

    assert [attempt.status for attempt in result.attempts] == [429] * 10


@pytest.mark.parametrize(("first", "retried"), [(NOON - 9.0, True), (NOON - 10.5, False)])
@pytest.mark.parametrize(("status", "header"), [(500, {}), (429, {}), (429, {"retry_after": "0"})])
def test_no_attempt_begins_after_the_time_for_retries(
    first: float, retried: bool, status: int, header: dict[str, str]
) -> None:
    """Ten seconds since the entry's first attempt began, refusals and failures alike."""
    deciding = policy(chance=0.0, retry_max_time=10.0)
    start = job()
    pairs = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in header.items())
    early = Hop(start.url, "GET", status, None, first, 0.5, pairs)

    outcome = deciding.decide(start, early)

    assert isinstance(outcome, Again) == retried


@pytest.mark.parametrize(("seconds", "retried"), [("9", True), ("11", False)])
def test_a_pause_that_ends_after_the_time_for_retries_is_final(seconds: str, retried: bool) -> None:
    """It would be waited for in vain."""
    start = job()
    outcome = policy(retry_max_time=10.0).decide(start, hop(start, 503, retry_after=seconds))

    assert isinstance(outcome, Again) == retried


def test_the_time_for_retries_counts_from_the_first_attempt() -> None:
    """Not from the last one: five seconds ago it began, twenty in all."""
    deciding = policy(chance=0.0, retry_max_time=10.0, retries=9)
    start = job()
    current = again(deciding.decide(start, Hop(start.url, "GET", 500, None, NOON - 5.0, 0.1))).job

    inside = deciding.decide(current, hop(current, 500))
    outside = Policy(PolicyConfig(retry_max_time=10.0, retries=9), chance=lambda: 0.0, wall=lambda: NOON + 6.0).decide(
        current, hop(current, 500)
    )

    assert isinstance(inside, Again)
    assert isinstance(outside, Result)


def test_no_limit_of_time_is_none() -> None:
    """0, and a first attempt of a year ago."""
    start = job()
    early = Hop(start.url, "GET", 429, None, NOON - 31_536_000, 0.5)

    assert isinstance(policy(retry_max_time=0).decide(start, early), Again)


@pytest.mark.parametrize("retries", [0, 2])
def test_a_pause_beyond_the_longest_is_final_and_says_so(retries: int) -> None:
    """The status is kept; the reason is in the history."""
    start = job()

    result = final(policy(retries=retries).decide(start, hop(start, 429, retry_after="301")))

    assert result.status == 429
    assert result.error is None
    assert [attempt.waited_for for attempt in result.attempts] == ["retry-after-max"]


def test_an_attempt_that_waited_and_ends_at_a_pause_too_long_says_both() -> None:
    """What was waited for before it, and what was not after it."""
    deciding = policy()
    start = job()

    current = again(deciding.decide(start, hop(start, 500))).job
    result = final(deciding.decide(current, hop(current, 503, retry_after="9999")))

    assert [attempt.waited_for for attempt in result.attempts] == [None, "retry; retry-after-max"]


def test_a_pause_of_exactly_the_longest_is_waited_for() -> None:
    """Beyond it is beyond it."""
    start = job()

    assert again(policy().decide(start, hop(start, 503, retry_after="300"))).wait == 300.0


@pytest.mark.parametrize("status", [429, 503])
def test_none_forbids_every_repetition(status: int) -> None:
    """`--retry-on none`: what the host asks for is not asked of us."""
    deciding = policy(retry_on=("none",), retries=5)
    start = job()

    for reply in (hop(start, status, retry_after="1"), hop(start, status), hop(start, None, ErrorKind.DNS)):
        assert len(final(deciding.decide(start, reply)).attempts) == 1


def test_a_hosts_own_retries_win_over_those_of_the_run() -> None:
    """More for one, none for another, and a host without a word has the run's."""
    hosts = Hosts(HostsConfig(hosts={"a.test": HostConfig(retries=3), "b.test": HostConfig(retries=0)}))
    deciding = Policy(PolicyConfig(retries=1), hosts, chance=lambda: 0.0, wall=lambda: NOON)

    tries = {}
    for name in ("a.test", "b.test", "c.test"):
        current = job(f"http://{name}/")
        while isinstance(outcome := deciding.decide(current, hop(current, 500)), Again):
            current = outcome.job
        tries[name] = len(outcome.attempts)

    assert tries == {"a.test": 4, "b.test": 1, "c.test": 2}


def test_a_host_without_retries_of_its_own_gives_up_at_a_bare_429() -> None:
    """As `-r 0` does for the run."""
    hosts = Hosts(HostsConfig(hosts={"a.test": HostConfig(retries=0)}))
    deciding = Policy(PolicyConfig(), hosts, wall=lambda: NOON)
    start = job()

    assert isinstance(deciding.decide(start, hop(start, 429)), Result)
    assert isinstance(deciding.decide(start, hop(start, 429, retry_after="1")), Again)


def test_history_tells_how_long_was_really_waited() -> None:
    """From the end of one attempt to the start of the next, whatever had been planned."""
    now = NOON + 0.25
    deciding = Policy(PolicyConfig(retry_wait=1.0), chance=lambda: 0.5, wall=lambda: now)
    start = job()

    planned = again(deciding.decide(start, Hop(start.url, "GET", 500, None, NOON, 0.25)))
    result = final(deciding.decide(planned.job, Hop(start.url, "GET", 200, None, NOON + 4.0, 0.5)))

    assert planned.wait == 0.5
    assert [(attempt.waited, attempt.waited_for) for attempt in result.attempts] == [(0.0, None), (3.75, "retry")]


def test_what_was_waited_before_a_redirect_belongs_to_the_whole_attempt() -> None:
    """A second attempt waits, is redirected, and then its host is given up: its wait is in the history all the same."""
    deciding = policy(chance=0.5)
    start = job()
    second = again(deciding.decide(start, hop(start, 500))).job

    hopped = again(
        deciding.decide(second, Hop(start.url, "GET", 302, None, NOON + 2, 0.5, ((b"Location", b"/b"),)))
    ).job
    followed = final(deciding.decide(hopped, Hop(hopped.url, "GET", 200, None, NOON + 9, 0.5)))
    buried = given_up(hopped, Error(ErrorKind.HOST_DOWN, "gone"))

    assert [attempt.waited for attempt in followed.attempts] == [0.0, 2.0]
    assert [attempt.waited for attempt in buried.attempts] == [0.0, 2.0]
    assert buried.status == 302
    assert buried.error is not None
    assert buried.error.kind == ErrorKind.HOST_DOWN


# What a hop says of its host.


@pytest.mark.parametrize("status", [200, 204, 301, 302, 400, 401, 403, 404, 408, 410, 500, 502, 503, 504, 599])
def test_a_whole_reply_serves(status: int) -> None:
    """Whatever it says: the host is there and answers."""
    assert policy().news(hop(job(), status)).word is Word.SERVED


@pytest.mark.parametrize("status", [200, 302, 404, 500, 503])
@pytest.mark.parametrize("kind", list(ErrorKind))
def test_a_reply_with_an_error_reaches_and_no_more(status: int, kind: ErrorKind) -> None:
    """A head came: whatever happened then, there is a host."""
    assert policy().news(hop(job(), status, kind)).word is Word.REACHED


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_an_error_without_a_reply_says_who_is_to_blame(kind: ErrorKind) -> None:
    """Ours says nothing, no connection says so, and all else takes a host that is there."""
    news = policy().news(hop(job(), None, kind))

    if kind in UNCONNECTED:
        assert (news.word, news.reason) == (Word.UNCONNECTED, f"{kind}: so it is")
    elif kind in OURS:
        assert news.word is Word.NOTHING
    else:
        assert news.word is Word.REACHED


def test_a_shortage_of_ours_never_counts_against_a_host() -> None:
    """No descriptors, a bug, our own policy, our own proxy."""
    words = {
        policy().news(hop(job(), None, ErrorKind(kind))).word for kind in ("local", "internal", "blocked", "proxy")
    }

    assert words == {Word.NOTHING}


def test_a_name_that_does_not_exist_is_an_answer() -> None:
    """The resolver is there and says so: neither an outage nor a host that went away."""
    start = job()
    gone = Hop(start.url, "GET", None, Error(ErrorKind.DNS, "no such name", True), NOON, 0.1)

    assert policy().news(gone).word is Word.REACHED


@pytest.mark.parametrize(
    ("status", "retry_after", "word", "wait"),
    [
        (429, None, Word.REFUSED, None),
        (429, "soon", Word.REFUSED, None),
        (429, "0", Word.REFUSED, 0.0),
        (429, "300", Word.REFUSED, 300.0),
        (429, "301", Word.SHUNNED, 301.0),
        (503, None, Word.SERVED, None),
        (503, "soon", Word.SERVED, None),
        (503, "5", Word.REFUSED, 5.0),
        (503, formatdate(NOON + 60, usegmt=True), Word.REFUSED, 60.0),
        (503, formatdate(NOON + 600, usegmt=True), Word.SHUNNED, 600.0),
        (200, "5", Word.SERVED, None),
        (404, "5", Word.SERVED, None),
        (500, "5", Word.SERVED, None),
    ],
)
def test_a_host_that_wants_less_says_so(status: int, retry_after: str | None, word: Word, wait: float | None) -> None:
    """429 always does, 503 when it says when, and nothing else; a time beyond the longest is told apart."""
    headers = {} if retry_after is None else {"retry_after": retry_after}

    news = policy().news(hop(job(), status, None, **headers))

    assert (news.word, news.wait) == (word, wait)


def test_a_refusal_that_broke_off_is_a_refusal() -> None:
    """Its head said all."""
    assert policy().news(hop(job(), 429, ErrorKind.INCOMPLETE, retry_after="5")).word is Word.REFUSED


def test_what_we_paused_ourselves_uses_up_no_timeout() -> None:
    """A hop that was held for a rate limit leaves its attempt's time to the hops behind it."""
    start = job()
    held = Hop(start.url, "GET", 302, None, NOON, 9.0, ((b"Location", b"/next"),), paused=8.5)

    second = again(policy().decide(start, held)).job

    assert (second.spent, second.paused) == (9.0, 8.5)
