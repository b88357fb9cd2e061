"""A site's pages and our edge, really served, while a browser in the same test visits them."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from perso_core.assembly import open_perso
from perso_core.definitions.toml_file import definitions_from_toml
from perso_core.settings import Settings
from tests.demo.browser import ROOT
from tests.patience import PATIENT_MS

PERSO_JS = ROOT / "perso_core/edge/static/perso.js"
ALIASES = ["personalizationAlias", "adServerAlias", "crmAlias"]
SNEAKER_BROWSER = "4c139957-5db5-5a29-be13-38e2ae6e7b3d"
ORG = "5BFE274A5F6980A50A495C08@AdobeOrg"

# A page with nothing but scripts. alloy's base code is a queue; perso.js needs none.
_PAGE = """<!doctype html><html lang="en"><title>A page</title>
<script>
  (window.__alloyNS = window.__alloyNS || []).push("alloy");
  window.alloy = (...words) => new Promise((ok, no) => window.alloy.q.push([ok, no, words]));
  window.alloy.q = [];
</script>
"""
PERSO_PAGE = "/perso"


def edge_and_pages(
    data_dir: Path,
    sdk: Path,
    *,
    origins: list[str],
    scripts: Sequence[str] = ("/sdk.js",),
    more: web.Application | None = None,
) -> Callable[[], AbstractAsyncContextManager[web.Application]]:
    """An application of the demo's definitions: the edge under /ee, pages at / and /two.

    sdk: served as /sdk.js. scripts: what those pages load; /perso loads perso.js from the edge,
    /bare nothing.
    origins: those that the datastream allows. more: mounted under /more.
    """

    def _page(*loaded: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        text = _PAGE + "\n".join(f'<script src="{script}"></script>' for script in loaded)

        async def page(_: web.Request) -> web.Response:
            return web.Response(text=text, content_type="text/html")

        return page

    async def _script(_: web.Request) -> web.FileResponse:
        return web.FileResponse(sdk, headers={"Content-Type": "text/javascript"})

    @asynccontextmanager
    async def opened() -> AsyncIterator[web.Application]:
        text = (ROOT / "demo_site/perso.toml").read_text(encoding="utf-8")
        allowed = text.replace(
            '["http://127.0.0.1:8080", "http://localhost:8080"]', str(origins).replace("'", '"')
        )
        settings = Settings(
            data_dir=str(data_dir), load_timeout_ms=PATIENT_MS, answer_within_ms=PATIENT_MS
        )
        async with open_perso(settings) as perso:
            await perso.apply(definitions_from_toml(allowed))
            app = web.Application()
            app.router.add_get("/", _page(*scripts))
            app.router.add_get("/two", _page(*scripts))
            app.router.add_get("/bare", _page())
            app.router.add_get(PERSO_PAGE, _page("/ee/perso.js"))
            app.router.add_get("/sdk.js", _script)
            app.add_subapp("/ee", perso.edge_app())
            if more is not None:
                app.add_subapp("/more", more)
            yield app

    return opened


@contextmanager
def served(
    opened: Callable[[], AbstractAsyncContextManager[web.Application]],
    *,
    tls: ssl.SSLContext | None = None,
) -> Iterator[int]:
    """The port on 127.0.0.1 under which the application answers, in a thread of its own."""
    loop = asyncio.new_event_loop()
    ready: list[int] = []
    started, failed = threading.Event(), []
    stopping = asyncio.Event()

    async def run() -> None:
        async with opened() as app:
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            ready.append(runner.addresses[0][1])
            started.set()
            await stopping.wait()
            await runner.cleanup()

    def thread() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(run())
        except BaseException as error:
            failed.append(error)
            started.set()
        finally:
            loop.close()

    worker = threading.Thread(target=thread, name="served")
    worker.start()
    started.wait(30)
    try:
        if failed:
            raise failed[0]
        yield ready[0]
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stopping.set)
        worker.join(30)


def self_signed(directory: Path, *hosts: str) -> ssl.SSLContext:
    """A server's TLS with a certificate of our own for these host names."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=7))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    chain, private = directory / "chain.pem", directory / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, private)
    return context
