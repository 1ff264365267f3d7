"""For adapter authors: `AdapterSuite` checks an adapter against the contract of `connector.adapter`.

The suite needs pytest (extra `test`). It is imported when it is asked for, since stand-ins of CRMs use
`connector.kit.faults` where no pytest is installed.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connector.kit.bench import Refusal
    from connector.kit.suite import AdapterSuite

__all__ = ["AdapterSuite", "Refusal"]

if "pytest" in sys.modules:
    # Before they are imported: pytest explains a failed assert only in modules that it compiled itself.
    _checks = ("bench", "declared", "failing", "suite", "tour", "written")
    sys.modules["pytest"].register_assert_rewrite(*(f"{__name__}.{module}" for module in _checks))


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from connector.kit.bench import Refusal
    from connector.kit.suite import AdapterSuite

    return {"AdapterSuite": AdapterSuite, "Refusal": Refusal}[name]
