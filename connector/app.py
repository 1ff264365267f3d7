"""The application: its parts opened in order, its routes, and what every answer has in common."""

import asyncio
import contextlib
import functools
import hashlib
from collections.abc import AsyncIterator

from aiohttp import web

from connector.access.users import ensure_operator_token
from connector.acts.office import Office
from connector.clock import SYSTEM, Clock
from connector.config import Config
from connector.observe.logs import server_logger
from connector.pipeline.service import Pipeline
from connector.pipeline.upkeep.periodic import Periodic
from connector.pipeline.upkeep.retention import EVERY_S, Retention
from connector.store.engine.clock import DatabaseClock
from connector.store.engine.database import Database
from connector.store.engine.migrate import require_current, upgrade
from connector.store.secrets import open_box
from connector.tenants.directory import Directories
from connector.tenants.model import Directory, Tenant
from connector.web.answers import Handler, json_errors
from connector.web.api.routes import add_api
from connector.web.applets import ANSWERS, AppletAnswers, add_applets
from connector.web.desk import add_desk
from connector.web.hooks.ingress import INGRESS, Ingress, add_ingress
from connector.web.hooks.origin import Origin
from connector.web.hooks.query import MOST_BYTES
from connector.web.keys import BOX, CLOCK, CONFIG, DATABASE, DIRECTORIES, HOME, OFFICE, PIPELINE, HomeAddress
from connector.web.pages.recordings import add_recordings

__all__ = ["BOX", "CONFIG", "DATABASE", "DIRECTORIES", "HOME", "PIPELINE", "create_app"]


def create_app(config: Config | None = None, *, clock: Clock | None = None) -> web.Application:
    """The whole service, ready to be run; settings come from the environment where none are given.

    `clock`: what ingress and pipeline read; where none is given, the machine's, or the database server's. Nothing is
    opened before the application starts. Raises `ConfigError`, as does its start.
    """
    config = config or Config.from_env()
    app = web.Application(
        middlewares=[_learn_home, json_errors],
        handler_args={
            # A URL may carry a hook token: no line of aiohttp's own names one.
            "access_log": None,
            "logger": server_logger(),
            # Longer queries than we take are refused by us, with a word of why.
            "max_line_size": 2 * MOST_BYTES,
        },
    )
    app[CONFIG] = config
    app[HOME] = HomeAddress(config)
    app.cleanup_ctx.append(functools.partial(_opened, clock=clock))
    add_applets(app)
    add_ingress(app)
    add_api(app)
    add_recordings(app)
    add_desk(
        app,
        db=lambda: app[DATABASE],
        authenticate=_DeskTokens(app).connection_of,
        sign=lambda text: app[BOX].fingerprint(text),
        public_url=lambda: app[HOME].public_url,
        number_shown=functools.partial(_number_shown, app),
    )
    return app


async def _opened(app: web.Application, clock: Clock | None) -> AsyncIterator[None]:
    """The store, the secrets, the configuration and the pipeline, in this order; closed in the reverse one."""
    config = app[CONFIG]
    database = Database(config.database_url)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(database.dispose)
        if config.database_file is not None:
            # One process owns the file, so that its schema can follow the program without being asked.
            await asyncio.to_thread(database.transact, upgrade)
        else:
            await asyncio.to_thread(database.transact, require_current)
        app[BOX] = await asyncio.to_thread(open_box, config, database)
        token_file = config.beside("token")
        if token_file is not None:
            await asyncio.to_thread(ensure_operator_token, database, token_file)
        app[DATABASE] = await stack.enter_async_context(database.running())
        if clock is None:
            clock = SYSTEM
            if not database.single_process:
                clock = await stack.enter_async_context(DatabaseClock(database).running())
        app[CLOCK] = clock
        app[DIRECTORIES] = await stack.enter_async_context(Directories(database, app[BOX]).running())
        pipeline = Pipeline(
            database,
            app[BOX],
            app[DIRECTORIES],
            home_url=lambda: app[HOME].url,
            public_url=config.public_url,
            link_url=app[HOME].link_url,
            clock=clock,
        )
        app[PIPELINE] = await stack.enter_async_context(pipeline.running(reconcile=True))
        app[OFFICE] = Office(config, database, app[BOX], app[DIRECTORIES], clock, app[PIPELINE])
        await stack.enter_async_context(_retention(database, app[DIRECTORIES], clock).running())
        origin = Origin(app[DIRECTORIES], config.trusted_proxies)
        app[INGRESS] = Ingress(pipeline, origin, clock)
        app[ANSWERS] = AppletAnswers(pipeline.routing, origin, functools.partial(_popup_url, config), clock)
        yield


def _retention(database: Database, directories: Directories, clock: Clock) -> Periodic:
    work = Retention(database, clock).prune
    return Periodic("retention", work, every_s=EVERY_S, db=database, directories=directories, clock=clock, at_once=1)


def _popup_url(config: Config, tenant: Tenant) -> str | None:
    """Where Exotel reports attempts to; without a public address there is no such place."""
    return f"{config.public_url}/h/{tenant.hook_token.get_secret_value()}/pop" if config.public_url else None


def _number_shown(app: web.Application, connection_id: str, phone: str) -> str:
    """A number in the local desk, as the tenant of this connection lets its people see it."""
    directory = app[DIRECTORIES].current
    connection = directory.connections.get(connection_id)
    tenant = directory.tenants_by_id.get(connection.tenant_id) if connection is not None else None
    return phone if tenant is None or tenant.mask is None else tenant.mask.number(phone, tenant.country)


class _DeskTokens:
    """The tokens that `local` connections speak to the desk with, by their digests: a look-up tells nothing of them."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._directory: Directory | None = None
        #: Connection's id -> digest of its token, which never changes.
        self._digests: dict[str, bytes] = {}
        self._connections: dict[bytes, str] = {}

    def connection_of(self, token: str) -> str | None:
        """Id of the enabled connection whose token this is."""
        directory = self._app[DIRECTORIES].current
        if directory is not self._directory:
            self._connections = {
                self._digest_of(connection.id): connection.id
                for connection in directory.connections.values()
                if connection.enabled and connection.adapter == "local"
            }
            self._directory = directory
        return self._connections.get(_digest(token))

    def _digest_of(self, connection_id: str) -> bytes:
        digest = self._digests.get(connection_id)
        if digest is None:
            digest = self._digests[connection_id] = _digest(self._app[BOX].token(f"home:{connection_id}"))
        return digest


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


@web.middleware
async def _learn_home(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Where nobody told which port was bound (0, or a runner of somebody else's), the first request does."""
    home = request.app[HOME]
    if not home.is_bound and request.transport is not None:
        name = request.transport.get_extra_info("sockname")
        if isinstance(name, tuple):
            home.bound_to(name[0], name[1])
    return await handler(request)
