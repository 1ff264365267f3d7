"""What stand-ins of CRMs have in common; each is as strict as the real API, and serves tests, the demo and benchmarks.

A stand-in subclasses `StandinAccount` (what it holds), says who may come in (its door) and hands its API's routes to
`standin_app`. The rest is here to be used: `checks` of bodies, `limits`, `tokens`, an `index` that lags, `pages`.
"""

from connector.kit.standin.account import Refused, StandinAccount
from connector.kit.standin.app import Route, added, answer, changed, control_routes, standin_app
from connector.kit.standin.bodies import Part, file_of, json_object, paging, parts_of
from connector.kit.standin.command import main, run, serve

__all__ = [
    "Part",
    "Refused",
    "Route",
    "StandinAccount",
    "added",
    "answer",
    "changed",
    "control_routes",
    "file_of",
    "json_object",
    "main",
    "paging",
    "parts_of",
    "run",
    "serve",
    "standin_app",
]
