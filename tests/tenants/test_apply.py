"""`connector apply`: what a file becomes, and what is refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import pytest
from pydantic import Field, SecretStr
from sqlalchemy import Connection as Sql
from sqlalchemy import select, update

from connector.adapter import Adapter, Caller, Checked, Entry, Kind, Ref, Sales, Settings, registry
from connector.adapter.options import Options
from connector.errors import ConfigError
from connector.exotel.model import Call
from connector.store import schema
from connector.store.engine.database import Database
from connector.store.engine.migrate import migrate
from connector.store.secrets import SecretBox, open_box
from connector.tenants.apply import Applied, apply_file
from connector.tenants.directory import Directories, load
from connector.tenants.model import Directory
from tests.databases import config_in, everything

pytestmark = pytest.mark.usefixtures("both_databases")


class TallySettings(Settings):
    domain: str = Field(pattern=r"^[a-z]+\.tally\.example$")
    client_id: str | None = None
    client_secret: SecretStr | None = None
    refresh_token: SecretStr | None = None
    api_key: SecretStr | None = None


class Tally(Adapter[TallySettings], Sales):
    name, title = "tally", "Tally"
    settings_model = TallySettings
    default_options: ClassVar = {"match": "oldest"}

    @property
    def root(self) -> str:
        return self.at(f"https://{self.settings.domain}/v1/")

    @property
    def account(self) -> str:
        return self.settings.domain

    def headers(self) -> dict[str, str]:
        return {}

    async def check(self) -> Checked:
        return Checked("x")

    async def list_agents(self) -> list[Any]:
        return []

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        return []

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        raise NotImplementedError

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        return None

    async def log_call(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        raise NotImplementedError

    async def update_call_log(self, key: str, log: Ref, call: Call, entry: Entry) -> None:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def _tally(monkeypatch: pytest.MonkeyPatch) -> None:
    known = MappingProxyType({**registry.adapters(), "tally": Tally})
    monkeypatch.setattr(registry, "adapters", lambda: known)


class Store:
    """A database, its box, and files applied to them."""

    def __init__(self, folder: Path) -> None:
        self.config = config_in(folder)
        migrate(self.config.database_url)
        self.db = Database(self.config.database_url)
        self.box: SecretBox = open_box(self.config, self.db)
        self._file = folder / "tenants.yaml"

    def apply(self, text: str, prune: bool = False, **environ: str) -> Applied:
        self._file.write_text(text)
        return apply_file(self._file, self.db, self.box, environ, prune=prune)

    def directory(self) -> Directory:
        return self.db.transact(load, self.box)

    def rows(self, query: Callable[[Sql], Any]) -> Any:
        return self.db.transact(query)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.db.dispose()


FILE = """
tenants:
  - sid: exotel535m
    api_key: demo_key
    api_token: "${EXOTEL_TOKEN}"
    exophones: {08047494574: Support line}
    connections:
      - name: support
        adapter: tally
        settings: {domain: acme.tally.example, api_key: "${KEY}"}
        options: {unknown_caller: none}
        agents:
          - {crm_id: 81007555518, name: Avnish, phone: "09711581199", caller_id: 08047494574, outbound: true}
