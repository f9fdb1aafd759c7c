import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const client = new Client({ name: "thinks", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(`${process.argv[2]}/mcp`)));
const result = await client.callTool({ name: "think", arguments: { millis: 400 } }, undefined, { timeout: 15_000 });
console.log(JSON.stringify({ events: [["result", result.content[0].text]] }));
process.exit();
