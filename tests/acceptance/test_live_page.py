"""The live page of the local Firebase, as a person with a browser sees it."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.browser import Browser, Page, chromium
from tests.system import Firebase, System, now_text, wait_until

IMAGE = "<IMG/SRC=X/ONERROR=ALERT(1)>"
"""A symbol that the bridge takes, and a browser would too if it came as markup."""

MINUS, ZERO = "\u2212", "\u2013"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def firebase(tmp_path: Path) -> Iterator[Firebase]:
    firebase = Firebase(tmp_path)
    try:
        yield firebase
    finally:
        firebase.process.end(within=0)


@pytest.fixture
def show(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page of a database; what it met is looked at in the end."""
    pages: list[Page] = []

    def show(firebase: Firebase, query: str = "", **options: Any) -> Page:
        pages.append(browser.open(f"http://{firebase.host}/{query}", **options))
        return pages[-1]

    yield show
    for page in pages:
        assert page.errors == []
        page.close()


def performance(total: Any, **fields: Any) -> dict[str, Any]:
    amounts = {"total": total, "unrealized": total, "realized": 0, "converted": 0}
    return amounts | {"timestamp": now_text()} | fields


def card(ticker: str, part: str = "") -> str:
    """JavaScript for the text of a card, or of a part of it."""
    cards = "[...document.querySelectorAll('article')]"
    found = f"{cards}.find(c => c.querySelector('.ticker').textContent === {json.dumps(ticker)})"
    within = f"?.querySelector('{part}')" if part else ""
    return f"({found}){within}?.textContent"


def has(ticker: str, total: str) -> str:
    return f"{card(ticker, '.amount')} === {json.dumps(total)}"


SHOWN = "[...document.querySelectorAll('.cards li:not([hidden]) .ticker')].map(t => t.textContent)"
FIGURES = "article => [...article.querySelectorAll('.total, dd')].map(e => e.textContent).join()"


def test_a_published_report_changes_its_card_and_the_account_and_no_other(
    system: System, show: Callable[..., Page]
) -> None:
    system.start_bridge()
    system.start_worker()
    page = show(system.firebase)
    page.until("!document.getElementById('no-report').hidden")
    command = page.value("document.getElementById('command').textContent")
    pasted = re.fullmatch(r"""redis-cli -u "\$REDIS_URL" PUBLISH PROFIT_REPORT '(.+)'""", command)
    assert pasted
    assert system.publish(pasted.group(1)) == 1
    page.until(has("SOFI", "+28.76"))
    assert page.value("document.getElementById('no-report').hidden")
    for symbol in ("BRK.B", "BTC/USD", IMAGE):
        system.report(symbol, 1.5)
        page.until(has(symbol, "+1.50"))
    page.until(has("Account", "+33.26"))
    changed = f"""
        const figures = {FIGURES};
        const cards = [...document.querySelectorAll('article')];
        window.before = new Map(cards.map(card => [card, figures(card)]));
    """
    page.value(f"(() => {{ {changed} }})()")

    begin = time.monotonic()
    system.report("BRK.B", -4.0, unrealized=-5.0, realized=0.75, converted=0.25)
    page.until(f"{has('BRK.B', MINUS + '2.50')} && {has('Account', '+29.26')}")
    print(f"from PUBLISH to the card and the account: {(time.monotonic() - begin) * 1000:.0f} ms")

    differ = f"[...window.before].filter(([a, was]) => ({FIGURES})(a) !== was)"
    names = page.value(f"{differ}.map(([a]) => a.querySelector('.ticker').textContent)")
    assert sorted(names) == ["Account", "BRK.B"]
    assert page.value(card("BRK.B", ".arrow")) == "▼"
    assert page.value(card("BRK.B", ".direction")) == "down"
    assert page.value(card("BRK.B", ".unrealized")) == f"{MINUS}3.50"
    assert page.value(card("BRK.B", ".realized")) == "+0.75"
    assert page.value(card("Account", ".arrow")) == "▲"
    assert page.until("document.title.startsWith('▲ +29.26') && document.title")
    assert page.value("document.images.length") == 0


def test_text_out_of_the_database_is_shown_as_text(
    firebase: Firebase, show: Callable[..., Page]
) -> None:
    attack = "<img src=x onerror=\"document.title='broken'\">"
    firebase.put("services/SOFI", {"price": attack, "performance": performance(attack)})
    firebase.put("services/__proto__", {"price": 1, "performance": performance(2)})
    page = show(firebase)
    page.until(f"{card('SOFI', '.amount')} === {json.dumps(attack)}")
    assert page.value(card("SOFI", ".price")) == attack
    assert page.value(card("SOFI", ".arrow")) == ""
    assert page.value(card("__proto__", ".amount")) == "+2.00"
    assert page.value("document.images.length") == 0


