"""A stand-in of Exotel, as strict as its reference: for tests, the demo and the benchmarks.

In-process: `account = ExotelAccount("acme1"); app = exotel_app(account, Faults())`. As a process of its own:
`python -m connector.kit.exotel --port 9100`. A tenant points at it with `api_url`.
"""
