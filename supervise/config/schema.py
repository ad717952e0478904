"""What editors are told about `agents.yaml`: a JSON Schema made from the same models that judge the file."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DictSchema, WithDefaultSchema

from supervise.config.top import File
from supervise.model import Rate
from supervise.spans import span_text


def json_schema() -> dict[str, object]:
    """JSON Schema (draft 2020-12) of the file, with descriptions and defaults in the file's own notation."""
    schema = File.model_json_schema(schema_generator=_Generator)
    return {"$schema": _Generator.schema_dialect, **schema, "title": "agents.yaml", "required": ["agents"]}


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: object) -> bool:
        return False

    def encode_default(self, dft: object) -> Any:
        return written(dft)

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        return {key: value for key, value in described.items() if key != "default" or value is not None}

    def dict_schema(self, schema: DictSchema) -> JsonSchemaValue:
        """A map whose keys have a shape takes no others."""
        described = super().dict_schema(schema)
        return {**described, "additionalProperties": False} if "patternProperties" in described else described


def written(value: object) -> Any:
    """A value as one would write it in the file."""
    if isinstance(value, timedelta):
        return span_text(value)
    if isinstance(value, Rate):
        return f"{value.count}/{span_text(value.interval)}"
    if isinstance(value, StrEnum):
        return {"true": True, "false": False}.get(value.value, value.value)
    if is_dataclass(value):
        return {each.name: _or_off(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple):
        return [written(item) for item in value]
    return value if isinstance(value, str | int | float | bool) else None


def _or_off(value: object) -> Any:
    return "off" if value is None else written(value)