def test_a_lost_stream_is_shown_and_heals_with_what_came_meanwhile(
    firebase: Firebase, show: Callable[..., Page]
) -> None:
    firebase.put("services", {name: {"performance": performance(1)} for name in ("AMD", "F")})
    page = show(firebase)
    page.until(has("AMD", "+1.00"))
    state = "document.getElementById('connection').textContent"
    assert page.value(state) == "Live"
    firebase.faults({"method": "STREAM", "status": 503}, close_streams=True)
    page.until(f"{state}.startsWith('Connection lost')")
    page.until("document.title.startsWith('Connection lost')")
    assert page.value(has("AMD", "+1.00")), "the last figures stay"
    firebase.put("services/AMD/performance", performance(7))
    firebase.put("services/F", None)
    firebase.faults()
    page.until(has("AMD", "+7.00"))
    assert page.value(state) == "Live"
    assert page.value(SHOWN) == ["AMD"]


def test_a_write_at_any_depth_is_shown(firebase: Firebase, show: Callable[..., Page]) -> None:
    page = show(firebase)
    # keys like these come as a list, whose first place is null
    firebase.put("services", {key: {"performance": performance(1)} for key in ("1", "2")})
    page.until(has("2", "+1.00"))
    assert page.value(SHOWN) == ["1", "2"]
    firebase.patch("services", {"1": None, "2": None, "7": {"performance": performance(1)}})
    page.until(has("7", "+1.00"))
    firebase.put("services/7/performance/total", -2)
    page.until(has("7", f"{MINUS}2.00"))
    firebase.put("services/BRK!2EB/price", "513.9")
    page.until(f"{card('BRK.B', '.price')} === '513.90'")
    assert page.value(card("BRK.B", ".amount")) == ZERO
    firebase.patch("", {"services/F/performance": performance(0), "services/7/orders/x": {"a": 1}})
    page.until(has("F", "0.00"))
    firebase.patch("services", {"F/performance/total": 1_234.5, "7": None, "BRK!2EB/price": None})
    page.until(has("F", "+1,234.50"))
    assert page.value(SHOWN) == ["F"]
    firebase.put("", None)
    page.until("!document.getElementById('no-report').hidden")
    page.until(f"{SHOWN}.length === 0")


def test_the_line_begins_before_the_page_was_opened(
    firebase: Firebase, show: Callable[..., Page]
) -> None:
    values = iter(range(1, 1_000_000))

    def remembered() -> list[Any]:
        firebase.put("services/SOFI/performance", performance(next(values)))
        found = requests.get(f"http://{firebase.host}/.history.json", timeout=10).json()
        points: list[Any] = found["/services/SOFI"]["points"]
        return points

    wait_until(lambda: len(remembered()) > 1, "two points")
    first = remembered()[0][1]
    page = show(firebase)
    label = "document.querySelector('li svg')?.getAttribute('aria-label')"
    page.until(f"{label}?.includes('from +{first:,.2f}, between 0.00 and')")
    assert page.value("document.querySelector('li .line').getAttribute('d')").count("H") > 2


def test_cards_are_sorted_and_filtered_as_chosen(
    firebase: Firebase, show: Callable[..., Page]
) -> None:
    day = now_text()[:10]
    totals = {"SOFI": 3, "AMD": -5, "0700": 10, "BRK!2EB": 0.5}
    firebase.put(
        "services",
        {
            key: {"performance": performance(total, timestamp=f"{day}T00:00:0{place}+00:00")}
            for place, (key, total) in enumerate(totals.items())
        },
    )
    page = show(firebase)
    page.until(has("SOFI", "+3.00"))
    page.until(f"{SHOWN}.length === 4")

    def choose(name: str, value: str, event: str) -> Any:
        page.value(
            f"(e => {{ e.value = '{value}'; e.dispatchEvent(new Event('{event}')) }})"
            f"(document.getElementById('{name}'))"
        )
        return page.value(SHOWN)

    assert page.value(SHOWN) == ["0700", "AMD", "BRK.B", "SOFI"]
    assert choose("order", "highest", "change") == ["0700", "SOFI", "BRK.B", "AMD"]
    assert choose("order", "lowest", "change") == ["AMD", "BRK.B", "SOFI", "0700"]
    assert choose("order", "latest", "change") == ["BRK.B", "0700", "AMD", "SOFI"]
    assert choose("order", "silent", "change") == ["SOFI", "AMD", "0700", "BRK.B"]
    assert choose("filter", "brk.", "input") == ["BRK.B"]
    assert choose("filter", "none", "input") == []
    assert not page.value("document.getElementById('no-match').hidden")


