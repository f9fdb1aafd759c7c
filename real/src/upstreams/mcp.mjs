// An MCP server of the official TypeScript SDK, whose only tool blocks.
import { createServer } from "node:http";
import { setTimeout } from "node:timers/promises";

const [sdk, port, format] = process.argv.slice(1);
const { McpServer } = await import(`${sdk}/server/mcp.js`);
const { StreamableHTTPServerTransport } = await import(`${sdk}/server/streamableHttp.js`);
const { z } = await import(`${sdk}/../../../../zod/index.js`);

createServer(async (request, response) => {
  const server = new McpServer({ name: "thinker", version: "1" });
  server.registerTool("think", { inputSchema: { millis: z.number() } }, async ({ millis }) => {
    await setTimeout(millis);
    return { content: [{ type: "text", text: "forty-two" }] };
  });
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: undefined,
    enableJsonResponse: format === "json",
  });
  response.on("close", () => server.close());
  await server.connect(transport);
  await transport.handleRequest(request, response);
}).listen(Number(port), "127.0.0.1");
