"""The file that `connector apply` takes: YAML or JSON -> checked models, every mistake named by its path.

Plain scalars are text, `true`, `false` or null, nothing else: YAML's own rules would read the number `0471234567` as
octal, `+919711581199` as an integer without its plus and the country `NO` as false.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import phonenumbers
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from connector.errors import ConfigError
from connector.tenants.applets import Applets
from connector.tenants.hours import parse_hours
from connector.tenants.masking import Rule
from connector.tenants.model import LINK_DAYS, RETENTION_LEAST_DAYS

_VARIABLE = re.compile(r"\$(\$?)\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: (path, what is wrong)
Problem = tuple[str, str]


def _country(value: str) -> str:
    if value.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{value!r} is no ISO code of a country, such as IN")
    return value.upper()


def _time_zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"{value!r} is no time zone, such as Asia/Kolkata")
    return value


def _range(value: str) -> str:
    if value == "anyone":
        return value
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError(
            f"{value!r} is neither an address, a range such as 203.0.113.0/24 nor the word anyone"
        ) from None


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("not an address such as https://api.example.com")
    return value.rstrip("/")


def _addresses(value: object) -> object:
    if isinstance(value, str):
        return _address(value)
    if not isinstance(value, dict) or not value or not set(value) <= {"singapore", "mumbai"}:
        raise ValueError("either one address, or {singapore: ADDRESS, mumbai: ADDRESS}")
    return {region: _address(str(address)) for region, address in value.items()}


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.-]+(:\d{1,5})?", value):
        raise ValueError(f"{value!r} is no host or host:port")
    return value.lower()


def _count(value: object) -> object:
    # The file's scalars are text.
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,6}", value) else value


def _fits_a_path(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[A-Za-z0-9._~-]+", value.get_secret_value()):
        raise ValueError("stands in a URL: letters, digits and . _ ~ - only")
    return value


_Text = Annotated[str, StringConstraints(min_length=1, max_length=255)]
_Secret = Annotated[SecretStr, Field(min_length=1)]


class _FilePart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True)


class AgentPart(_FilePart):
    """A user of the CRM who takes or makes calls."""

    crm_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    name: str = ""
    email: _Text | None = None
    phone: _Text | None = None
    caller_id: _Text | None = None
    outbound: bool = False
    ids: dict[str, str] = Field(default_factory=dict)


class IngressPart(_FilePart):
    """Whether the documented URLs answer without credentials."""

    open: bool = False
    allow_from: list[Annotated[str, AfterValidator(_range)]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _says_from_where(self) -> "IngressPart":
        if self.open and not self.allow_from:
            raise ValueError("open needs allow_from: the ranges that Exotel calls from, or the word anyone")
        return self


class CallsPart(_FilePart):
    """How calls are placed (click to call); the limits are Exotel's (docs/reference/exotel.md §6.1)."""

    record: bool = False
    channels: Literal["single", "dual"] = "single"
    time_limit_s: Annotated[int, Field(ge=1, le=14_400)] | None = None
    ring_s: Annotated[int, Field(ge=1, le=60)] | None = None
    retries: Annotated[int, Field(ge=0, le=3)] | None = None
    hours: dict[str, str | list[str]] | None = None

    @model_validator(mode="after")
    def _hours_are_hours(self) -> "CallsPart":
        if self.hours is not None:
            parse_hours(self.hours)
        return self


class RetentionPart(_FilePart):
    """How long finished calls are kept."""

    days: Annotated[int, Field(ge=RETENTION_LEAST_DAYS, le=3650)]


class RecordingsPart(_FilePart):
    """Who may open the links to recordings, and for how many days after the call."""

    open_to: Literal["anyone_with_link", "signed_in"] = "anyone_with_link"
    days: Annotated[int, BeforeValidator(_count)] = Field(default=LINK_DAYS, ge=1, le=3650)


class MaskPart(_FilePart):
    """What people see of customers' numbers."""

    customer_numbers: Rule = "whole"


class ConnectionPart(_FilePart):
    """A connection; `settings` and `options` are the adapter's to check."""

    # The name is a value of `?connection=` and part of a line of words.
    name: Annotated[str, StringConstraints(max_length=128, pattern=r"^[^\s/?#&]+( [^\s/?#&]+)*$")]
    adapter: _Text
    settings: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    agents: list[AgentPart] | None = None
    enabled: bool | None = None


