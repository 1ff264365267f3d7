"""Freshdesk's fields, lists, limits, searches and quota headers."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from connector.adapter import Described, Fields, Kind, Listing, Pages, Quota, QuotaHeaders, Ref, by_number

FIELDS: Final = Fields(
    title="Freshdesk",
    numbers="status|priority|source|(responder|group|product|company|email_config|parent|internal_(agent|group))_id",
    lists=frozenset({"tags", "cc_emails"}),
    custom="custom_fields",
    typed=("true, false", "a number", "a list of texts"),
    parts={
        **dict.fromkeys(("responder_id", "user_id"), "agent"),
        **dict.fromkeys(("requester_id", "name", "email", "phone", "mobile", "unique_external_id"), "contact"),
        **dict.fromkeys(("description", "body"), "html"),
        "subject": "subject",
        "tags": "tags",
        "attachments": "recording",
        "base": "",
    },
    sent=frozenset({"requester", "subject", "source", "status", "priority", "description"}),
    spelled={
        "ticket_type": "type",
        "group": "group_id",
        "agent": "responder_id",
        "product": "product_id",
        "company": "company_id",
    },
    examples={
        "custom_number": "a number, as json:3",
        "custom_decimal": "a number, as json:2.5",
        "custom_checkbox": "json:true or json:false",
        "custom_date": "a date, as 2025-03-02",
    },
    described=Described(required=("required_for_agents",)),
)
PAGES: Final = Pages(
    {"per_page": "100", "page": "1"}, by_number(lambda page: 'rel="next"' in page.answer.headers.get("Link", ""))
)


def newest_of(contact: Ref) -> dict[str, str]:
    """A query for a contact's tickets; without `updated_since` those of the last 30 days only (Tickets, list all)."""
    ever = {"updated_since": "2000-01-01T00:00:00Z", "order_by": "created_at", "order_type": "desc"}
    return {"requester_id": contact.id, **ever}


_NOTES = Listing(PAGES, "tickets/{parent.id}/conversations", "body")
KEYS: Final[Mapping[Kind, Listing]] = {
    "ticket": Listing(
        PAGES, "tickets", "description", lambda contact: newest_of(contact) | {"include": "description"}, "list"
    ),
    "note": _NOTES,
    "file": _NOTES,
}
#: Pro's, the middle of the plans, until the first answer tells the account's total (`quota_of`): too much for Growth
#: costs one 429, too little for Enterprise one request's time.
LIMITS: Final = {
    "all": (400, 60.0),
    **dict.fromkeys(("ticket_create", "ticket_update"), (160, 60.0)),
    **dict.fromkeys(("list", "contact_list"), (100, 60.0)),
}
_QUERY = 512
#: Totals of the older plans, which count by the hour and know no lower limits.
_HOURLY = (3000, 5000)
_QUOTA = QuotaHeaders(per=lambda total: 3600.0 if total in _HOURLY else 60.0)
#: Total of a plan -> its limits of ticket creation and update, and of lists: Growth, Pro, Enterprise.
_PLANS = {200: (80, 20), 400: (160, 100), 700: (280, 200)}


def search_for(spellings: Sequence[str]) -> str:
    """A search for any of these as mobile or phone, likeliest first, as long as a query may be; empty for none.

    Nothing tells how a quote is escaped in a query, so a spelling that has one is left out.
    """
    query = ""
    for spelling in spellings:
        terms = f"mobile:'{spelling}' OR phone:'{spelling}'"
        longer = f"{query} OR {terms}" if query else terms
        if "'" not in spelling and '"' not in spelling and len(longer) <= _QUERY:
            query = longer
    return f'"{query}"' if query else ""


def quota_of(headers: Mapping[str, str]) -> Mapping[str, Quota]:
    """What an answer's headers tell; lower limits follow from the total, since no header has them."""
    told = _QUOTA.quota(headers)
    total = told["all"].limit if told else None
    return told if total is None or total in _HOURLY else {**_lower(total), **told}


@lru_cache(maxsize=16)
def _lower(total: int) -> Mapping[str, Quota]:
    writes, lists = (Quota(limit=limit, per_s=60.0) for limit in _PLANS.get(total, (total, total)))
    return {"ticket_create": writes, "ticket_update": writes, "list": lists, "contact_list": lists}
