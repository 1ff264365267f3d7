"""A stand-in of Exotel, as strict as its reference: for tests, the demo and the benchmarks.

In-process: `exotel_app(ExotelAccount(sid="acme1"))`. As a process of its own: `python -m connector.kit.exotel`. A
tenant points at it with `api_url`; two of them, each with a `region` and one account, are Exotel's two regions.

| request | does |
| --- | --- |
| `GET /_standin/state`, `GET /_standin/dump` | counts, and every record |
| `PUT /_standin/faults` | changes `connector.kit.faults.Faults` by field name |
| `PUT /_standin/account` | changes the account's fields named in `changeable` |
| `POST /_standin/calls` | adds calls: `{"calls": [facts]}`, facts as `ExotelAccount.add_call` takes them |
| `POST /_standin/calls/{sid}/end` | ends a call that was added as `running` |
"""

from connector.kit.exotel.account import ExotelAccount
from connector.kit.exotel.app import PLAYER, exotel_app

__all__ = ["PLAYER", "ExotelAccount", "exotel_app"]
