"""pydantic's errors → one clear sentence per mistake, with its place in the file and the nearest right key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from supervise.config.leaf import Section, WrittenAs, kind
from supervise.config.nodes import Loc
from supervise.config.texts import did_you_mean

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Found:
    """A sentence, the keys that lead to the mistake, and whether the last of these keys itself is the mistake."""

    text: str
    loc: Loc
    at_key: bool = False


def validated(form: type[S], data: dict[str, Any]) -> tuple[S, list[Found]]:
    """`data` as a `form`, with everything that is wrong in it. What is wrong is dropped from `data` and the result."""
    try:
        return form.model_validate(data), []
    except ValidationError as error:
        found = list(_found(form, error))
    for each in found:
        _drop(data, each.loc)
    try:
        return form.model_validate(data), found
    except ValidationError as error:
        for each in _found(form, error):
            data.pop(str(each.loc[0]), None)
        return form.model_validate(data), found


def _drop(data: dict[str, Any], loc: Loc) -> None:
    """Removes what stands at `loc`; of a list all, since the places of its other items must not move."""
    inside: object = data
    for at, part in enumerate(loc):
        if not isinstance(inside, dict) or part not in inside:
            return
        if at + 1 == len(loc) or not isinstance(inside[part], dict):
            del inside[part]
            return
        inside = inside[part]


def _found(form: type[Section], error: ValidationError) -> Iterator[Found]:
    for details in error.errors(include_url=False):
        loc = tuple(part for part in details["loc"] if part != "[key]")
        yield Found(_sentence(form, details), loc, details["type"] == "extra_forbidden" or loc != details["loc"])


def _sentence(form: type[Section], error: ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            return unknown_key(form, error["loc"])
        case "value_error":
            return str(error["ctx"]["error"])
        case "model_type":
            section = _section(form, error["loc"])
            first = next(iter(section.model_fields)) if section is not None else "NAME"
            return f"a map is wanted, such as {{{first}: …}}, not {kind(error['input'])}"
        case "dict_type" | "mapping_type":
            return f"a map is wanted, such as {{NAME: value}}, not {kind(error['input'])}"
        case "tuple_type":
            return f"a list is wanted, such as [a, b], not {kind(error['input'])}"
        case _:
            return error["msg"][0].lower() + error["msg"][1:]


def unknown_key(form: type[Section], loc: tuple[int | str, ...]) -> str:
    key, section = str(loc[-1]), _section(form, loc[:-1])
    known = list(section.model_fields) if section is not None else []
    if hint := did_you_mean(key, known):
        return f"unknown key{hint}"
    for name in known:
        inner = _forms(section.model_fields[name]) if section is not None else None
        if inner is not None and key in inner.model_fields:
            return f"unknown key; did you mean '{name}: {{{key}: …}}'?"
    return f"unknown key; known are {', '.join(known)}" if len(known) < 12 else "unknown key"


def _section(form: type[Section], loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model of the map at `loc`."""
    section: type[BaseModel] | None = form
    for part in loc:
        if section is not None and part in section.model_fields:
            section = _forms(section.model_fields[str(part)])
    return section


def _forms(annotated: Any) -> type[BaseModel] | None:
    """The model in a field's or type's annotation: itself, within a list, a map or a union, or as a written form."""
    if isinstance(annotated, type) and issubclass(annotated, BaseModel):
        return annotated
    if isinstance(annotated, WrittenAs):
        return annotated.form
    inner = [*getattr(annotated, "metadata", ()), *get_args(annotated), getattr(annotated, "annotation", None)]
    return next((form for part in inner if part is not None and (form := _forms(part)) is not None), None)
