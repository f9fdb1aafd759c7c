import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none", maxRetries: 0 });
const stream = await client.chat.completions.create({ model: "m", messages: [{ role: "user", content: "a" }], stream: true });
const events = [];
for await (const chunk of stream) {
  events.push(chunk.choices ? ["message", chunk.choices[0].delta.content] : ["chunk", JSON.stringify(chunk)]);
}
console.log(JSON.stringify({ events }));
