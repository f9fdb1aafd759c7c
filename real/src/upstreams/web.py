"""A web server of starlette, sse-starlette and uvicorn, that knows nothing of what is in front of it."""

import asyncio
import gzip
import hashlib
import sys

import uvicorn
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

port, folder = sys.argv[1:]
LARGE = hashlib.sha512(b"large").digest() * (8 * 1024 * 1024 // 64)
with open(f"{folder}/file.txt", "wb") as file:
    file.write(LARGE[:100_000])


async def events(request):
    silence = int(request.query_params["silence"]) / 1000

    async def two():
        yield {"data": "first", "id": "1"}
        await asyncio.sleep(silence)
        yield {"data": "second\nline", "event": "more", "id": "2"}

    return EventSourceResponse(two(), ping=3600)


async def large(request):
    return Response(LARGE, media_type="application/octet-stream")


async def chunks(request):
    async def pieces():
        for start in range(0, len(LARGE), 77_777):
            yield LARGE[start : start + 77_777]

    return StreamingResponse(pieces(), media_type="application/octet-stream")


class Echo:
    """Without starlette's own streams, which listen to the request while they send."""

    async def __call__(self, scope, receive, send):
        headers = [(name, value) for name, value in scope["headers"] if name == b"content-type"]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})


async def digest(request):
    found = hashlib.sha256()
    async for piece in request.stream():
        found.update(piece)
    return JSONResponse({"method": request.method, "sha256": found.hexdigest()})


async def zipped(request):
    headers = {"content-encoding": "gzip", "vary": "accept-encoding"}
    return Response(gzip.compress(LARGE[:100_000], mtime=0), headers=headers, media_type="text/plain")


async def nothing(request):
    return Response(status_code=204)


async def cookies(request):
    response = JSONResponse({"cookies": request.cookies, "query": request.url.query, "path": request.scope["raw_path"].decode()})
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


async def seen(request):
    return JSONResponse([[name, value] for name, value in request.headers.items()])


async def elsewhere(request):
    return RedirectResponse("/seen", status_code=307)


async def broken(request):
    raise RuntimeError("on purpose")


async def socket(websocket):
    await websocket.accept()
    while (message := await websocket.receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await websocket.send_text(message["text"])
        else:
            await websocket.send_bytes(message["bytes"])


ANY = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
app = Starlette(
    routes=[
        Route("/events", events),
        Route("/large", large),
        Route("/chunks", chunks),
        Route("/echo", Echo()),
        Route("/digest", digest, methods=ANY),
        Route("/zipped", zipped),
        Route("/nothing", nothing),
        Route("/cookies/{rest:path}", cookies),
        Route("/seen", seen),
        Route("/elsewhere", elsewhere),
        Route("/broken", broken),
        WebSocketRoute("/socket", socket),
        Mount("/files", StaticFiles(directory=folder)),
    ]
)
uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", ws_max_size=64 * 1024 * 1024)
