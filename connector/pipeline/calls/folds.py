"""Folds: calls as they are folded from their stored events, kept for the next attempt."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from connector.adapter import Agent
from connector.exotel.model import Call
from connector.pipeline.calls.events import known, read
from connector.pipeline.calls.fold import fold
from connector.store.queries.deliveries import Work
from connector.tenants.model import Connection, Tenant

_KEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class _Folded:
    """A call, and what it was folded from: a changed tenant, or a connection's changed agents, are other objects."""

    #: Ids of the events, with their times: an id may be given again once its event is deleted.
    events: frozenset[tuple[int, float]]
    tenant: Tenant
    agents: tuple[Agent, ...]
    call: Call


class Folds:
    """Folds the calls of deliveries. Events do not change once they are stored, so that their ids tell them."""

    def __init__(self, most: int = _KEPT) -> None:
        self._most = most
        #: (connection, call) -> the call as last folded for it
        self._kept: OrderedDict[tuple[str, int], _Folded] = OrderedDict()

    def of(self, work: Work, tenant: Tenant, connection: Connection) -> Call:
        """The call of a claimed delivery; neither parsed nor folded again where nothing has changed."""
        place = (connection.id, work.call_id)
        events = frozenset((event.id, event.received_at) for event in work.events)
        kept = self._kept.pop(place, None)
        if kept is None or kept.events != events or kept.tenant is not tenant or kept.agents is not connection.agents:
            call = fold(read(work.events, tenant.country), known(tenant, connection))
            kept = _Folded(events, tenant, connection.agents, call)
        self._kept[place] = kept
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return kept.call
