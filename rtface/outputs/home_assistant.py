"""The message by which Home Assistant finds a device on MQTT (its "device discovery", with abbreviated names)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rtface.audience.events import KINDS
from rtface.labels import EMOTIONS

#: What an event entity may say: Home Assistant drops all others, so every kind of `rtface.Event` stands here.
EVENT_TYPES = (
    *KINDS,
    *("emotion_onset", "emotion_offset", "blink"),
    *("source_lost", "source_back", "source_awaited", "source_frozen", "part_left", "output_lost", "output_back"),
    *("camera_on", "camera_off", "camera_failed", "camera_moved", "camera_removed", "cameras_unread"),
    *("command_refused", "engine_changed"),
)


def discovery_payload(
    prefix: str, device_id: str, *, name: str, version: str, what: Collection[str], commands: bool, expire_after_s: int
) -> dict[str, Any]:
    """The retained message for ``<discovery prefix>/device/<device_id>/config``.

    Args:
        prefix: Of our topics.
        device_id: Letters, digits, _ and - only.
        name: As people see it.
        version: Of rtface.
        what: Which of state, events, results and snapshot are published.
        commands: Whether ON and OFF are listened to.
        expire_after_s: A state that was not said again for so long is unknown.
    """
    parts: dict[str, dict[str, Any]] = {}
    if "state" in what:
        parts |= _state_parts(expire_after_s)
    if "events" in what:
        parts["event"] = {"p": "event", "name": "Event", "stat_t": f"{prefix}/event", "evt_typ": list(EVENT_TYPES)}
    if "snapshot" in what:
        parts["snapshot"] = {"p": "image", "name": "Snapshot", "img_t": f"{prefix}/snapshot", "cont_type": "image/jpeg"}
    if commands:
        parts["enabled"] = {
            "p": "switch",
            "name": "Enabled",
            "cmd_t": f"{prefix}/enabled/set",
            "stat_t": f"{prefix}/enabled",
        }
    for key, part in parts.items():
        part["uniq_id"] = f"{device_id}_{key}"
    return {
        "dev": {"ids": [device_id], "name": name, "mf": "rtface", "mdl": "rtface", "sw": version},
        "o": {"name": "rtface", "sw": version},
        "cmps": parts,
        "stat_t": f"{prefix}/state",
        "avty_t": f"{prefix}/availability",
        "qos": 1,
    }


def _state_parts(expire_after_s: int) -> dict[str, dict[str, Any]]:
    def sensor(name: str, key: str, **more: Any) -> dict[str, Any]:
        template = "{{ value_json.%s }}" % key  # noqa: UP031  braces are Jinja's
        return {"p": "sensor", "name": name, "val_tpl": template, "exp_aft": expire_after_s, **more}

    return {
        "faces": sensor("Faces", "faces", stat_cla="measurement", ic="mdi:face-recognition"),
        "looking": {
            "p": "binary_sensor",
            "name": "Looking",
            "dev_cla": "occupancy",
            "val_tpl": "{{ 'ON' if value_json.looking else 'OFF' }}",
            "exp_aft": expire_after_s,
        },
        "emotion": sensor("Emotion", "emotion", dev_cla="enum", options=list(EMOTIONS)),
        "watch_time": sensor(
            "Watch time", "attention_s", dev_cla="duration", unit_of_meas="s", stat_cla="total_increasing"
        ),
        "age": sensor(*("Result age p95", "age_p95_ms"), dev_cla="duration", unit_of_meas="ms", ent_cat="diagnostic"),
        "level": sensor("Quality level", "level", ent_cat="diagnostic"),
    }
