"""MQTT, for home automation: Home Assistant finds the camera by itself; others read plain topics.

Below the prefix (``rtface/<this machine>`` unless the address names one):

``availability``  ``online`` or ``offline``, retained; the broker itself says offline when this process dies
``state``         a JSON object, retained: how many faces, whether somebody looks, the strongest emotion, …; when it
                  changes, at most twice a second, and once in half a minute as a sign of life
``event``         a JSON object an event: arrived, left, look_start, look_end, smile, emotion_onset, source_lost, …
``faces``         ``?what=results``: the JSON record of each frame, as in the .jsonl output, without label maps
``snapshot``      ``?what=snapshot``: a JPEG in which faces are made unrecognisable, retained
``enabled/set``, ``budget/set``, ``tasks/set``  ``?commands=1``: ON or OFF, milliseconds, names with commas
"""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from rtface.audience.events import Audience, other_events
from rtface.errors import RtfaceError, UsageError, require
from rtface.outputs.follow import FaceFollower, frame_time
from rtface.outputs.home_assistant import discovery_payload
from rtface.outputs.network import NetworkSink
from rtface.outputs.output_url import OutputUrl
from rtface.outputs.secrets import secret_of
from rtface.outputs.sink import RunInfo
from rtface.types import Event, FrameResult

PORT, TLS_PORT = 1883, 8883
PASSWORD_VARIABLE = "RTFACE_MQTT_PASSWORD"
#: Seconds until the broker has answered; until it notices that we are gone.
CONNECT_S, KEEPALIVE_S = 5.0, 10
#: Seconds between two states: at least, and at most where nothing changes.
STATE_S, STILL_ALIVE_S = 0.5, 30.0
SNAPSHOT_S = 10.0
#: Events that wait while the broker is away, and messages that it has not confirmed.
EVENTS, UNCONFIRMED = 256, 100
#: Results whose age is looked at for the 95th percentile.
AGES = 120

#: Seconds without a result after which nobody is there any more.
GONE_S = 3.0
_NOBODY = {"faces": 0, "looking": False, "watchers": 0, "emotion": None, "emotion_confidence": None}

WHAT = ("state", "events", "results", "snapshot")
_SETTINGS = (
    *("what", "id", "name", "discovery", "commands", "passfile", "cafile", "certfile", "keyfile", "insecure"),
    *("version", "snapshot_s"),
)


