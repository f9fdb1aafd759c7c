const [sdk, url, millis] = process.argv.slice(1);
const { Client } = await import(`${sdk}/client/index.js`);
const { StreamableHTTPClientTransport } = await import(`${sdk}/client/streamableHttp.js`);

const client = new Client({ name: "thinks", version: "1" });
try {
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const call = { name: "think", arguments: { millis: Number(millis) } };
  // Not a minute, as it is otherwise, for answers that are lost.
  const result = await client.callTool(call, undefined, { timeout: 20_000 });
  console.log(JSON.stringify({ text: result.content[0].text }));
} catch (error) {
  console.log(JSON.stringify({ error: `${error.message}` }));
}
process.exit();
