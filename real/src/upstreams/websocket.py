"""Says things to a WebSocket, and prints what comes back."""

import asyncio
import hashlib
import json
import sys

import websockets


async def main(url):
    said = ["hello", "\N{SNOWMAN}" * 1000, b"", bytes(range(256)) * 16384]
    heard = []
    async with websockets.connect(url, max_size=64 * 1024 * 1024, subprotocols=["a"]) as socket:
        for message in said:
            await socket.send(message)
            back = await socket.recv()
            kind = "text" if isinstance(back, str) else "bytes"
            heard.append([kind, hashlib.sha256(back.encode() if kind == "text" else back).hexdigest()])
            assert back == message
        await (await socket.ping(b"alive"))
        await socket.close(1000, "done")
        return {"heard": heard, "closed": socket.close_code, "extensions": str(socket.protocol.extensions)}


print(json.dumps(asyncio.run(main(sys.argv[1]))))
