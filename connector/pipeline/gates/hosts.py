"""Which private addresses the client session reaches: those that the operator named."""

from collections.abc import Callable, Container
from urllib.parse import urlsplit

from connector.tenants.directory import Directories
from connector.tenants.model import Directory, exotel_urls


class PrivateHosts(Container[str]):
    """Hosts that may be private, as they are now: connections and tenants come and go while the session lives."""

    def __init__(self, directories: Directories, home_url: Callable[[], str]) -> None:
        self._directories = directories
        self._home_url = home_url
        self._directory: Directory | None = None
        self._hosts: frozenset[str] = frozenset()

    def __contains__(self, host: object) -> bool:
        if self._directory is not self._directories.current:
            self._directory = self._directories.current
            urls = [c.settings.get("base_url") for c in self._directory.connections.values()]
            for tenant in self._directory.tenants.values():
                urls += exotel_urls(tenant)
            self._hosts = frozenset(urlsplit(url).hostname or "" for url in [*urls, self._home_url()] if url)
        return host in self._hosts
