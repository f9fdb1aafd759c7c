import asyncio
import json
import sys

from mcp import Client


async def main(url):
    async with Client(url + "/mcp") as client:
        result = await client.call_tool("think", {"millis": 400})
        return [["result", result.content[0].text]]


print(json.dumps({"events": asyncio.run(asyncio.wait_for(main(sys.argv[1]), 15))}))
