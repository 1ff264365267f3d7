"""An adapter that does all as it should passes every check."""

from tests.kit.toy import ToySuite


class TestToy(ToySuite):
    pass
