// The published client, driven by lines of JSON on stdin; what it gives and hears goes out as lines of JSON.
import { createInterface } from "node:readline";
import { NotificationsClient, subscribeNotificationsStream } from "@dudousxd/nestjs-notifications-client";
import { EventSource } from "eventsource";

const [baseUrl, cookie] = process.argv.slice(2);
const streamUrl = `${baseUrl}/notifications/stream`;
const say = (line) => console.log(JSON.stringify(line));

// A browser would send the page's cookie by itself.
globalThis.EventSource = class extends EventSource {
  constructor(url) {
    super(url, { fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, cookie } }) });
  }
};

const client = new NotificationsClient({ baseUrl, headers: () => ({ cookie }), sseUrl: streamUrl });
let leave = () => {};

const verbs = {
  call: (method, ...args) => client[method](...args),
  fetchStream: () => {
    leave = subscribeNotificationsStream({
      url: streamUrl,
      headers: () => ({ cookie }),
      onUpdate: () => say({ received: "update" }),
      onRead: (read) => say({ received: "read", ...read }),
      onError: (error) => say({ received: "error", message: String(error) }),
      initialRetryDelayMs: 10,
    });
  },
  eventSource: () => {
    leave = client.subscribe((event) => say({ received: "event", ...event }));
  },
  leave: () => leave(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ...args] = JSON.parse(line);
  try {
    say({ result: (await verbs[verb](...args)) ?? null });
  } catch (error) {
    say({ error: error.name, status: error.status });
  }
}
leave();
