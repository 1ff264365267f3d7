"""Tenants and their connections: put in place by a file, proved, and the URLs that lead to them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connector.acts.asker import Asker, act, operator_only, the_tenant
from connector.acts.office import Office
from connector.adapter import registry
from connector.store.engine.database import single
from connector.store.queries.regions import keep_regions
from connector.tenants import apply as applying
from connector.tenants import check, urls
from connector.tenants.check import Finding
from connector.tenants.file import TenantFile


@dataclass(frozen=True, slots=True)
class ApplyFile:
    """What shall be; with `prune` what the file does not name is deleted."""

    file: TenantFile
    prune: bool = False


@dataclass(frozen=True, slots=True)
class CheckTenant:
    """Whose keys; `found` hears each finding as it is made."""

    tenant: str | None
    found: Callable[[Finding], None] = lambda _finding: None


@dataclass(frozen=True, slots=True)
class ShowHooks:
    """Whose URLs."""

    tenant: str | None


@dataclass(frozen=True, slots=True)
class Changed:
    """What an apply changed, in words, and what is to be done yet."""

    changes: Sequence[str]
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True)
class Proof:
    """What a check found, what is to be done yet, and the URLs to paste."""

    findings: Sequence[Finding]
    warnings: Sequence[str]
    urls: Sequence[str]

    @property
    def is_fine(self) -> bool:
        """Whether nobody has to do anything about the keys."""
        return all(finding.is_fine for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Installed:
    """An adapter, with the families that it offers and the names of its settings."""

    name: str
    title: str
    families: Sequence[str]
    settings: Sequence[str]


@act("manage")
async def apply(office: Office, asker: Asker, wish: ApplyFile) -> Changed:
    """Puts tenants and connections in place, all of the file or nothing, and prepares CRM accounts that are new."""
    operator_only(asker)
    applied = await asyncio.to_thread(
        applying.apply, wish.file, office.db, office.box, prune=wish.prune, who=asker.name
    )
    directory = await office.directories.refresh()
    touched, warnings = set(applied.connections), []
    for tenant in directory.tenants.values():
        new = [one for one in tenant.connections if (tenant.sid, one.name) in touched and one.enabled]
        warnings += await check.prepare(tenant, new, office.box, office.config)
    lost = check.lost_without_address(directory.tenants.values(), office.config)
    return Changed(applied.changes, [*warnings, *([lost] if lost is not None else [])])


@act("manage")
async def check_tenant(office: Office, asker: Asker, wish: CheckTenant) -> Proof:
    """Proves a tenant's keys, at its CRMs and at Exotel."""
    tenant = await the_tenant(office, asker, wish.tenant)
    findings: list[Finding] = []
    regions: list[str] = []
    async for finding in check.check_tenant(tenant, office.box, office.config, regions.append):
        findings.append(finding)
        wish.found(finding)
    for region in regions:
        await office.db.write(keep_regions, (tenant.id, region))
    lost = check.lost_without_address([tenant], office.config)
    return Proof(findings, [lost] if lost is not None else [], list(urls.describe(tenant, office.config)))


@act("manage")
async def show_hooks(office: Office, asker: Asker, wish: ShowHooks) -> list[str]:
    """The URLs to paste into the applets of an Exotel flow, line by line; whoever has them can send events."""
    return list(urls.describe(await the_tenant(office, asker, wish.tenant), office.config))


@act("manage")
async def rotate_hook(office: Office, asker: Asker, wish: ShowHooks) -> list[str]:
    """A new hook token, and the URLs with it; those with the old one stop working."""
    tenant = await the_tenant(office, asker, wish.tenant)
    await office.db.write(single(urls.rotate), (office.box, tenant.sid, asker.name))
    await office.directories.refresh()
    return await show_hooks(office, asker, wish)


@act("read")
async def list_adapters(_office: Office, _asker: Asker, _wish: None) -> list[Installed]:
    """The adapters that are installed."""
    return installed()


def installed() -> list[Installed]:
    """`list_adapters` where there is no store yet."""
    return [
        Installed(name, adapter.title, registry.families(adapter), list(adapter.settings_model.model_fields))
        for name, adapter in registry.adapters().items()
    ]
