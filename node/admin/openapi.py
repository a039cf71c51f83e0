"""The server API as OpenAPI 3.1 describes it: made from its table, so that it can't be another."""

from collections.abc import Sequence
from http import HTTPStatus

from greenroom.node.admin.table import PATH_FIELD, VERSION, Entry, JsonObject


def describe(table: Sequence[Entry]) -> JsonObject:
    """Return the OpenAPI description of a table."""
    paths: dict[str, dict[str, object]] = {}
    for entry in table:
        paths.setdefault(entry.whole_path, {})[entry.method.lower()] = _describe_entry(entry)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Greenroom's server API", "version": VERSION},
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
        "paths": paths,
    }


def _describe_entry(entry: Entry) -> JsonObject:
    in_path = set(PATH_FIELD.findall(entry.path))
    in_query = entry.method == "GET"
    described: dict[str, object] = {
        "summary": entry.summary,
        "description": f"Needs a key that may {entry.scope.value}.",
        "parameters": [
            {
                "name": field.name,
                "in": "path" if field.name in in_path else "query",
                "required": field.required or field.name in in_path,
                "description": field.help,
                "schema": field.schema,
            }
            for field in entry.fields
            if in_query or field.name in in_path
        ],
        "responses": {
            str(status.value): {"description": status.phrase}
            for status in (HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED)
        },
    }
    if not in_query:
        body = [field for field in entry.fields if field.name not in in_path]
        schema = {
            "type": "object",
            "additionalProperties": False,
            "required": [field.name for field in body if field.required],
            "properties": {
                field.name: {**field.schema, "description": field.help} for field in body
            },
        }
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return described
