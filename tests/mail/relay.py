"""Real mail servers on loopback for the tests: one that can be told what to answer, and two that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass(frozen=True)
class Received:
    """What one SMTP transaction brought."""

    mail_from: str
    rcpt_tos: tuple[str, ...]
    content: bytes
    hello: str
    encrypted: bool
    peer: tuple[str, int]
    signed_in: str

    @property
    def message(self) -> EmailMessage:
        return BytesParser(EmailMessage, policy=default).parsebytes(self.content)

    @property
    def parts(self) -> list[str]:
        """The contents of the text part and of the HTML part."""
        return [part.get_content().replace("\r\n", "\n") for part in self.message.iter_parts()]

    def raw(self, name: str) -> list[str]:
        """The lines of a header as they came, folding and all."""
        head = self.content.partition(b"\r\n\r\n")[0].decode("ascii")
        lines = head.split("\r\n")
        for at, line in enumerate(lines):
            if line.lower().startswith(f"{name.lower()}:"):
                more = at + 1
                while more < len(lines) and lines[more][:1] in (" ", "\t"):
                    more += 1
                return lines[at:more]
        return []


@dataclass
class Relay:
    """A server's script and its log. A hook answers a line such as `450 4.2.0 later`, or None to accept."""

    on_mail: Callable[[str], str | None] = lambda _address: None
    on_rcpt: Callable[[str], str | None] = lambda _address: None
    on_data: Callable[[Received], str | None] = lambda _received: None
    drop_after_data: bool = False
    hold_seconds: float = 0.0
    pipelining: bool = False  # whether it says that it takes commands together
    port: int = 0
    received: list[Received] = field(default_factory=list)

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]] if self.pipelining else responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.on_mail(address)
        if answer is None:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return answer or "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.on_rcpt(address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        assert isinstance(session.peer, tuple)
        assert isinstance(server.transport, asyncio.Transport)
        received = Received(
            mail_from=envelope.mail_from or "",
            rcpt_tos=tuple(envelope.rcpt_tos),
            content=envelope.content,
            hello=str(session.host_name),
            encrypted=server.transport.get_extra_info("ssl_object") is not None,
            peer=(str(session.peer[0]), int(session.peer[1])),
            signed_in=session.auth_data or "",
        )
        if self.hold_seconds:
            time.sleep(self.hold_seconds)
        answer = self.on_data(received)
        if answer is None:
            self.received.append(received)
        if self.drop_after_data:
            server.transport.abort()
        return answer or "250 2.0.0 OK"

    @contextlib.contextmanager
    def serving(
        self, *, starttls: ssl.SSLContext | None = None, implicit: ssl.SSLContext | None = None
    ) -> Iterator[Relay]:
        self.port = free_port()
        controller = Controller(
            self,
            hostname="localhost",
            port=self.port,
            ssl_context=implicit,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=_sign_in,
            auth_require_tls=True,
            ident="relay",
        )
        controller.start()
        try:
            yield self
        finally:
            controller.stop()


def _sign_in(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    assert isinstance(data, LoginPassword)
    good = data.password == b"the relay's own word"
    return AuthResult(success=good, handled=False, auth_data=data.login.decode() if good else None)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def speaking(greeting: bytes, *, pause: float = 0.0) -> Iterator[int]:
    """A server that says one thing, or nothing, to whoever connects, and then only listens. Yields its port.

    `pause`: seconds between two bytes, which then never end.
    """
    lines: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line, _ = server.accept()
                    lines.append(line)
                    with contextlib.suppress(OSError):
                        while pause:
                            line.sendall(greeting[:1])
                            time.sleep(pause)
                    if greeting and not pause:
                        line.sendall(greeting)
                        line.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        port: int = server.getsockname()[1]
        try:
            yield port
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for line in lines:
                line.close()
