"""Where the parts of a running application are found."""

from typing import Any, Final

from aiohttp import web

from connector.acts.office import Office
from connector.adapter import Adapter
from connector.clock import Clock
from connector.config import Config
from connector.pipeline.service import Pipeline
from connector.store.engine.database import Database
from connector.store.secrets import SecretBox
from connector.tenants.directory import Directories


class HomeAddress:
    """Where this process is reached: by itself (`url`), and by people (`public_url`). No slash at the end."""

    def __init__(self, config: Config) -> None:
        self._public_url = config.public_url
        self.url = config.home_url
        #: Whether a socket told its port, so that it is not the settings' word for it.
        self.is_bound = False
        #: Whether people reach this process where it listens, as in the demo.
        self.is_reached_here = False

    @property
    def public_url(self) -> str:
        """The operator's word for it, else this process's own."""
        return self._public_url or self.url

    def link_url(self, adapter: type[Adapter[Any]]) -> str | None:
        """Where links in the CRM of `adapter` lead; None where nobody said how its people reach this process."""
        return self._public_url or (self.url if self.is_reached_here or adapter.read_at_home else None)

    def bound_to(self, host: str, port: int) -> None:
        """A socket listens here, or a request came in here."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.is_bound = True


CONFIG: Final = web.AppKey("config", Config)
HOME: Final = web.AppKey("home", HomeAddress)
#: The clock that all of the service goes by: the machine's, or the database's where replicas share one.
CLOCK: Final = web.AppKey[Clock]("clock", Clock)
DATABASE: Final = web.AppKey("database", Database)
BOX: Final = web.AppKey("box", SecretBox)
DIRECTORIES: Final = web.AppKey("directories", Directories)
PIPELINE: Final = web.AppKey("pipeline", Pipeline)
OFFICE: Final = web.AppKey("office", Office)
