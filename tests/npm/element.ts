// Checked by tsc, never run: what a TypeScript page writes, and the mistakes that tsc reports.
import { NotistoreInbox, type NotistoreItem } from "./notistore-inbox.js";

const bell = document.querySelector("notistore-inbox")!;
const same: NotistoreInbox = bell;
same.labels = { title: "Mitteilungen" };
const label: string = same.labels.markAll;
same.headers = { Authorization: "Bearer token" };
same.headers = async ({ refresh }) => ({ Authorization: refresh ? "Bearer new" : "Bearer token" });
same.headers = null;
same.open = same.count > 0;
same.reconnect();
same.addEventListener("notistore:open", (event) => {
  if (event.detail.href) event.preventDefault();
});
document.addEventListener("notistore:notification", ({ detail: { item, announced } }) => {
  const shown: NotistoreItem = item;
  console.log(label, announced, shown.data.title, shown.readAt?.length);
});
addEventListener("notistore:count", ({ detail }) => (document.title = `(${detail.count})`));
same.addEventListener("click", (event) => event.clientX);

// @ts-expect-error
same.count = 7;
// @ts-expect-error
same.labels = { titel: "Mitteilungen" };
// @ts-expect-error
same.headers = () => 7;
// @ts-expect-error
same.addEventListener("notistore:open", (event) => event.detail.url);