class TenantPart(_FilePart):
    """An Exotel account. What is None or was not written is left as it is."""

    sid: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
    region: Literal["singapore", "mumbai"] | None = None
    country: Annotated[str, AfterValidator(_country)] | None = None
    time_zone: Annotated[str, AfterValidator(_time_zone)] | None = None
    api_key: _Secret | None = None
    api_token: _Secret | None = None
    api_url: Annotated[str | dict[str, str], BeforeValidator(_addresses)] | None = None
    recording_hosts: list[Annotated[str, AfterValidator(_host)]] | None = None
    hook_token: Annotated[SecretStr, Field(min_length=8, max_length=128), AfterValidator(_fits_a_path)] | None = None
    recordings: RecordingsPart | None = None
    ingress: IngressPart | None = None
    retention: RetentionPart | None = None
    exophones: dict[str, str] | None = None
    mask: MaskPart | None = None
    applets: Applets | None = None
    calls: CallsPart | None = None
    connections: list[ConnectionPart] = Field(default_factory=list)


class TenantFile(_FilePart):
    """The whole file."""

    tenants: list[TenantPart]


def read(path: Path, environ: Mapping[str, str]) -> TenantFile:
    """The file, variables replaced. Raises `ConfigError` with all its mistakes in one line."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None
    return parse(text, str(path), environ)


def parse(text: str, name: str, environ: Mapping[str, str]) -> TenantFile:
    """`read` for text; `name` stands in the error."""
    try:
        data = yaml.load(text, Loader=_YamlLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}, line {line}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{name} is not a mapping with the key tenants")
    problems: list[Problem] = []
    data = _filled(data, environ, "", problems)
    refuse(problems)
    try:
        file = TenantFile.model_validate(data)
    except ValidationError as error:
        refuse(mistakes(error, data))
        raise  # pragma: no cover - a ValidationError names at least one mistake
    refuse(list(_repeated(file)))
    return file


def refuse(problems: Sequence[Problem]) -> None:
    """Raises one `ConfigError` for all of them; nothing for none."""
    if not problems:
        return
    (path, message), *others = problems
    more = "".join(f"; {other}: {words}" if other else f"; {words}" for other, words in others)
    raise ConfigError(message + more, field=path or None)


def mistakes(error: ValidationError, data: object, path: str = "") -> list[Problem]:
    """pydantic's errors as (path, words), places in the file only: its names for branches of a union are left out."""
    found: dict[str, list[str]] = {}
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        place, here = path, data
        for step in one["loc"]:
            if isinstance(here, Mapping) and step in here:
                place, here = join(place, str(step)), here[step]
            elif isinstance(here, list) and isinstance(step, int) and step < len(here):
                place, here = f"{place}[{step}]", here[step]
            elif one["type"] == "missing" and step == one["loc"][-1]:
                place = join(place, str(step))
        words = _WORDS.get(one["type"], one["msg"].removeprefix("Value error, "))
        if words not in found.setdefault(place, []):
            found[place].append(words)
    return [(place, " or ".join(words)) for place, words in found.items()]


def join(path: str, key: str) -> str:
    """A path one step deeper."""
    return f"{path}.{key}" if path else key


_WORDS = {"missing": "is required", "extra_forbidden": "unknown key"}


def _filled(value: Any, environ: Mapping[str, str], path: str, problems: list[Problem]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, environ, join(path, str(key)), problems) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, environ, f"{path}[{place}]", problems) for place, one in enumerate(value)]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return match[0][1:]
        if not _NAME.fullmatch(name):
            problems.append((path, f"{match[0]} is no variable; ${{NAME}} is one, $${{ stands for the text itself"))
        elif name not in environ:
            problems.append((path, f"the environment variable {name} is not set"))
        return environ.get(name, "")

    return _VARIABLE.sub(fill, value)


def _repeated(file: TenantFile) -> Iterator[Problem]:
    yield from _twice((tenant.sid for tenant in file.tenants), "tenants[{}].sid")
    for place, tenant in enumerate(file.tenants):
        at = f"tenants[{place}].connections"
        yield from _twice((connection.name for connection in tenant.connections), at + "[{}].name")
        for index, connection in enumerate(tenant.connections):
            agents = connection.agents or []
            yield from _twice((agent.crm_id for agent in agents), f"{at}[{index}].agents[{{}}].crm_id")


def _twice(values: Iterator[str], path: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for place, value in enumerate(values):
        if value in seen:
            yield path.format(place), f"{value!r} is there twice"
        seen.add(value)


class _YamlLoader(yaml.SafeLoader):
    """Text, true, false and null; a key that is there twice is refused."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key.start_mark)
            if key.value in keys and key.tag != "tag:yaml.org,2002:merge":
                problem = f"the key {key.value!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            keys.add(key.value)
        return super().construct_mapping(node, deep)


def _resolver(tag: str, pattern: str, first: Sequence[str]) -> None:
    add: Callable[..., None] = _YamlLoader.add_implicit_resolver
    add(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_resolver("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
_resolver("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""])
_resolver("merge", r"^(?:<<)$", "<")
