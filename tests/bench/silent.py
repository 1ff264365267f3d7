"""An Exotel that knows of no call, as a process: it costs next to nothing, whatever it is asked."""

from aiohttp import web

from connector.kit.standin import run, serve

_ANSWER = b'{"Metadata": {"Total": 0, "PageSize": 50, "FirstPageUri": null, "NextPageUri": null}, "Calls": []}'


async def _nothing(_request: web.Request) -> web.Response:
    return web.Response(body=_ANSWER, content_type="application/json")


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/v1/Accounts/{sid}/{calls:Calls(.json)?}", _nothing)
    run(serve(app, 0))
