"""What every operation of the OpenAPI document shares: failures are problem+json. Knows the document, not the views."""

from __future__ import annotations

from typing import Any

_METHODS = frozenset({"get", "post", "put", "patch", "delete"})
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `fields` says where a request is wrong; `retry_after` (seconds) whether a retry helps.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "fields": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
        "retry_after": {"type": "integer"},
    },
}
_FAILURE = {
    "description": "The request failed; the problem says why.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def add_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A drf-spectacular postprocessing hook: every operation may answer with a problem."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
    for path in result.get("paths", {}).values():
        for method, operation in path.items():
            if method in _METHODS:
                operation.setdefault("responses", {}).setdefault("default", _FAILURE)
    return result
