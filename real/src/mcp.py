import asyncio
import json
import sys

from mcp import Client


def leaves(error):
    """What went wrong, without the groups that it comes in."""
    for inner in getattr(error, "exceptions", ()):
        yield from leaves(inner)
    if not hasattr(error, "exceptions"):
        yield str(error) or type(error).__name__


async def main(url, millis):
    async with Client(url) as client:
        result = await client.call_tool("think", {"millis": int(millis)})
        return result.content[0].text


try:
    print(json.dumps({"text": asyncio.run(main(*sys.argv[1:]))}))
except Exception as error:
    print(json.dumps({"error": "; ".join(leaves(error))}))
