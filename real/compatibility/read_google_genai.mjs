import { GoogleGenAI } from "@google/genai";

const client = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: process.argv[2] } });
const events = [];
for await (const chunk of await client.models.generateContentStream({ model: "m", contents: "a" })) {
  events.push(chunk.text === undefined ? ["chunk", ""] : ["message", chunk.text]);
}
console.log(JSON.stringify({ events }));
