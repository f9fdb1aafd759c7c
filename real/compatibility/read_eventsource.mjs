import { EventSource } from "eventsource";

import { read } from "./read_event_source.mjs";

await read(EventSource);
