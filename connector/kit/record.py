"""Records an adapter's tour against a real account: `python -m connector.kit.record MODULE:SUITE SETTINGS.json SOURCE`.

SETTINGS.json holds real settings, SOURCE says which account it was (`sandbox of 2025-03`). The files go where the suite
looks for them. Secrets, e-mail addresses and numbers are scrubbed before anything is written; look the files over all
the same, and delete the records that the tour made.
"""

import argparse
import asyncio
import importlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connector.kit.bench import AGENT_NUMBER, NUMBER, Bench, Maker, bench_at, idle, secret_fields
from connector.kit.replay import body_of
from connector.kit.suite import AdapterSuite
from connector.kit.tour import tour
from connector.kit.wire import Exchange

#: Answers' headers that an adapter may read.
_HEADERS = re.compile(r"retry-after|.*rate-?limit.*|content-type|link", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_NUMBER = re.compile(r"\+\d[\d\s().-]{6,}\d")
_NUMBER_FIELD = re.compile(r"phone|mobile|fax", re.IGNORECASE)


class Scrubber:
    """Replaces what must not be kept. `words`: what is found -> what is written instead."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = dict(sorted(words.items(), key=lambda pair: -len(pair[0])))

    def text(self, text: str) -> str:
        """The text, scrubbed."""
        for found, instead in self._words.items():
            text = text.replace(found, instead)
        return _NUMBER.sub(_number, _EMAIL.sub("person@example.com", text))

    def value(self, value: Any, name: str = "") -> Any:
        """JSON, scrubbed; in a field of phone numbers, bare digits as well."""
        if isinstance(value, dict):
            return {self.text(key): self.value(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner, name) for inner in value]
        if isinstance(value, str):
            scrubbed = self.text(value)
            return _bare_number(scrubbed) if _NUMBER_FIELD.search(name) else scrubbed
        return value


def _number(match: re.Match[str]) -> str:
    digits = "+" + re.sub(r"\D", "", match[0])
    return match[0] if digits in (NUMBER, AGENT_NUMBER) else "+910000000000"


def _bare_number(text: str) -> str:
    digits = re.sub(r"\D", "", text)
    known = any(digits and known.endswith(digits.lstrip("0")) for known in (NUMBER, AGENT_NUMBER))
    return text if known or len(digits) < 7 else "+910000000000"


async def record(suite: AdapterSuite, settings: Mapping[str, Any], source: str, folder: Path) -> Sequence[Path]:
    """Takes the tour with these settings and writes it down; returns the files. Raises what the tour raises."""
    adapter = suite.adapter
    wanted = {name: value for name, value in settings.items() if name != "base_url"}
    origin = re.match(r"https?://[^/]+", idle(adapter, settings, suite.home("kit1", "")).root)
    if origin is None:
        raise ValueError(f"{adapter.name} has no address")
    maker = Maker(adapter, lambda url: {**wanted, "base_url": url}, suite.home, suite.agent, suite.patience_s)
    async with bench_at(origin[0], maker) as bench:
        await tour(bench)
        return write(bench.wire.exchanges, _scrubber(suite, wanted, bench), source, folder)


def write(exchanges: Iterable[Exchange], scrubber: Scrubber, source: str, folder: Path) -> list[Path]:
    """One file per exchange, numbered in their order."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, exchange in enumerate(exchanges, start=1):
        recording = {
            "recorded": datetime.now(UTC).date().isoformat(),
            "source": source,
            "request": {
                "method": exchange.method,
                "path": scrubber.text(exchange.path),
                "query": [[name, scrubber.value(value, name)] for name, value in exchange.query],
                "body": scrubber.value(body_of(exchange.body, exchange.content_type)),
            },
            "response": {
                "status": exchange.status,
                "headers": {n: scrubber.text(v) for n, v in exchange.answer_headers.items() if _HEADERS.fullmatch(n)},
                "body": scrubber.value(_decoded(exchange.answer)),
            },
        }
        slug = re.sub(r"[^a-z0-9]+", "-", scrubber.text(exchange.path).lower()).strip("-")[-60:]
        path = folder / f"{number:03}-{exchange.method.lower()}-{slug}.json"
        path.write_text(json.dumps(recording, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(path)
    return written


def _scrubber(suite: AdapterSuite, settings: Mapping[str, Any], bench: Bench) -> Scrubber:
    """Real settings become the suite's, so that a replay under the suite's settings makes the same requests."""
    words = {secret: "SCRUBBED" for secret in bench.secrets() if secret}
    for name, value in settings.items():
        if isinstance(value, str) and value and name not in secret_fields(suite.adapter):
            words[value] = str(suite.settings.get(name, "scrubbed"))
    return Scrubber(words)


def _decoded(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m connector.kit.record", description=__doc__)
    parser.add_argument("suite", metavar="MODULE:SUITE")
    parser.add_argument("settings", type=Path)
    parser.add_argument("source")
    given = parser.parse_args(arguments)
    module, _, name = given.suite.partition(":")
    suite: AdapterSuite = getattr(importlib.import_module(module), name)()
    settings = json.loads(given.settings.read_text(encoding="utf-8"))
    folder = suite.exchanges_folder()
    if folder is None:
        parser.error(f"{given.suite} names no folder: set `exchanges`")
    for path in asyncio.run(record(suite, settings, given.source, folder)):
        print(path)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
