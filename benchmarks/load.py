"""Reports as bots send them, built beforehand, and sent over a plain socket as fast as it takes.

Every way is given the same bytes. Sending costs next to nothing, so that what is measured is the
other end.
"""

import math
import random
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from app.channels import PROFIT_REPORT, RedisNames
from app.domain import DAY, day_of, to_text

MARKER = "MARKER"
"""The symbol of the last report, so that its message says that all is done."""

CHUNK = 500
"""Messages in one write to the socket."""

JOURNAL = RedisNames("").journal
JOURNAL_NAME = f"0:{JOURNAL}"
_AMOUNTS = 997
_PATIENCE = 30.0

Cents = tuple[int, int, int, int]


@dataclass
class Load:
    """Reports, and what they come to.

    Attributes:
        messages: in the order in which they are sent.
        sums: the four amounts of each symbol, in cents.
        newest: the timestamp of each symbol's last report.
        day: that all of them belong to.
    """

    messages: list[bytes] = field(default_factory=list)
    sums: dict[str, Cents] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    day: int = 0

    def figures(self) -> dict[str, dict[str, float | str]]:
        """What daily file and Firebase must show in the end."""
        every = [sum(amounts) for amounts in zip(*self.sums.values(), strict=True)]
        figures = {symbol: _shown(self.sums[symbol], self.newest[symbol]) for symbol in self.sums}
        return figures | {"aggregate": _shown(every, max(self.newest.values()))}


def _shown(cents: Sequence[int], timestamp: str) -> dict[str, float | str]:
    names = ("total", "unrealized", "realized", "converted")
    amounts = {name: amount / 100 for name, amount in zip(names, cents, strict=True)}
    return amounts | {"timestamp": timestamp}


def build(
    count: int, symbols: int, *, journaled: bool = False, ahead: int = 0, seed: int = 0
) -> Load:
    """`count` reports of `symbols` symbols in random order, always the same; the last is MARKER's.

    Args:
        count: of reports, with the marker's.
        symbols: how many there are beside the marker.
        journaled: the messages say that they are in the journal too.
        ahead: seconds by which the clock of this machine is to be taken as slow.
        seed: for another order.
    """
    # Each report has a microsecond of its own; all are of one day, and none is ahead.
    begin = time.time_ns() // 1000 + ahead * 1_000_000 - count
    begin = max(begin, day_of(begin + count) * DAY)
    chance = random.Random(symbols + seed)
    names = [f"SYM{number:05}" for number in range(symbols)]
    # The first reports name every symbol once, as far as they go.
    order = [names[number] for number in chance.sample(range(symbols), min(symbols, count - 1))]
    order += chance.choices(names, k=count - 1 - len(order))
    amounts = [_amounts(chance) for _ in range(_AMOUNTS)]
    sender = {name: f"scale_{number % 50}" for number, name in enumerate([*names, MARKER])}
    journal = f', "journal": "{JOURNAL_NAME}"' if journaled else ""
    local = datetime.now().isoformat(timespec="milliseconds")
    sums: dict[str, list[int]] = {}
    load = Load(day=day_of(begin))
    for number, symbol in enumerate([*order, MARKER]):
        cents, text = amounts[number % _AMOUNTS]
        timestamp = _text(begin + number)
        load.messages.append(
            f'{{"data": {{"symbol": "{symbol}", {text}, "timestamp": "{timestamp}"}}, '
            f'"timestamp": "{local}", "sender": "{sender[symbol]}"{journal}}}'.encode()
        )
        load.newest[symbol] = timestamp
        held = sums.setdefault(symbol, [0, 0, 0, 0])
        for which in range(4):
            held[which] += cents[which]
    load.sums = {symbol: (held[0], held[1], held[2], held[3]) for symbol, held in sums.items()}
    return load