class MqttSink(NetworkSink[FrameResult]):
    """State, events and more on an MQTT broker, over TLS where the scheme is ``mqtts``.

    Args:
        url: ``mqtt://user@broker:1883/prefix?what=state,events&passfile=FILE&discovery=homeassistant``.
    """

    beat_s = STATE_S

    def __init__(self, url: OutputUrl) -> None:
        url.only(*_SETTINGS)
        require("paho.mqtt.client", "mqtt")
        super().__init__(url.shown)
        self._url = url
        self._password = secret_of(url, "passfile", PASSWORD_VARIABLE, given=url.password)
        self._prefix = url.path.strip("/") or f"rtface/{_slug(socket.gethostname())}"
        if re.search(r"[+#\x00]", self._prefix):
            raise UsageError(url.shown, "its path is the topics' prefix, in which + and # cannot be", "Name another")
        self._id = _slug(url.settings.get("id", self._prefix))
        self._what = url.some_of("what", *WHAT, default=("state", "events"))
        self.picture = "private" if "snapshot" in self._what else "none"
        self._discovery = url.settings.get("discovery", "homeassistant").strip("/")
        if self._discovery in ("0", "no", "off"):
            self._discovery = ""
        self._commands = url.switch("commands")
        self._snapshot_s = url.number("snapshot_s", SNAPSHOT_S, 0.1, 86400.0)
        self._version5 = url.one_of("version", "5", "3") == "5"
        self._tls = _tls(url)
        self._client: Any = None
        self._refused: str | None = None
        self._audience = Audience()
        self._follower = FaceFollower()
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._ages: deque[float] = deque(maxlen=AGES)
        self._state: dict[str, Any] | None = None
        self._attention_s = 0.0
        self._looked_at: float | None = None
        self._published: dict[str, Any] | None = None
        self._published_at = self._snapshot_at = float("-inf")
        self._heard_at = float("-inf")
        self._born_again = False

    def open(self, info: RunInfo) -> None:
        self._audience = Audience(info.control.options.audience_rules)
        super().open(info)

    def items(self, result: FrameResult) -> Iterable[FrameResult]:
        self._events.extend(other_events(result))  # a result may be dropped, what happened may not
        return (result,)

    # The connection

    def connect(self) -> None:
        mqtt: Any = require("paho.mqtt.client", "mqtt")
        self._refused = None
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=f"{self._id}-{os.getpid()}",
            protocol=mqtt.MQTTv5 if self._version5 else mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        self._client = client
        client.max_queued_messages_set(UNCONFIRMED)
        client.connect_timeout = CONNECT_S
        client.on_connect, client.on_message = self._on_connect, self._on_message
        if self._url.user is not None or self._password is not None:
            client.username_pw_set(self._url.user or "", self._password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.will_set(self._topic("availability"), "offline", qos=1, retain=True)
        default = TLS_PORT if self._tls is not None else PORT
        client.connect(self._url.host or "127.0.0.1", self._url.port or default, keepalive=KEEPALIVE_S)
        client.loop_start()
        end = self._clock.now() + CONNECT_S
        while not client.is_connected() and self._refused is None and self._clock.now() < end:
            if self._clock.wait(self._stop, 0.01):
                break
        if self._refused is not None:
            raise ConnectionError(self._refused)
        if not client.is_connected():
            raise TimeoutError
        self._greet()

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any = None) -> None:
        del client, data, flags, properties
        if reason.is_failure:
            # An old broker is spoken to as 3.1.1 the next time.
            self._version5 = self._version5 and "protocol" not in str(reason).lower()
            self._refused = f"the broker refuses ({reason})"

    def _greet(self) -> None:
        """After every connection: nothing of a broker that was restarted is taken to be there still."""
        self._publish("availability", "online", retain=True)
        self._published = None
        self._snapshot_at = float("-inf")
        if self._discovery:
            self._client.subscribe(f"{self._discovery}/status", qos=1)
            self._announce()
        if self._commands:
            for name in ("enabled", "budget", "tasks"):
                self._client.subscribe(self._topic(f"{name}/set"), qos=1)
            self._tell_settings()
        self._publish_state(force=True)

    def _announce(self) -> None:
        payload = discovery_payload(
            self._prefix,
            self._id,
            name=self._url.settings.get("name", self._id),
            version=str(self.info.header.get("version", "")),
            what=self._what,
            commands=self._commands,
            expire_after_s=int(3 * STILL_ALIVE_S),
        )
        topic = f"{self._discovery}/device/{self._id}/config"
        self._check(self._client.publish(topic, json.dumps(payload), qos=1, retain=True))

    def disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def farewell(self, summary: dict[str, Any]) -> None:
        for event in self._audience.finish():
            self._events.append(event)
        self._publish_events()
        last = self._publish("availability", "offline", retain=True)
        last.wait_for_publish(timeout=1.0)

    # What is said

    def send(self, item: FrameResult) -> None:
        self._take(item)
        self._check_connection()
        self._publish_events()
        if "results" in self._what:
            self._publish("faces", json.dumps(item.to_dict(parsing=False), separators=(",", ":")))
        if "snapshot" in self._what and self._clock.now() - self._snapshot_at >= self._snapshot_s:
            self._snapshot_at = self._clock.now()
            self._publish("snapshot", _snapshot(item), retain=True)
        self._publish_state()

    def beat(self) -> None:
        self._check_connection()
        if self.info.live:  # no frames come: the camera is lost or switched off, and everybody who was there leaves
            self._events.extend(self._audience.tick(self._clock.now()))
        if self._state is not None and (not self.info.control.enabled or self._clock.now() - self._heard_at > GONE_S):
            self._state = {**self._state, **_NOBODY}
        if self._born_again:
            self._born_again = False
            self._announce()
            self._publish_state(force=True)
        self._publish_events()
        self._publish_state()

    def _check_connection(self) -> None:
        if not self._client.is_connected():
            raise ConnectionError("the connection was lost")

    def _take(self, result: FrameResult) -> None:
        at = frame_time(result.frame, self.info.live)
        self._heard_at = self._clock.now()
        self._events.extend(self._audience.observe(result, at=at))
        self._ages.append(result.timing.age_ms)
        face = self._follower.update(result, at)
        looking = self._audience.looking
        gap = 0.0 if self._looked_at is None else at - self._looked_at
        self._attention_s += looking * gap if 0.0 < gap <= self._audience.options.max_gap_s else 0.0
        self._looked_at = at
        emotion = face.emotion if face is not None else None
        self._state = {
            "faces": len(result.faces),
            "looking": looking > 0,
            "watchers": looking,
            "emotion": emotion.label if emotion is not None else None,
            "emotion_confidence": round(float(emotion.probs.max()), 2) if emotion is not None else None,
            "attention_s": round(self._attention_s, 1),
            "level": result.level,
            "age_p95_ms": round(float(np.percentile(self._ages, 95)), 1),
        }

    def _publish_state(self, *, force: bool = False) -> None:
        if self._state is None or "state" not in self._what:
            return
        since = self._clock.now() - self._published_at
        changed = _noticeable(self._state) != _noticeable(self._published)
        if force or since >= STILL_ALIVE_S or (changed and since >= STATE_S):
            self._publish("state", json.dumps(self._state), retain=True)
            self._published, self._published_at = self._state, self._clock.now()

    def _publish_events(self) -> None:
        while self._events:
            event = self._events.popleft()
            if "events" in self._what:
                self._publish("event", json.dumps(_event_payload(event)))

    def _publish(self, name: str, payload: str | bytes, *, retain: bool = False) -> Any:
        return self._check(self._client.publish(self._topic(name), payload, qos=1, retain=retain))

    def _check(self, message: Any) -> Any:
        """A message that paho has taken; its queue is bounded, and what is over is dropped and counted."""
        if message.rc == 15:  # MQTT_ERR_QUEUE_SIZE: the broker confirms nothing
            self._dropped += 1
        elif message.rc != 0:
            raise ConnectionError("the connection was lost")
        return message

    def _topic(self, name: str) -> str:
        return f"{self._prefix}/{name}"

    # Commands, in paho's thread

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        del client, data
        text = message.payload.decode("utf-8", "replace").strip()
        if message.topic == f"{self._discovery}/status":
            self._born_again = self._born_again or text == "online"
            return
        try:
            self._command(message.topic.removeprefix(f"{self._prefix}/"), text)()
        except (RtfaceError, ValueError) as error:
            self._events.append(Event("command_refused", self._clock.now(), " ".join(str(error).split())))
        self._tell_settings()

    def _command(self, name: str, text: str) -> Callable[[], None]:
        control = self.info.control
        if name == "enabled/set" and text.upper() in ("ON", "OFF"):
            return lambda: control.enable(text.upper() == "ON")
        if name == "budget/set":
            milliseconds = None if text.lower() in ("", "none", "off") else float(text)
            return lambda: control.set_budget(milliseconds)
        if name == "tasks/set":
            return lambda: control.set_tasks([task.strip() for task in text.split(",") if task.strip()])
        raise ValueError(f"{name}: expected ON or OFF, got {text!r}")

    def _tell_settings(self) -> None:
        control = self.info.control
        self._publish("enabled", "ON" if control.enabled else "OFF", retain=True)
        self._publish("budget", "none" if control.budget_ms is None else f"{control.budget_ms:g}", retain=True)
        self._publish("tasks", ",".join(control.tasks), retain=True)


