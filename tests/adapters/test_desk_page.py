"""The local desk to strangers and to people: who gets in, what is refused, and a page that runs no script."""

from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from connector.errors import StoreBusy
from connector.store.engine.database import Database
from connector.web.desk import clean
from tests.adapters.test_local import desk_app

KIT1 = {"Authorization": "Bearer home-token-of-kit1"}
KIT2 = {"Authorization": "Bearer home-token-of-kit2"}

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture
async def desk(aiohttp_client: Any) -> TestClient[Any, Any]:
    """A client of a fresh desk."""
    client: TestClient[Any, Any] = await aiohttp_client(TestServer(desk_app()))
    return client


async def _post(desk: TestClient[Any, Any], path: str, body: Any, status: int = 201) -> Any:
    answer = await desk.post(path, json=body, headers=KIT1)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def _ticket(desk: TestClient[Any, Any], **words: Any) -> Any:
    contact = await _post(desk, "/desk/v1/contacts", {"external_ref": "c", "name": "Asha", "phone": "08884643606"})
    return await _post(desk, "/desk/v1/tickets", {"external_ref": "t", "contact_id": contact["id"], **words})


async def _page(desk: TestClient[Any, Any], ticket: Any) -> aiohttp.ClientResponse:
    return await desk.get(URL(ticket["url"]).relative())


async def test_the_page_shows_the_ticket(desk: TestClient[Any, Any]) -> None:
    ticket = await _ticket(
        desk, subject="Missed call", body_html="<p>At <b>ten</b>.</p>", assignee="7", fields={"cf": "v"}
    )
    await _post(desk, f"/desk/v1/tickets/{ticket['id']}/notes", {"external_ref": "n", "body_html": "<p>Recording</p>"})
    answer = await _page(desk, ticket)
    html = await answer.text()
    assert answer.status == 200
    for words in (
        "Missed call",
        "<p>At <b>ten</b>.</p>",
        "Asha",
        "08884643606",
        "Avnish",
        "Recording",
        "private",
        "cf",
    ):
        assert words in html
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-")
    assert "script" not in policy


async def test_the_page_shows_a_masked_number(aiohttp_client: Any) -> None:
    asked = []

    def shown(connection_id: str, phone: str) -> str:
        asked.append(connection_id)
        return f"…{phone[-4:]}"

    desk = await aiohttp_client(TestServer(desk_app(number_shown=shown)))
    html = await (await _page(desk, await _ticket(desk, subject="Missed call"))).text()
    assert asked == ["kit1"]
    assert "…3606" in html
    assert "8884643606" not in html


async def test_the_page_runs_nothing(desk: TestClient[Any, Any]) -> None:
    ticket = await _ticket(
        desk, subject=HOSTILE, body_html=f"<p onclick='x()'>a{HOSTILE}</p>", fields={HOSTILE: HOSTILE}
    )
    note = {"external_ref": "n", "body_html": f'{HOSTILE}<a href="javascript:x()">b</a>', "author": HOSTILE}
    await _post(desk, f"/desk/v1/tickets/{ticket['id']}/notes", note)
    html = await (await _page(desk, ticket)).text()
    assert "<script" not in html
    assert "onclick" not in html
    assert "javascript:" not in html
    assert "&lt;script&gt;" in html  # the subject is shown as it is


