// A receiver of webhooks without packages: node receiver.mjs PORT, with the secret in WEBHOOK_SECRET.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const key = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
const tolerance = 5 * 60; // seconds: what was signed earlier may be a replay
const seen = new Set(); // a real receiver has a table for it, and writes both in one transaction

function isGenuine(headers, body) {
  const id = headers["webhook-id"], at = headers["webhook-timestamp"];
  if (!(Math.abs(Date.now() / 1000 - Number(at)) < tolerance)) return false;
  const expected = createHmac("sha256", key).update(`${id}.${at}.`).update(body).digest();
  return (headers["webhook-signature"] ?? "").split(" ").some((each) => {
    const shown = Buffer.from(each.replace(/^v1,/, ""), "base64");
    return each.startsWith("v1,") && shown.length === expected.length && timingSafeEqual(shown, expected);
  });
}

createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces); // the signature is of these bytes, not of parsed JSON
  if (!isGenuine(request.headers, body)) return response.writeHead(401).end();
  if (!seen.has(request.headers["webhook-id"])) {
    seen.add(request.headers["webhook-id"]);
    const { type, data } = JSON.parse(body);
    console.log(type, data.room);
  }
  response.writeHead(204).end();
}).listen(Number(process.argv[2]), "127.0.0.1");
