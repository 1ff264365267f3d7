"""Sealed credentials of connections: one row for all connections of a tenant that share one.

A row's sealed JSON is `{"settings": {secret setting: value}}`; what a refresh of OAuth tokens adds stands beside
`settings`. The row's identity is a keyed hash of what makes two credentials one: client id and refresh token, else
adapter, account and the secrets themselves.
"""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select, update

from connector.store import schema
from connector.store.secrets import SecretBox

_table = schema.credential


class Credentials:
    """Reads and writes credentials in the caller's transaction."""

    def __init__(self, sql: Connection, box: SecretBox) -> None:
        self._sql = sql
        self._box = box

    def stored(self, credential_id: int | None) -> dict[str, str]:
        """Secret settings of a row; empty where there is none."""
        sealed = self._sql.execute(select(_table.c.sealed).where(_table.c.id == credential_id)).scalar()
        settings: dict[str, str] = {} if sealed is None else self._box.open(sealed)["settings"]
        return settings

    def keep(
        self,
        tenant_id: int,
        adapter: str,
        account: str,
        client_id: str | None,
        values: Mapping[str, str],
        changed: Sequence[str],
        current: int | None,
    ) -> int | None:
        """The row that holds `values`, made or changed where needed; None where there are no secrets.

        `current` is the connection's row so far and `changed` names what the file changed since.
        """
        if not values:
            return None
        is_oauth = client_id is not None and "refresh_token" in values
        if current is not None and self.stored(current) == values:
            return current
        if current is not None and is_oauth and "refresh_token" not in changed:
            # A refresh may have rotated the token since the identity was taken: it stays the same credential.
            self._update(current, values)
            return current
        parts = ["oauth", client_id, values["refresh_token"]] if is_oauth else [adapter, account, dict(values)]
        identity = self._box.fingerprint(json.dumps([tenant_id, *parts], sort_keys=True))
        shared = self._sql.execute(select(_table.c.id).where(_table.c.identity == identity)).scalar()
        if shared is not None:
            kept = self.stored(shared)
            if is_oauth and "refresh_token" in kept:
                values = {**values, "refresh_token": kept["refresh_token"]}
            if kept != values:
                self._update(shared, values)
            return int(shared)
        row = {"tenant_id": tenant_id, "identity": identity, "sealed": self._box.seal({"settings": dict(values)})}
        return int(self._sql.execute(insert(_table).values(row).returning(_table.c.id)).scalar_one())

    def forget_unused(self, tenant_id: int) -> None:
        """Deletes the tenant's credentials that no connection names any more."""
        used = select(schema.connection.c.credential_id).where(schema.connection.c.credential_id.is_not(None))
        self._sql.execute(delete(_table).where(_table.c.tenant_id == tenant_id, _table.c.id.not_in(used)))

    def _update(self, credential_id: int, values: Mapping[str, str]) -> None:
        sealed = self._sql.execute(select(_table.c.sealed).where(_table.c.id == credential_id)).scalar_one()
        content = {**self._box.open(sealed), "settings": dict(values)}
        columns = {"sealed": self._box.seal(content), "version": _table.c.version + 1}
        self._sql.execute(update(_table).where(_table.c.id == credential_id).values(columns))