"""


def tenant_of(connections: str = "[]", more: str = "") -> str:
    return (
        "tenants: [{sid: t1, api_key: key-of-exotel, api_token: token-of-exotel, "
        f"hook_token: hook-token, {more} connections: {connections}}}]"
    )


def connection_of(more: str = "", name: str = "c", adapter: str = "tally", domain: str = "acme.tally.example") -> str:
    return f"[{{name: {name}, adapter: {adapter}, settings: {{domain: {domain}}}, {more}}}]"


def test_a_file_becomes_a_directory(store: Store) -> None:
    applied = store.apply(FILE, EXOTEL_TOKEN="et", KEY="k1")
    assert applied.changes == ["exotel535m: added", "exotel535m/support: added (tally, acme.tally.example)"]
    assert applied.connections == [("exotel535m", "support")]
    tenant = store.directory().tenants["exotel535m"]
    assert (tenant.region, tenant.country, tenant.time_zone) == ("mumbai", "IN", "Asia/Kolkata")
    assert tenant.api_token.get_secret_value() == "et"
    assert len(tenant.hook_token.get_secret_value()) >= 32
    assert tenant.exophones == {"+918047494574": "Support line"}
    (connection,) = tenant.connections
    assert len(connection.id) == 8
    assert connection.id.isalnum()
    assert connection.id == connection.id.lower()
    assert connection.settings == {"domain": "acme.tally.example", "api_key": "k1"}
    assert connection.options == Options(match="oldest", unknown_caller="none")
    (agent,) = connection.agents
    assert (agent.id, agent.phone, agent.caller_id, agent.outbound) == (
        "81007555518",
        "+919711581199",
        "+918047494574",
        True,
    )


def test_applying_twice_changes_nothing(store: Store) -> None:
    store.apply(FILE, EXOTEL_TOKEN="et", KEY="k1")
    before = store.directory()
    assert store.apply(FILE, EXOTEL_TOKEN="et", KEY="k1") == Applied()
    assert store.directory() == before


def test_secrets_are_stored_sealed(store: Store) -> None:
    store.apply(FILE, EXOTEL_TOKEN="exotel-token", KEY="crm-key-1")
    content = store.db.transact(everything)
    assert "exotel535" in content
    assert "exotel-token" not in content
    assert "crm-key-1" not in content


def test_what_the_file_omits_is_left_alone_and_null_is_the_default(store: Store) -> None:
    first = tenant_of(connection_of("options: {match: newest, recording: none}"), "country: SG, ")
    store.apply(first)
    store.apply("tenants: [{sid: t1, connections: [{name: c, adapter: tally, options: {recording: null}}]}]")
    tenant = store.directory().tenants["t1"]
    assert tenant.country == "SG"
    assert tenant.connections[0].settings == {"domain": "acme.tally.example"}
    assert tenant.connections[0].options == Options(match="newest")
    assert store.apply("tenants: []").changes == []
    assert set(store.directory().tenants) == {"t1"}


def test_a_changed_option_is_the_next_revision(store: Store) -> None:
    store.apply(tenant_of(connection_of()))
    changed = store.apply(tenant_of(connection_of("options: {match: newest}")))
    assert changed.changes == ["t1/c: options changed (revision 2)"]
    assert changed.connections == []
    assert store.directory().tenants["t1"].connections[0].revision == 2
    numbers = store.rows(lambda sql: sql.execute(select(schema.revision.c.number)).scalars().all())
    assert numbers == [1, 2]


def test_a_rotated_secret_is_not_put_back(store: Store) -> None:
    file = tenant_of(connection_of("").replace("acme.tally.example}", "acme.tally.example, api_key: one}"))
    store.apply(file)

    def rotate(sql: Sql) -> None:
        tenant, credential = schema.tenant, schema.credential
        secrets = store.box.open(sql.execute(select(tenant.c.secrets)).scalar_one())
        sql.execute(update(tenant).values(secrets=store.box.seal({**secrets, "hook_token": "rotated-token"})))
        sql.execute(update(credential).values(sealed=store.box.seal({"settings": {"api_key": "rotated-key"}})))

    store.rows(rotate)
    assert store.apply(file).changes == []
    tenant = store.directory().tenants["t1"]
    assert tenant.hook_token.get_secret_value() == "rotated-token"
    assert tenant.connections[0].settings["api_key"] == "rotated-key"
    changed = store.apply(file.replace("api_key: one", "api_key: two"))
    assert changed.changes == ["t1/c: api_key changed"]
    assert changed.connections == [("t1", "c")]
    connection = store.directory().tenants["t1"].connections[0]
    assert (connection.settings["api_key"], connection.revision) == ("two", 1)


OAUTH = "[{{name: {}, adapter: tally, settings: {{domain: {}.tally.example, client_id: id, client_secret: s, refresh_token: r1}}}}]"  # noqa: E501


def test_connections_with_one_oauth_grant_share_a_credential(store: Store) -> None:
    two = OAUTH.format("a", "acme")[:-1] + ", " + OAUTH.format("b", "other")[1:]
    store.apply(tenant_of(two))
    table = schema.connection
    used = store.rows(lambda sql: sql.execute(select(table.c.credential_id).distinct()).scalars().all())
    assert len(used) == 1
    store.apply("tenants: [{sid: t1, connections: []}]", prune=True)
    assert store.rows(lambda sql: sql.execute(select(schema.credential.c.id)).all()) == []


def test_a_rotated_refresh_token_survives_a_new_client_secret(store: Store) -> None:
    store.apply(tenant_of(OAUTH.format("a", "acme")))
    rotated = {"settings": {"client_secret": "s", "refresh_token": "r2"}, "access_token": "t"}
    store.rows(lambda sql: sql.execute(update(schema.credential).values(sealed=store.box.seal(rotated))))
    store.apply(tenant_of(OAUTH.format("a", "acme").replace("client_secret: s,", "client_secret: s2,")))
    sealed = store.rows(lambda sql: sql.execute(select(schema.credential.c.sealed)).scalar_one())
    assert store.box.open(sealed) == {
        "settings": {"client_secret": "s2", "refresh_token": "r2"},
        "access_token": "t",
    }


def test_disable_and_prune(store: Store) -> None:
    store.apply(tenant_of(connection_of()[:-1] + ", " + connection_of(name="d")[1:]))
    assert store.apply(tenant_of(connection_of("enabled: false"))).changes == ["t1/c: disabled"]
    directory = store.directory()
    assert [(one.name, one.enabled) for one in directory.tenants["t1"].connections] == [("c", False), ("d", True)]
    assert store.apply(tenant_of(connection_of()), prune=True).changes == ["t1/d: deleted"]
    assert store.directory().tenants["t1"].connections[0].enabled is False
    assert store.apply("tenants: []", prune=True).changes == ["t1/c: deleted", "t1: deleted"]
    assert store.directory().tenants == {}


def test_calls_are_kept_for_ninety_days_or_as_the_tenant_says(store: Store) -> None:
    store.apply(tenant_of())
    assert store.directory().tenants["t1"].retention_days == 90
    assert store.apply(tenant_of(more="retention: {days: 30},")).changes == ["t1: retention changed"]
    assert store.directory().tenants["t1"].retention_days == 30
    store.apply(tenant_of())
    assert store.directory().tenants["t1"].retention_days == 30
    store.apply(tenant_of(more="retention: null,"))
    assert store.directory().tenants["t1"].retention_days == 90


def test_how_calls_are_placed(store: Store) -> None:
    written = "calls: {record: true, channels: dual, ring_s: 30, hours: {mon-fri: '09:00-19:00'}}"
    assert store.apply(tenant_of(more=f"{written},")).changes
    rules = store.directory().tenants["t1"].calls
    assert (rules.record, rules.channels, rules.ring_s, rules.retries) == (True, "dual", 30, None)
    assert rules.hours is not None
    assert rules.hours.days[0] == ((540, 1140),)
    assert store.apply(tenant_of(more="calls: null,")).changes == ["t1: calls changed"]
    assert store.directory().tenants["t1"].calls.hours is None
    for wrong, words in [
        ("{hours: {mon: 9-17}}", "'9-17' are no hours"),
        ("{ring_s: 61}", "tenants[0].calls.ring_s"),
        ("{retries: 4}", "tenants[0].calls.retries"),
        ("{channels: stereo}", "tenants[0].calls.channels"),
        ("{recording: true}", "tenants[0].calls.recording: unknown key"),
    ]:
        with pytest.raises(ConfigError) as caught:
            store.apply(tenant_of(more=f"calls: {wrong},"))
        assert words in str(caught.value)


def test_agents_are_put_in_place(store: Store) -> None:
    store.apply(tenant_of(connection_of("agents: [{crm_id: 1, name: A}, {crm_id: 2, name: B}]")))
    changed = store.apply(tenant_of(connection_of("agents: [{crm_id: 2, name: C}, {crm_id: 3, phone: 'sip:x@y'}]")))
    assert changed.changes == ["t1/c: agents changed"]
    agents = store.directory().tenants["t1"].connections[0].agents
    assert [(agent.id, agent.name, agent.phone) for agent in agents] == [("2", "C", None), ("3", "", "sip:x@y")]
    assert store.apply(tenant_of(connection_of())).changes == []


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (FILE, "tenants[0].api_token: the environment variable EXOTEL_TOKEN is not set; "),
        ("tenants: [{sid: a}]", "tenants[0].api_key: is required; tenants[0].api_token: is required"),
        ("tenants: [{sid: a, sid: b}]", "line 1: the key 'sid' is there twice"),
        ("tenants: [", "line 1: "),
        ("[]", "is not a mapping"),
        (tenant_of(more="color: red,"), "tenants[0].color: unknown key"),
        (tenant_of(more="country: XX,"), "tenants[0].country: 'XX' is no ISO code"),
        (tenant_of(more="time_zone: Mars/Base,"), "tenants[0].time_zone: 'Mars/Base' is no time zone"),
        (tenant_of(more="api_url: nowhere,"), "tenants[0].api_url: not an address"),
        (tenant_of(more="ingress: {open: true},"), "tenants[0].ingress: open needs allow_from"),
        (tenant_of(more="ingress: {open: true, allow_from: [lan]},"), "tenants[0].ingress.allow_from[0]: 'lan' is"),
        (
            tenant_of(more="retention: {days: 6},"),
            "tenants[0].retention.days: Input should be greater than or equal to 7",
        ),
        (
            tenant_of(more="recordings: {days: 91},"),
            "tenants[0].recordings.days: a link names its call",
        ),
        (tenant_of(more="retention: {},"), "tenants[0].retention.days: is required"),
        (tenant_of(more="exophones: {hello: x},"), "tenants[0].exophones.hello: 'hello' is no phone number"),
        (tenant_of(connection_of(adapter="nope")), "tenants[0].connections[0].adapter: there is no adapter 'nope'"),
        (tenant_of(connection_of(domain="evil.example")), "tenants[0].connections[0].settings.domain: String should"),
        (tenant_of("[{name: c, adapter: tally}]"), "tenants[0].connections[0].settings.domain: is required"),
        (tenant_of(connection_of("options: {answer: x}")), "tenants[0].connections[0].options.answer: unknown key"),
        (tenant_of(connection_of("options: {digits: x}")), "tenants[0].connections[0].options.digits: Input should be"),
        (
            tenant_of(connection_of("options: {recording: attach}")),
            "tenants[0].connections[0].options.recording: attach: Tally takes no files; use link",
        ),
        (
            tenant_of(connection_of("options: {templates: {subject: '{{ oops'}}")),
            "tenants[0].connections[0].options.templates.subject: ",
        ),
        (tenant_of(connection_of("options: {exophones: [x]}")), "options.exophones: 'x' is no phone number"),
        (tenant_of(connection_of("agents: [{crm_id: 1, phone: x}]")), "agents[0].phone: 'x' is no phone number"),
        (tenant_of(connection_of("agents: [{crm_id: 1}, {crm_id: 1}]")), "agents[1].crm_id: '1' is there twice"),
        (tenant_of(connection_of() * 1).replace("sid: t1", "sid: 't 1'"), "tenants[0].sid: String should match"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(store: Store, file: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        store.apply(file)
    assert words in raised.value.message
    assert "\n" not in raised.value.message
    assert "token-of-exotel" not in raised.value.message
    assert store.directory().tenants == {}


def test_all_mistakes_are_told(store: Store) -> None:
    with pytest.raises(ConfigError) as raised:
        store.apply(tenant_of(connection_of("options: {match: x}, agents: [{crm_id: 1, phone: x}]", domain="evil")))
    for place in ("settings.domain", "options.match", "agents[0].phone"):
        assert f"tenants[0].connections[0].{place}: " in raised.value.message


def test_adapter_and_account_never_change(store: Store) -> None:
    store.apply(tenant_of(connection_of()))
    with pytest.raises(ConfigError, match=r"connections\[0\].settings: belongs to acme.*make a new connection"):
        store.apply(tenant_of(connection_of(domain="other.tally.example")))
    with pytest.raises(ConfigError, match=r"connections\[0\].adapter: .*make a new connection"):
        store.apply(tenant_of("[{name: c, adapter: local}]"))


def test_two_tenants_cannot_have_one_hook_token(store: Store) -> None:
    store.apply(tenant_of())
    with pytest.raises(ConfigError, match=r"tenants\[0\].hook_token: is the hook token of another tenant"):
        store.apply(tenant_of().replace("t1", "t2"))


def test_variables_fill_parts_of_values_and_can_be_escaped(store: Store) -> None:
    file = tenant_of(connection_of("options: {templates: {subject: 'a ${X} $${X}'}}"))
    store.apply(file, X="b")
    templates = store.directory().tenants["t1"].connections[0].options.templates
    assert templates == {"subject": "a b ${X}"}


def test_a_secret_is_taken_away_by_null(store: Store) -> None:
    store.apply(tenant_of(connection_of("").replace("acme.tally.example}", "acme.tally.example, api_key: one}")))
    store.apply(tenant_of(connection_of("").replace("acme.tally.example}", "acme.tally.example, api_key: null}")))
    assert store.directory().tenants["t1"].connections[0].settings == {"domain": "acme.tally.example"}
    assert store.rows(lambda sql: sql.execute(select(schema.credential.c.id)).all()) == []


async def test_a_broken_connection_takes_no_other_down(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.apply(tenant_of(connection_of()[:-1] + ", " + connection_of(name="d")[1:]))

    def break_first(sql: Sql) -> None:
        connection, revision = schema.connection, schema.revision
        first = sql.execute(select(connection.c.id).where(connection.c.name == "c")).scalar_one()
        sql.execute(update(revision).where(revision.c.connection_id == first).values(options=json.dumps({"old": 1})))

    store.rows(break_first)
    directories = Directories(store.db, store.box)
    async with store.db.running():
        for _ in range(2):
            directory = await directories.refresh(force=True)
            assert [one.name for one in directory.tenants["t1"].connections] == ["d"]
    assert caplog.text.count("connection left out") == 1


async def test_directories_notice_an_apply_and_tell_it(store: Store) -> None:
    directories = Directories(store.db, store.box)
    seen: list[int] = []
    directories.on_change.append(lambda directory: seen.append(len(directory.tenants)))
    async with store.db.running():
        await directories.refresh()
        store.apply(tenant_of())
        assert (await directories.refresh()).tenants.keys() == {"t1"}
        await directories.refresh()
    assert seen == [0, 1]
