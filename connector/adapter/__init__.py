"""The contract between the pipeline and a CRM: what an adapter is, and the records that pass between them.

An adapter offers CRM primitives and nothing else: no policy, no templates, no retries, no logging, no `try`. CRMs
differ in what a call *is*, so primitives come in families (`Desk`, `Sales`, `Chat`) and small capabilities
(`EditableNotes`, `Tasks`, `Leads`, `Owners`, `Files`). An adapter inherits those that it can honour and imitates none
that it lacks; `isinstance` tells the plan what there is. `connector.kit.AdapterSuite` checks an adapter against all
of this.

Every method that makes a record takes the step's `key` first and leaves it in the CRM where `find_by_key` finds it:
an idempotency key if the CRM has one, else an external-id field, else `stamp(key)` in the text. Updates are whole and
repeatable, and write the key again.
"""

from connector.adapter.contract import Adapter
from connector.adapter.dialect import Dialect
from connector.adapter.families import Chat, Desk, EditableNotes, Files, Leads, Owners, Sales, Tasks
from connector.adapter.http import Answer, CrmHttp, retry_after
from connector.adapter.keys import is_marked, marked, stamp, stamped
from connector.adapter.options import (
    ChatOptions,
    DeskOptions,
    Options,
    RecordOptions,
    SalesOptions,
    TaskOptions,
    Template,
)
from connector.adapter.records import Agent, Checked, Entry, Grant, Home, Kind, Lookup, Quota, Ref
from connector.adapter.settings import Settings, pasted_host
from connector.phone import Caller, Spelling, alike

__all__ = [
    "Adapter",
    "Agent",
    "Answer",
    "Caller",
    "Chat",
    "ChatOptions",
    "Checked",
    "CrmHttp",
    "Desk",
    "DeskOptions",
    "Dialect",
    "EditableNotes",
    "Entry",
    "Files",
    "Grant",
    "Home",
    "Kind",
    "Leads",
    "Lookup",
    "Options",
    "Owners",
    "Quota",
    "RecordOptions",
    "Ref",
    "Sales",
    "SalesOptions",
    "Settings",
    "Spelling",
    "TaskOptions",
    "Tasks",
    "Template",
    "alike",
    "is_marked",
    "marked",
    "pasted_host",
    "retry_after",
    "stamp",
    "stamped",
]
