"""An MCP server of the official Python SDK, whose only tool blocks."""

import asyncio
import sys

import uvicorn
from mcp.server import MCPServer

server = MCPServer("thinker")


@server.tool()
async def think(millis: int) -> str:
    await asyncio.sleep(millis / 1000)
    return "forty-two"


app = server.streamable_http_app(json_response=sys.argv[2] == "json")
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
