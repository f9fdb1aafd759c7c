import json
import sys

from google import genai

client = genai.Client(api_key="none", http_options={"base_url": sys.argv[1]})
events = []
for chunk in client.models.generate_content_stream(model="m", contents="a"):
    events.append(["message", chunk.text] if chunk.text is not None else ["chunk", ""])
print(json.dumps({"events": events}))
