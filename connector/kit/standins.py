"""Stand-ins of CRMs by entry point `connector.standins`: ours and those of other packages, found in one way.

A stand-in is a module that offers `standin(account, faults) -> web.Application`, `Account` and `SETTINGS`, what a
connection to it takes besides `base_url`; it goes by the name of its adapter. `python -m MODULE --port 9000` runs one.
"""

from importlib.metadata import EntryPoint, entry_points

GROUP = "connector.standins"


def standins() -> dict[str, EntryPoint]:
    """Adapter -> its stand-in, not yet imported: `standins()["freshdesk"].load()`."""
    return {point.name: point for point in entry_points(group=GROUP)}