async def test_a_wrong_signature_is_told_nothing(desk: TestClient[Any, Any]) -> None:
    ticket = await _ticket(desk, subject="Missed call")
    url = URL(ticket["url"]).relative()
    other = URL(ticket["url"].replace(f"/{ticket['id']}?", "/999?")).relative()
    for wrong in (url.with_query(None), url.with_query(key="0" * 32), url.with_query(key="é"), other):
        assert (await desk.get(wrong)).status == 404
    assert (await desk.get(url)).status == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic home-token-of-kit1"}, {"Authorization": "Bearer"}],
)
async def test_who_has_no_token_is_refused(desk: TestClient[Any, Any], headers: dict[str, str]) -> None:
    answer = await desk.get("/desk/v1/tickets?external_ref=t", headers=headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert (await answer.json())["error"]["code"] == "unauthorized"


async def test_another_connection_sees_nothing(desk: TestClient[Any, Any]) -> None:
    ticket = await _ticket(desk, subject="Missed call")
    note = await _post(desk, f"/desk/v1/tickets/{ticket['id']}/notes", {"external_ref": "n"})
    for path in (f"tickets/{ticket['id']}", f"tickets/{ticket['id']}/notes"):
        assert (await desk.get(f"/desk/v1/{path}", headers=KIT2)).status == 404
    for path in (f"tickets/{ticket['id']}", f"notes/{note['id']}"):
        assert (await desk.put(f"/desk/v1/{path}", json={"body_html": "mine"}, headers=KIT2)).status == 404
    assert (
        await desk.post(f"/desk/v1/tickets/{ticket['id']}/notes", json={"external_ref": "x"}, headers=KIT2)
    ).status == 404
    for query in ("contacts?external_ref=c", "contacts?phone=08884643606", "tickets?external_ref=t", "agents"):
        found = await (await desk.get(f"/desk/v1/{query}", headers=KIT2)).json()
        assert list(found.values()) == [[]]
    stolen = {"external_ref": "t", "contact_id": ticket["contact_id"]}
    answer = await desk.post("/desk/v1/tickets", json=stolen, headers=KIT2)
    assert (answer.status, (await answer.json())["error"]["field"]) == (422, "contact_id")


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("contacts", b"{", 400, None),
        ("contacts", b"[]", 400, None),
        ("contacts", b'{"external_ref": "c", "name": "\\ud800", "phone": ""}', 400, None),
        ("contacts", b'{"name": "Asha", "phone": ""}', 422, "external_ref"),
        ("contacts", b'{"external_ref": "c", "name": "Asha", "phone": "", "vip": true}', 422, "vip"),
        ("tickets", b'{"external_ref": "t", "contact_id": "Asha"}', 422, "contact_id"),
        ("tickets", b'{"external_ref": "t", "contact_id": 1, "state": "lost"}', 422, "state"),
        ("tickets", b'{"external_ref": "t", "contact_id": 1, "fields": {"cf": 1}}', 422, "fields.cf"),
        ("tickets", b'{"external_ref": "t", "contact_id": 99}', 422, "contact_id"),
        ("tickets", b" " * 300_000, 413, None),
    ],
)
async def test_a_refusal_names_the_field(
    desk: TestClient[Any, Any], path: str, body: bytes, status: int, field: str | None
) -> None:
    answer = await desk.post(f"/desk/v1/{path}", data=body, headers=KIT1)
    assert (answer.status, (await answer.json())["error"]["field"]) == (status, field)


@pytest.mark.parametrize("query", ["contacts", "tickets", "tickets?contact_id=Asha", "tickets?contact_id=1&state=lost"])
async def test_a_look_up_wants_something_to_look_for(desk: TestClient[Any, Any], query: str) -> None:
    assert (await desk.get(f"/desk/v1/{query}", headers=KIT1)).status == 400


async def test_a_repeated_write_changes_nothing(desk: TestClient[Any, Any]) -> None:
    ticket = await _ticket(desk, subject="Missed call")
    again = {"external_ref": "t", "contact_id": ticket["contact_id"], "subject": "Other words"}
    assert (await _post(desk, "/desk/v1/tickets", again, status=200)) == ticket
    notes = f"/desk/v1/tickets/{ticket['id']}/notes"
    note = await _post(desk, notes, {"external_ref": "n", "body_html": "once"})
    assert (await _post(desk, notes, {"external_ref": "n", "body_html": "twice"}, status=200)) == note


async def test_closed_tickets_are_not_open(desk: TestClient[Any, Any]) -> None:
    ticket = await _ticket(desk, subject="Missed call", fields={"cf_a": "1"})
    url = f"/desk/v1/tickets/{ticket['id']}"
    changed = await (await desk.put(url, json={"state": "closed", "fields": {"cf_b": "2"}}, headers=KIT1)).json()
    assert (changed["state"], changed["subject"]) == ("closed", "Missed call")
    assert changed["fields"] == {"cf_a": "1", "cf_b": "2"}
    of = f"/desk/v1/tickets?contact_id={ticket['contact_id']}"
    assert (await (await desk.get(f"{of}&state=open", headers=KIT1)).json())["tickets"] == []
    assert (await (await desk.get(of, headers=KIT1)).json())["tickets"] == [changed]


async def test_a_busy_store_is_said_so(desk: TestClient[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(*_given: Any) -> None:
        raise StoreBusy("The store cannot take it now.")

    monkeypatch.setattr(Database, "write", busy)
    body = {"external_ref": "c", "name": "Asha", "phone": "08884643606"}
    answer = await desk.post("/desk/v1/contacts", json=body, headers=KIT1)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert (await answer.json())["error"]["code"] == "busy"


def test_cleaning_keeps_what_tickets_need() -> None:
    html = '<p>a <b>b</b> <a href="https://x.example/r.mp3">r</a></p>'
    assert clean(html).replace(' rel="noopener noreferrer"', "") == html
    assert clean('<img src="https://x.example/pixel">') == ""
