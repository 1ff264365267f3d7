"""The default words of each family: template part -> variant -> jinja2 source. Variant `""` fits every other one.

What the templates may name is what `facts` (in `render`) gives: `number`, `title`, `exophone`, `when`, `agent`, ...
The subjects and labels are those of Exotel's own Freshdesk connector (docs/reference/exotel-flows.md §4.2.1).
"""

from collections.abc import Mapping
from typing import Final

Words = Mapping[str, Mapping[str, str]]

_FACTS = """\
{{ number_label }}: {{ number }}<br>\
{% if exophone %}ExoPhone: {{ exophone }}<br>{% endif %}\
{% if when %}Time: {{ when }}<br>{% endif %}\
{% if agent %}Agent: {{ agent }}<br>{% endif %}\
Outcome: {{ outcome }}<br>\
{% if ended_by %}Ended by: {{ ended_by }}<br>{% endif %}\
{% if custom_field %}CustomField: {{ custom_field }}<br>{% endif %}\
CallSid : {{ call_sid }}"""

_DIGITS = """\
{% if digits %}<p>IVR/Gather Digits Captured<br>\
{% for input in digits %}{{ input.label }}: "{{ input.digits }}"<br>{% endfor %}</p>{% endif %}"""

_CALL = "<p><b>{{ title }}</b></p><p>" + _FACTS + "</p>" + _DIGITS

DESK: Final[Words] = {
    "subject": {
        "voicemail": "Voicemail from {{ number }}",
        "missed": "Missed call from {{ number }}",
        "answered": "Incoming Call from {{ number }} (Created automatically)",
        "outbound": "Outbound call to {{ number }}",
        "ivr": "Incoming IVR/Gather call from {{ number }}",
    },
    "body": {"": _CALL},
    "call": {"": _CALL},
    "note": {
        "": """\
{% if recording %}Call Recording: <a href="{{ recording|url }}">{{ recording }}</a><br>{% endif %}\
{% if recording_left_out %}Call Recording: {{ recording_left_out }}<br>{% endif %}\
{% if duration %}Call Duration: {{ duration }}{% endif %}""",
        "voicemail": """\
{% if recording %}Voicemail: <a href="{{ recording|url }}">{{ recording }}</a><br>{% endif %}\
{% if recording_left_out %}Voicemail: {{ recording_left_out }}<br>{% endif %}\
{% if duration %}Call Duration: {{ duration }}{% endif %}""",
    },
    "link": {
        "": """\
The call was linked to another ticket: \
{% if linked.url %}<a href="{{ linked.url|url }}">#{{ linked.id }}</a>{% else %}#{{ linked.id }}{% endif %}""",
    },
}

_HEARD = """\
{% if recording %}Call Recording: <a href="{{ recording|url }}">{{ recording }}</a><br>{% endif %}\
{% if recording_left_out %}Call Recording: {{ recording_left_out }}<br>{% endif %}\
{% if duration %}Call Duration: {{ duration }}{% endif %}"""

SALES: Final[Words] = {
    "log_subject": {
        "voicemail": "Voicemail from {{ number }}",
        "missed": "Missed call from {{ number }}",
        "answered": "Incoming call from {{ number }}",
        "outbound": "Outgoing call to {{ number }}",
        "ivr": "Incoming IVR/Gather call from {{ number }}",
    },
    "log": {"": _CALL + "<p>" + _HEARD + "</p>"},
    "task_subject": {"": "Call back {{ number }}"},
    "task": {"": _CALL},
}

_PLAIN_FACTS = """\
{{ number_label }}: {{ number }}
{% if exophone %}ExoPhone: {{ exophone }}
{% endif %}{% if when %}Time: {{ when }}
{% endif %}{% if agent %}Agent: {{ agent }}
{% endif %}Outcome: {{ outcome }}
{% if ended_by %}Ended by: {{ ended_by }}
{% endif %}{% if custom_field %}CustomField: {{ custom_field }}
{% endif %}CallSid : {{ call_sid }}"""

CHAT: Final[Words] = {
    "message": {
        "voicemail": "Voicemail\n" + _PLAIN_FACTS,
        "missed": "Missed call\n" + _PLAIN_FACTS,
        "answered": "Incoming call\n" + _PLAIN_FACTS,
        "outbound": "Outgoing call\n" + _PLAIN_FACTS,
        "ivr": "Incoming IVR/Gather call\n" + _PLAIN_FACTS,
    },
    "details": {
        "": """\
{% if recording %}{% if voicemail %}Voicemail{% else %}Call Recording{% endif %}: {{ recording|url }}
{% endif %}{% if recording_left_out %}Call Recording: {{ recording_left_out }}
{% endif %}{% if duration %}Call Duration: {{ duration }}
{% endif %}{% if digits %}IVR/Gather Digits Captured
{% for input in digits %}{{ input.label }}: "{{ input.digits }}"
{% endfor %}{% endif %}CallSid : {{ call_sid }}"""
    },
}

#: What `title` says, per variant.
TITLES: Final[Mapping[str, str]] = {
    "voicemail": "Voicemail",
    "missed": "Missed call",
    "answered": "Incoming call",
    "outbound": "Outbound call",
    "ivr": "Incoming IVR/Gather call",
}
