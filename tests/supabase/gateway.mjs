// What stands before PostgREST at Supabase: checks the API key, makes a token of it, takes /rest/v1 away.
//   node gateway.mjs PORT UPSTREAM_SOCKET JWT_SECRET PUBLISHABLE_KEY SECRET_KEY
import http from "node:http";
import { createHmac } from "node:crypto";

const [port, socketPath, secret, publishable, secretKey] = process.argv.slice(2);
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const token = (role) => {
  const said = `${part({ alg: "HS256", typ: "JWT" })}.${part({ role, iss: "supabase", exp: 4102444800 })}`;
  return `${said}.${createHmac("sha256", secret).update(said).digest("base64url")}`;
};
const anon = token("anon");
const service = token("service_role");
const tokens = new Map([[publishable, anon], [secretKey, service], [anon, anon], [service, service]]);
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });

const say = (response, status, body) => {
  if (response.headersSent) return response.destroy();
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
};

const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://gateway");
  const key = request.headers.apikey ?? url.searchParams.get("apikey");
  if (!tokens.has(key)) return say(response, 401, { message: key ? "Invalid API key" : "No API key found in request" });
  if (!/^\/rest\/v1(\/|$)/.test(url.pathname)) return say(response, 404, { message: "no Route matched with those values" });
  const { apikey, host, connection, ...headers } = request.headers; // `connection` speaks of the hop to us
  const bearer = (headers.authorization ?? "").replace(/^Bearer /i, "");
  if (!bearer || bearer === key) headers.authorization = `Bearer ${tokens.get(key)}`;
  const path = request.url.slice("/rest/v1".length) || "/";
  const asked = http.request({ socketPath, method: request.method, path, headers, agent }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
    answer.on("error", () => response.destroy());
  });
  asked.on("error", () => say(response, 503, { message: "name resolution failed" }));
  request.pipe(asked);
});
server.listen(Number(port), "127.0.0.1", () => console.log(server.address().port));
