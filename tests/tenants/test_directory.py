"""The configuration in memory: what changed is read anew, what did not stays the very same, and nothing is missed."""

from typing import Any

from sqlalchemy import text

from connector.tenants import urls
from connector.tenants.apply import apply
from connector.tenants.directory import load
from connector.tenants.file import TenantFile
from connector.tenants.model import Directory
from tests.rig.shop import Shop

SIDS = ("acme1", "acme2", "acme3")


def tenant(sid: str, **changes: Any) -> dict[str, Any]:
    settings = {"domain": f"{sid}.freshdesk.com", "api_key": "k"}
    connection = {"name": "support", "adapter": "freshdesk", "settings": settings, **changes}
    return {"sid": sid, "api_key": "k", "api_token": "t", "connections": [connection]}


def put(shop: Shop, *tenants: dict[str, Any], prune: bool = False) -> None:
    apply(TenantFile.model_validate({"tenants": tenants}), shop.db, shop.box, prune=prune)


def read(shop: Shop, known: Directory | None = None) -> Directory:
    """The directory as a process that knows an older one loads it; it must be what a new process loads."""
    found = shop.db.transact(load, shop.box, None, known)
    assert found == shop.db.transact(load, shop.box)
    return found


def same(before: Directory, after: Directory) -> set[str]:
    """SIDs of the tenants that were not read again."""
    return {sid for sid, tenant in after.tenants.items() if before.tenants.get(sid) is tenant}


def test_only_what_changed_is_read_again(shop: Shop) -> None:
    put(shop, *map(tenant, SIDS))
    before = read(shop)
    agents = [{"crm_id": "1", "name": "A", "phone": "+919711581199"}]
    for change in ({"enabled": False}, {"agents": agents}, {"options": {"answered": "ticket"}}):
        put(shop, tenant("acme2", **change), tenant("acme3"))
        after = read(shop, before)
        assert same(before, after) == {"exotel535", "acme1", "acme3"}
        before = after
    shop.db.transact(urls.rotate, shop.box, "acme1")
    after = read(shop, before)
    assert same(before, after) == {"exotel535", "acme2", "acme3"}


def test_several_changes_between_two_looks(shop: Shop) -> None:
    before = read(shop)
    put(shop, tenant("acme1"))
    put(shop, tenant("acme2"))
    after = read(shop, before)
    assert same(before, after) == {"exotel535"}
    put(shop, tenant("acme1", enabled=False))
    put(shop, tenant("acme1", enabled=True))  # the mark of the first is gone: all is read
    assert same(after, read(shop, after)) == set()


def test_what_is_deleted_goes(shop: Shop) -> None:
    put(shop, *map(tenant, SIDS))
    before = read(shop)
    put(shop, tenant("acme1"), prune=True)
    assert set(read(shop, before).tenants) == {"acme1"}


def test_a_change_that_left_no_mark_is_seen(shop: Shop) -> None:
    """An older version of the connector applies, during a rolling upgrade."""
    put(shop, *map(tenant, SIDS))
    before = read(shop)
    put(shop, tenant("acme1", enabled=False))
    with_older = "update tenant set version = 0 where sid = 'acme1'"
    shop.db.transact(lambda sql: sql.execute(text(with_older)))
    after = read(shop, before)
    assert not after.tenants["acme1"].connections[0].enabled


def test_a_tenant_that_cannot_be_read_any_more_is_left_out(shop: Shop) -> None:
    put(shop, *map(tenant, SIDS))
    before = read(shop)
    put(shop, tenant("acme1", enabled=False))
    shop.db.transact(
        lambda sql: sql.execute(text("update tenant set secrets = :bad where sid = 'acme1'"), {"bad": b"x"})
    )
    assert set(read(shop, before).tenants) == {"exotel535", "acme2", "acme3"}
