"""What Exotel sends and takes. Facts and their sources: docs/reference/exotel.md, cited by section."""

from connector.errors import IngressError
from connector.exotel.model import Call, CallEvent, Leg
from connector.exotel.parse import parse_request

__all__ = ["Call", "CallEvent", "IngressError", "Leg", "parse_request"]