def _amounts(chance: random.Random) -> tuple[Cents, str]:
    """Amounts of one fill: in cents, and as a bot writes them, with 0 and with the noise of floats.

    A buy makes unrealized profit, a sale realizes some, and only names what it converts.
    """
    unrealized = realized = converted = 0
    if chance.random() < 0.5:
        unrealized = chance.randrange(-2000, 6000)
    else:
        realized, converted = chance.randrange(0, 3000), chance.randrange(0, 1000)
    cents = (unrealized + realized, unrealized, realized, converted)
    total, *rest = (math.nextafter(amount / 100, math.inf) if amount else 0 for amount in cents)
    text = (
        f'"total": {total}, "unrealized": {rest[0]}, "realized": {rest[1]}, "converted": {rest[2]}'
    )
    return cents, text


def _text(at: int) -> str:
    """`to_text`, for a million of them."""
    seconds, micros = divmod(at, 1_000_000)
    if seconds not in _seconds:
        _seconds.clear()
        _seconds[seconds] = to_text(seconds * 1_000_000)[:20]
    return f"{_seconds[seconds]}{micros:06}+00:00"


_seconds: dict[int, str] = {}


def published(message: bytes) -> bytes:
    """The command that publishes a report."""
    return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
        len(PROFIT_REPORT),
        PROFIT_REPORT.encode(),
        len(message),
        message,
    )


def paced(chunks: Sequence[bytes], pause: float) -> Iterator[bytes]:
    """The chunks, each `pause` seconds after the one before; what is late catches up."""
    due = time.monotonic()
    for chunk in chunks:
        time.sleep(max(0.0, due - time.monotonic()))
        yield chunk
        due += pause


def journaled(message: bytes, length: int = 10_000_000) -> bytes:
    """The commands that publish a report and write it to the journal, in one transaction."""
    words = [b"XADD", JOURNAL.encode(), b"MAXLEN", b"~", b"%d" % length, b"*", b"message", message]
    append = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)
    return b"*1\r\n$5\r\nMULTI\r\n" + append + published(message) + b"*1\r\n$4\r\nEXEC\r\n"


class Sender:
    """A plain socket to Redis that sends packed commands, and counts who listened."""

    def __init__(self, url: str) -> None:
        self._socket = connect(url)
        self.heard = 0
        """Reports that exactly one listener has had."""
        self._rest = b""

    def send_all(self, chunks: Iterable[bytes], count: int) -> None:
        """Send chunks as fast as Redis takes them, and wait for the answers.

        Args:
            chunks: of packed commands.
            count: of the reports in them.

        Raises:
            RuntimeError: not every report had exactly one listener.
        """
        awaited = self.heard + count
        self._socket.setblocking(False)
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                try:
                    rest = rest[self._socket.send(rest) :]
                except BlockingIOError:
                    if not self._take_answers():
                        # Redis is at work: let it.
                        time.sleep(0.0005)
        give_up_at = time.monotonic() + _PATIENCE
        while self.heard < awaited and time.monotonic() < give_up_at:
            if not self._take_answers():
                time.sleep(0.0005)
        if self.heard != awaited:
            raise RuntimeError(f"{awaited - self.heard} of {count} reports had no listener")

    def send(self, chunk: bytes) -> None:
        """Send one chunk now; the answers are counted with the next."""
        self._socket.setblocking(True)
        self._socket.sendall(chunk)
        self._socket.setblocking(False)
        self._take_answers()

    def close(self) -> None:
        """Give the connection back."""
        self._socket.close()

    def _take_answers(self) -> bool:
        try:
            received = self._rest + self._socket.recv(1 << 20)
        except BlockingIOError:
            return False
        whole = received.rfind(b"\n") + 1
        self.heard += received.count(b":1\r\n", 0, whole)
        self._rest = received[whole:]
        return True


def connect(url: str) -> socket.socket:
    """A plain socket to the Redis at `url`."""
    at = urlsplit(url)
    found = socket.create_connection((at.hostname, at.port), timeout=_PATIENCE)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


def chunks_of(commands: Sequence[bytes], size: int = CHUNK) -> Iterator[bytes]:
    """The commands, joined `size` at a time."""
    return (b"".join(commands[i : i + size]) for i in range(0, len(commands), size))
