import json
import sys

import httpx
from httpx_sse import connect_sse

with httpx.Client() as client, connect_sse(client, "GET", sys.argv[1] + "/events") as source:
    print(json.dumps({"events": [[event.event, event.data] for event in source.iter_sse()]}))
