# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON Schemas (2020-12) of the result document and of the policy document. For other programs; an audit does not need them.

The policy's schema is generated from the table that also validates it (policy.SETTINGS), so the two cannot disagree.
"""

from typing import Any, Callable, Dict, List

from .document import SCHEMA
from .model import HIGH_CONFIDENCE, LOW_CONFIDENCE, MEDIUM_CONFIDENCE, SEVERITIES, STATUSES
from .policy import DAY, LIMIT, LIMIT_ITEMS, PROBE, RELEASE, SETTINGS, WAIVER_FIELDS, ZONE, Setting

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = Dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SECONDS: Schema = {"type": "number", "minimum": 0}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_RULE_ID: Schema = {"type": "string", "pattern": "^PH-[A-Z]+-[0-9]{3}$"}


def _record(**members: Schema) -> Schema:
    """An object of exactly these members."""
    return {"type": "object", "required": sorted(members), "properties": members, "additionalProperties": False}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def result_schema() -> Schema:
    """Of ``pidhygiene.result/1``. ``facts``, ``measures`` and ``marks`` may grow without a new version: readers pass over what they do not know."""
    return dict(
        _record(
            schema={"const": SCHEMA}, host=_host(), audit=_audit(), summary=_summary(), facts={"type": "object"}, measures={"type": "object"},
            findings={"type": "array", "items": _finding()}, rules={"type": "array", "items": _rule_row()}, marks=_marks()),
        **{"$schema": DIALECT, "$id": "urn:pidhygiene:result:1", "title": "Result of one audit of one host"})


def _host() -> Schema:
    return _record(
        name=_TEXT, machine_id=_TEXT, boot_id=_TEXT, kernel=_TEXT, distro=_record(id=_TEXT, version=_TEXT), init=_TEXT,
        cgroup={"enum": ["v1", "hybrid", "v2", "none", "unknown"]}, tags=_TEXTS)


def _audit() -> Schema:
    return _record(
        started_at={"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}, duration_s=_SECONDS, waited_s=_SECONDS,
        engine_version=_TEXT, policy_digest={"type": "string", "pattern": "^sha256:[0-9a-f]{16}$"}, max_rss_kib=_COUNT,
        visibility={"enum": ["full", "partial"]}, errors=_TEXTS)


def _summary() -> Schema:
    return _record(
        rules_by_status=_record(**{status: _COUNT for status in STATUSES}),
        findings_by_severity=_record(**{severity: _COUNT for severity in SEVERITIES}), waived=_COUNT)


def _finding() -> Schema:
    return _record(
        rule=_RULE_ID, title=_TEXT, status={"enum": [status for status in STATUSES if status != "pass"]}, severity={"enum": list(SEVERITIES)},
        subject=_record(type=_TEXT, id=_TEXT), message={"type": "string", "minLength": 1},
        evidence={"type": "array", "items": _record(source=_TEXT, value=_TEXT)}, binding=_or_null(_TEXT),
        confidence={"enum": [HIGH_CONFIDENCE, MEDIUM_CONFIDENCE, LOW_CONFIDENCE]},
        remedy=_or_null(_record(state=_TEXT, parameters={"type": "object"}, disruptive={"type": "boolean"})), references=_TEXTS,
        waiver=_or_null(_record(justification=_TEXT, owner=_TEXT, expires=_TEXT, expired={"type": "boolean"})),
        fingerprint={"type": "string", "pattern": "^[0-9a-f]{16}$"})


def _rule_row() -> Schema:
    row = _record(
        rule=_RULE_ID, status={"enum": list(STATUSES)}, counts={"type": "object", "propertyNames": {"enum": list(STATUSES)}, "additionalProperties": _COUNT},
        not_applicable=_TEXTS, omitted=_COUNT)
    return dict(row, required=["counts", "rule", "status"])


def _marks() -> Schema:
    return {"type": "object", "properties": {"version": {"type": "integer"}, "boot_id": _TEXT, "wall": {"type": "number"}, "boot": {"type": "number"}}}


def policy_schema() -> Schema:
    """Of the policy document: settings by family, as ``zombies: {warn: 20}``, or by their full name, as ``zombies.warn: 20``."""
    properties: Dict[str, Schema] = {}
    for setting in SETTINGS:
        properties[setting.key] = _setting(setting)
        family, _dot, name = setting.key.partition(".")
        if name:
            properties.setdefault(family, {"type": "object", "properties": {}, "additionalProperties": False})["properties"][name] = _setting(setting)
    return {
        "$schema": DIALECT, "$id": "urn:pidhygiene:policy:1", "title": "Policy of pidhygiene", "type": "object", "properties": properties,
        "additionalProperties": False,
    }


def _setting(setting: Setting) -> Schema:
    described = dict(_KINDS[setting.kind](), description=setting.help + (" (%s)" % setting.unit if setting.unit else ""))
    described["default"] = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    return described


def _limits() -> Schema:
    value = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": LIMIT}]}
    items = {"type": "object", "propertyNames": {"enum": list(LIMIT_ITEMS)}, "additionalProperties": value}
    return {"type": "object", "additionalProperties": items}


def _quorums() -> Schema:
    name: Schema = {"type": "string", "minLength": 1}
    fields: Dict[str, Schema] = {
        "voters": {"type": "array", "items": name, "minItems": 1}, "units": {"type": "array", "items": name}, "probe": {"type": "string", "pattern": PROBE}}
    return {"type": "object", "additionalProperties": {"type": "object", "required": ["voters"], "properties": fields, "additionalProperties": False}}


def _waivers() -> Schema:
    fields: Dict[str, Schema] = {name: {"type": "string", "minLength": 1 if WAIVER_FIELDS[name] else 0} for name in WAIVER_FIELDS}
    fields["expires"] = {"type": "string", "pattern": DAY}
    required: List[str] = sorted(name for name in WAIVER_FIELDS if WAIVER_FIELDS[name])
    return {"type": "array", "items": {"type": "object", "required": required, "properties": fields, "additionalProperties": False}}


_KINDS: Dict[str, Callable[[], Schema]] = {
    "count": lambda: {"type": "integer", "minimum": 1},
    "seconds": lambda: {"type": "number", "minimum": 0},
    "days": lambda: {"type": "number", "minimum": 0},
    "share": lambda: {"type": "number", "minimum": 0, "maximum": 1},
    "flag": lambda: {"type": "boolean"},
    "zone": lambda: _or_null({"type": "string", "pattern": ZONE}),
    "release": lambda: _or_null({"type": "string", "pattern": RELEASE}),
    "names": lambda: _TEXTS,
    "limits": _limits,
    "controls": lambda: {"type": "object", "additionalProperties": _TEXTS},
    "quorums": _quorums,
    "waivers": _waivers,
}
