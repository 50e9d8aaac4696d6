"""The real docker-compose.yml with its profile `local`, brought up once under a random name."""

from __future__ import annotations

import functools
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from docker import DockerClient  # type: ignore[import-untyped]

from tests.docker.conftest import IMAGE, ROOT, LocalFirebase, eventually, performance

SERVICES = {"redis", "bridge", "worker", "flower", "firebase-local", "bots"}
STARTED_WITHIN = 180.0
STOPPED_WITHIN = 5
"""Seconds that the bridge is given before it is killed, which is exit code 137."""


class Stack:
    """A running compose project."""

    def __init__(self, client: DockerClient, folder: Path, *settings: str) -> None:
        self.project = f"profit-bridge-test-{secrets.token_hex(4)}"
        self.redis_password = secrets.token_hex(24)
        self.flower_password = secrets.token_hex(24)
        self._client = client
        self._env_file = folder / "env"
        self._env_file.write_text(
            f"REDIS_PASSWORD={self.redis_password}\n"
            f"FLOWER_PASSWORD={self.flower_password}\n"
            "COMPOSE_PROFILES=local\n"
            "FIREBASE_DATABASE_EMULATOR_HOST=firebase-local:9000\n"
            f"PROFIT_BRIDGE_IMAGE={IMAGE}\n"
            "REDIS_PORT=0\nFLOWER_PORT=0\nFIREBASE_LOCAL_PORT=0\nMETRICS_PORT=0\n"
            + "".join(f"{setting}\n" for setting in settings)
        )

    def compose(self, *arguments: str, env_file: Path | None = None) -> str:
        """Run a compose command; what it printed on its standard output."""
        command = [*compose_command(), "--project-name", self.project]
        command += ["--env-file", str(env_file or self._env_file)]
        # Nothing of this shell's settings, which would win over the file's.
        environment = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "HOME"} or name.startswith("DOCKER_")
        }
        done = subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr[-3000:]}"
        return done.stdout

    def containers(self) -> dict[str, Any]:
        """Each service's container, running or not."""
        label = f"com.docker.compose.project={self.project}"
        found = self._client.containers.list(all=True, filters={"label": label})
        return {each.labels["com.docker.compose.service"]: each for each in found}

    def health(self) -> dict[str, str]:
        """What each container says of itself; those without a health check are `running`."""
        states = {name: each.attrs["State"] for name, each in self.containers().items()}
        return {
            name: state["Health"]["Status"] if "Health" in state else state["Status"]
            for name, state in states.items()
        }

    def published(self) -> dict[str, list[tuple[str, int]]]:
        """Address and port on this machine of every port that is published, by service."""
        found: dict[str, list[tuple[str, int]]] = {}
        for name, each in self.containers().items():
            for bindings in each.attrs["NetworkSettings"]["Ports"].values():
                for binding in bindings or ():
                    address = binding["HostIp"], int(binding["HostPort"])
                    found.setdefault(name, []).append(address)
        return found

    def port(self, service: str) -> int:
        return self.published()[service][0][1]

    def logs(self) -> str:
        return "".join(each.logs().decode() for each in self.containers().values())


