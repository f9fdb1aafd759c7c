// Servers of Node's own: HTTP/1.1 on the first port, HTTP/2 by prior knowledge on the second.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { createServer as createServer2 } from "node:http2";

const [one, two] = process.argv.slice(1).map(Number);
const large = Buffer.alloc(8 * 1024 * 1024, createHash("sha512").update("large").digest());

async function answer(request, response) {
  switch (request.url) {
    case "/large":
      response.setHeader("content-length", large.length);
      response.end(large);
      break;
    case "/trailers": {
      const sum = createHash("sha256");
      for await (const piece of request) sum.update(piece);
      response.setHeader("trailer", "x-sum, x-got");
      response.write("body");
      response.addTrailers({ "x-sum": sum.digest("hex"), "x-got": request.trailers["x-sent"] ?? "none" });
      response.end();
      break;
    }
    case "/flood": {
      const piece = large.subarray(0, 65_536);
      const more = () => {
        while (response.write(piece));
      };
      response.on("drain", more);
      more();
      break;
    }
    case "/hinted":
      response.writeEarlyHints?.({ link: "</style.css>; rel=preload" });
      response.statusCode = 418;
      if (request.httpVersion === "1.1") response.statusMessage = "Short And Stout";
      response.end("hinted");
      break;
    case "/seen": {
      const seen = [];
      for (const [name, value] of Object.entries(request.headers)) seen.push([name, value]);
      response.end(JSON.stringify(seen));
      break;
    }
    default:
      for await (const piece of request) response.write(piece);
      response.end();
  }
}

const first = createServer(answer);
// Another protocol, which sends back what it gets.
first.on("upgrade", (request, socket, head) => {
  const protocol = request.headers.upgrade;
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ${protocol}\r\n\r\n`);
  socket.write(head);
  socket.on("error", () => {});
  socket.pipe(socket);
});
first.listen(one, "127.0.0.1");
createServer2(answer).listen(two, "127.0.0.1");
