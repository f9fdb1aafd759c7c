/** Reads a stream as browsers do, with whoever's `EventSource`. */
export async function read(Source) {
  const events = [];
  await new Promise((resolve) => {
    const source = new Source(`${process.argv[2]}/events`);
    const note = (event) => {
      events.push([event.type, event.data]);
      if (event.data === "three") source.close(), resolve();
    };
    source.onmessage = note;
    source.addEventListener("ping", note);
    source.onerror = () => { source.close(); resolve(); };
  });
  console.log(JSON.stringify({ events }));
  process.exit();
}
