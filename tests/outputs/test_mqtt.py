"""MQTT with Debian's broker and clients: what Home Assistant and others get."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rtface.errors import UsageError
from rtface.labels import EMOTIONS
from rtface.outputs.control import RunControl
from rtface.outputs.home_assistant import EVENT_TYPES, discovery_payload
from rtface.outputs.mqtt import MqttSink
from rtface.outputs.output_url import parse_output_url
from rtface.outputs.sink import RunInfo
from rtface.types import Event
from tests.outputs.made import a_face, a_result, a_run
from tests.outputs.receivers import Program, free_port, needs, wait_for

pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt (pip install 'rtface[mqtt]')")

ROOT = Path(__file__).parents[2]


class Mosquitto:
    """A broker on this machine, and clients that listen to it."""

    def __init__(self, folder: Path, *lines: str, port: int | None = None) -> None:
        self.folder, self.port = folder, port or free_port()
        self.program = needs("mosquitto", "mosquitto")
        self.config = folder / "mosquitto.conf"
        self.config.write_text("\n".join([f"listener {self.port} 127.0.0.1", "user root", *lines]) + "\n")
        self.options: list[str] = []
        self.start()

    def start(self) -> None:
        self.process = Program(self.folder, self.program, "-c", str(self.config))
        wait_for(lambda: "running" in self.process.output or self.process.process.poll() is not None)
        assert self.process.process.poll() is None, self.process.output

    def stop(self) -> None:
        self.process.stop()

    def _client(self, program: str, *options: str) -> list[str]:
        return [needs(program, "mosquitto-clients"), "-h", "127.0.0.1", "-p", str(self.port), *self.options, *options]

    def listen(self, topic: str) -> Listener:
        return Listener(self.folder, self._client("mosquitto_sub", "-t", topic, "-F", "%t %r %p"))

    def retained(self, topic: str, needed: str = "home/door/availability") -> dict[str, str]:
        """What a client that comes late gets; asked again, and for longer, while it lacks what is `needed`."""
        found: dict[str, str] = {}
        for seconds in ("1", "4", "15"):
            command = self._client("mosquitto_sub", "-t", topic, "--retained-only", "-W", seconds, "-F", "%t %p")
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            found = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
            if needed in found:
                break
        return found

    def say(self, topic: str, message: str) -> None:
        subprocess.run(self._client("mosquitto_pub", "-t", topic, "-m", message), check=True)


class Listener:
    def __init__(self, folder: Path, command: list[str]) -> None:
        self._program = Program(folder, needs("stdbuf", "coreutils"), "-oL", *command)

    def messages(self, topic: str) -> list[str]:
        lines = [line.split(" ", 2) for line in self._program.output.splitlines()]
        return [line[2] for line in lines if line[0] == topic]

    def stop(self) -> None:
        self._program.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    mosquitto = Mosquitto(tmp_path, "allow_anonymous true")
    yield mosquitto
    mosquitto.stop()


def test_home_assistant_is_told_of_every_kind_of_event_that_there_is() -> None:
    """It drops events of other types, with a line in its log."""
    sources = (ROOT / "rtface").rglob("*.py")
    made = {kind for path in sources for kind in re.findall(r'\bEvent\(\s*"(\w+)"', path.read_text("utf-8"))}
    assert {"blink", "source_lost"} < made and made <= set(EVENT_TYPES), made - set(EVENT_TYPES)


def sink_to(broker: Mosquitto, settings: str = "", user: str = "", scheme: str = "mqtt") -> MqttSink:
    return MqttSink(parse_output_url(f"{scheme}://{user}127.0.0.1:{broker.port}/home/door?{settings}"))


def feed(sink: MqttSink, faces: Callable[[int], tuple[Any, ...]], count: int = 25, start: int = 0) -> None:
    """A second of results, each after the one before was taken."""
    for index in range(start, start + count):
        sent = sink.sent
        sink.write(a_result(*faces(index), index=index, media_time=index * 0.04))
        wait_for(lambda sent=sent: sink.sent > sent)  # type: ignore[misc]


def a_file(**more: Any) -> RunInfo:
    return a_run(live=False, **more)


def test_state_and_events_reach_a_listener_and_a_late_one(broker: Mosquitto) -> None:
    listener = broker.listen("home/door/#")
    with sink_to(broker) as sink:
        sink.open(a_file())
        wait_for(lambda: sink.connected)
        feed(sink, lambda _: (a_face(track_id=4),))
        wait_for(lambda: any('"faces": 1' in state for state in listener.messages("home/door/state")))
        late = broker.retained("#")
        sink.finish({"frames": 25})
    wait_for(lambda: listener.messages("home/door/availability")[-1:] == ["offline"])
    assert late["home/door/availability"] == "online"
    state = json.loads(late["home/door/state"])
    assert state["faces"] == 1 and state["emotion"] == "happiness" and state["emotion_confidence"] == 0.7
    assert set(state) == {
        *("faces", "looking", "watchers", "emotion", "emotion_confidence", "attention_s", "level", "age_p95_ms")
    }
    events = [json.loads(message) for message in listener.messages("home/door/event")]
    kinds = [event["event_type"] for event in events]
    assert kinds[0] == "arrived" and "look_start" in kinds and kinds.index("left") > kinds.index("look_start")
    assert events[0]["track_id"] == 4
    assert "home/door/event" not in late  # what is over is not told to who comes later
    assert broker.retained("#")["home/door/availability"] == "offline"
    listener.stop()


def test_the_state_is_said_when_it_changes_and_twice_a_second_at_most(broker: Mosquitto) -> None:
    listener = broker.listen("home/door/state")
    with sink_to(broker) as sink:
        sink.open(a_file())
        wait_for(lambda: sink.connected)
        feed(sink, lambda index: (a_face(),) if index % 2 else (), count=60)
        feed(sink, lambda _: (a_face(),), count=10, start=60)
        wait_for(lambda: '"faces": 1' in (listener.messages("home/door/state") or [""])[-1])
        sink.finish({"frames": 70})
    assert len(listener.messages("home/door/state")) < 20  # 70 results that all differed
    listener.stop()


def test_a_process_that_is_killed_is_offline(broker: Mosquitto) -> None:
    listener = broker.listen("home/door/availability")
    url = f"mqtt://127.0.0.1:{broker.port}/home/door"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "rtface", "live", "demo", "--no-show", "--tasks", "pose", "-o", url]
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: listener.messages("home/door/availability") == ["online"], 60)
        process.send_signal(signal.SIGKILL)
        wait_for(lambda: listener.messages("home/door/availability") == ["online", "offline"], 30)
    finally:
        process.kill()
        process.wait()
    assert broker.retained("home/#")["home/door/availability"] == "offline"
    listener.stop()


def test_a_broker_that_is_restarted_is_told_everything_again(broker: Mosquitto) -> None:
    events: list[Event] = []
    with sink_to(broker) as sink:
        sink.open(a_file(on_event=events.append))
        wait_for(lambda: sink.connected)
        feed(sink, lambda _: (a_face(),), count=3)
        broker.stop()
        wait_for(lambda: not sink.connected)
        sink.write(a_result(a_face(), index=3))
        broker.start()
        wait_for(lambda: sink.connected)
        assert broker.retained("#").keys() >= {
            *("home/door/availability", "home/door/state", "homeassistant/device/home_door/config")
        }
        sink.finish({"frames": 4})
    assert [event.kind for event in events] == ["output_lost", "output_back"]


def test_a_wrong_password_is_said_and_never_shown(tmp_path: Path) -> None:
    passwords, secret = tmp_path / "passwords", tmp_path / "secret"
    subprocess.run([needs("mosquitto_passwd", "mosquitto"), "-c", "-b", str(passwords), "me", "right"], check=True)
    broker = Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}")
    events: list[Event] = []
    with sink_to(broker, user="me:wrong@") as sink:
        sink.open(a_file(on_event=events.append))
        wait_for(lambda: events)
    assert events[0].what == f"mqtt://…@127.0.0.1:{broker.port}/home/door?: the broker refuses (Not authorized)"
    secret.write_text("right\n")
    with sink_to(broker, f"passfile={secret}", user="me@") as sink:
        sink.open(a_file())
        wait_for(lambda: sink.connected)
    broker.stop()


def test_tls_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    openssl = needs("openssl", "openssl")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    broker = Mosquitto(tmp_path, "allow_anonymous true", *(f"{k}file {tmp_path}/{v}.pem" for k, v in TLS_FILES))
    events: list[Event] = []
    with sink_to(broker, scheme="mqtts") as sink:  # nobody vouches for it
        sink.open(a_file(on_event=events.append))
        wait_for(lambda: events)
    assert "certificate verify failed" in events[0].what
    with sink_to(broker, f"cafile={tmp_path}/cert.pem", scheme="mqtts") as sink:
        sink.open(a_file())
        wait_for(lambda: sink.connected)
        feed(sink, lambda _: (a_face(),), count=1)
        sink.finish({"frames": 1})
    broker.options = ["--cafile", str(tmp_path / "cert.pem")]
    assert broker.retained("home/#")["home/door/availability"] == "offline"
    broker.stop()


TLS_FILES = (("cert", "cert"), ("key", "key"))


def test_an_old_broker_is_spoken_to_in_the_old_language(tmp_path: Path) -> None:
    with sink_to(broker := Mosquitto(tmp_path, "allow_anonymous true"), "version=3") as sink:
        sink.open(a_file())
        wait_for(lambda: sink.connected)
        sink.finish({"frames": 0})
    assert broker.retained("home/#")["home/door/availability"] == "offline"
    broker.stop()


def test_commands_switch_the_run(broker: Mosquitto) -> None:
    control, listener = RunControl(), broker.listen("home/door/#")
    info = RunInfo("clip", False, False, None, None, {"version": "1"}, control=control)
    with sink_to(broker, "commands=1") as sink:
        sink.open(info)
        wait_for(lambda: listener.messages("home/door/enabled") == ["ON"])
        feed(sink, lambda _: (a_face(),), count=2)
        broker.say("home/door/enabled/set", "OFF")
        wait_for(lambda: listener.messages("home/door/enabled") == ["ON", "OFF"])
        wait_for(lambda: '"faces": 0' in (listener.messages("home/door/state") or [""])[-1])
        broker.say("home/door/budget/set", "33")
        broker.say("home/door/tasks/set", "pose, emotion")
        wait_for(lambda: control.tasks == ("emotion", "pose"))
        assert (control.enabled, control.budget_ms) == (False, 33.0)
        for topic, message in (("tasks", "nose"), ("budget", "soon"), ("enabled", "maybe")):
            broker.say(f"home/door/{topic}/set", message)
        wait_for(lambda: str(listener.messages("home/door/event")).count("command_refused") == 3)
        assert (control.enabled, control.budget_ms, control.tasks) == (False, 33.0, ("emotion", "pose"))
        sink.finish({"frames": 0})
    listener.stop()


def test_nobody_commands_where_it_was_not_asked_for(broker: Mosquitto) -> None:
    control = RunControl()
    with sink_to(broker) as sink:
        sink.open(RunInfo("clip", False, False, None, None, {}, control=control))
        wait_for(lambda: sink.connected)
        broker.say("home/door/enabled/set", "OFF")
        feed(sink, lambda _: (), count=3)
        sink.finish({"frames": 0})
    assert control.enabled and "home/door/enabled" not in broker.retained("#")


def test_home_assistant_gets_the_device_again_when_it_starts(broker: Mosquitto) -> None:
    listener = broker.listen("homeassistant/device/+/config")
    with sink_to(broker) as sink:
        sink.open(a_file())
        wait_for(lambda: len(listener.messages("homeassistant/device/home_door/config")) == 1)
        broker.say("homeassistant/status", "online")
        wait_for(lambda: len(listener.messages("homeassistant/device/home_door/config")) == 2)
        sink.finish({"frames": 0})
    listener.stop()


def test_results_and_snapshots_on_request(broker: Mosquitto) -> None:
    listener = broker.listen("home/door/faces")
    with sink_to(broker, "what=results,snapshot") as sink:
        sink.open(a_file())
        wait_for(lambda: sink.connected)
        feed(sink, lambda _: (a_face(),), count=2)
        wait_for(lambda: len(listener.messages("home/door/faces")) == 2)
        sink.finish({"frames": 2})
    record = json.loads(listener.messages("home/door/faces")[0])
    assert record["kind"] == "frame" and len(record["faces"][0]["landmarks_px"]) == 68
    late = broker.retained("home/#", "home/door/snapshot")
    assert "home/door/snapshot" in late and "home/door/state" not in late
    listener.stop()


# Field by field, after Home Assistant's documentation of MQTT discovery.
PLATFORM_FIELDS = {
    "sensor": {"val_tpl", "dev_cla", "unit_of_meas", "stat_cla", "options", "ent_cat", "exp_aft", "ic", "name"},
    "binary_sensor": {"val_tpl", "dev_cla", "exp_aft", "name"},
    "event": {"stat_t", "evt_typ", "name"},
    "image": {"img_t", "cont_type", "name"},
    "switch": {"cmd_t", "stat_t", "name"},
}


def test_the_discovery_message_has_the_fields_that_home_assistant_takes() -> None:
    payload = discovery_payload(
        "home/door",
        "home_door",
        name="Door",
        version="1.2",
        what=("state", "events", "results", "snapshot"),
        commands=True,
        expire_after_s=90,
    )
    assert set(payload) == {"dev", "o", "cmps", "stat_t", "avty_t", "qos"}
    assert payload["dev"]["ids"] == ["home_door"] and payload["dev"]["name"] == "Door" and payload["dev"]["sw"] == "1.2"
    assert payload["o"]["name"] == "rtface"
    assert (payload["stat_t"], payload["avty_t"]) == ("home/door/state", "home/door/availability")
    parts = payload["cmps"]
    assert len({part["uniq_id"] for part in parts.values()}) == len(parts)
    for part in parts.values():
        assert set(part) - {"p", "uniq_id"} <= PLATFORM_FIELDS[part["p"]], part
        assert part.get("ent_cat") in (None, "diagnostic", "config")
    assert parts["faces"]["stat_cla"] == "measurement" and parts["faces"]["val_tpl"] == "{{ value_json.faces }}"
    # An enum sensor has options, and neither a unit nor a state class.
    emotion = parts["emotion"]
    assert emotion["options"] == list(EMOTIONS) and not {"unit_of_meas", "stat_cla"} & set(emotion)
    assert parts["watch_time"]["stat_cla"] == "total_increasing" and parts["watch_time"]["unit_of_meas"] == "s"
    assert parts["looking"]["dev_cla"] == "occupancy" and "'ON'" in parts["looking"]["val_tpl"]
    assert parts["event"]["evt_typ"][:2] == ["arrived", "left"] and parts["event"]["stat_t"] == "home/door/event"
    assert parts["snapshot"]["img_t"] == "home/door/snapshot" and parts["enabled"]["cmd_t"] == "home/door/enabled/set"
    assert json.loads(json.dumps(payload)) == payload


def test_a_prefix_that_is_no_topic() -> None:
    with pytest.raises(UsageError, match=r"in which \+ and # cannot be"):
        MqttSink(parse_output_url("mqtt://broker/home/%23"))


def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="its certificates cannot be read"):
        MqttSink(parse_output_url(f"mqtts://broker?cafile={tmp_path}/none.pem"))
