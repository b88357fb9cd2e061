"""Connections that hold on without asking anything: closed by deadlines of our own.

aiohttp waits an hour for the rest of a request's head. Here a head that has begun, or a
connection that sends nothing at all, has some seconds, and there are only so many connections.
Bodies have their own time (arrival.py), and are left as they came: what we refuse compressed is
not unpacked first. Who was refused, and sends the same again, is refused as their bytes come
(refused_again.py). A POST that came whole, to a path that has its answer, is answered straight from
what aiohttp's parser made of it: its request, stream and response cost more than most answers. And
where its headers came before, from what they are known to say (known_heads.py).

aiohttp also logs each request that it cannot read, with its bytes and a traceback, and tells them
back. There may be a token among them, and whoever can connect could fill the log: here neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiohttp import ClientConnectionResetError, hdrs, web
from aiohttp.http import HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from perso_core.edge.asked import Asked, Content, Here, WholeRequest
from perso_core.edge.header_facts import facts_of
from perso_core.edge.http_answer import HttpAnswer
from perso_core.edge.known_heads import KnownHeads, Whole, line_of, was_read, whole_in
from perso_core.edge.problem import HttpBad, Report
from perso_core.edge.refused_again import Refused, RefusedAgain, is_all
from perso_core.edge.wire import encode_problem

# What answers a POST.
Straight = Callable[[Asked], Awaitable[HttpAnswer]]

UNREADABLE = encode_problem(
    HttpBad("It cannot be read.", fix="Send one HTTP/1.1 request after the other.").problem(
        Report()
    )
)
FAILED = HttpAnswer(
    500,
    (("Content-Type", "text/plain; charset=utf-8"),),
    b"500 Internal Server Error\n\nServer got itself in trouble",
)


class Guard(Protocol):
    """The server of connections, as they ask it. straight, again: see GuardedRunner (guard.py).
    full: there are more connections than may be. leaving: each answer is its connection's last."""

    straight: Mapping[str, Straight]
    again: RefusedAgain | None
    known: KnownHeads
    leaving: bool
    requests_count: int  # as aiohttp counts

    @property
    def full(self) -> bool: ...
    def tell_later(self, connection: Connection, refusal: bytes, wait_s: float) -> None: ...


