"""How values and sections of the file become Python values: the few pieces that all models are made of.

Every value is judged by one function that says in one sentence what it wants, so that one mistake gives one problem.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from supervise.config.nodes import Scalar


class Section(BaseModel):
    """A map with a fixed set of keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True)


class WrittenSection(Section, ABC):
    """A map whose Python value is something else than the map itself."""

    @abstractmethod
    def meaning(self) -> object:
        """The value that the map stands for."""


@dataclass(frozen=True, eq=False)
class Leaf:
    """A single value: `parse` turns its text into the annotated type, or raises ValueError with one sentence.

    `wanted` completes "… is wanted, not a list"; `schema` describes it to editors.
    """

    parse: Callable[[Scalar], object]
    wanted: str
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": ["string", "number", "boolean"]})

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.value)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.schema)

    def value(self, given: object) -> object:
        if not isinstance(given, str):
            raise ValueError(f"{self.wanted} is wanted, not {kind(given)}")
        return self.parse(given if isinstance(given, Scalar) else Scalar(given))


@dataclass(frozen=True, eq=False)
class WrittenAs:
    """The annotated value is written as the map `form`; `off`, if allowed, stands for None."""

    form: type[WrittenSection]
    off: bool = False

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        form = core_schema.no_info_after_validator_function(self.form.meaning, handler.generate_schema(self.form))
        if not self.off:
            return form
        return core_schema.no_info_wrap_validator_function(
            lambda given, inner: None if given == "off" else inner(given), form
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        form = handler(schema)
        return {"anyOf": [form, {"const": "off"}]} if self.off else form


def kind(given: object) -> str:
    """What was given, for a sentence."""
    if isinstance(given, Mapping):
        return "a map"
    if isinstance(given, list | tuple):
        return "a list"
    if given is None:
        return "nothing"
    return f"'{shortened(str(given))}'"


def shortened(text: str) -> str:
    """Enough of `text` to recognise it, on one line and safe to print."""
    line = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return line if len(line) <= 60 else f"{line[:57]}..."
