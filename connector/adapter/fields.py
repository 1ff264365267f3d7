"""A tenant's fields as a CRM takes them, and how it names what it refuses or demands; declared by an adapter."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from connector.adapter.records import Entry
from connector.errors import Rejected

#: What may follow `json:` in a field whose type cannot be seen from its value, as it is told to people.
Typed = Literal["true, false", "a number", "a list of texts", "the id of a record"]

_TYPED: Final[Mapping[Typed, str]] = {
    "true, false": "true|false",
    "a number": r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,9})?",
    "a list of texts": r'\[(?:"[^"\\]*"(?:,\s*"[^"\\]*")*)?\]',
    "the id of a record": r'\{\s*"id":\s*"\d{1,24}"\s*\}',
}
#: Choices of a field that are told as examples.
_CHOICES: Final = 5


class Described(NamedTuple):
    """Keys of a row in a CRM's list of its fields; a field is mandatory where one of `required` is true."""

    name: str = "name"
    label: str = "label"
    required: tuple[str, ...] = ("required",)
    type: str = "type"
    choices: str = "choices"
    #: What of a choice is the value, where choices are objects.
    choice: str = "value"


@dataclass(frozen=True)
class Fields:
    """How one kind of record takes the tenant's `fields`, and how the CRM names them."""

    #: The CRM, as people are told of it.
    title: str
    #: A pattern of the names that hold numbers, and names that hold lists; all others hold text.
    numbers: str = ""
    lists: frozenset[str] = frozenset()
    #: Where custom fields stand, whose names begin with `cf_`; empty where they are as all others.
    custom: str = ""
    #: What may follow `json:`, in the order in which it is told; where there is `custom`, in custom fields only.
    typed: tuple[Typed, ...] = ()
    #: Digits that a number has at most.
    digits: int = 18
    #: The CRM's field -> the part of the entry that it holds; any other is an entry of `fields`.
    parts: Mapping[str, str] = field(default_factory=dict)
    #: Fields that every record of ours has; names that the list of fields spells otherwise; examples by type.
    sent: frozenset[str] = frozenset()
    spelled: Mapping[str, str] = field(default_factory=dict)
    examples: Mapping[str, str] = field(default_factory=dict)
    described: Described = field(default_factory=Described)

    def written(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """The fields as a part of a record's JSON; an empty value leaves its field alone. Raises `Rejected`.

        Whether `919876543210` is a number or the text of one cannot be seen from the value: it is a text, unless it is
        written as `json:919876543210` or the field's name says so. Lists are parted by commas.
        """
        written: dict[str, Any] = {}
        custom: dict[str, Any] = {}
        for name, value in fields.items():
            text = value.strip()
            if not text:
                continue
            if self.custom and name.startswith("cf_"):
                custom[name] = self._typed(name, text)
            elif re.fullmatch(self.numbers, name):
                written[name] = self.number(f"fields.{name}", text)
            elif name in self.lists:
                written[name] = [item.strip() for item in text.split(",") if item.strip()]
            else:
                written[name] = text if self.custom else self._typed(name, text)
        return written | ({self.custom: custom} if custom else {})

    def number(self, part: str, text: str) -> int:
        """`text` as the number that the CRM wants for this part of the entry. Raises `Rejected`."""
        if not re.fullmatch(rf"[0-9]{{1,{self.digits}}}", text):
            raise Rejected(f"{self.title} takes a number for {part}.", parts=(part,))
        return int(text)

    def agent(self, name: str, entry: Entry) -> dict[str, int]:
        """The entry's agent under this name, for a CRM whose ids are numbers; empty where nobody is meant."""
        return {name: self.number("agent", entry.agent.id)} if entry.agent else {}

    def part_of(self, name: str) -> str:
        """The CRM's name of a field -> the part of the entry that was refused; `""` where nothing is named."""
        bare = name.removeprefix(f"{self.custom}.").removesuffix("[]")
        return self.parts.get(bare, f"fields.{bare}" if bare else "")

    def refused(self, said: Iterable[tuple[str, str]]) -> dict[str, str]:
        """What a refusal says of fields, as pairs of the CRM's name and words, by part of the entry."""
        return by_part((self.part_of(name), text) for name, text in said)

    def mandatory(self, rows: Iterable[Mapping[str, Any]], record: str, way_out: str = "") -> list[str]:
        """What to do about each field of the CRM's list that every new `record` must fill, and ours do not.

        `way_out` follows the field's label, where no entry of `options.fields` helps.
        """
        at = self.described
        found = []
        for row in rows:
            name = str(row.get(at.name, ""))
            if name in self.sent or not any(row.get(key) for key in at.required):
                continue
            example = self._example(row)
            filled = f": options.fields.{self.spelled.get(name, name)} has to fill it{example and f' ({example})'}."
            found.append(f"Every {record} must have the field {row.get(at.label) or name}{way_out or filled}")
        return found

    def _example(self, row: Mapping[str, Any]) -> str:
        at = self.described
        choices = row.get(at.choices)
        if not choices or not isinstance(choices, list | dict):
            return self.examples.get(str(row.get(at.type)), "")
        told = [choice.get(at.choice) if isinstance(choice, dict) else choice for choice in choices]
        return "one of " + ", ".join(f"`{choice}`" for choice in told[:_CHOICES])

    def _typed(self, name: str, text: str) -> Any:
        if not self.typed or not text.startswith("json:"):
            return text
        found = re.fullmatch(r"json:\s*(" + "|".join(_TYPED[kind] for kind in self.typed) + ")", text)
        if found is None:
            words = f"after json: comes {', '.join(self.typed[:-1])} or {self.typed[-1]}"
            raise Rejected(f"{name}: {words}.", parts=(f"fields.{name}",), words={f"fields.{name}": words})
        return json.loads(found[1])


def by_part(said: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What a refusal says, as pairs of part and words -> all words of a part in one."""
    words: dict[str, str] = {}
    for part, text in said:
        words[part] = f"{words[part]}; {text}" if part in words else text
    return words
