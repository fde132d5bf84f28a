"""CloudEvents 1.0 (cloudevents.io) over HTTP, signed as Standard Webhooks does."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

#: Before every type: whose events these are, as a domain backwards.
TYPE_PREFIX = "io.rtface"


def cloud_event(
    kind: str, data: Mapping[str, Any], *, event_id: str, source: str, at: float, subject: str | None = None
) -> dict[str, Any]:
    """The event as an object, attributes and data together (the structured JSON format).

    Args:
        kind: Such as "event.arrived", behind ``io.rtface.``.
        data: JSON values.
        event_id: Unique together with the source.
        source: Whatever names the camera; escaped, it becomes a URI reference.
        at: Seconds since 1970.
        subject: What it is about, such as "track/7".
    """
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": quote(source, safe="/:"),
        "type": f"{TYPE_PREFIX}.{kind}",
        "time": datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": dict(data),
    }
    if subject is not None:
        event["subject"] = subject
    return event


def http_message(event: Mapping[str, Any], *, binary: bool) -> tuple[dict[str, str], bytes]:
    """Headers and body: one JSON object, or (`binary`) the data alone with the attributes as headers."""
    if not binary:
        return {"Content-Type": "application/cloudevents+json; charset=utf-8"}, _json(event)
    headers = {
        f"ce-{name}": quote(str(value), safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~")
        for name, value in event.items()
        if name not in ("data", "datacontenttype")
    }
    return {"Content-Type": str(event["datacontenttype"]), **headers}, _json(event["data"])


def signature_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Standard Webhooks: HMAC-SHA256 over id, time and body; a secret that begins with ``whsec_`` is base64."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
