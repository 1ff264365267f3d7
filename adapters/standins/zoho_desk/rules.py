"""What Zoho Desk refuses in a body or a query: unknown keys, wrong types, values outside an enumeration, what lacks.

Names, types and limits: docs/reference/zoho_desk.md §4 to §6; shapes of the answers: §9. Where texts disagree the
stricter reading is taken: what passes here should pass there.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from connector.kit.standin import Refused, checks
from connector.kit.standin.checks import Check, Shape, like, list_of, must

Problem = dict[str, str]

_ID = r"\d{1,20}"
_TIME = r"(19|20)\d\d-(0[1-9]|1[012])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z"
_LINK = r"https?://[0-9a-zA-Z][-.\w]*(:\d+)?(/\S*)?"
_PHONE = r"[\w+\-.()$@?,;:'/!\s]*"


def text(most: int, *, blank: bool = True) -> Check[str]:
    """Text of at most so many characters."""
    return must(checks.text(most, blank=blank), f"The value must be a text of at most {most} characters")


def one_of(*values: str) -> Check[str]:
    """One of these words, to the letter."""
    return must(checks.among(*values), f"The value must be one of {', '.join(values)}")


def phone(most: int) -> Check[str]:
    """A number in any spelling."""
    return must(like(_PHONE, most), "The value must be a phone number")


def ids(most: int) -> Check[str]:
    """A list of ids."""
    return must(list_of(like(_ID), most), f"The value must be a list of at most {most} ids")


def _is_pairs(value: Any) -> bool:
    return type(value) is dict and all(map(checks.text(100), value.values()))


record_id = must(like(_ID), "The value must be an id")
time = must(like(_TIME), "The value must be a time like 2025-03-02T04:41:12.000Z")
boolean = must(checks.boolean, "The value must be true or false")
seconds = must(checks.whole(0), "The value must be a whole number")
link = must(like(_LINK, 2500), "The value must be an address")
#: Which texts there are is checked elsewhere.
pairs = must(_is_pairs, "The value must be an object of texts of at most 100 characters")

CONTACT: Shape[str] = {
    "lastName": text(200, blank=False),
    "firstName": text(40),
    "email": text(255),
    "secondaryEmail": text(100),
    "phone": phone(50),
    "mobile": phone(50),
    "accountId": record_id,
    "ownerId": record_id,
    "layoutId": record_id,
    **dict.fromkeys(("type", "title", "language", "twitter", "facebook"), text(100)),
    **dict.fromkeys(("city", "state", "country", "zip"), text(30)),
    "street": text(250),
    "description": text(65535),
    "cf": pairs,
}

TICKET: Shape[str] = {
    **dict.fromkeys(("departmentId", "contactId"), record_id),
    **dict.fromkeys(("assigneeId", "teamId", "productId", "accountId", "layoutId"), record_id),
    "subject": text(1000, blank=False),
    "phone": phone(120),
    "email": text(150),
    **dict.fromkeys(("channel", "status", "priority", "classification", "category", "subCategory"), text(120)),
    "resolution": text(65535),
    "description": text(65535),
    "dueDate": time,
    "cf": pairs,
    "language": text(100),
    "webUrl": link,
    "uploads": ids(20),
    "secondaryContacts": ids(20),
    "entitySkills": ids(10),
}

COMMENT: Shape[str] = {
    "content": text(32000, blank=False),
    "isPublic": boolean,
    "contentType": one_of("html", "plainText"),
    "attachmentIds": ids(20),
}

CALL: Shape[str] = {
    **dict.fromkeys(("contactId", "departmentId", "ticketId", "ownerId", "teamId", "layoutId"), record_id),
    "subject": text(300, blank=False),
    "startTime": time,
    "status": one_of("Completed", "Scheduled", "Missed", "Canceled", "In Progress"),
    "direction": one_of("inbound", "outbound"),
    "duration": seconds,
    "priority": text(120),
    "description": text(65535),
    "cf": pairs,
    "recordingUrl": link,
}

#: Query parameters by route, each with what its value must look like.
_NUMBERS, _FLAG = r"\d+", "true|false"
_LIST = {"limit": _NUMBERS, "from": _NUMBERS}
_VALUES, _ANY = r".{1,2000}", r".{3,1000}"
_SEARCH_SORT = "-?(relevance|modifiedTime|createdTime|lastName|firstName)"
QUERY: Mapping[str, Mapping[str, str]] = {
    "/organizations": {},
    "/departments": {**_LIST, "isEnabled": _FLAG, "searchStr": r".{1,100}"},
    "/organizationFields": {"module": "tickets|contacts|calls", "departmentId": _ID},
    "/agents": {**_LIST, "status": "ACTIVE|DISABLED", "isConfirmed": _FLAG},
    "/contacts/search": {
        **dict.fromkeys(("phone", "mobile", "email"), _VALUES),
        "_all": _ANY,
        **_LIST,
        "sortBy": _SEARCH_SORT,
    },
    "/contacts/{id}/tickets": {**_LIST, "sortBy": "-?(createdTime|modifiedTime)"},
    "/tickets": {**_LIST, "sortBy": "-?(dueDate|createdTime|recentThread)"},
    "/tickets/{id}/attachments": {**_LIST, "sortBy": r"-?createdTime", "isPublic": _FLAG},
    "POST /tickets/{id}/attachments": {"isPublic": _FLAG},
    "/tickets/{id}/comments": {**_LIST, "sortBy": "-?commentedTime"},
    "/tickets/{id}/calls": {**_LIST, "sortBy": "-?(startTime|createdTime)"},
    "/calls": {**_LIST, "departmentId": _ID, "sortBy": "-?(startTime|createdTime)"},
}
_MOST = {"/agents": 200, "/departments": 200, "/contacts/{id}/tickets": 99}


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **more: Any) -> Refused:
    """A refusal in the API's shape."""
    return Refused(status, {"errorCode": code, "message": message, **more}, headers)


