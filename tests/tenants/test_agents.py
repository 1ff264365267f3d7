"""The agent map: uploads line by line, a sync of two lists of users, and who owns a row."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.adapter import Agent
from connector.cli import agents_csv
from connector.config import Config
from connector.errors import ConfigError
from connector.exotel.api.records import Device, User
from connector.store.engine.database import Database
from connector.store.engine.migrate import migrate
from connector.store.secrets import SecretBox, open_box
from connector.tenants import agents_match
from connector.tenants.agents import Line, Origin, Owner, put_agents, read_agents
from connector.tenants.apply import apply
from connector.tenants.directory import load
from connector.tenants.file import parse
from connector.tenants.model import Connection

ASHA = {"crm_id": "1", "name": "Asha", "email": "asha@acme.example", "phone": "09711581199"}
RAVI = {"crm_id": "2", "name": "Ravi", "phone": "08884643606", "outbound": True, "ids": {"zuid": "77"}}


class Map:
    """The agents of one connection, in a real store."""

    def __init__(self, folder: Path) -> None:
        config = Config.from_env({"CONNECTOR_DATABASE_URL": f"sqlite:///{folder}/c.db"})
        migrate(config.database_url)
        self.db = Database(config.database_url)
        self.box: SecretBox = open_box(config, self.db)
        self.apply([])
        self.owner = Owner(1, self.connection.id, "IN")

    @property
    def connection(self) -> Connection:
        (tenant,) = self.db.transact(load, self.box).tenants.values()
        return tenant.connections[0]

    def apply(self, agents: list[dict[str, Any]] | None) -> list[str]:
        connection: dict[str, Any] = {"name": "support", "adapter": "local"}
        if agents is not None:
            connection["agents"] = agents
        tenant = {"sid": "acme1", "api_key": "k", "api_token": "t", "connections": [connection]}
        return apply(parse(yaml.safe_dump({"tenants": [tenant]}), "t.yaml", {}), self.db, self.box).changes

    def put(self, *wishes: dict[str, Any], origin: Origin = "import") -> list[str]:
        lines = self.db.transact(put_agents, self.owner, wishes, origin, "test")
        return [words(line) for line in lines]

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["crm_id"]: row for row in self.db.transact(read_agents, self.connection.id)}


def words(line: Line) -> str:
    return f"{line.crm_id} {line.result}" + (f": {line.reason}" if line.reason else "")


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Map]:
    found = Map(tmp_path)
    yield found
    found.db.dispose()


class TestUploads:
    def test_added_changed_unchanged_removed(self, agents: Map) -> None:
        assert agents.put(ASHA, RAVI) == ["1 added", "2 added"]
        assert agents.put(ASHA, {**RAVI, "name": "Ravi K"}) == ["1 unchanged", "2 changed: name"]
        assert agents.rows()["1"]["phone"] == "+919711581199"
        assert agents.rows()["2"]["ids"] == {"zuid": "77"}
        assert agents.put({"crm_id": "1", "remove": True}) == ["1 removed"]
        assert agents.put({"crm_id": "1", "remove": True}) == ["1 unchanged: there is no such agent"]
        assert list(agents.rows()) == ["2"]
        assert agents.connection.agents[0].outbound

    def test_what_a_line_leaves_out_stays(self, agents: Map) -> None:
        agents.put(RAVI)
        agents.put({"crm_id": "2", "caller_id": "08047494574"})
        row = agents.rows()["2"]
        assert (row["name"], row["caller_id"], row["outbound"]) == ("Ravi", "+918047494574", True)
        agents.put({"crm_id": "2", "caller_id": None, "name": " "})
        assert (agents.rows()["2"]["name"], agents.rows()["2"]["caller_id"]) == ("", None)

    def test_a_bad_line_is_named_and_hurts_no_other(self, agents: Map) -> None:
        found = agents.put(
            {"crm_id": ""},
            {"crm_id": "3", "phone": "no number"},
            {"crm_id": "4", "caller_id": "155"},
            ASHA,
            {"crm_id": "5", "phone": "+91 97115 81199"},
            {"crm_id": "6", "email": "ASHA@acme.example"},
            {"crm_id": "1", "name": "again"},
            {"crm_id": "7" * 129},
            {"crm_id": "8", "problem": "outbound is true or false, not 'maybe'"},
            {"crm_id": "9", "phone": "sip:asha"},
        )
        assert found == [
            " refused: crm_id is required",
            "3 refused: phone: 'no number' is no phone number",
            "4 refused: caller_id: '155' is no phone number",
            "1 added",
            "5 refused: the number is 1's already",
            "6 refused: the e-mail is 1's already",
            "1 refused: is there twice",
            f"{'7' * 129} refused: crm_id has more than 128 characters",
            "8 refused: outbound is true or false, not 'maybe'",
            "9 added",
        ]
        assert list(agents.rows()) == ["1", "9"]

    def test_a_change_of_nothing_leaves_no_trace(self, agents: Map) -> None:
        agents.put(ASHA)
        before = agents.db.transact(load, agents.box).version
        agents.put(ASHA)
        assert agents.db.transact(load, agents.box).version == before


class TestWhoOwnsARow:
    def test_the_file_wins(self, agents: Map) -> None:
        agents.apply([ASHA])
        assert agents.put({**ASHA, "name": "Else"})[0].startswith("1 refused: the tenant file names this agent")
        assert agents.put({"crm_id": "1", "name": "Else"}, origin="sync")[0].startswith("1 kept")
        assert agents.rows()["1"]["name"] == "Asha"

    def test_an_apply_leaves_the_others_alone(self, agents: Map) -> None:
        agents.apply([ASHA])
        agents.put(RAVI)
        assert agents.apply([ASHA]) == []
        assert agents.apply(None) == []
        assert list(agents.rows()) == ["1", "2"]
        assert agents.apply([]) == ["acme1/support: agents changed"]
        assert list(agents.rows()) == ["2"]

    def test_the_file_takes_over_what_it_names(self, agents: Map) -> None:
        agents.put(ASHA, origin="sync")
        assert agents.apply([ASHA]) == ["acme1/support: agents changed"]
        assert agents.apply([ASHA]) == []
        assert agents.put(origin="sync") == []
        assert agents.rows()["1"]["origin"] == "file"

    def test_an_upload_wins_over_a_sync(self, agents: Map) -> None:
        agents.put(ASHA, RAVI, origin="sync")
        agents.put({"crm_id": "1", "phone": "09711500000"})
        assert agents.put(ASHA, RAVI, origin="sync") == [
            "1 kept: it was uploaded, which wins over a sync",
            "2 unchanged",
        ]

    def test_who_may_call_is_no_syncs_business(self, agents: Map) -> None:
        agents.put(ASHA, origin="sync")
        agents.put({"crm_id": "1", "outbound": True, "caller_id": "08047494574"})
        assert agents.put({**ASHA, "name": "Asha R"}, origin="sync") == ["1 changed: name"]
        assert agents.rows()["1"]["outbound"] is True

    def test_a_sync_removes_its_own_who_left(self, agents: Map) -> None:
        agents.put(ASHA, origin="sync")
        agents.put(RAVI)
        third = {"crm_id": "3", "phone": "09711500001"}
        agents.put(third, ASHA, origin="sync")
        assert agents.put({"crm_id": "3", "problem": "conflict"}, origin="sync") == [
            "3 refused: conflict",
            "1 removed: the CRM has no such user any more",
        ]
        assert list(agents.rows()) == ["2", "3"]


def user(id_: str, email: str | None, *devices: Device) -> User:
    return User(id=id_, email=email, devices=devices)


def phone(uri: str, *, on: bool = False, verified: bool = True, kind: str = "tel") -> Device:
    return Device(id=uri, uri=uri, type=kind, available=on, verified=verified)


class TestMatching:
    def problems(self, crm: list[Agent], exotel: list[User]) -> dict[str, str | None]:
        return {wish["crm_id"]: wish.get("problem") for wish in agents_match.match(crm, exotel, "IN")}

    def test_by_email_whatever_its_case(self) -> None:
        users = [user("u1", "Asha@Acme.example", phone("+919711581199"))]
        (wish,) = agents_match.match([Agent("1", "Asha", "asha@acme.example")], users, "IN")
        assert wish == {
            "crm_id": "1",
            "name": "Asha",
            "email": "asha@acme.example",
            "phone": "+919711581199",
            "ids": {},
        }

    def test_by_number_where_the_email_is_unknown(self) -> None:
        users = [user("u1", "other@acme.example", phone("sip:asha", kind="sip", on=True), phone("+919711581199"))]
        (wish,) = agents_match.match([Agent("1", phone="097115 81199")], users, "IN")
        assert wish["phone"] == "sip:asha", "the device that is on is rung"

    def test_the_crms_own_number_where_exotel_has_no_such_user(self) -> None:
        (wish,) = agents_match.match([Agent("1", email="a@b.example", phone="09711581199")], [], "IN")
        assert wish["phone"] == "+919711581199"

    def test_the_device_that_is_on_else_a_verified_phone(self) -> None:
        off = phone("+919711500001", verified=False)
        for devices, chosen in [
            ((off, phone("+919711500002", on=True)), "+919711500002"),
            ((phone("sip:a", kind="sip"), off, phone("+919711500003")), "+919711500003"),
            ((off,), "+919711500001"),
        ]:
            (wish,) = agents_match.match([Agent("1", email="a@b.example")], [user("u", "a@b.example", *devices)], "IN")
            assert wish["phone"] == chosen

    def test_conflicts_are_named(self) -> None:
        number = "+919711581199"
        crm = [
            Agent("1", email="one@b.example"),
            Agent("2", phone=number),
            Agent("3", email="nobody@b.example"),
            Agent("4"),
            Agent("5", phone="extension five"),
            Agent("6", email="six@b.example", phone="+919711500007"),
            Agent("7", email="twice@b.example"),
            Agent("8", email="bare@b.example"),
            Agent("9", email="odd@b.example"),
        ]
        exotel = [
            user("u1", "one@b.example", phone(number)),
            user("u6", "six@b.example", phone("+919711500006")),
            user("u7", "seven@b.example", phone("+919711500007")),
            user("u8", "twice@b.example", phone("+919711500008")),
            user("u9", "twice@b.example", phone("+919711500009")),
            user("u10", "bare@b.example"),
            user("u11", "odd@b.example", phone("front desk")),
        ]
        assert self.problems(crm, exotel) == {
            "1": f"the number {number} is also that of 2",
            "2": f"the number {number} is also that of 1",
            "3": "no user of Exotel has the e-mail nobody@b.example",
            "4": "has neither e-mail nor number",
            "5": "the number in the CRM is none: 'extension five'",
            "6": "the e-mail is one user's at Exotel and the number another's (seven@b.example): correct either",
            "7": "several users of Exotel have this e-mail: u8, u9",
            "8": "the user at Exotel has no device",
            "9": "the device at Exotel has 'front desk', which is no number",
        }


class TestCsv:
    def read(self, folder: Path, text: str, encoding: str = "utf-8") -> list[dict[str, Any]]:
        path = folder / "agents.csv"
        path.write_bytes(text.encode(encoding))
        return agents_csv.read_csv(path)

    def test_what_is_exported_is_imported(self, agents: Map, tmp_path: Path) -> None:
        agents.put(ASHA, RAVI, {"crm_id": "3", "name": 'Comma, "quoted"\nline'})
        text = agents_csv.write_csv(agents.rows().values())
        assert text.splitlines()[0] == "crm_id,name,email,phone,caller_id,outbound,ids.zuid"
        assert agents.put(*self.read(tmp_path, text)) == ["1 unchanged", "2 unchanged", "3 unchanged"]

    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    def test_as_spreadsheets_write_it(self, tmp_path: Path, separator: str) -> None:
        text = "crm_id,phone,outbound\r\n1,+919711581199,TRUE\r\n2,9.19712E+11,no\r\n".replace(",", separator)
        assert self.read(tmp_path, text, "utf-8-sig") == [
            {"crm_id": "1", "phone": "+919711581199", "outbound": True},
            {"crm_id": "2", "phone": "9.19712E+11", "outbound": False},
        ]

    def test_a_line_that_cannot_be_read_is_a_problem_of_its_own(self, tmp_path: Path) -> None:
        found = self.read(tmp_path, "crm_id,outbound,remove\n1,maybe,\n2,true\n3,true,,,\n4,,yes\n")
        assert [wish.get("problem") for wish in found] == [
            "outbound is true or false, not 'maybe'",
            "it has not as many cells as the first line",
            "it has not as many cells as the first line",
            None,
        ]
        assert found[3]["remove"]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "no column crm_id"),
            ("name,phone\n", "no column crm_id"),
            ("crm_id,telephone\n1,2\n", "unknown column 'telephone'"),
            ('crm_id,name\n1,"open\n', "is no CSV"),
        ],
    )
    def test_what_is_no_list_of_agents(self, tmp_path: Path, text: str, words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            self.read(tmp_path, text)

    def test_what_is_no_text(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="not UTF-8"):
            self.read(tmp_path, "crm_id\n\u00e9", "latin-1")
