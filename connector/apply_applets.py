"""The applets of a tenant file: numbers as E.164, templates tried, before a caller waits for them."""

from typing import Any

from connector.applets import Applets
from connector.applying import Run
from connector.phone import is_sip
from connector.pipeline.prompts import wrong_templates


def checked(run: Run, applets: Applets, path: str, country: str) -> dict[str, Any]:
    """The applets as they are stored; mistakes are noted by their places."""
    for place, words in wrong_templates(applets):
        run.wrong(f"{path}.{place}", words)
    stored = applets.model_dump(mode="json", exclude_unset=True)
    for name, connect in stored.get("connect", {}).items():
        at = f"{path}.connect.{name}"
        for part in ("group", "fallback"):
            numbers = connect.get(part, [])
            connect[part] = [_dialled(run, f"{at}.{part}[{i}]", number, country) for i, number in enumerate(numbers)]
        outgoing = connect.get("outgoing_phone_number")
        if outgoing is not None:
            connect["outgoing_phone_number"] = run.number(f"{at}.outgoing_phone_number", outgoing, country)
    return stored


def _dialled(run: Run, path: str, number: str, country: str) -> str:
    return number if is_sip(number) else run.number(path, number, country)
