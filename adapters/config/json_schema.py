"""The JSON Schema of a tenant's file, for editors, made from the rules that Cerberus checks.

It says what these rules say of each value, and when keys exclude or need one another. It cannot say
what two durations are to one another, what a settings class refuses, or whether a file is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias

from ...domain.written import BYTES, MAX_DURATION, MAX_PACE, MAX_SIZE, SECONDS
from .block import Providers, schema_for
from .loader import DEFAULT_BLOCK
from .references import FILE, NAME
from .schema import CORE, FORMATS, BlockSchema

Schema: TypeAlias = dict[str, Any]

_ONE_LINE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
_CONTROL = r"\u0000-\u0008\u000b-\u001f\u007f-\u0084\u0086-\u009f"
_NULL: Schema = {"type": "null"}
_MAYBE: Schema = {"type": ["object", "null"]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


_REFERENCE, _TEXT, _SECRET = _ref("reference"), _ref("text"), _ref("secret")


def tenant_schema(providers: Providers, block: str = DEFAULT_BLOCK) -> Schema:
    """JSON Schema 2020-12 of the files of tenants that may name these providers."""
    known: dict[str, BlockSchema] = {}
    for name in providers:
        found = schema_for(name, providers[name])
        if isinstance(found, BlockSchema):  # others are refused wherever they are named
            known[name] = found
    of_block: Schema = {
        "required": ["provider"],
        "properties": {"provider": {"anyOf": [{"enum": [*known]}, _REFERENCE]}},
        "allOf": [
            {
                "if": {"required": ["provider"], "properties": {"provider": {"const": name}}},
                "then": _ref(f"provider {name}"),
            }
            for name in known
        ],
    }
    is_off = {"required": ["enabled"], "properties": {"enabled": {"const": False}}}
    has_one: Schema = {"type": "object", "not": is_off}
    inside: Schema = {**_MAYBE, "if": has_one, "then": of_block}
    for key in reversed(block.split(".")):
        has_one = {"type": "object", "required": [key], "properties": {key: has_one}}
        inside = {**_MAYBE, "properties": {key: inside}}
    line = {"type": ["string", "object", "null"], "pattern": _ONE_LINE}
    core = _of_keys(CORE)
    of_providers = {f"provider {name}": _of_keys(schema.written) for name, schema in known.items()}
    for one in of_providers.values():
        one["properties"] |= {key: _ref(f"block/properties/{key}") for key in CORE}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tenant of Evidence Courier",
        "type": "object",
        "properties": {"tenant": _TENANT, **inside["properties"]},
        "if": has_one,
        "then": {"properties": {"name": line}},
        "$defs": {**_DEFINITIONS, "block": core, **of_providers},
    }


_TENANT: Schema = {
    "description": "The tenant's id; by default the file's name",
    "type": ["string", "object", "null"],
    "minLength": 1,
    "maxLength": 512,
    "pattern": _ONE_LINE,
    "allOf": [{"pattern": r"^(?!\s)(?![\s\S]*\s$)(?![\s\S]*\$\{)"}],
}


# Mappings


def _of_keys(rules: Mapping[str, Any]) -> Schema:
    """A mapping by the rules of its keys; null counts as absent."""
    properties = {key: _of_key(of_key) for key, of_key in rules.items()}
    required = [key for key, of_key in rules.items() if of_key.get("required")]
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    together = [
        {"not": _present(key, other)}
        for key, of_key in rules.items()
        for other in _names(of_key.get("excludes"))
    ]
    together += [
        {"if": _present(key), "then": _present(*needed)}
        for key, of_key in rules.items()
        if (needed := [one for one in _names(of_key.get("dependencies")) if one in rules])
    ]
    return found | ({"required": required} if required else {}) | _all_of(together)


def _of_key(rules: Mapping[str, Any]) -> Schema:
    return _value(rules) if rules.get("required") else _any_of([_value(rules), _NULL])


def _present(*keys: str) -> Schema:
    return {"required": [*keys], "properties": {key: {"not": _NULL} for key in keys}}


def _names(given: object) -> list[str]:
    if isinstance(given, str):
        return [given]
    return [str(one) for one in given] if isinstance(given, (list, tuple, set)) else []


# Values


def _value(rules: Mapping[str, Any]) -> Schema:
    """A value by its rules. What a function of the provider's reads is any text beside, unless the
    provider says it (``meta``)."""
    kinds = _names(rules.get("type"))
    shapes = [SHAPES[kind](rules) for kind in kinds if kind in SHAPES]
    if not kinds or len(shapes) < len(kinds):
        return _alternatives(rules)
    if "coerce" in rules:
        shapes.append(rules.get("meta", {}).get("json_schema", _TEXT))
    elif "secret" not in kinds and not {"string", *FORMATS}.isdisjoint(kinds):
        shapes.append(_REFERENCE)
    if rules.get("nullable"):
        shapes.append(_NULL)
    return _any_of(shapes) | _alternatives(rules)


def _alternatives(rules: Mapping[str, Any]) -> Schema:
    """What ``anyof`` and the like say."""
    found: Schema = {}
    for ours, theirs in (("anyof", "anyOf"), ("oneof", "oneOf"), ("allof", "allOf")):
        if isinstance(rules.get(ours), (list, tuple)):
            beside = {key: one for key, one in rules.items() if key in ("type", "schema")}
            found[theirs] = [_value({**beside, **one}) for one in rules[ours]]
    return _all_of([found]) if found else {}


def _text(rules: Mapping[str, Any]) -> Schema:
    if "allowed" in rules:
        return {"enum": [*rules["allowed"]]}
    limits = _limits(rules, minlength="minLength", maxlength="maxLength")
    if rules.get("empty") is False:
        limits.setdefault("minLength", 1)
    form = [{"pattern": f"^(?:{rules['regex'].removesuffix('$')})$"}] if "regex" in rules else []
    return {**_TEXT, **limits, **_all_of(form)}


def _number(kind: str) -> Callable[[Mapping[str, Any]], Schema]:
    def shape(rules: Mapping[str, Any]) -> Schema:
        if "allowed" in rules:
            return {"type": kind, "enum": [*rules["allowed"]]}
        return {"type": kind, **_limits(rules, min="minimum", max="maximum")}

    return shape


def _list(rules: Mapping[str, Any]) -> Schema:
    found: Schema = {"type": "array", **_limits(rules, minlength="minItems", maxlength="maxItems")}
    if isinstance(rules.get("schema"), Mapping):
        found["items"] = _value(rules["schema"])
    elif "allowed" in rules:
        found["items"] = {"enum": [*rules["allowed"]]}
    if isinstance(rules.get("items"), (list, tuple)):
        each = [_value(one) for one in rules["items"]]
        found |= {"prefixItems": each, "minItems": len(each), "maxItems": len(each)}
    if rules.get("empty") is False:
        found.setdefault("minItems", 1)
    return found


def _dict(rules: Mapping[str, Any]) -> Schema:
    members = rules.get("schema")
    found: Schema = {"type": "object"}
    if isinstance(members, Mapping):
        found = _of_keys(members)
    if "valuesrules" in rules:
        found["additionalProperties"] = _value(rules["valuesrules"])
    elif rules.get("allow_unknown"):
        found.pop("additionalProperties", None)
    if isinstance(rules.get("keysrules"), Mapping):
        found["propertyNames"] = _value(rules["keysrules"])
    return found | _limits(rules, minlength="minProperties", maxlength="maxProperties")


def _limits(rules: Mapping[str, Any], **names: str) -> Schema:
    limits = {theirs: rules[ours] for ours, theirs in names.items() if ours in rules}
    return {name: limit for name, limit in limits.items() if isinstance(limit, (int, float))}


# Our types


def _duration() -> Schema:
    most = MAX_DURATION.total_seconds()
    written = []
    for unit, length in SECONDS.items():
        whole = min(round(most / length), 10**9 - 1)
        named = f" ?{unit}" if unit != "s" else "( ?s)?"
        written.append(rf"({_up_to(whole - 1)}(\.[0-9]{{1,6}})?|{whole}(\.0{{1,6}})?){named}")
    text = {"type": "string", "pattern": f"^({'|'.join(written)})$"}
    return {"anyOf": [text, {"type": "number", "minimum": 0, "maximum": most}]}


def _worded(schema: Schema, words: str) -> Schema:
    """With words for those editors that know `patternErrorMessage`."""
    inner = {"anyOf": [_worded(one, words) for one in schema["anyOf"]]} if "anyOf" in schema else {}
    return {**schema, **inner, **({"patternErrorMessage": words} if "pattern" in schema else {})}


def _some_time(rules: Mapping[str, Any]) -> Schema:
    least = rules.get("min")
    if not isinstance(least, timedelta) or not least:
        return _ref("duration")
    nothing = {"type": "string", "pattern": "^[0.]+( ?[a-z]+)?$"}
    return {**_ref("duration"), "minimum": least.total_seconds(), "not": nothing}


def _size() -> Schema:
    units = [
        f"{_up_to(MAX_SIZE // length)} ?{_in_any_case(unit)}" for unit, length in BYTES.items()
    ]
    text = f"^(?!0+[^0-9]|0+$)({'|'.join([*units, _up_to(MAX_SIZE)])})$"
    number = {"type": "integer", "minimum": 1, "maximum": MAX_SIZE}
    return {"anyOf": [{"type": "string", "pattern": text}, number]}


def _written(form: str) -> Schema:
    return {**_TEXT, "pattern": f"^{form}$"}


def _in_any_case(word: str) -> str:
    return "".join(f"[{char}{char.upper()}]" if char.isalpha() else char for char in word)


def _up_to(most: int) -> str:
    """A pattern for whole numbers of at most so much, written with zeros before them or without."""
    digits = str(most)
    smaller = [
        f"{digits[:place]}[0-{int(digit) - 1}][0-9]{{{len(digits) - place - 1}}}"
        for place, digit in enumerate(digits)
        if digit != "0"
    ]
    shorter = [f"[0-9]{{1,{len(digits) - 1}}}"] if len(digits) > 1 else []
    return f"0*({'|'.join([*shorter, *smaller, digits])})"


def _named(shape: Schema, rules: Mapping[str, Any]) -> Schema:
    return shape


def _any_of(shapes: list[Schema]) -> Schema:
    return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}


def _all_of(shapes: list[Schema]) -> Schema:
    return {"allOf": shapes} if shapes else {}


_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST = rf"(\[[0-9A-Fa-f:.]+\]|{_LABEL}(\.{_LABEL})*\.?)"
_HERE = rf"({_in_any_case('localhost')}|127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\])"
_PORT = rf"(:((?!0+([/?]|$)){_up_to(65_535)})?)?"
_HTTP = _in_any_case("http")
_AFTER = r"([/?][!\u0022$-\[\]-~]*)?"
_TIME = r"(?!0+\s*[a-z])[0-9]{1,5}\s*[hdw]"
_OURS: Mapping[str, Schema] = {
    "secret": {
        "description": "A reference to a secret, which is never written here itself",
        "type": "string",
        "pattern": rf"^\$\{{({NAME}|{FILE})\}}$",
    },
    "duration": _duration(),
    "size": _size(),
    "pace": _written(rf"(?!0+/){_up_to(MAX_PACE)}/(s|min|h)"),
    "endpoint": _written(f"({_HTTP}[sS]://{_HOST}|{_HTTP}://{_HERE}){_PORT}{_AFTER}"),
    "proxy": _any_of([_written(f"{_HTTP}[sS]?://{_HOST}{_PORT}/?"), _SECRET]),
    "keep": _written(rf"\s*(never|{_TIME}(\s+after\s+success)?)\s*"),
    "keep_failed": _written(rf"\s*(never|{_TIME})\s*"),
}
_WORDS: Mapping[str, str] = {
    "secret": "Write ${NAME} or ${file:/PATH}: a secret is never written here itself",
    "duration": "Write a duration such as 500ms, 5s, 5m or 1h",
    "size": "Write a size such as 25MB, 10MiB or 500kB",
    "pace": "Write a pace such as 2/s, 10/min or 100/h",
    "endpoint": "Write an https URL without a name and a password in it",
    "proxy": "Write the URL of a proxy, or a reference such as ${PROXY}",
    "keep": "Write how long it is kept: 12h, 90d, 52w, 90d after success, or never",
    "keep_failed": "Write how long it is kept: 12h, 90d, 52w, or never",
}
"""What an editor says instead of the pattern."""
_DEFINITIONS: Schema = {
    "reference": {
        "description": "A variable of the environment, or what the host looks up",
        "type": "string",
        "pattern": rf"^\$\{{{NAME}\}}$",
    },
    "text": {"type": "string", "pattern": rf"^(?![\s\S]*\$\{{)[^{_CONTROL}]*$"},
    **{kind: _worded(one, _WORDS.get(kind, "")) for kind, one in _OURS.items()},
}
SHAPES: Mapping[str, Callable[[Mapping[str, Any]], Schema]] = {
    **{kind: partial(_named, _ref(kind)) for kind in _OURS},
    "duration": _some_time,
    "string": _text,
    "integer": _number("integer"),
    "float": _number("number"),
    "number": _number("number"),
    "boolean": partial(_named, {"type": "boolean"}),
    "dict": _dict,
    "list": _list,
}
