// The EventSource of npm's package, until it has heard two events or fails.
const [eventsource, url] = process.argv.slice(1);
const { EventSource } = await import(eventsource);

const heard = [];
const source = new EventSource(url);
const hear = ({ type, data, lastEventId }) => {
  heard.push([type, data, lastEventId]);
  if (heard.length === 2) finish();
};
const finish = () => {
  console.log(JSON.stringify(heard));
  process.exit();
};
source.addEventListener("message", hear);
source.addEventListener("more", hear);
source.addEventListener("error", () => {
  heard.push(["error"]);
  finish();
});
