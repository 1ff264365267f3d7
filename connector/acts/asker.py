"""Who asks, and what an act is: whoever may not ask is refused here, through every face alike."""

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from connector.access.users import NUMBERS
from connector.acts.office import Office
from connector.errors import Declined
from connector.tenants.model import Tenant

#: What an asker may do. `manage` (tenants, people, keys) is the operator's at the machine: no token has it yet.
Scope = Literal["read", "replay", "call", "manage"]

W_contra = TypeVar("W_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

#: Tenants that a refusal names.
_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks. `name` is what the trail calls them: `cli`, `api:3`. `tenant_id` None: an operator, for all tenants."""

    name: str
    tenant_id: int | None
    scopes: frozenset[str]

    @property
    def sees_numbers(self) -> bool:
        """Whether they see customers' numbers that a tenant masks."""
        return NUMBERS in self.scopes

    def may(self, scope: Scope) -> bool:
        """Whether they may do this."""
        return scope in self.scopes

    def permit(self, scope: Scope) -> None:
        """Raises `Declined` where they may not do this."""
        if not self.may(scope):
            raise Declined("forbidden", f"This token has no scope {scope!r}.")

    def is_for(self, tenant: Tenant) -> bool:
        """Whether this tenant is theirs to ask about."""
        return self.tenant_id in (None, tenant.id)


#: Whoever has a shell on the machine; a terminal is read over shoulders, so masked numbers stay masked.
CLI: Final = Asker("cli", None, frozenset({"read", "replay", "call", "manage"}))


class Act(Generic[W_contra, R_co]):
    """Something that people may ask for: `await act(office, asker, wish)`. Raises `Declined`, `ConfigError`."""

    def __init__(self, work: Callable[[Office, Asker, W_contra], Awaitable[R_co]], scope: Scope) -> None:
        functools.update_wrapper(self, work)
        self.name = work.__name__
        self.scope = scope
        self._work = work

    async def __call__(self, office: Office, asker: Asker, wish: W_contra) -> R_co:
        asker.permit(self.scope)
        return await self._work(office, asker, wish)


def act(scope: Scope) -> Callable[[Callable[[Office, Asker, W_contra], Awaitable[R_co]]], Act[W_contra, R_co]]:
    """Makes an act of a function, for askers with this scope."""
    return lambda work: Act(work, scope)


async def the_tenant(office: Office, asker: Asker, sid: str | None) -> Tenant:
    """The tenant that is asked about, by its Account SID. Raises `Declined`.

    A tenant's own people need not name it, and find no other: what is not theirs is refused as if it were not there.
    """
    directory = await office.directory()
    if sid is None and asker.tenant_id is None:
        raise Declined("invalid", "Say whose: the account's SID.", "tenant")
    if sid is not None and sid not in directory.tenants:
        directory = await office.directories.refresh()
    tenant = directory.tenants.get(sid) if sid is not None else directory.tenants_by_id.get(asker.tenant_id or 0)
    if tenant is not None and asker.is_for(tenant):
        return tenant
    words = "There is no such tenant" if sid is None else f"There is no tenant {sid!r}"
    if asker.tenant_id is None:
        words += f"; known: {', '.join(sorted(directory.tenants)[:_NAMED]) or 'none'}"
    raise Declined("not_found", f"{words}.", "tenant")


async def tenant_id_of(office: Office, asker: Asker, sid: str | None) -> int | None:
    """Id of the tenant that a list is of; None, all of them, is an operator's alone. Raises `Declined`."""
    return asker.tenant_id if sid is None else (await the_tenant(office, asker, sid)).id


def operator_only(asker: Asker) -> None:
    """Raises `Declined` for a tenant's own people: what is asked for concerns other tenants too."""
    if asker.tenant_id is not None:
        raise Declined("forbidden", "This is an operator's to ask for.")
