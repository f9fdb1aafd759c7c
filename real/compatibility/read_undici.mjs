import { EventSource } from "undici";

import { read } from "./read_event_source.mjs";

await read(EventSource);
