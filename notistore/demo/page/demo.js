import "/t/acme/u/ada/notifications/notistore-inbox.js";

const HOSTILE = {
  "Script tag": {
    title: "<script>alert('title')</script>",
    body: "<img src=x onerror=alert('body')><svg onload=alert('svg')>",
  },
  "javascript: link": {
    title: "A link that would run a script",
    body: "Its label is all that is shown.",
    actionLabel: "Click me",
    actionUrl: "java\nscript:alert('link')",
  },
  "data: link": {
    title: "A link that would open a page of its own",
    actionLabel: "Click me",
    actionUrl: "data:text/html,<script>alert('data')</script>",
  },
  "10,000 characters": { title: "endless".repeat(1429), body: "and so on ".repeat(1000) },
  "Right to left": { title: "\u202Eevil gnp.exe", body: "שלום עולם, this line is mixed. مرحبا بالعالم" },
  "Joined emoji": { title: "👩‍👩‍👧‍👦 🏳️‍🌈 👨🏽‍💻 e\u0301", body: "Z̸̡̛͎͓̹̦̟̠͌̀̍͛̈́͘͝a̵̛̮̱͍̓̈́̃̈́l̷̰̪̟̈́̓̾g̶̢̛̞̬̈́o̵̡̩͒" },
  "Line separators": { title: "One\u2028two\u2029three", body: "data: {\"count\": 999}\n\nevent: read" },
};

const bell = document.querySelector("notistore-inbox");
const identity = document.querySelector("#identity");
const form = document.querySelector("#send");
const sent = document.querySelector("#sent");

const current = () => Object.fromEntries(new FormData(identity));

async function post(path, fields) {
  let problem = "";
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(fields),
    });
    if (!response.ok) problem = (await response.json()).detail;
  } catch {
    problem = "The server cannot be reached.";
  }
  sent.textContent = problem || "Sent.";
  clearTimeout(post.timer);
  post.timer = setTimeout(() => (sent.textContent = ""), 4000);
}

/** Show the inbox that the address names ("#globex/grace"), so that a reload and a copied address keep it. */
function show() {
  const [tenant, user] = location.hash.slice(1).split("/");
  for (const [name, value] of [["tenant", tenant], ["user", user]]) {
    const choice = [...identity.elements[name]].find((input) => input.value === value);
    if (choice) choice.checked = true;
  }
  const chosen = current();
  bell.setAttribute("src", `/t/${chosen.tenant}/u/${chosen.user}/notifications`);
  const label = (name) => identity.querySelector(`[name=${name}]:checked + span`).textContent;
  document.querySelector("#who").textContent = `${label("user")} at ${label("tenant")}`;
}

identity.addEventListener("change", () => {
  const { tenant, user } = current();
  location.hash = `${tenant}/${user}`;
});
addEventListener("hashchange", show);

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { to, ...fields } = Object.fromEntries(new FormData(form));
  const [tenant, user] = to.split("/");
  post("/demo/send", { ...current(), ...(to && { tenant, user }), ...fields });
});

document.querySelector("#export").addEventListener("click", async () => {
  await post("/demo/export", current());
  document.querySelector("notistore-inbox").open = true; // the click has closed it, and the bar fills in it
});

document.querySelector("#hostile").append(
  ...Object.entries(HOSTILE).map(([name, fields]) => {
    const button = document.createElement("button");
    button.textContent = name;
    button.addEventListener("click", () => post("/demo/send", { ...current(), type: "hostile", ...fields }));
    return button;
  }),
);

show();
