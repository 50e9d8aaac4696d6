"""A bot with an old Python, an old redis-py and only our package loses nothing."""

import os
import signal
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from tests.system import PATIENCE, ROOT, System, wait_until

PYTHONS = ("python3.9", "python3.10", "python3.11", "python3")
"""The oldest there is will do: the package promises 3.9."""

INSTALL_WITHIN = 300.0

BOT = """
import sys
from datetime import datetime, timezone
from decimal import Decimal
from profit_bridge_publisher import RedisPublisher

port, options = sys.argv[1], {"spool": "spool", "timeout": 0.5}
publishers = {
    "parts": RedisPublisher(host="127.0.0.1", port=int(port), db=0, password=None, **options),
    "url": RedisPublisher(f"redis://127.0.0.1:{port}/0", **options),
    "environment": RedisPublisher(**options),
}
for line in sys.stdin:
    form, amount = line.split()
    publisher = publishers[form]
    amounts = dict.fromkeys(("total", "unrealized"), Decimal(amount))
    data = {"symbol": "SOFI", **amounts, "realized": 0, "timestamp": datetime.now(timezone.utc)}
    result = publisher.publish("PROFIT_REPORT", data, sender="bot")
    print("spooled" if result.spooled else int(result), flush=True)
"""


def run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    # Where pyenv manages the versions, it has to be told which one a name means.
    version = {"PYENV_VERSION": str(command[0]).removeprefix("python")}
    return subprocess.run(
        command,
        env={name: text for name, text in os.environ.items() if name != "PYTHONPATH"} | version,
        capture_output=True,
        text=True,
        timeout=INSTALL_WITHIN,
        check=False,
    )


def has_venv(python: str) -> bool:
    try:
        return run(python, "-c", "import ensurepip").returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An environment as a bot's image has it, which pip takes from the package index."""
    oldest = next(filter(has_venv, PYTHONS))
    made = run(oldest, "-m", "venv", tmp_path / "bot")
    assert made.returncode == 0, made.stderr
    program, folder = tmp_path / "bot" / "bin" / "python", ROOT / "app" / "publisher"
    before = set(folder.iterdir())
    installed = run(program, "-m", "pip", "install", folder, "redis==4.6.0")
    assert set(folder.iterdir()) == before, (
        "nothing is written where it is built: it may be read-only"
    )
    if installed.returncode:
        if os.environ.get("CI"):
            pytest.fail(installed.stderr)
        pytest.skip(f"needs the package index: {installed.stderr.splitlines()[-1]}")
    return program


def test_a_bot_with_only_the_package_loses_nothing_while_bridge_and_redis_are_killed(
    system: System, python: Path, tmp_path: Path
) -> None:
    port = str(system.redis_server.port)
    with subprocess.Popen(
        [python, "-c", BOT, port],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "REDIS_URL": system.redis_server.url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as bot:
        sent = Decimal()

        def publish(amount: str, form: str = "parts") -> str:
            nonlocal sent
            sent += Decimal(amount)
            assert bot.stdin
            assert bot.stdout
            bot.stdin.write(f"{form} {amount}\n")
            bot.stdin.flush()
            return bot.stdout.readline().strip()

        bridge = system.start_bridge()
        assert publish("1000") == "1"
        bridge.signal(signal.SIGKILL)
        bridge.wait(PATIENCE)
        wait_until(lambda: publish("0.1") == "0", "a report that nobody hears")
        # On a busy disk Redis may answer up to two seconds before it writes.
        wait_until(
            lambda: system.redis.info("persistence")["aof_buffer_length"] == 0,
            "the journal in Redis's file",
        )
        system.redis_server.signal(signal.SIGKILL)
        system.redis_server.wait(PATIENCE)
        assert publish("20") == publish("3") == "spooled"
        system.restart_redis()
        system.start_bridge()
        wait_until(lambda: system.total() == float(sent), "what was in journal and spool")
        assert publish("400") == publish("5000", "url") == publish("60000", "environment") == "1"
        wait_until(lambda: system.total() == float(sent), "what came after")
        _, errors = bot.communicate(timeout=PATIENCE)
    assert bot.returncode == 0, errors
    assert system.rejected() == []
    assert f"reports_spooled file={tmp_path / 'spool' / '127.0.0.1'}-{port}-0@" in errors
    assert run(python, "-I", "-c", "import app").returncode == 1