def test_an_amount_is_shown_with_all_the_decimals_that_it_is_stored_with(
    firebase: Firebase, show: Callable[..., Page]
) -> None:
    firebase.put("services/BTC!2FUSDT", {"price": 0.00001234, "performance": performance(0.0004)})
    firebase.put("services/aggregate", {"performance": performance(-12_345_678.00000001)})
    page = show(firebase)
    page.until(has("BTC/USDT", "+0.0004"))
    assert page.value(card("BTC/USDT", ".direction")) == "up"
    assert page.value(card("BTC/USDT", ".price")) == "0.00001234"
    page.until(has("Account", f"{MINUS}12,345,678.00000001"))


def test_age_grows_and_long_silence_is_shown(firebase: Firebase, show: Callable[..., Page]) -> None:
    firebase.put("services/SOFI/performance", performance(1))
    firebase.put("services/AMD/performance", performance(1, timestamp="2025-05-15T13:32:56Z"))
    page = show(firebase)
    first = page.until(card("SOFI", "time"))
    assert re.fullmatch(r"\d+ s ago", first)
    page.until(f"{card('SOFI', 'time')} !== {json.dumps(first)}")
    assert page.value(card("AMD", "time")) == "May 15, not today"
    stale = "[...document.querySelectorAll('.stale .ticker')].map(t => t.textContent)"
    assert page.value(f"{stale}.includes('AMD') && !{stale}.includes('SOFI')")


def test_another_database_and_root_are_named_in_the_address(
    firebase: Firebase, show: Callable[..., Page]
) -> None:
    url = f"http://{firebase.host}/live/tickers/SOFI/performance.json?ns=other"
    requests.put(url, data=json.dumps(performance(4)), timeout=10).raise_for_status()
    firebase.put("services/AMD/performance", performance(1))
    page = show(firebase, "?ns=other&root=live/tickers")
    page.until(has("SOFI", "+4.00"))
    assert page.value(SHOWN) == ["SOFI"]
    heading = page.value("document.querySelector('h1').textContent")
    assert heading.startswith("Profit today in live/tickers")
    assert page.value("document.title") == "Profit today in live/tickers"
    assert page.value("document.querySelector('li .line').hasAttribute('d')")


def test_a_phone_shows_it_without_scrolling_sideways(
    firebase: Firebase, show: Callable[..., Page]
) -> None:
    big = performance(-987_654_321.12)
    tickers = {name: {"price": 103_450, "performance": big} for name in ("W" * 32, "BTC!2FUSD")}
    firebase.put("services", {**tickers, "aggregate": {"performance": big}})
    page = show(firebase, width=390, height=844)
    page.until(has("Account", f"{MINUS}987,654,321.12"))
    page.until(f"{SHOWN}.length === 2")
    assert page.value("document.documentElement.scrollWidth") == 390
    sideways = (
        "[...document.querySelectorAll('article')].filter(a => a.scrollWidth > a.clientWidth)"
    )
    assert page.value(f"{sideways}.length") == 0


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
def test_an_amount_is_never_broken_over_two_lines(
    width: int, height: int, firebase: Firebase, show: Callable[..., Page]
) -> None:
    big = {"performance": performance(-987_654_321.12)}
    firebase.put("services", {"BTC!2FUSD": big, "aggregate": big})
    # With the line of the day, which wants the same room.
    firebase.put("services/BTC!2FUSD/performance", performance(-987_654_320.12))
    page = show(firebase, width=width, height=height)
    page.until(has("BTC/USD", f"{MINUS}987,654,320.12"))
    lines = """[...document.querySelectorAll('.amount, dd')].map(amount => {
        const range = document.createRange();
        range.selectNodeContents(amount);
        return new Set([...range.getClientRects()].map(part => part.top)).size;
    })"""
    assert set(page.value(lines)) == {1}


def test_no_request_leaves_for_another_host(firebase: Firebase, show: Callable[..., Page]) -> None:
    firebase.put("services/SOFI/performance", performance(1))
    page = show(firebase)
    page.until(has("SOFI", "+1.00"))
    own = f"http://{firebase.host}/"
    assert len(page.requests) > 5
    assert [url for url in page.requests if not url.startswith(own)] == []
    policy = requests.get(own, headers={"Accept": "text/html"}, timeout=10).headers[
        "Content-Security-Policy"
    ]
    assert "default-src 'none'" in policy
    assert not re.search(r"unsafe|\*|https?:|data:", policy)


def test_what_is_no_browser_gets_the_servers_line_about_itself(firebase: Firebase) -> None:
    def got(path: str, accept: str = "*/*") -> requests.Response:
        return requests.get(f"http://{firebase.host}{path}", headers={"Accept": accept}, timeout=10)

    html = "text/html,application/xhtml+xml,*/*;q=0.8"
    assert got("/", html).headers["Content-Type"] == "text/html; charset=utf-8"
    assert got("/").text == got("/.about", html).text
    assert got("/.about").text.startswith("RTDB-compatible development server, not Firebase")
    for name in ("", "none.js", "..%2Frtdb_page.py", "../rtdb_page.py"):
        assert got(f"/.page/{name}").status_code == 404
