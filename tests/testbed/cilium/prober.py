"""Runs inside one namespace, with the standard library only: answers there, and sends packets.

Reads one JSON command a line and writes one JSON answer a line, with the command's `id`. Every
server says its name and whom it heard, so that a client knows where its packet arrived and under
which address. A packet's fate is `arrived`, `refused` (a reset or an ICMP error came back),
`silent` (nothing came back) or `unroutable` (it could not be sent).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import struct
import sys
from functools import partial
from pathlib import Path
from typing import Any

NAME = sys.argv[1]
ZONE: dict[str, dict[str, Any]] = {}
KEPT: dict[str, socket.socket] = {}
REFUSED = (errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM)
UNROUTABLE = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EINVAL)
ICMP_ECHO = {socket.AF_INET: 8, socket.AF_INET6: 128}
ICMP_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def plain(address: str) -> str:
    return address.removeprefix("::ffff:")


def fate_of(error: OSError) -> str:
    if error.errno in REFUSED:
        return "refused"
    return "unroutable" if error.errno in UNROUTABLE else f"error {error.errno}"


def line(peer: Any, port: int) -> bytes:
    return f"{NAME} {plain(peer[0])} {peer[1]} {port}\n".encode()


async def serve_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        peer, own = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        greeting = line(peer, own[1])
        writer.write(greeting)
        while await reader.readline():
            writer.write(greeting)
    writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, port: int) -> None:
        self.port = port

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        answer = dns_answer(data) if self.port == 53 and ZONE else line(addr, self.port)
        self.transport.sendto(answer, addr)


async def serve_dns_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        size = struct.unpack(">H", await reader.readexactly(2))[0]
        answer = dns_answer(await reader.readexactly(size))
        writer.write(struct.pack(">H", len(answer)) + answer)
        await writer.drain()
    writer.close()


def read_name(packet: bytes, at: int) -> tuple[str, int]:
    parts: list[str] = []
    while packet[at]:
        if packet[at] & 0xC0:
            rest, _ = read_name(packet, struct.unpack(">H", packet[at : at + 2])[0] & 0x3FFF)
            return ".".join([*parts, rest]), at + 2
        parts.append(packet[at + 1 : at + 1 + packet[at]].decode())
        at += packet[at] + 1
    return ".".join(parts), at + 1


def write_name(name: str) -> bytes:
    return b"".join(bytes([len(one)]) + one.encode() for one in name.split(".") if one) + b"\0"


def dns_answer(query: bytes) -> bytes:
    """Answer from `ZONE`: by lower-case name `{"a": [], "aaaa": [], "cname": NAME, "ttl": S}`."""
    name, end = read_name(query, 12)
    kind = struct.unpack(">H", query[end : end + 2])[0]
    records = b""
    count, known = 0, name.lower() in ZONE
    while (zone := ZONE.get(name.lower())) is not None:
        ttl = int(zone.get("ttl", 30))
        if alias := zone.get("cname"):
            data = write_name(alias)
            records += write_name(name) + struct.pack(">HHIH", 5, 1, ttl, len(data)) + data
            count, name = count + 1, alias
            continue
        for address in zone.get({1: "a", 28: "aaaa"}.get(kind, ""), ()):
            data = socket.inet_pton(family_of(address), address)
            records += write_name(name) + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data
            count += 1
        break
    flags = b"\x81\x80" if known else b"\x81\x83"
    head = query[:2] + flags + struct.pack(">HHHH", 1, count, 0, 0)
    return head + query[12 : end + 4] + records


async def listen(tcp: list[int], udp: list[int], hosts: list[str]) -> None:
    """Answer on ports; datagrams on each of `hosts`, so that they leave from where they came to."""
    loop = asyncio.get_running_loop()
    host = "::" if Path("/proc/net/if_inet6").exists() else "0.0.0.0"  # noqa: S104  # its own namespace
    for port in tcp:
        serve = serve_dns_tcp if port == 53 and ZONE else serve_tcp
        server = socket.socket(family_of(host))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in host:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind((host, port))
        await asyncio.start_server(serve, sock=server)
    for port in udp:
        for own in hosts or [host]:
            await loop.create_datagram_endpoint(partial(Datagrams, port), sock=bound_udp(own, port))


def bound_udp(host: str, port: int) -> socket.socket:
    server = socket.socket(family_of(host), socket.SOCK_DGRAM)
    if host == "::":
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind((host, port))
    server.setblocking(False)  # noqa: FBT003  # the socket module's own
    return server


def answered(greeting: bytes, own: Any) -> dict[str, Any]:
    words = greeting.decode(errors="replace").split()
    if len(words) != 4:
        return {"fate": "arrived", "at": "", "own": list(own[:2])}
    return {
        "fate": "arrived",
        "at": words[0],
        "seen_as": words[1],
        "seen_port": int(words[2]),
        "port": int(words[3]),
        "own": list(own[:2]),
    }


async def send(command: dict[str, Any]) -> dict[str, Any]:
    """One connection or datagram; a name keeps the connection open for `again`."""
    kind = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM, "ICMP": socket.SOCK_RAW}
    protocol, address = command["protocol"], command["to"]
    family = family_of(address)
    number = socket.IPPROTO_ICMPV6 if family is socket.AF_INET6 else socket.IPPROTO_ICMP
    sock = socket.socket(family, kind[protocol], number if protocol == "ICMP" else 0)
    sock.setblocking(False)  # noqa: FBT003  # the socket module's own
    try:
        if command.get("from"):
            sock.bind((command["from"], 0))
        return await asyncio.wait_for(SENDERS[protocol](sock, command), command["wait"])
    except TimeoutError:
        return {"fate": "silent", "own": list(own_of(sock))}
    except OSError as error:
        return {"fate": fate_of(error), "own": list(own_of(sock))}
    finally:
        if command.get("keep") and protocol != "ICMP":
            KEPT[command["keep"]] = sock
        else:
            sock.close()


def own_of(sock: socket.socket) -> Any:
    with contextlib.suppress(OSError):
        return sock.getsockname()[:2]
    return ("", 0)


async def send_tcp(sock: socket.socket, command: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, (command["to"], command["port"]))
    try:  # a server of another kind waits for the client's first word
        greeting = await asyncio.wait_for(loop.sock_recv(sock, 200), command["wait"] / 2)
    except TimeoutError:
        greeting = b""
    return answered(greeting, own_of(sock))


async def send_udp(sock: socket.socket, command: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, (command["to"], command["port"]))
    await loop.sock_sendall(sock, b"hello\n")
    return answered(await loop.sock_recv(sock, 200), own_of(sock))


async def send_icmp(sock: socket.socket, command: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    sock.connect((command["to"], 0))
    token = os.urandom(8)
    head = struct.pack(">BBH", ICMP_ECHO[sock.family], 0, 0) + os.urandom(2) + b"\0\1"
    packet = head + token
    if sock.family is socket.AF_INET:
        packet = head[:2] + struct.pack(">H", checksum(packet)) + packet[4:]
    await loop.sock_sendall(sock, packet)
    while True:
        got = await loop.sock_recv(sock, 200)
        body = got[(got[0] & 15) * 4 :] if sock.family is socket.AF_INET else got
        if body.endswith(token) and body[0] == ICMP_REPLY[sock.family]:
            return {"fate": "arrived", "at": "", "own": list(own_of(sock))}


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


async def again(command: dict[str, Any]) -> dict[str, Any]:
    """One more line over a connection that was kept."""
    sock = KEPT[command["keep"]]
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(sock, b"more\n")
        got = await asyncio.wait_for(loop.sock_recv(sock, 200), command["wait"])
    except TimeoutError:
        return {"fate": "silent", "own": list(own_of(sock))}
    except OSError as error:
        return {"fate": fate_of(error), "own": list(own_of(sock))}
    return answered(got, own_of(sock)) if got else {"fate": "refused", "own": list(own_of(sock))}


async def look_up(command: dict[str, Any]) -> dict[str, Any]:
    """One DNS question over UDP or TCP."""
    kind = {"A": 1, "AAAA": 28}[command.get("type", "A")]
    question = write_name(command["name"]) + struct.pack(">HH", kind, 1)
    packet = os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0" + question
    loop = asyncio.get_running_loop()
    stream = command["protocol"] == "TCP"
    sock = socket.socket(
        family_of(command["to"]), socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
    )
    sock.setblocking(False)  # noqa: FBT003  # the socket module's own
    try:
        async with asyncio.timeout(command["wait"]):
            await loop.sock_connect(sock, (command["to"], command["port"]))
            await loop.sock_sendall(
                sock, struct.pack(">H", len(packet)) + packet if stream else packet
            )
            got = await loop.sock_recv(sock, 2000)
        own = list(own_of(sock))
    except TimeoutError:
        return {"fate": "silent", "own": list(own_of(sock))}
    except OSError as error:
        return {"fate": fate_of(error), "own": list(own_of(sock))}
    finally:
        sock.close()
    return {"fate": "arrived", "own": own, **read_answer(got[2:] if stream else got)}


def read_answer(packet: bytes) -> dict[str, Any]:
    if len(packet) < 12:
        return {"rcode": -1, "addresses": []}
    _, at = read_name(packet, 12)
    at += 4
    addresses = []
    for _ in range(struct.unpack(">H", packet[6:8])[0]):
        _, at = read_name(packet, at)
        kind, _, _, size = struct.unpack(">HHIH", packet[at : at + 10])
        data = packet[at + 10 : at + 10 + size]
        at += 10 + size
        if kind in (1, 28):
            family = socket.AF_INET if kind == 1 else socket.AF_INET6
            addresses.append(socket.inet_ntop(family, data))
    return {"rcode": packet[3] & 15, "addresses": addresses}


async def serve(command: dict[str, Any]) -> dict[str, Any]:
    ZONE.update(command.get("zone", {}))
    await listen(command.get("tcp", []), command.get("udp", []), command.get("hosts", []))
    return {}


async def forget(command: dict[str, Any]) -> dict[str, Any]:
    while KEPT:
        KEPT.popitem()[1].close()
    return {}


SENDERS = {"TCP": send_tcp, "UDP": send_udp, "ICMP": send_icmp}
COMMANDS = {"send": send, "again": again, "look up": look_up, "serve": serve, "forget": forget}


async def obey(command: dict[str, Any]) -> None:
    try:
        answer = await COMMANDS[command["do"]](command)
    except Exception as error:  # noqa: BLE001  # whatever it is belongs in the answer, not on a closed stderr
        answer = {"fate": "failed", "error": repr(error)}
    sys.stdout.write(json.dumps({"id": command["id"], **answer}) + "\n")
    sys.stdout.flush()


async def main() -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with asyncio.TaskGroup() as tasks:
        while text := await commands.readline():
            tasks.create_task(obey(json.loads(text)))
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
