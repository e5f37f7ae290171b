// A client of HTTP/2 over TLS: Node's own.
//
//     node clients.mjs PORT CA
//
// Prints one line for each test, `ok NAME` or `FAIL NAME: why`.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import http2 from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";

const [port, ca] = process.argv.slice(2);
const session = http2.connect(`https://localhost:${port}`, { ca: readFileSync(ca) });
session.on("error", () => {});

function check(condition, what) {
  if (!condition) throw new Error(what);
}

// The answer to a stream: its head, its body and its trailers.
function answer(stream) {
  return new Promise((resolve, reject) => {
    const got = { head: null, body: [], trailers: {} };
    stream.on("response", (head) => (got.head = head));
    stream.on("data", (piece) => got.body.push(piece));
    stream.on("trailers", (trailers) => (got.trailers = trailers));
    stream.on("end", () => resolve({ ...got, body: Buffer.concat(got.body) }));
    stream.on("error", reject);
    stream.on("aborted", () => reject(new Error("aborted")));
  });
}

async function gets() {
  if (session.connecting) await new Promise((resolve) => session.once("connect", resolve));
  check(session.alpnProtocol === "h2", session.alpnProtocol);
  const paths = Array.from({ length: 30 }, (_, index) => `/say/${index}`);
  const all = await Promise.all(paths.map((path) => answer(session.request({ ":path": path }))));
  all.forEach(({ head, body }, index) => {
    check(head[":status"] === 200, head[":status"]);
    check(body.toString() === `GET ${paths[index]} https`, body.toString());
  });
}

// Sends as fast as the windows allow, and sees that they do not allow all at once.
async function uploads_with_progress() {
  const data = randomBytes(24 << 20);
  const stream = session.request({
    ":method": "PUT",
    ":path": "/api/v3/store/upload",
    "x-filename": "node.bin",
    "content-length": data.length,
  });
  const done = answer(stream);
  let waits = 0;
  for (let at = 0; at < data.length; at += 65536) {
    if (!stream.write(data.subarray(at, at + 65536))) {
      waits += 1;
      await new Promise((resolve) => stream.once("drain", resolve));
    }
  }
  stream.end();
  const { head, body } = await done;
  check(head[":status"] === 200, body.toString());
  const [file] = JSON.parse(body).data.files;
  check(file.name === "node.bin" && file.bytes === data.length, body.toString());
  check(file.sha256 === createHash("sha256").update(data).digest("hex"), "another sum");
  check(waits > 10, `${waits} waits`);
}

function framed(text) {
  const message = Buffer.from(text);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

async function grpc_by_hand() {
  const call = (path, text) => {
    const fields = { "content-type": "application/grpc", te: "trailers" };
    const stream = session.request({ ":method": "POST", ":path": path, ...fields });
    stream.end(framed(text));
    return answer(stream);
  };
  const { head, body, trailers } = await call("/test.Echo/Unary", "twice");
  check(head[":status"] === 200 && head["content-type"] === "application/grpc", "the head");
  check(body.equals(framed("twicetwice")), body.toString("latin1"));
  check(trailers["grpc-status"] === "0", JSON.stringify(trailers));
  const failed = await call("/test.Echo/Unary", "fail");
  const status = failed.trailers["grpc-status"] ?? failed.head["grpc-status"];
  check(status === "9", JSON.stringify([failed.head, failed.trailers]));
}

async function a_reset_leaves_the_others_alone() {
  const left = session.request({ ":method": "PUT", ":path": "/api/v3/store/upload" });
  left.on("error", () => {});
  left.write(randomBytes(100_000));
  await sleep(50);
  left.close(http2.constants.NGHTTP2_CANCEL);
  const { body } = await answer(session.request({ ":path": "/say/still" }));
  check(body.toString() === "GET /say/still https", body.toString());
}

for (const test of [
  gets,
  uploads_with_progress,
  grpc_by_hand,
  a_reset_leaves_the_others_alone,
]) {
  const late = sleep(20_000, null, { ref: false }).then(() => {
    throw new Error("nothing for 20 s");
  });
  try {
    await Promise.race([test(), late]);
    console.log(`ok ${test.name}`);
  } catch (error) {
    console.log(`FAIL ${test.name}: ${error.message}`);
  }
}
session.destroy();
