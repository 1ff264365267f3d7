"""The contract between the pipeline and a CRM: what an adapter is, and the records that pass between them.

An adapter offers CRM primitives and nothing else: no policy, no templates, no retries, no logging, no `try`. CRMs
differ in what a call *is*, so primitives come in families (`Desk`, `Sales`, `Chat`) and small capabilities
(`EditableNotes`, `Tasks`, `Leads`, `Owners`, `Files`). An adapter inherits those that it can honour and imitates none
that it lacks; `isinstance` tells the plan what there is. `connector.kit.AdapterSuite` checks an adapter against all
of this.

Every method that makes a record takes the step's `key` first and leaves it in the CRM where `find_by_key` finds it:
an idempotency key if the CRM has one, else an external-id field, else `stamp(key)` in the text. Updates are whole and
repeatable, and write the key again.

What adapters would otherwise write one after the other stands here as well: a tenant's fields (`Fields`), lists
(`Pages`), look-ups of keys (`Listing`), rights (`Probe`), what is a ticket's people's (`TicketRule`), rows of people,
pasted hosts, quota headers, values.
"""

from connector.adapter.contract import Adapter
from connector.adapter.dialect import Dialect
from connector.adapter.families import Chat, Desk, EditableNotes, Files, Leads, Owners, Sales, Tasks
from connector.adapter.fields import Described, Fields, by_part
from connector.adapter.forms import file_form
from connector.adapter.http import Answer, CrmHttp
from connector.adapter.keys import is_marked, marked, signed, stamp, stamped
from connector.adapter.lookups import Listing, below
from connector.adapter.options import (
    ChatOptions,
    DeskOptions,
    Options,
    RecordOptions,
    SalesOptions,
    TaskOptions,
    Template,
)
from connector.adapter.pages import Page, Pages, by_cursor, by_number, by_offset, rows_of
from connector.adapter.people import agent_of, given_to, has_number
from connector.adapter.probes import Probe
from connector.adapter.quotas import QuotaHeaders
from connector.adapter.records import Agent, Checked, Entry, Grant, Home, Kind, Lookup, Quota, Ref, fingerprint
from connector.adapter.settings import Settings, grant_of, own_host, pasted, pasted_host, region
from connector.adapter.tickets import TicketRule
from connector.adapter.values import began_at, count, iso, iso_utc, link, one_line, subject_of
from connector.outbound import retry_after
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
    "Described",
    "Desk",
    "DeskOptions",
    "Dialect",
    "EditableNotes",
    "Entry",
    "Fields",
    "Files",
    "Grant",
    "Home",
    "Kind",
    "Leads",
    "Listing",
    "Lookup",
    "Options",
    "Owners",
    "Page",
    "Pages",
    "Probe",
    "Quota",
    "QuotaHeaders",
    "RecordOptions",
    "Ref",
    "Sales",
    "SalesOptions",
    "Settings",
    "Spelling",
    "TaskOptions",
    "Tasks",
    "Template",
    "TicketRule",
    "agent_of",
    "alike",
    "began_at",
    "below",
    "by_cursor",
    "by_number",
    "by_offset",
    "by_part",
    "count",
    "file_form",
    "fingerprint",
    "given_to",
    "grant_of",
    "has_number",
    "is_marked",
    "iso",
    "iso_utc",
    "link",
    "marked",
    "one_line",
    "own_host",
    "pasted",
    "pasted_host",
    "region",
    "retry_after",
    "rows_of",
    "signed",
    "stamp",
    "stamped",
    "subject_of",
]