class Connection(RequestHandler):
    """A head that arrives whole costs no timer. server: whose it is, as aiohttp asks it; guard: the
    same, as we do."""

    __slots__ = (
        "_answering",
        "_at_a_beginning",
        "_begun",
        "_body",
        "_deadline",
        "_guard",
        "_head_within_s",
        "_refusal",
        "_straight",
    )

    def __init__(
        self, server: web.Server, *, guard: Guard, head_within_s: float, **more: Any
    ) -> None:
        super().__init__(server, **more)
        self._guard = guard
        self._head_within_s = head_within_s
        self._deadline: asyncio.TimerHandle | None = None
        self._body: StreamReader = EMPTY_PAYLOAD  # of the request that aiohttp read last
        self._at_a_beginning = False  # the next bytes begin a request
        self._refusal: bytes | None = None  # that is to be told
        self._begun = False  # aiohttp's task
        self._straight: WholeRequest | None = None  # that is being answered
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._guard.full:
            self.force_close()
        else:
            self._begin()
            self._at_a_beginning = True
            if self._guard.leaving:
                self.answer_once_more()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end()
        self._refusal = None
        self._body = EMPTY_PAYLOAD  # which knows its connection, and that it
        waiter, task = self._waiter, self._task_handler
        if task is not None and waiter is not None and waiter.done():
            task.cancel()  # else it goes on with what came, and there is nothing to go on with
        super().connection_lost(exc)

    def answer_once_more(self) -> None:
        """The next answer, or the last of requests that came together, says that it is the last."""
        make = self._request_factory
        if make is None:  # whoever was to be answered has gone, and aiohttp is not done with it
            return

        def made(message: RawRequestMessage, *more: Any) -> web.BaseRequest:
            return make(message._replace(should_close=not self._messages), *more)

        self._request_factory = made

    @property
    def receiving(self) -> bool:
        """Whether there is a request that is not answered, with a body that is not all here."""
        asked = self._current_request is not None or bool(self._messages)
        return self.transport is not None and asked and not self._body.is_eof()

    def data_received(self, data: bytes) -> None:
        # aiohttp calls this without any to go on with what it has.
        if data and self._refused_again(data):
            return
        before, idle = self._request_count, self._idle
        whole = whole_in(data) if data and idle and self._at_a_beginning else None
        if whole is not None and self._answer_known(whole):
            return
        # aiohttp would wake whoever waits for a request.
        waiter, self._waiter = self._waiter, None
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if data:
            self._at_a_beginning = idle and self._came_alone(data, before, whole)
        if self._request_count != before:
            self._end()
            self._body = self._messages[-1][1]
            if not (idle and self._answer_straight(whole)):
                self._wake()
        elif self._deadline is None and self._idle:
            # Nobody waits for a body, so these bytes are part of a head.
            self._begin()

    def _came_alone(self, data: bytes, before: int, whole: Whole | None) -> bool:
        """Whether the bytes that were read were one request, and nothing else: only then is what
        comes next known to begin one. before: how many requests had come. whole: what they look
        like, where they were known to begin one."""
        if self._request_count != before + 1:
            return False
        message, body = self._messages[-1]
        if not isinstance(message, RawRequestMessage) or not body.is_eof() or self._message_tail:
            return False
        return is_all(data, message) if whole is None else was_read(whole, message, body)

    @property
    def _waits(self) -> bool:
        """Whether no request is being answered: the first may be here before aiohttp begins."""
        return (self._waiter is not None or not self._begun) and self._straight is None

    @property
    def _idle(self) -> bool:
        return self._waits and not self._messages

    def _wake(self) -> None:
        """aiohttp goes on with the requests that came."""
        waiter = self._waiter
        if self._messages and self._straight is None and waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def start(self) -> None:
        self._begun = True
        if self._messages and self._answering is not None:  # both came before aiohttp began
            await asyncio.wait((self._answering,))
            if self.transport is None:
                return
        await super().start()

    # ---- what is answered straight ----

    def _answer_known(self, whole: Whole) -> bool:
        """Whether it is, by what its headers are known to say: aiohttp hears nothing of it then.
        whole: what the bytes look like that came. Nothing else was to be answered."""
        facts = self._guard.known.facts(whole.fields)
        line = line_of(whole) if facts is not None else None
        answer = self._guard.straight.get(line.path) if line is not None else None
        if (
            facts is None
            or line is None
            or answer is None
            or self._close
            or self._force_close
            or not self._tells_at_once
            or whole.line > self.max_line_size
        ):
            return False
        self._request_count += 1
        self._end()
        self._answer(WholeRequest(line, facts, Here(whole.body), self), answer)
        return True

    def _answer_straight(self, whole: Whole | None) -> bool:
        """Whether the requests that came are one that is. whole: what its bytes look like, where
        they were known to begin it. Nothing else was to be answered."""
        message, body = self._messages[0]
        if len(self._messages) > 1 or not isinstance(message, RawRequestMessage):
            return False
        answer = self._guard.straight.get(message.path.partition("?")[0])
        if answer is None or self._parser is None or not self._goes_straight(message, body):
            return False
        self._messages.clear()
        self._parser.message_consumed()
        facts = facts_of(message.headers, message.headers[hdrs.HOST])
        content: Content = body
        if whole is not None and self._at_a_beginning:  # and so it was read
            content = Here(whole.body)
            if not message.should_close:
                self._guard.known.came(whole.fields, facts)
        self._answer(WholeRequest(message, facts, content, self), answer)
        return True

    def _goes_straight(self, message: RawRequestMessage, body: StreamReader) -> bool:
        """Whether it is all here, and asks for nothing but an answer, which may be told at once."""
        return (
            body.is_eof()
            and message.method == "POST"
            and message.version == HttpVersion11
            and not message.upgrade
            and hdrs.HOST in message.headers
            and hdrs.EXPECT not in message.headers
            and self._tells_at_once
        )

    @property
    def _tells_at_once(self) -> bool:
        return (
            not self._guard.leaving
            and not self._logging_enabled
            and not self._paused  # answers are read
        )

    def _answer(self, request: WholeRequest, answer: Straight) -> None:
        self._guard.requests_count += 1
        self._request_in_progress = True
        self._straight = request
        self._answering = self._loop.create_task(self._answered(request, answer))

    async def _answered(self, request: WholeRequest, answer: Straight) -> None:
        last = request.last
        try:
            self._tell(request, await answer(request), last=last)
        except Exception as error:
            self.log_exception("Error handling request from %s", request.remote, exc_info=error)
            last = True
            self._tell(request, FAILED, last=last)
        except BaseException:
            self.force_close()
            raise
        finally:
            self._over()
        if last or self._close or self._force_close:
            self.force_close()
        else:
            self._keep_alive()

    def _tell(self, request: WholeRequest, told: HttpAnswer, *, last: bool) -> None:
        """Raises as HttpAnswer.encoded does, and then nothing was told."""
        encoded = told.encoded(last=last)
        if self.transport is not None:
            self.transport.write(encoded)

    def _keep_alive(self) -> None:
        """Until the next request, which may be here; as aiohttp does after each."""
        self._keepalive = True
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(
                self._next_keepalive_close_time, self._process_keepalive
            )
        self._wake()

    def _over(self) -> None:
        self._straight = self._answering = None
        self._request_in_progress = False
        stopping = self._handler_waiter
        if stopping is not None and not stopping.done():
            stopping.set_result(None)

    def _process_keepalive(self) -> None:
        if self._straight is not None:  # for aiohttp the connection is idle
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109  as aiohttp's
        """As aiohttp's, but that an answer under way has the timeout once."""
        await super().shutdown(timeout)
        if self._answering is not None:
            self._answering.cancel()

    # ---- who is refused as their bytes come ----

    def remember_refused(self, refused: Refused, request_id: str) -> None:
        """The request under way was."""
        again, request = self._guard.again, self._current_request
        if again is None:
            return
        if self._straight is not None:
            again.remember(self._straight.message, refused, request_id)
        elif request is not None:
            again.remember(request._message, refused, request_id)

    def _refused_again(self, data: bytes) -> bool:
        """Whether a refusal is all that there is to do with these bytes, of which aiohttp hears
        nothing then."""
        self.tell_refusal()  # where a transport cannot be paused, in the order of requests
        again, guard = self._guard.again, self._guard
        if (
            again is None
            or not again.armed
            or not self._at_a_beginning
            or self._deadline is not None  # a head has begun
            or not self._idle
            or self._force_close
            or self._paused  # answers are not read
            or self.transport is None
            or guard.leaving
        ):
            return False
        peer = self.transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else None  # a Unix socket has none
        self._refusal = again.refusal(data, address)
        if self._refusal is None:
            return False
        wait_s = again.waits_s
        # aiohttp heard of no request: else it would close an idle connection before it is told.
        self._next_keepalive_close_time = self._loop.time() + wait_s + self._keepalive_timeout
        if wait_s:
            self._pause_transport_reading()  # as long as it waits there is no more to answer
            guard.tell_later(self, self._refusal, wait_s)
        else:
            self.tell_refusal()
        return True

    def tell_refusal(self, refusal: bytes | None = None) -> None:
        """The answer that waits to be told, if one does. refusal: if it is this one."""
        waiting = self._refusal
        if waiting is None or (refusal is not None and waiting is not refusal):
            return
        self._refusal = None
        if self.transport is not None:
            self.transport.write(waiting)
            self._resume_transport_reading()

    # aiohttp's gives nothing, by which the transport closes.
    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether the connection stays open for now, whose other side sends no more: until the
        requests that came whole are answered."""
        self.tell_refusal()
        idle = self._waits or not self._request_count
        if not self._body.is_eof() or (idle and not self._messages):
            return False
        if self._messages:
            self.answer_once_more()
        else:
            self.close()  # with the answer under way
        return True

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, ClientConnectionResetError):  # nobody is there to be told
            return web.Response(status=status)
        unreadable = isinstance(exc, HttpProcessingError) or _expects_no_text(request, exc)
        if not unreadable or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        answer = web.Response(
            status=HttpBad.status, body=UNREADABLE, content_type="application/problem+json"
        )
        answer.force_close()  # where the next request begins is not known
        return answer

    def _begin(self) -> None:
        self._deadline = self._loop.call_later(self._head_within_s, self._expire)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        self.force_close()


def _expects_no_text(request: web.BaseRequest, fault: BaseException | None) -> bool:
    """Whether aiohttp failed to tell back what it does not know in Expect."""
    expected = request.headers.get(hdrs.EXPECT, "")
    return isinstance(fault, UnicodeEncodeError) and not expected.isascii()
