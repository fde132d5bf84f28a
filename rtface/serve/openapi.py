"""The HTTP API as an OpenAPI 3.1 document, at `/openapi.json`."""

from __future__ import annotations

from typing import Any

from rtface.labels import ALL_TASKS
from rtface.serve.analyze import KINDS, PATH
from rtface.version import __version__

_OBJECT = {"type": "object"}
_CAMERA = {
    "name": "camera",
    "in": "query",
    "description": "Name of a source; left out: the first.",
    "schema": {"type": "string"},
}


def document() -> dict[str, Any]:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rtface",
            "version": __version__,
            "description": "Faces, events and audience of the cameras of one rtface process. Beyond 127.0.0.1 a token "
            "is needed: as a cookie (open the page with ?token=…) or as Authorization: Bearer.",
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
            },
        },
        "paths": {
            "/healthz": {"get": _get("It runs", _json(_OBJECT))},
            "/readyz": {"get": _get("Every source gives results", _json(_OBJECT), 503)},
            "/metrics": {"get": _get("Figures for Prometheus", {"text/plain": {"schema": {"type": "string"}}})},
            "/openapi.json": {"get": _get("This document", _json(_OBJECT))},
            "/stream.mjpg": {
                "get": _get(
                    "Pictures one after the other", {"multipart/x-mixed-replace": {}}, 403, 404, 503, camera=True
                )
            },
            "/api/v1/result": {
                "get": _get("The newest result, schema rtface.result/1", _json(_OBJECT), 403, 404, 503, camera=True)
            },
            "/api/v1/faces": {"get": _get("Its faces", _json(_OBJECT), 403, 404, 503, camera=True)},
            "/api/v1/events": {
                "get": _get(
                    "Events as they happen; the last 50 first, or what Last-Event-ID missed",
                    {"text/event-stream": {"schema": {"type": "string"}}},
                    503,
                )
            },
            "/api/v1/audience": {"get": _get("Who is here now, and today's figures", _json(_OBJECT))},
            "/api/v1/cameras": {
                "get": _get("The sources and their health", _json({"type": "array", "items": _OBJECT}))
            },
            "/api/v1/cameras/{camera}": {"patch": _switch()},
            "/api/v1/timeline": {"get": _get("Age, level and faces lately", _json(_OBJECT), 404, camera=True)},
            "/api/v1/snapshot.jpg": {"get": _get("The newest picture", {"image/jpeg": {}}, 403, 404, 503, camera=True)},
            "/api/v1/options": {"get": _get("What the analysis does", _json(_OBJECT)), "patch": _patch()},
            PATH: {"post": _post()},
        },
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _errors(*codes: int) -> dict[str, Any]:
    error = {"$ref": "#/components/schemas/Error"}
    names = {
        400: "Bad request",
        401: "No token",
        403: "Not allowed",
        404: "No such camera",
        413: "Too large",
        415: "Another content type is needed",
        422: "The values do not fit",
        429: "Too many requests",
        503: "Not now",
    }
    return {str(code): {"description": names[code], "content": _json(error)} for code in sorted({*codes, 401, 429})}


def _get(what: str, content: dict[str, Any], *errors: int, camera: bool = False) -> dict[str, Any]:
    answers = {"200": {"description": what, "content": content}, **_errors(*errors)}
    return {"summary": what, "responses": answers, **({"parameters": [_CAMERA]} if camera else {})}


def _patch() -> dict[str, Any]:
    schema = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {
            "budget_ms": {"type": ["number", "null"], "exclusiveMinimum": 0},
            "tasks": {"type": "array", "items": {"enum": list(ALL_TASKS)}},
            "privacy": {"enum": ["full", "blur", "aggregate"]},
        },
    }
    return {
        "summary": "Change the budget, the tasks, or make privacy stricter",
        "requestBody": {"required": True, "content": _json(schema)},
        "responses": {
            "200": {"description": "The options now", "content": _json(_OBJECT)},
            **_errors(400, 413, 415, 422),
        },
    }


def _switch() -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["enabled"],
        "additionalProperties": False,
        "properties": {"enabled": {"type": "boolean"}},
    }
    return {
        "summary": "Switch a camera on or off, one that the file of --cameras lists",
        "parameters": [{"name": "camera", "in": "path", "required": True, "schema": {"type": "string"}}],
        "requestBody": {"required": True, "content": _json(schema)},
        "responses": {
            "200": {"description": "Its state", "content": _json(_OBJECT)},
            **_errors(400, 404, 413, 415, 422),
        },
    }


def _post() -> dict[str, Any]:
    return {
        "summary": "The faces of a picture",
        "requestBody": {"required": True, "content": {kind: {} for kind in KINDS}},
        "responses": {
            "200": {"description": "Its record, schema rtface.result/1", "content": _json(_OBJECT)},
            **_errors(403, 413, 415, 422),
        },
    }