def invalid(problems: Iterable[Problem]) -> Refused:
    """422 with a line per field."""
    words = "The data is invalid due to validation restrictions"
    return refusal(422, "INVALID_DATA", words, errors=list(problems))


def unprocessable(message: str) -> Refused:
    """422 with a sentence."""
    return refusal(422, "UNPROCESSABLE_ENTITY", message)


def problem(field: str, message: str, kind: str = "invalid") -> Problem:
    """One line of the answer's `errors`; `field` becomes a JSON pointer."""
    return {"fieldName": f"/{field}", "errorType": kind, "errorMessage": message}


def check_body(body: Mapping[str, Any], shape: Shape[str], required: Iterable[str] = ()) -> None:
    """Refuses a body: unknown keys first, then what lacks, then values."""
    for name in body:
        if name not in shape:
            raise unprocessable(f"Extra parameter '{name}' is present in the input.")
    wrong = [problem(name, "The field is missing", "missing") for name in required if name not in body]
    wrong += [problem(name, said) for name, value in body.items() if (said := shape[name](value))]
    if wrong:
        raise invalid(wrong)


def check_query(route: str, query: Mapping[str, str]) -> None:
    """Refuses a query: unknown parameters, values of another form, a `limit` above the list's."""
    known = QUERY.get(route, {})
    for name, value in query.items():
        if name not in known:
            raise unprocessable(f"Extra query parameter '{name}' is present in the input.")
        if not re.fullmatch(known[name], value):
            raise unprocessable(f"The value passed for field '{name}' is invalid.")
    if not 1 <= int(query.get("limit", "1")) <= _MOST.get(route, 100):
        raise unprocessable("The value passed for field 'limit' exceeds the range.")
    if int(query.get("from", "0")) > (999 if route == "/contacts/search" else 4999):
        raise unprocessable("The value passed for field 'from' exceeds the range.")