@functools.cache
def compose_command() -> list[str]:
    """`docker compose`, or else the older docker-compose."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if plugin.returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("docker compose is not installed")


def is_healthy(stack: Stack, services: Collection[str] = SERVICES) -> bool:
    states = stack.health()
    return states.keys() == set(services) and set(states.values()) <= {"healthy", "running"}


@pytest.fixture(scope="module")
def stack(docker_client: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(docker_client, tmp_path_factory.mktemp("compose"))
    try:
        stack.compose("up", "--build", "--detach")
        eventually(lambda: is_healthy(stack), "healthy containers", STARTED_WITHIN)
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")


@pytest.fixture
def firebase(stack: Stack) -> LocalFirebase:
    return LocalFirebase(stack.port("firebase-local"))


def test_a_report_published_in_the_redis_container_arrives_in_the_local_firebase(
    stack: Stack, firebase: LocalFirebase
) -> None:
    data = performance(28.76, datetime.now(UTC))
    report = json.dumps({"data": {"symbol": "compo.se", **data}, "sender": "test_compose"})

    listeners = stack.compose(
        "exec", "-T", "redis", "redis-cli", "PUBLISH", "PROFIT_REPORT", report
    )

    assert listeners.strip() == "1"
    eventually(lambda: firebase.performance("COMPO!2ESE") == data, "the report in Firebase")


def test_the_bots_reports_arrive_in_the_local_firebase(
    stack: Stack, firebase: LocalFirebase
) -> None:
    assert eventually(lambda: firebase.performance("aggregate"), "the account in Firebase")


def test_redis_refuses_whoever_has_no_password(stack: Stack) -> None:
    with (
        redis.Redis(port=stack.port("redis")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_redis_keeps_its_data_on_disk_and_evicts_nothing(stack: Stack) -> None:
    with redis.Redis(
        port=stack.port("redis"), password=stack.redis_password, decode_responses=True
    ) as client:
        settings = client.config_get("appendonly", "maxmemory-policy")

    assert settings == {"appendonly": "yes", "maxmemory-policy": "noeviction"}


def test_flower_shows_itself_to_those_who_log_in_only(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.port('flower')}/"

    assert requests.get(url, timeout=10).status_code == 401
    assert requests.get(url, auth=("flower", "guess"), timeout=10).status_code == 401
    assert requests.get(url, auth=("flower", stack.flower_password), timeout=10).ok


def test_flower_lets_nobody_change_anything(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.port('flower')}/api/worker/shutdown/celery@any"

    answer = requests.post(url, auth=("flower", stack.flower_password), timeout=10)

    assert answer.status_code == 403


def test_commands_that_need_ledger_and_firebase_have_a_container_of_their_own(stack: Stack) -> None:
    operator = ("run", "--rm", "-T", "operator")
    found = json.loads(stack.compose(*operator, "audit", "--json", "--within", "60"))
    assert not found["differences"]
    looked_at = json.loads(stack.compose(*operator, "doctor", "--json"))
    assert not [one for one in looked_at if one["status"] == "skipped"], looked_at


def test_every_published_port_is_on_loopback_only(stack: Stack) -> None:
    published = stack.published()

    assert published.keys() == {"redis", "bridge", "flower", "firebase-local"}
    assert {address for ports in published.values() for address, _ in ports} == {"127.0.0.1"}


def test_no_password_is_in_a_log_a_command_line_or_the_image(
    stack: Stack, docker_client: DockerClient
) -> None:
    image = docker_client.images.get(IMAGE)
    shown = [stack.logs(), json.dumps(image.attrs), json.dumps(image.history())]
    for each in stack.containers().values():
        shown += [json.dumps(each.top()), json.dumps(each.attrs["Args"])]

    for password in (stack.redis_password, stack.flower_password):
        assert not [text for text in shown if password in text]


def test_our_containers_run_as_nobody_special_on_a_read_only_root(stack: Stack) -> None:
    for name in SERVICES - {"redis"}:
        attributes = stack.containers()[name].attrs

        assert attributes["Config"]["User"] == "10001:10001"
        assert attributes["HostConfig"]["ReadonlyRootfs"]
        assert attributes["HostConfig"]["CapDrop"] == ["ALL"]


def test_the_bridges_health_check_fails_where_no_bridge_is_at_work(stack: Stack) -> None:
    bridge, worker = (stack.containers()[name] for name in ("bridge", "worker"))
    check = bridge.attrs["Config"]["Healthcheck"]["Test"][1:]

    assert bridge.exec_run(check).exit_code == 0
    assert worker.exec_run(check).exit_code == 1  # with a bridge elsewhere, on the same Redis


def test_the_workers_health_check_fails_where_no_worker_is_at_work(stack: Stack) -> None:
    bridge, worker = (stack.containers()[name] for name in ("bridge", "worker"))
    check = worker.attrs["Config"]["Healthcheck"]["Test"][1:]

    assert worker.exec_run(check).exit_code == 0
    assert bridge.exec_run(check).exit_code == 1


def test_the_metrics_of_the_bridge_are_on_loopback(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.port('bridge')}/metrics"

    assert "profit_bridge_ready 1.0" in requests.get(url, timeout=10).text


def test_a_redis_that_stands_still_turns_the_bridge_red_with_the_reason(stack: Stack) -> None:
    stack.compose("pause", "redis")
    try:
        eventually(lambda: stack.health()["bridge"] == "unhealthy", "an unhealthy bridge")
        checks = stack.containers()["bridge"].attrs["State"]["Health"]["Log"]
        assert "redis" in checks[-1]["Output"]
        assert stack.redis_password not in json.dumps(checks)
    finally:
        stack.compose("unpause", "redis")
    eventually(lambda: is_healthy(stack), "healthy containers")


def test_a_worker_that_stands_still_turns_red_and_green_again(stack: Stack) -> None:
    signal_worker(stack, "STOP")
    try:
        eventually(lambda: stack.health()["worker"] == "unhealthy", "an unhealthy worker")
    finally:
        signal_worker(stack, "CONT")
    eventually(lambda: is_healthy(stack), "healthy containers")


def test_a_killed_worker_is_started_again_and_stores_again(
    stack: Stack, firebase: LocalFirebase
) -> None:
    signal_worker(stack, "KILL")

    def is_back() -> bool:
        worker = stack.containers()["worker"]
        return worker.attrs["RestartCount"] == 1 and stack.health()["worker"] == "healthy"

    eventually(is_back, "a worker that is back")
    data = performance(1.5, datetime.now(UTC))
    report = json.dumps({"data": {"symbol": "AFTER", **data}, "sender": "test_compose"})
    stack.compose("exec", "-T", "redis", "redis-cli", "PUBLISH", "PROFIT_REPORT", report)
    eventually(lambda: firebase.performance("AFTER") == data, "the report in Firebase")


def signal_worker(stack: Stack, name: str) -> None:
    """Send a signal to the worker's main process: the one child of the container's first."""
    send = (
        "import os, signal; from pathlib import Path; "
        "main = int(Path('/proc/1/task/1/children').read_text().split()[0]); "
        f"os.kill(main, signal.SIG{name})"
    )
    done = stack.containers()["worker"].exec_run(["python", "-c", send])
    # 137: the container ended so soon that who sent the signal was killed with it.
    assert done.exit_code in ({0, 137} if name == "KILL" else {0}), done.output


def test_compose_names_the_password_that_is_missing(stack: Stack, tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("REDIS_PASSWORD=x\n")

    with pytest.raises(AssertionError, match="FLOWER_PASSWORD"):
        stack.compose("config", env_file=env_file)


def test_the_bridge_and_the_worker_stop_cleanly_when_told_to(stack: Stack) -> None:
    containers = stack.containers()
    containers["bridge"].stop(timeout=STOPPED_WITHIN)
    containers["worker"].stop(timeout=30)

    for name in ("bridge", "worker"):
        assert stack.containers()[name].attrs["State"]["ExitCode"] == 0


def test_it_joins_a_stack_with_a_redis_of_its_own_and_writes_its_folder(
    docker_client: DockerClient, tmp_path: Path
) -> None:
    if compose_command() != ["docker", "compose"]:
        pytest.skip("docker-compose 1.29 does not know !reset")
    (folder := tmp_path / "profits").mkdir(mode=0o777)
    folder.chmod(0o777)
    network = docker_client.networks.create(f"trading-{secrets.token_hex(4)}")
    theirs = docker_client.containers.run(
        "redis:8-alpine", detach=True, network=network.name, name=f"redis-{secrets.token_hex(4)}"
    )
    stack = Stack(
        docker_client,
        tmp_path,
        "COMPOSE_FILE=docker-compose.yml:docker-compose.own-redis.yml",
        f"OWN_REDIS_NETWORK={network.name}",
        f"OWN_REDIS_URL=redis://{theirs.name}:6379/0",
        f"PROFIT_VOLUME={folder}",
    )
    try:
        stack.compose("up", "--build", "--detach")
        ours = SERVICES - {"redis"}
        eventually(lambda: is_healthy(stack, ours), "healthy containers", STARTED_WITHIN)
        data = performance(28.76, datetime.now(UTC))
        report = json.dumps({"data": {"symbol": "OURS", **data}, "sender": "test_compose"})
        assert theirs.exec_run(["redis-cli", "PUBLISH", "PROFIT_REPORT", report]).exit_code == 0
        firebase = LocalFirebase(stack.port("firebase-local"))
        eventually(lambda: firebase.performance("OURS") == data, "the report in Firebase")
        (file,) = folder.glob("*/*/*_profit.json")
        eventually(lambda: json.loads(file.read_text()).get("OURS") == data, "the daily file")
        found = json.loads(stack.compose("run", "--rm", "-T", "operator", "doctor", "--json"))
        assert [one["found"] for one in found if one["name"] == "bridge"] == [
            "one program listens on PROFIT_REPORT"
        ]
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")
        theirs.remove(force=True)
        network.remove()
