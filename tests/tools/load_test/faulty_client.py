"""A telemetry client with a fault of its own: this project's, behind something that spoils one frame.

Run it with ``--host``, ``--port`` and ``--fault``: ``drop``, ``alter``, ``repeat``, ``replace`` (by the
topic's next frame, which comes twice), ``leave`` (end at that frame), ``lag`` (hold up each one from there)
or ``none``.
"""

import argparse
import asyncio
import signal
import sys

#: Number of the frame that is spoiled.
SPOILED = 100

#: How long a frame is held up [s]: at the full rate, they come faster.
LAG = 0.015

TERMINATOR = b"\r\n"
CLIENT = "import sys, mtmount_telemetry_launcher as launcher; sys.exit(launcher.run_client())"


def spoil(frame: bytes, fault: str) -> bytes:
    if fault in ("lag", "none"):
        return frame
    if fault in ("drop", "replace"):
        return b""
    if fault == "repeat":
        return frame + frame
    # The first decimal of the last number becomes another one.
    head, point, tail = frame.rpartition(b".")
    return head + point + bytes([tail[0] ^ 1]) + tail[1:]


async def relay(host: str, port: int, client: asyncio.StreamWriter, fault: str) -> None:
    tma, writer = await asyncio.open_connection(host, port)
    number = 0
    replaced = None
    try:
        while frame := await tma.readuntil(TERMINATOR):
            number += 1
            topic_id = frame.partition(b",")[0]
            if topic_id == replaced:
                frame += frame
                replaced = None
            if number == SPOILED and fault == "replace":
                replaced = topic_id
            if number == SPOILED and fault == "leave":
                signal.raise_signal(signal.SIGTERM)
                return
            if number >= SPOILED and fault == "lag":
                await asyncio.sleep(LAG)
            client.write(spoil(frame, fault) if number == SPOILED else frame)
            await client.drain()
    finally:
        writer.close()


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--fault", required=True)
    args = parser.parse_args()
    tasks = []

    async def serve(_: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(relay(args.host, args.port, client, args.fault)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, "--host", "127.0.0.1", "--port", str(port)
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, client.terminate)
    status = await client.wait()
    for task in tasks:
        task.cancel()
    return status


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
