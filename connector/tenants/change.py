"""What the parts of an apply share: the transaction, the mistakes found so far, and what changed."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection as Sql

from connector.phone import is_number, parse_number
from connector.store.secrets import SecretBox
from connector.tenants.file import Problem


@dataclass(slots=True)
class Applied:
    """What an apply changed: words for people, and the connections (SID, name) that are new or talk differently now."""

    changes: list[str] = field(default_factory=list)
    connections: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Run:
    """One apply. Rows are written on the way and mistakes gathered; any mistake rolls all of it back."""

    sql: Sql
    box: SecretBox
    who: str
    now: float = field(default_factory=time.time)
    problems: list[Problem] = field(default_factory=list)
    applied: Applied = field(default_factory=Applied)
    #: Tenants of which something changed.
    tenants: set[int] = field(default_factory=set)

    def wrong(self, path: str, words: str) -> None:
        """Notes a mistake of the file."""
        self.problems.append((path, words))

    def changed(self, what: str, words: str) -> None:
        """Notes a change, for people."""
        self.applied.changes.append(f"{what}: {words}")

    def number(self, path: str, written: str, country: str) -> str:
        """A number as E.164; a mistake, and as written, where it is none."""
        number = parse_number(written, country)
        if number is None or not is_number(number):
            self.wrong(path, f"{written!r} is no phone number")
            return written
        return number

    def secrets(self, given: Mapping[str, str], stored: Mapping[str, str], applied: Mapping[str, str]) -> "Secrets":
        """The file's secrets above the stored ones, those left out whose value is the one last applied."""
        hashes = {name: self.box.fingerprint(value) for name, value in given.items()}
        news = {name: given[name] for name in given if name not in stored or hashes[name] != applied.get(name)}
        changed = sorted(name for name, value in news.items() if stored.get(name) != value)
        return Secrets({**stored, **news}, {**applied, **hashes}, changed)


@dataclass(slots=True)
class Secrets:
    """Secrets in force, hashes of the file's values, names of those that the file changed."""

    values: dict[str, str] = field(repr=False)
    hashes: dict[str, str]
    changed: list[str]


def merged(stored: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """What was stored with what was written above it; null takes a key away."""
    return {name: value for name, value in {**stored, **written}.items() if value is not None}


def as_json(value: Mapping[str, Any]) -> str:
    """JSON with sorted keys: equal mappings are equal texts."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