def _noticeable(state: dict[str, Any] | None) -> Any:
    """What of a state is worth a message of its own; ages and confidences change all the time."""
    if state is None:
        return None
    return [state[name] for name in ("faces", "looking", "watchers", "emotion", "level")]


def _event_payload(event: Event) -> dict[str, Any]:
    from rtface.outputs.records import event_record

    record = event_record(event)
    return {"event_type": record.pop("kind"), **record}


def _snapshot(result: FrameResult) -> bytes:
    from rtface.drawing.blur import blur
    from rtface.system.images import encoded

    return encoded(blur(result.frame.image, result)) or b""


def _tls(url: OutputUrl) -> ssl.SSLContext | None:
    if url.scheme != "mqtts":
        return None
    try:
        context = ssl.create_default_context(cafile=url.settings.get("cafile"))
        if "certfile" in url.settings:
            context.load_cert_chain(url.settings["certfile"], url.settings.get("keyfile"))
    except (OSError, ssl.SSLError) as error:
        why = f"its certificates cannot be read ({error.strerror or error})"
        raise UsageError(url.shown, why, "Name PEM files with cafile=, certfile= and keyfile=") from error
    if url.switch("insecure"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _slug(text: str) -> str:
    """Of letters that Home Assistant takes for ids."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", text).strip("_") or "rtface"


def open_output(url: OutputUrl) -> MqttSink:
    """The output for an address."""
    return MqttSink(url)
