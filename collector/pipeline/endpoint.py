"""Where a server listens: reading `host:port`, binding it, and saying who has the port when somebody has it."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.pipeline.component import StartError

# Connections that wait for accept(). Linux cuts it down to net.core.somaxconn.
_BACKLOG: Final = 1024
_TCP_LISTEN: Final = "0A"  # include/net/tcp_states.h


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and a port. No host means every interface; port 0 means any free port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read `127.0.0.1:4317`, `localhost:4317`, `[::1]:4317`, `:4317`.

        Raises:
            ValueError: with what was expected.
        """
        host, colon, port = text.strip().rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is not an endpoint: write host:port, like 127.0.0.1:4317")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"{text!r} is not an endpoint: write an IPv6 address like [::1]:4317")
        if "/" in host or "[" in host or "]" in host:
            raise ValueError(f"{text!r} is not an endpoint: write host:port without a scheme or a path")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoint_text(text: str) -> str:
    """Return `text` if it is an endpoint. For `option(parse=...)`: configs keep what the user wrote."""
    Endpoint.parse(text)
    return text


def on_loopback(text: str) -> bool:
    """Whether only this machine can reach an endpoint."""
    host = Endpoint.parse(text).host
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name, or none, which is every interface
        return False


def bind(endpoint: Endpoint) -> list[socket.socket]:
    """Listen at every address of `endpoint`; `localhost` may have two. All have the same port.

    Raises:
        StartError: the host is unknown, or the port is taken, forbidden, or not on this machine.
    """
    try:
        found = socket.getaddrinfo(
            endpoint.host or None, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise StartError(f"cannot listen at {endpoint}: {error.strerror or error}") from error
    sockets: list[socket.socket] = []
    port = endpoint.port
    try:
        for family, _, _, _, address in sorted(found, key=lambda entry: entry[0]):
            try:
                # The protocol is named because asyncio turns Nagle's algorithm off only for sockets that say
                # TCP; without it each answer waits 40 ms for the client's delayed ACK.
                listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            except OSError:
                continue  # a kernel without IPv6 resolves names to addresses it cannot have
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                listening.bind((address[0], port, *address[2:]))
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL and len(found) > 1:
                    sockets.pop().close()  # `localhost` as ::1 in a container without IPv6 addresses
                    continue
                raise
            listening.listen(_BACKLOG)
            listening.setblocking(False)
            port = listening.getsockname()[1]
    except OSError as error:
        for listening in sockets:
            listening.close()
        raise cannot_bind(endpoint, error) from error
    if not sockets:
        raise StartError(f"cannot listen at {endpoint}: none of its addresses is on this machine")
    return sockets


def cannot_bind(endpoint: Endpoint, error: OSError | None = None) -> StartError:
    """The `StartError` for a bind that failed: what is wrong, who has the port if it can be seen, what to do."""
    number = error.errno if error is not None else None
    if number == errno.EACCES:
        return StartError(
            f"cannot listen at {endpoint}: ports below 1024 need privileges; set 'endpoint' to a higher port"
        )
    if number == errno.EADDRNOTAVAIL:
        return StartError(
            f"cannot listen at {endpoint}: this machine has no address {endpoint.host!r}; correct 'endpoint'"
        )
    holder = port_holder(endpoint.port)
    if number == errno.EADDRINUSE or holder:
        return StartError(
            f"cannot listen at {endpoint}: port {endpoint.port} is in use by {holder or 'another process'}; "
            "stop it, or set 'endpoint' to a free port"
        )
    return StartError(f"cannot listen at {endpoint}: {error.strerror if error else 'the bind failed'}")


def port_holder(port: int) -> str | None:
    """Who listens at a TCP `port` of this machine, as `"name" (process 123)`; None if it cannot be seen.

    Reads /proc (Linux; proc_net_tcp and proc_pid_fd of the kernel's documentation). Other users' processes
    do not show their sockets, so None is common and not an error.
    """
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) in inodes:
                process = descriptor.parent.parent
                return f'"{(process / "comm").read_text().strip()}" (process {process.name})'
        except OSError:
            continue  # closed meanwhile, or not ours to look at
    return None


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            local, state, inode = columns[1], columns[3], columns[9]
            if state == _TCP_LISTEN and int(local.rpartition(":")[2], 16) == port:
                found.add(f"socket:[{inode}]")
    return found
