import { createParser } from "eventsource-parser";

const events = [];
const parser = createParser({ onEvent: (event) => events.push([event.event ?? "message", event.data]) });
const response = await fetch(`${process.argv[2]}/events`);
for await (const text of response.body.pipeThrough(new TextDecoderStream())) parser.feed(text);
console.log(JSON.stringify({ events }));
