import json
import sys

from openai import OpenAI

client = OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0)
chunks = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "a"}], stream=True)
events = []
for chunk in chunks:
    choices = getattr(chunk, "choices", None)
    events.append(["message", choices[0].delta.content] if choices else ["chunk", chunk.to_json(indent=None)])
print(json.dumps({"events": events}))
