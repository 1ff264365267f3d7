"""Users and API tokens."""

import stat
from pathlib import Path

import pytest
from sqlalchemy import Connection as Sql
from sqlalchemy import select

from connector.access import users
from connector.errors import ConfigError
from connector.store import schema
from connector.store.queries import views
from tests.databases import everything
from tests.rig.shop import Shop

pytestmark = pytest.mark.usefixtures("both_databases")


def add(sql: Sql, name: str, sid: str | None) -> str:
    return users.add_token(sql, users.add_user(sql, name, sid))


def test_a_token_is_known_by_its_hash_only(shop: Shop) -> None:
    token = shop.db.transact(add, "Anita", "exotel535")
    assert token.startswith(users.PREFIX)
    row = shop.db.transact(views.token, users.hash_of(token))
    assert row is not None
    assert (row.user, row.tenant_id) == ("Anita", shop.tenant.id)
    assert row.scopes == set(users.SCOPES)
    content = shop.db.transact(everything)
    assert users.hash_of(token) in content
    assert token not in content


def test_numbers_are_a_right_of_their_own(shop: Shop) -> None:
    user = shop.db.transact(users.add_user, "Anita", "exotel535")
    token = shop.db.transact(lambda sql: users.add_token(sql, user, numbers=True))
    row = shop.db.transact(views.token, users.hash_of(token))
    assert row is not None
    assert row.scopes == {*users.SCOPES, users.NUMBERS}


def test_an_operator_belongs_to_no_tenant(shop: Shop) -> None:
    row = shop.db.transact(views.token, users.hash_of(shop.db.transact(add, "Om", None)))
    assert row is not None
    assert row.tenant_id is None


def test_names_are_unique_and_tenants_known(shop: Shop) -> None:
    shop.db.transact(add, "Anita", None)
    with pytest.raises(ConfigError, match="'Anita' already"):
        shop.db.transact(add, "Anita", None)
    with pytest.raises(ConfigError, match="no tenant 'x'"):
        shop.db.transact(add, "Bina", "x")
    with pytest.raises(ConfigError, match="1 to 128"):
        shop.db.transact(add, " ", None)


def test_the_first_start_writes_the_operators_token(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "shop.db.token"
    path.write_text("of a former store")
    assert users.ensure_operator_token(shop.db, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    row = shop.db.transact(views.token, users.hash_of(path.read_text().strip()))
    assert row is not None
    assert row.tenant_id is None
    path.unlink()
    assert not users.ensure_operator_token(shop.db, path)
    assert not path.exists()


def test_a_token_that_cannot_be_written_down_is_not_made(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        users.ensure_operator_token(shop.db, tmp_path / "nowhere" / "token")
    assert shop.db.transact(lambda sql: sql.execute(select(schema.api_token.c.id)).all()) == []
