/**
 * <notistore-inbox src="/notifications"></notistore-inbox>: a bell, its badge, and the inbox behind it.
 *
 * docs/element.md lists its attributes, properties, events, slots, parts and styles; notistore-inbox.d.ts has the types.
 * Whatever a notification holds is set as text; only http(s) and relative URLs become links and images.
 */

const LABELS = {
  title: "Notifications",
  unread: "{n} unread",
  unreadMany: "more than {n} unread",
  disconnected: "offline",
  markAll: "Mark all read",
  markRead: "Mark as read",
  markUnread: "Mark as unread",
  remove: "Delete",
  isUnread: "Unread:",
  open: "Open",
  progress: "Progress",
  more: "Load more",
  loading: "Loading…",
  empty: "You’re all caught up.",
  failed: "Notifications could not be loaded.",
  undone: "That did not work, so it was undone.",
  offline: "You’re offline. Reconnecting…",
  signedOut: "You’re signed out.",
  retry: "Try again",
  arrived: "New notification: {title}",
  arrivedMany: "{n} new notifications",
};

const PAGE = 20;
const LARGEST_PAGE = 100;
const LARGEST_BADGE = 99;
const COALESCE = 30; // milliseconds, as all below: frames that come together cause one request
const THROTTLE = 1_000; // between two requests for the same
const SETTLE = 5_000; // until a list that followed a change frame by frame is checked
const RETRY = 5_000; // until a failed request for a count or a list is retried
const DOWN = 3_000; // how long a stream may be down before the user is shown a message
const TIMEOUT = 15_000; // for one request
const BACKOFF = [1_000, 30_000]; // before a stream that was refused is opened again: at first, and at most
const RECONNECT = 3_000; // before a stream that ended is read again, where the server does not say

/** Runs a job soon after it is requested: once for many requests, one at a time, at most every THROTTLE. */
class Throttle {
  #job;
  #timer;
  #due = Infinity;
  #last = -Infinity;
  #running = false;

  constructor(job) {
    this.#job = job;
  }

  request(delay = COALESCE) {
    const due = Math.max(performance.now() + delay, this.#last + THROTTLE);
    if (due >= this.#due) return;
    this.#due = due;
    if (!this.#running) this.#arm();
  }

  cancel() {
    clearTimeout(this.#timer);
    this.#due = Infinity;
    this.#last = -Infinity;
  }

  #arm() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      this.#due = Infinity;
      this.#last = performance.now();
      this.#running = true;
      await this.#job();
      this.#running = false;
      if (this.#due < Infinity) this.#arm();
    }, this.#due - performance.now());
  }
}

/**
 * An EventSource whose requests carry headers. It reads the stream by fetch, and reconnects as the browser's own does:
 * after the server's `retry:`, then longer after each failure, with the id of the last event. Anything but a stream
 * closes it.
 */
class FetchEventSource extends EventTarget {
  readyState = EventSource.CONNECTING;
  #request;
  #closing = new AbortController();
  #retry = RECONNECT;
  #lastEventId = "";

  /** `request(headers, signal)` fetches the stream: a promise of the response. */
  constructor(request) {
    super();
    this.#request = request;
    this.#run(this.#closing.signal);
  }

  close() {
    this.readyState = EventSource.CLOSED;
    this.#closing.abort();
  }

  async #run(signal) {
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        const lastEventId = this.#lastEventId && { "Last-Event-ID": this.#lastEventId };
        const response = await this.#request({ Accept: "text/event-stream", ...lastEventId }, signal);
        if (!response.ok || !response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
          this.close();
          this.dispatchEvent(new Event("error"));
          return;
        }
        failures = 0;
        this.readyState = EventSource.OPEN;
        this.dispatchEvent(new Event("open"));
        await this.#read(response.body.pipeThrough(new TextDecoderStream()).getReader());
      } catch {} // the connection was lost, or never made
      if (signal.aborted) return;
      this.readyState = EventSource.CONNECTING;
      this.dispatchEvent(new Event("error"));
      const longest = Math.max(this.#retry, BACKOFF[1]);
      const wait = Math.min(longest, this.#retry * 2 ** failures) * (failures ? 0.5 + Math.random() / 2 : 1);
      await new Promise((resume) => setTimeout(resume, wait));
    }
  }

  async #read(reader) {
    let [rest, type, data] = ["", "", []];
    for (let chunk; !(chunk = await reader.read()).done; ) {
      const lines = (rest + chunk.value).split(/\r\n|\n|\r(?!$)/); // a CR at the end may be half of a CRLF
      rest = lines.pop();
      for (const line of lines) {
        const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
        if (field === "event") type = value;
        else if (field === "data") data.push(value);
        else if (field === "id") this.#lastEventId = value;
        else if (field === "retry" && /^\d+$/.test(value)) this.#retry = Number(value);
        else if (!line) {
          if (data.length) this.dispatchEvent(new MessageEvent(type || "message", { data: data.join("\n") }));
          [type, data] = ["", []];
        }
      }
    }
  }
}

/** An element whose class is its part as well. */
function h(tag, name, attributes = {}, ...children) {
  const element = document.createElement(tag);
  if (name) attributes = { class: name, part: name, ...attributes };
  if (tag === "button") attributes = { type: "button", ...attributes };
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function icon(d) {
  const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", d);
  svg.append(path);
  return svg;
}

// To write what is there already would disturb selections and screen readers.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** What tells whether headers have changed: one function is as good as another, which is asked at each request. */
const canonical = (headers) => (typeof headers === "function" ? "" : JSON.stringify([...new Headers(headers ?? {})]));
const NO_HEADERS = canonical({});

const fill = (label, values) => label.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const asText = (value) => (typeof value === "string" || typeof value === "number" ? String(value).trim() : "");
const firstText = (data, ...names) => names.map((name) => asText(data[name])).find(Boolean) ?? "";
const titleOf = ({ data, type }) => firstText(data, "title", "subject", "heading", "name") || type;
const bodyOf = ({ data }) => firstText(data, "message", "body", "text", "description", "content");
const progressOf = ({ data }) => (Number.isFinite(data.progress) ? Math.min(100, Math.max(0, data.progress)) : null);
const actorOf = ({ data }) => ({ name: firstText(data.actor ?? {}, "name"), avatar: safeUrl(data.actor?.avatar) });

/** An http(s) address, where relative against the page's, as a URL; null for anything else. */
function safeUrl(address) {
  if (typeof address !== "string" || !address.trim()) return null;
  try {
    const { protocol, href } = new URL(address, document.baseURI);
    return protocol === "https:" || protocol === "http:" ? href : null;
  } catch {
    return null;
  }
}

/** Below 0 when `a` is further down the inbox than `b`: newest first, by createdAt and then id. */
function compare(a, b) {
  return Date.parse(a.createdAt) - Date.parse(b.createdAt) || (a.id < b.id ? -1 : Number(a.id > b.id));
}

/** Whether `item` is older than what is shown. A key sent again after a delete starts over, but is created later. */
function isStale(item, shown) {
  const age = Date.parse(item.createdAt) - Date.parse(shown.createdAt);
  return age < 0 || (age === 0 && item.version < shown.version);
}

const UNITS = Object.entries({ second: 60, minute: 60, hour: 24, day: 7, week: 4.345, month: 12, year: Infinity });

function relativeTime(format, time) {
  let amount = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (amount < 60) return format.format(0, "second");
  const [unit] = UNITS.find(([, size]) => amount < size || void (amount /= size));
  return format.format(-Math.floor(amount), unit);
}

/** One notification: its item, and the elements that show it, which live as long as it does. */
class Row {
  static #made = 0;
  #pictured; // the name and the address of the avatar that is shown

  constructor(item) {
    const id = `row-${++Row.#made}`;
    this.item = item;
    this.mark = h("span", "mark", { id: `${id}-unread` });
    this.avatar = h("span", "avatar", { "aria-hidden": "true" });
    this.title = h("a", "title", { id, dir: "auto", rel: "noopener noreferrer" });
    this.actor = h("div", "actor", { id: `${id}-actor`, dir: "auto" });
    this.time = h("time", "time", { id: `${id}-time` });
    this.body = h("div", "body", { id: `${id}-body`, dir: "auto" });
    this.bar = h("span", "bar");
    this.progress = h("div", "progress", { role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, this.bar);
    this.percent = h("span", "percent", { "aria-hidden": "true" });
    this.meter = h("div", "meter", {}, this.progress, this.percent);
    this.link = h("a", "action", { dir: "auto", rel: "noopener noreferrer" });
    this.plain = h("span", "action plain", { dir: "auto" });
    this.toggle = h("button", "tool", {}, icon("M5 13l4 4L19 7"));
    this.remove = h("button", "tool", {}, icon("M6 6l12 12M18 6L6 18"));
    const line = h("div", "line", {}, this.title, this.time);
    const foot = h("div", "foot", {}, this.link, this.plain, h("div", "tools", {}, this.toggle, this.remove));
    this.article = h(
      "article", "",
      { "aria-labelledby": `${id}-unread ${id}`, "aria-describedby": `${id}-actor ${id}-body ${id}-time`, "aria-keyshortcuts": "Enter Space Delete" },
      this.mark,
      this.avatar,
      h("div", "content", {}, line, this.actor, this.body, this.meter, foot),
    );
    this.element = h("li", "row", { "data-id": item.id }, this.article);
    this.setCurrent(false);
  }

  get unread() {
    return !this.item.readAt;
  }

  /** The current row is the one that Tab reaches, with what is in it; the arrow keys lead to the others. */
  setCurrent(is) {
    for (const element of [this.article, this.link, this.toggle, this.remove]) element.tabIndex = is ? 0 : -1;
  }

  paint(labels, times) {
    const { item, unread } = this;
    setAttribute(this.element, "class", unread ? "row unread" : "row");
    setAttribute(this.element, "part", this.element.className);
    setText(this.mark, unread ? labels.isUnread : "");
    setText(this.title, titleOf(item));
    const link = safeUrl(item.data.link);
    setAttribute(this.title, "href", link);
    setAttribute(this.title, "tabindex", link ? "-1" : null); // Enter on the row follows it
    setText(this.body, bodyOf(item));
    this.#paintActor(actorOf(item));

    const progress = progressOf(item);
    this.meter.hidden = progress === null;
    setText(this.percent, `${Math.round(progress)}%`);
    setAttribute(this.progress, "aria-valuenow", String(Math.round(progress)));
    setAttribute(this.progress, "aria-label", labels.progress);
    this.bar.style.inlineSize = `${progress}%`;

    const action = item.data.action ?? {};
    const href = safeUrl(action.url);
    const label = asText(action.label) || (href ? labels.open : asText(action.url));
    setText(this.link, href ? label : "");
    setText(this.plain, href ? "" : label);
    setAttribute(this.link, "href", href);

    const toggle = unread ? labels.markRead : labels.markUnread;
    for (const name of ["aria-label", "title"]) {
      setAttribute(this.toggle, name, toggle);
      setAttribute(this.remove, name, labels.remove);
    }
    this.paintTime(times);
  }

  /** The picture, or the name's first letter where there is none or it cannot be shown. */
  #paintActor({ name, avatar }) {
    setText(this.actor, name);
    this.avatar.hidden = !name && !avatar;
    if (this.#pictured?.name === name && this.#pictured.avatar === avatar) return;
    this.#pictured = { name, avatar };
    const initial = [...name].slice(0, 1).join("").toUpperCase();
    this.avatar.replaceChildren(initial);
    if (!avatar) return;
    const picture = h("img", "", { alt: "", loading: "lazy", referrerpolicy: "no-referrer", src: avatar });
    picture.addEventListener("error", () => picture.replaceWith(initial));
    this.avatar.replaceChildren(picture);
  }

  paintTime({ relative, absolute }) {
    const { updatedAt } = this.item;
    setAttribute(this.time, "datetime", updatedAt);
    setAttribute(this.time, "title", absolute.format(Date.parse(updatedAt)));
    setText(this.time, relativeTime(relative, updatedAt));
  }
}

export class NotistoreInbox extends HTMLElement {
  static observedAttributes = ["src", "credentials", "types"];

  #labels = LABELS;
  #headers = {};
  #refreshing; // what `headers` gives after a 401, while it is waited for
  #refreshes = 0; // how often that has ended
  #times;
  #ui = {};
  #rows = new Map(); // by id; their order is the list's
  #current;
  #count = 0;
  #cursor; // of the next page: null at the end, undefined until the list has been fetched
  #state = "live"; // or "offline", or "signed-out"
  #failed = false; // the last attempt to fetch the list
  #problem = ""; // with the user's last change
  #arrivals = []; // titles to announce

  #session; // aborts everything that belongs to one src
  #opened; // aborts what an open panel needs; null while it is closed
  #opensLater = false; // once it is in a document
  #stream;
  #refusals = 0;
  #reopening;
  #down;
  #counter = new Throttle(() => this.#fetchCount());
  #lister = new Throttle(() => this.#inTurn(() => this.#fetchList()));
  #turn = Promise.resolve(); // reads of the list, one after the other
  #posts = Promise.resolve(); // the user's changes, one after the other, in the order they were made
  #explained = false; // what the next empty frame is about has come as frames of its own

  // A response tells how things were when it was asked for. Each change that is seen meanwhile has a number, kept for
  // rows by id in `#changed`, and what has changed since is left as it is.
  #changes = 0;
  #changed = new Map();
  #counted = 0;

  constructor() {
    super();
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = [STYLE];
    this.#build();
    for (const name of ["labels", "headers", "open"]) this.#upgrade(name);
  }

  connectedCallback() {
    const { signal } = (this.#session = new AbortController());
    const language = this.closest("[lang]")?.lang || undefined;
    this.#times = {
      relative: new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "narrow" }),
      absolute: new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "medium" }),
    };
    const listen = (target, name, handle) => target.addEventListener(name, handle, { signal });
    listen(window, "online", () => this.#connect());
    listen(window, "offline", () => this.#setState("offline"));
    listen(window, "pagehide", () => this.#disconnect()); // a page that is kept for "back" may hold no connection
    listen(window, "pageshow", (event) => event.persisted && this.#connect());
    listen(document, "visibilitychange", () => {
      if (document.hidden) return;
      if (this.#stream.readyState === EventSource.OPEN) this.#counter.request();
      else this.#connect();
    });
    this.#connect();
    this.#render();
    this.open = this.#opensLater;
    this.#opensLater = false;
  }

  /** Takes over a property that was set before the element was defined, when it hid the class's own. */
  #upgrade(name) {
    if (!Object.hasOwn(this, name)) return;
    const value = this[name];
    delete this[name];
    this[name] = value;
  }

  get #isActive() {
    return Boolean(this.#session && !this.#session.signal.aborted);
  }

  disconnectedCallback() {
    this.open = false;
    this.#session.abort();
    this.#disconnect();
    this.#counter.cancel();
    this.#lister.cancel();
  }

  attributeChangedCallback(name, before, after) {
    if (before === after || !this.#isActive) return;
    this.disconnectedCallback();
    this.#forget();
    this.connectedCallback();
  }

  get labels() {
    return this.#labels;
  }

  set labels(labels) {
    this.#labels = { ...LABELS, ...labels };
    for (const row of this.#rows.values()) row.paint(this.#labels, this.#times);
    this.#render();
  }

  get headers() {
    return this.#headers;
  }

  set headers(headers) {
    const before = this.#headers;
    this.#headers = headers;
    if (this.#isActive && canonical(before) !== canonical(headers)) this.reconnect();
  }

  get count() {
    return this.#count;
  }

  get open() {
    return Boolean(this.#opened) || this.#opensLater;
  }

  set open(open) {
    if (!this.#isActive) this.#opensLater = Boolean(open);
    if (!this.#isActive || Boolean(this.#opened) === Boolean(open)) return;
    if (!open) {
      this.#opened.abort();
      this.#opened = null;
      this.#problem = "";
      this.#trim();
      this.#render();
      return;
    }
    const { signal } = (this.#opened = new AbortController());
    const paintTimes = () => this.#rows.forEach((row) => row.paintTime(this.#times));
    const clock = setInterval(paintTimes, 30_000);
    signal.addEventListener("abort", () => clearInterval(clock));
    window.addEventListener("resize", () => this.#position(), { signal });
    const onPress = (event) => event.composedPath().includes(this) || (this.open = false);
    document.addEventListener("pointerdown", onPress, { signal });
    paintTimes();
    this.#setCurrent(this.#rowOf(this.#ui.list.firstElementChild));
    if (this.#state === "signed-out") this.#connect();
    this.#refetch(0);
    this.#render();
    this.#position();
    this.#ui.panel.focus({ preventScroll: true });
  }

  // ---- the stream

  #connect() {
    this.#disconnect();
    const byFetch = (headers, signal) => this.#fetch("/stream", { headers, signal, cache: "no-store" });
    const stream = canonical(this.#headers) !== NO_HEADERS
      ? new FetchEventSource(byFetch)
      : new EventSource(this.#url("/stream"), { withCredentials: this.#credentials === "include" });
    const frames = { notification: this.#onNotification, read: this.#onRead, unread: this.#onUnread, delete: this.#onDelete };
    for (const [name, handle] of Object.entries(frames)) {
      stream.addEventListener(name, ({ data }) => {
        let value = null;
        try {
          value = JSON.parse(data);
        } catch {} // the empty frame, or not ours
        handle.call(this, value);
      });
    }
    stream.addEventListener("open", () => {
      this.#refusals = 0;
      clearTimeout(this.#down);
      this.#down = undefined;
      this.#setState("live");
      this.#refetch(); // for changes made while there was no stream
    });
    const watch = () => (this.#down ??= setTimeout(() => this.#counter.request(), DOWN));
    stream.addEventListener("error", () => {
      watch();
      if (stream.readyState !== EventSource.CLOSED) return; // the browser reconnects by itself
      this.#counter.request(); // its status says why
      const [first, longest] = BACKOFF;
      const wait = Math.min(longest, first * 2 ** this.#refusals++);
      this.#reopening = setTimeout(() => this.#connect(), wait * (0.5 + Math.random() / 2));
    });
    this.#stream = stream;
    watch();
  }

  #disconnect() {
    this.#stream?.close();
    clearTimeout(this.#reopening);
    clearTimeout(this.#down);
    this.#down = undefined;
  }

  #onNotification(value) {
    const count = typeof value?.count === "number" && value.id === undefined ? value.count : value;
    if (typeof count === "number" && !this.#types.length) this.#setCount(count);
    else if (typeof value?.id === "string" && typeof value.version === "number") this.#onItem(value);
    else {
      this.#counter.request();
      this.#refetch(this.#explained ? SETTLE : COALESCE);
    }
    this.#explained = false;
  }

  #onItem(item) {
    const shown = this.#rows.get(item.id)?.item;
    if (this.#types.length && !this.#types.includes(item.type)) {
      if (shown) this.#onDelete({ notificationId: item.id }); // it has changed its type
      return;
    }
    item.data ??= {};
    let announced = false;
    if (item.version > 0) {
      if (shown && isStale(item, shown)) return;
      if (shown || !this.#isBeyond(item)) this.#put(item);
      if (!this.open) this.#trim();
      this.#render();
      const news = !shown || Boolean(shown.readAt);
      if (!shown || Boolean(shown.readAt) !== Boolean(item.readAt)) this.#counter.request();
      const progress = progressOf(item);
      const done = progress === 100 && shown && progressOf(shown) < 100;
      const ticks = item.version > 1 && progress !== null && progress < 100;
      announced = !item.readAt && (done || (news && !ticks));
      if (announced) this.#announce(titleOf(item));
    }
    this.#dispatch("notification", { item, announced });
  }

  /** Whether the event's default was not prevented. */
  #dispatch(name, detail, options) {
    return this.dispatchEvent(new CustomEvent(`notistore:${name}`, { detail, bubbles: true, composed: true, ...options }));
  }

  #onRead(value) {
    const { notificationId: id, readAt } = value ?? {};
    for (const row of id === null ? this.#rows.values() : [this.#rows.get(id)]) {
      // What was renewed after it was marked is unread again.
      if (row?.unread && Date.parse(row.item.updatedAt) <= Date.parse(readAt)) this.#put({ ...row.item, readAt });
    }
    this.#follow(Boolean(id));
  }

  #onUnread(value) {
    const row = this.#rows.get(value?.notificationId);
    if (row) this.#put({ ...row.item, readAt: null });
    this.#follow(true);
  }

  #onDelete(value) {
    this.#drop(value?.notificationId);
    this.#follow(true);
  }

  #follow(explained) {
    this.#explained = explained;
    this.#counter.request();
    this.#render();
  }

  // ---- requests

  get #credentials() {
    return this.getAttribute("credentials") === "include" ? "include" : "same-origin";
  }

  get #types() {
    return (this.getAttribute("types") ?? "").split(",").map((type) => type.trim()).filter(Boolean);
  }

  #url(path) {
    return (this.getAttribute("src") || "/notifications").replace(/\/+$/, "") + path;
  }

  /** The query of a request that concerns many rows: those of the element's types, where it has any. */
  #query(values) {
    const types = this.#types;
    return new URLSearchParams(types.length ? { ...values, type: types.join() } : values);
  }

  /** fetch with the page's `headers`; where a function gives them, once more after a 401, with what it gives then. */
  async #fetch(path, options) {
    const send = async (headers) => {
      const all = new Headers((await headers) ?? {});
      new Headers(options.headers).forEach((value, name) => all.set(name, value));
      return fetch(this.#url(path), { credentials: this.#credentials, ...options, headers: all });
    };
    const headers = this.#headers;
    if (typeof headers !== "function") return send(headers);
    const refreshes = this.#refreshes;
    const response = await send(headers({ refresh: false }));
    if (response.status !== 401) return response;
    if (refreshes !== this.#refreshes) return send(headers({ refresh: false })); // another request had them refreshed
    this.#refreshing ??= (async () => headers({ refresh: true }))().finally(() => {
      this.#refreshing = undefined;
      this.#refreshes++;
    });
    return send(this.#refreshing);
  }

  /** The response; an error with its `status` unless it is a success. */
  async #request(method, path) {
    const response = await this.#fetch(path, {
      method,
      keepalive: method !== "GET", // a link that marks its row read may unload the page
      signal: AbortSignal.any([this.#session.signal, AbortSignal.timeout(TIMEOUT)]),
    });
    if (response.status === 401) {
      const before = this.#state;
      this.#disconnect();
      this.#forget();
      this.#setState("signed-out");
      if (before !== "signed-out") this.#dispatch("signed-out");
    }
    if (response.ok) return response;
    throw Object.assign(new Error(`${method} ${response.url}: status ${response.status}`), { status: response.status });
  }

  // The browser's cache keeps the count's ETag and sends If-None-Match by itself.
  async #fetchCount() {
    const { signal } = this.#session;
    await this.#posts;
    const counted = this.#counted;
    try {
      const { count } = await (await this.#request("GET", `/unread/count?${this.#query({ max: LARGEST_BADGE + 1 })}`)).json();
      if (this.#state === "offline") this.#setState("live");
      if (counted === this.#counted) this.#setCount(count);
      else this.#counter.request();
    } catch {
      if (signal.aborted || this.#state === "signed-out") return;
      if (this.#stream.readyState !== EventSource.OPEN) this.#setState("offline");
      this.#counter.request(RETRY);
    }
  }

  async #fetchPage(before, limit) {
    return (await this.#request("GET", `?${this.#query(before ? { before, limit } : { limit })}`)).json();
  }

  #refetch(delay) {
    if (this.open) this.#lister.request(delay); // a closed list is fetched when it is opened
  }

  /** As many rows as are shown, in place of those. */
  async #fetchList() {
    await this.#posts;
    const since = this.#changes;
    const wanted = Math.max(PAGE, this.#rows.size);
    const items = [];
    let next = null;
    do {
      const page = await this.#fetchPage(next, Math.min(LARGEST_PAGE, Math.max(PAGE, wanted - items.length)));
      items.push(...page.items);
      next = page.next;
    } while (next && items.length < wanted);
    const ids = new Set(items.map((item) => item.id));
    for (const id of this.#rows.keys()) if (!ids.has(id) && !this.#changedSince(since, id)) this.#drop(id);
    this.#putPage(items, next, since);
    for (const [id, change] of this.#changed) if (change <= since) this.#changed.delete(id);
  }

  async #fetchMore() {
    if (!this.#cursor) return;
    const since = this.#changes;
    const { items, next } = await this.#fetchPage(this.#cursor, PAGE);
    const focused = this.shadowRoot.activeElement === this.#ui.more;
    const last = this.#ui.list.lastElementChild;
    this.#putPage(items, next, since);
    if (focused) this.#focusRow(last?.nextElementSibling ?? last);
  }

  #putPage(items, next, since) {
    for (const item of items) if (!this.#changedSince(since, item.id)) this.#put({ ...item, data: item.data ?? {} });
    this.#cursor = next;
    this.#failed = false;
    this.#render();
  }

  #inTurn(read) {
    const { signal } = this.#session;
    this.#turn = this.#turn.then(read).catch(() => {
      this.#failed = !signal.aborted;
      this.#render();
      if (this.#failed && this.#state !== "signed-out") this.#refetch(RETRY);
    });
    return this.#turn;
  }

  reconnect() {
    if (!this.#isActive) return;
    this.#failed = false;
    this.#connect();
    this.#counter.request();
    this.#refetch();
    this.#render();
  }

  // ---- what the user changes: shown at once, undone when it fails

  async #change(method, path, undo) {
    const { signal } = this.#session;
    this.#problem = "";
    this.#counted++;
    this.#render();
    const post = this.#posts.then(() => this.#request(method, path));
    this.#posts = post.catch(() => {});
    try {
      await post;
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      if (error.status === 404) this.#refetch(); // deleted elsewhere
      else {
        undo();
        this.#problem = this.#labels.undone;
      }
    }
    this.#counted++;
    this.#counter.request();
    this.#render();
  }

  #mark(row, read) {
    const { item } = row;
    if (row.unread !== read) return;
    this.#put({ ...item, readAt: read ? new Date().toISOString() : null });
    this.#shiftCount(read ? -1 : 1);
    this.#change("POST", `/${item.id}/${read ? "read" : "unread"}`, () => this.#restore(item));
  }

  #markAll() {
    const items = [...this.#rows.values()].map((row) => row.item);
    const unread = items.filter((item) => !item.readAt);
    const seen = items.map((item) => item.updatedAt).reduce((a, b) => (Date.parse(a) < Date.parse(b) ? b : a));
    const readAt = new Date().toISOString();
    for (const item of unread) this.#put({ ...item, readAt });
    this.#setCount(0);
    this.#change("POST", `/read-all?${this.#query({ seen })}`, () => unread.forEach((item) => this.#restore(item)));
    this.#ui.panel.focus(); // the button has gone
  }

  #delete(row) {
    const { item } = row;
    this.#drop(item.id);
    if (row.unread) this.#shiftCount(-1);
    this.#change("DELETE", `/${item.id}`, () => this.#rows.has(item.id) || this.#put(item));
  }

  #restore(item) {
    if (this.#rows.get(item.id)?.item.version === item.version) this.#put(item);
  }

  #shiftCount(by) {
    if (this.#count <= LARGEST_BADGE) this.#setCount(Math.max(0, this.#count + by)); // beyond, it is not known
  }

  // ---- the list

  #rowOf(element) {
    return this.#rows.get(element?.closest("li")?.dataset.id);
  }

  #changedSince(change, id) {
    return this.#changed.get(id) > change;
  }

  /** Whether it belongs to a page that has not been loaded. */
  #isBeyond(item) {
    const last = this.#rowOf(this.#ui.list.lastElementChild);
    return Boolean(this.#cursor && last && compare(item, last.item) < 0);
  }

  #put(item) {
    this.#changed.set(item.id, ++this.#changes);
    const row = this.#rows.get(item.id) ?? new Row(item);
    const stays = this.#rows.has(item.id) && row.item.createdAt === item.createdAt;
    row.item = item;
    row.paint(this.#labels, this.#times);
    if (stays) return;
    this.#rows.set(item.id, row);
    const { list } = this.#ui;
    const isBelow = (element) => element !== row.element && compare(this.#rowOf(element).item, item) < 0;
    list.insertBefore(row.element, [...list.children].find(isBelow) ?? null);
    if (!this.#current) this.#setCurrent(row);
  }

  #drop(id) {
    this.#changed.set(id, ++this.#changes);
    const row = this.#rows.get(id);
    if (!row) return;
    const { element } = row;
    const neighbour = this.#rowOf(element.nextElementSibling ?? element.previousElementSibling);
    if (this.#current === row) this.#setCurrent(neighbour);
    if (element.contains(this.shadowRoot.activeElement)) (neighbour?.article ?? this.#ui.panel).focus();
    this.#rows.delete(id);
    element.remove();
  }

  /** A closed panel keeps no more than a page. */
  #trim() {
    while (this.#rows.size > PAGE) {
      const { id } = this.#ui.list.lastElementChild.dataset;
      this.#drop(id);
      this.#changed.delete(id);
      this.#cursor = undefined;
    }
  }

  #forget() {
    for (const id of this.#rows.keys()) this.#drop(id);
    this.#changed.clear();
    this.#cursor = undefined;
    this.#failed = false;
    this.#state = "live";
    this.#arrivals = [];
    this.#setCount(0);
  }

  #setCurrent(row) {
    this.#current?.setCurrent(false);
    this.#current = row;
    row?.setCurrent(true);
  }

  #focusRow(element) {
    this.#rowOf(element)?.article.focus(); // which makes it the current one
  }

  #setCount(count) {
    const before = this.#count;
    this.#counted++;
    this.#count = count;
    this.#render();
    if (count !== before) this.#dispatch("count", { count });
  }

  #setState(state) {
    this.#state = state;
    this.#render();
  }

  #announce(title) {
    if (this.#arrivals.push(title.slice(0, 120)) > 1) return;
    setTimeout(() => {
      const [first, ...others] = this.#arrivals.splice(0);
      const { arrived, arrivedMany } = this.#labels;
      const text = fill(others.length ? arrivedMany : arrived, { title: first, n: others.length + 1 });
      if (first) this.#ui.live.replaceChildren(h("div", "", {}, text));
    }, THROTTLE);
  }

  // ---- what is around the list

  #build() {
    const ui = this.#ui;
    ui.badge = h("span", "badge", { "aria-hidden": "true" });
    ui.bell = h("button", "bell", { "aria-controls": "panel", "aria-haspopup": "dialog" });
    ui.bell.append(h("slot", "", { name: "bell" }, icon("M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 2h-15zM10 21a2.2 2.2 0 0 0 4 0")), ui.badge);
    ui.heading = h("h2", "heading", { id: "heading" });
    ui.markAll = h("button", "mark-all");
    ui.notice = h("p", "notice");
    ui.list = h("ul", "list", { role: "list", "aria-labelledby": "heading" });
    ui.message = h("p", "message");
    ui.retry = h("button", "retry");
    ui.empty = h("p", "empty");
    ui.ifEmpty = h("slot", "", { name: "empty" }, ui.empty);
    ui.blank = h("div", "blank", {}, ui.message, ui.retry, ui.ifEmpty);
    ui.more = h("button", "more");
    const footer = h("slot", "", { name: "footer" });
    ui.footer = h("div", "footer", { hidden: "" }, footer);
    ui.panel = h(
      "div", "panel", { id: "panel", role: "dialog", "aria-labelledby": "heading", tabindex: -1 },
      h("div", "header", {}, ui.heading, ui.markAll),
      h("div", "", { role: "status" }, ui.notice),
      h("div", "scroll", {}, ui.list, ui.blank, ui.more),
      ui.footer,
    );
    ui.live = h("div", "live", { role: "status" });
    this.shadowRoot.append(ui.bell, ui.panel, ui.live);

    ui.bell.addEventListener("click", () => (this.open = !this.open));
    ui.markAll.addEventListener("click", () => this.#markAll());
    ui.retry.addEventListener("click", () => this.reconnect());
    ui.more.addEventListener("click", () => this.#inTurn(() => this.#fetchMore()));
    ui.list.addEventListener("click", (event) => this.#onClick(event));
    ui.list.addEventListener("auxclick", (event) => event.button === 1 && event.target.href && this.#onClick(event));
    ui.list.addEventListener("focusin", (event) => this.#setCurrent(this.#rowOf(event.target)));
    this.shadowRoot.addEventListener("keydown", (event) => this.#onKey(event));
    footer.addEventListener("slotchange", () => (ui.footer.hidden = !footer.assignedNodes().length));
    this.addEventListener("focusout", ({ relatedTarget }) => {
      if (relatedTarget && !this.contains(relatedTarget)) this.open = false;
    });
  }

  #onClick(event) {
    const row = this.#rowOf(event.target);
    if (!row) return;
    if (row.remove.contains(event.target)) this.#delete(row);
    else if (row.toggle.contains(event.target)) this.#mark(row, row.unread);
    else this.#openRow(row, event);
  }

  /** Reads it, and follows the link that was clicked unless the page says it does so itself. */
  #openRow(row, event) {
    const { item } = row;
    this.#mark(row, true);
    if (event.button > 0 || event.ctrlKey || event.metaKey || event.shiftKey) return; // to a tab or window of its own
    const href = event.target.closest("a[href]")?.href ?? null;
    if (!this.#dispatch("open", { item, href }, { cancelable: true })) event.preventDefault();
    if (href) this.open = false;
  }

  #onKey(event) {
    if (!this.open || event.ctrlKey || event.altKey || event.metaKey) return;
    const isSlotted = this.contains(event.target); // the page's own, with keys of its own but for Escape
    const keys = { Escape: () => this.#leave(), ...(isSlotted ? {} : this.#listKeys(event.target)) };
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  }

  #listKeys(target) {
    const { list } = this.#ui;
    const row = this.#rowOf(target);
    const keys = {
      ArrowDown: () => this.#focusRow(row ? row.element.nextElementSibling : list.firstElementChild),
      ArrowUp: () => this.#focusRow(row?.element.previousElementSibling),
      Home: () => this.#focusRow(list.firstElementChild),
      End: () => this.#focusRow(list.lastElementChild),
    };
    if (row) keys.Delete = () => this.#delete(row);
    if (row?.article === target) {
      // Links and buttons inside it have an Enter and a Space of their own.
      keys[" "] = () => this.#mark(row, row.unread);
      keys.Enter = () => ([row.title, row.link].find((anchor) => anchor.hasAttribute("href")) ?? row.article).click();
    }
    return keys;
  }

  #leave() {
    this.open = false;
    this.#ui.bell.focus();
  }

  /** Below the bell, or above it where there is more room; always within the window. */
  #position() {
    const { bell, panel } = this.#ui;
    const { left, right, top, bottom } = bell.getBoundingClientRect();
    const margin = 8;
    const below = innerHeight - bottom - 2 * margin;
    const above = top - 2 * margin;
    const flip = below < 240 && above > below;
    panel.classList.toggle("above", flip);
    panel.style.maxBlockSize = `min(38rem, ${flip ? above : below}px)`;
    const width = document.documentElement.clientWidth;
    const isRightToLeft = getComputedStyle(this).direction === "rtl";
    const start = isRightToLeft ? left : Math.min(right, width - margin) - panel.offsetWidth;
    panel.style.left = `${Math.max(margin, Math.min(start, width - margin - panel.offsetWidth)) - left}px`;
  }

  #render() {
    const ui = this.#ui;
    const labels = this.#labels;
    const rows = this.#rows.size > 0;
    const offline = this.#state === "offline";
    const signedOut = this.#state === "signed-out";
    const many = this.#count > LARGEST_BADGE;
    const n = many ? LARGEST_BADGE : this.#count;

    const unread = n && fill(many ? labels.unreadMany : labels.unread, { n });
    const name = [labels.title, unread, offline && labels.disconnected].filter(Boolean).join(", ");
    setAttribute(ui.bell, "aria-label", name);
    setAttribute(ui.bell, "aria-expanded", String(this.open));
    ui.bell.classList.toggle("away", offline || signedOut);
    setText(ui.badge, n ? `${n}${many ? "+" : ""}` : "");

    ui.panel.hidden = !this.open;
    setText(ui.heading, labels.title);
    setText(ui.markAll, n && rows ? labels.markAll : "");
    const trouble = this.#problem || (this.#failed && rows ? labels.failed : "");
    setText(ui.notice, signedOut ? "" : offline ? labels.offline : trouble);

    ui.blank.hidden = rows;
    ui.list.hidden = !rows;
    const stuck = signedOut || offline || this.#failed;
    const why = signedOut ? labels.signedOut : labels.failed;
    const loading = this.#cursor === undefined;
    setText(ui.message, stuck ? why : loading ? labels.loading : "");
    setText(ui.retry, stuck ? labels.retry : "");
    setText(ui.empty, labels.empty);
    ui.ifEmpty.hidden = stuck || loading;
    setText(ui.more, this.#cursor && rows ? labels.more : "");
  }
}

const STYLE = new CSSStyleSheet();
STYLE.replaceSync(`
:host {
  color-scheme: var(--notistore-color-scheme, light dark);
  --accent: var(--notistore-accent, light-dark(#2c5bd4, #8fb0ff));
  --badge: var(--notistore-badge, light-dark(#cf2e3a, #d0323e));
  --surface: var(--notistore-surface, light-dark(#fff, #1d1f24));
  --text: var(--notistore-text, light-dark(#1a1c21, #eceef2));
  --muted: var(--notistore-muted, light-dark(#636976, #9ca3b0));
  --line: var(--notistore-line, light-dark(#e7e8ec, #30333a));
  --hover: var(--notistore-hover, light-dark(#f5f6f8, #26292f));
  --danger: var(--notistore-danger, light-dark(#b3261e, #ff9a91));
  display: inline-block; position: relative; font-size: .875rem; line-height: 1.45; text-align: start;
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; margin: 0; }
button { all: unset; box-sizing: border-box; cursor: pointer; -webkit-tap-highlight-color: transparent; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
svg { inline-size: 1.25rem; block-size: 1.25rem; fill: none; stroke: currentColor; stroke-width: 1.75;
  stroke-linecap: round; stroke-linejoin: round; display: block; }
.live { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); }

.bell { position: relative; display: grid; place-items: center; inline-size: 2.5rem; block-size: 2.5rem; border-radius: 50%; }
.bell:hover, .bell[aria-expanded="true"] { background: color-mix(in srgb, currentColor 9%, transparent); }
.bell.away svg { opacity: .45; }
.bell.away .badge { background: var(--muted); color: var(--surface); }
.badge { position: absolute; inset-block-start: .1rem; inset-inline-start: 1.3rem; min-inline-size: 1.125rem;
  padding-inline: .3rem; border-radius: 1rem; background: var(--badge); color: #fff; text-align: center;
  font-size: .6875rem; font-weight: 600; line-height: 1.125rem; font-variant-numeric: tabular-nums; }

.panel { position: absolute; inset-block-start: calc(100% + 8px); z-index: 1000; display: flex; flex-direction: column;
  inline-size: min(var(--notistore-width, 25rem), 100vw - 16px); overflow: hidden; outline: none; color: var(--text);
  background: var(--surface); border: 1px solid var(--line); border-radius: var(--notistore-radius, 14px);
  box-shadow: 0 1px 2px #0000000d, 0 12px 32px -8px #00000038; animation: appear .14s ease-out; }
.panel.above { inset-block: auto calc(100% + 8px); }
@keyframes appear { from { opacity: 0; transform: translateY(-4px); } }
.header { display: flex; align-items: center; justify-content: space-between; min-block-size: 3.25rem; padding: .5rem 1rem;
  border-block-end: 1px solid var(--line); }
.heading { font-size: .9375rem; font-weight: 650; letter-spacing: -.01em; }
.mark-all, .retry, .more { color: var(--accent); font-weight: 550; border-radius: 6px; padding: .25rem .5rem; }
.mark-all { margin-inline-end: -.5rem; }
.mark-all:hover, .retry:hover, .more:hover { background: var(--hover); }
.notice { padding: .5rem 1rem; font-size: .8125rem; color: var(--muted); background: var(--hover); border-block-end: 1px solid var(--line); }
.scroll { overflow: auto; overscroll-behavior: contain; }
.list { list-style: none; padding: 0; }
.footer { padding: .625rem 1rem; border-block-start: 1px solid var(--line); }
.blank { display: grid; justify-items: center; gap: .5rem; padding: 3.5rem 1.5rem; color: var(--muted); text-align: center; }
.more { display: block; margin: .5rem; padding: .5rem; text-align: center; }

.row + .row { border-block-start: 1px solid var(--line); }
article { --row: var(--surface); position: relative; display: flex; gap: .75rem; background: var(--row);
  padding-block: .8125rem; padding-inline: 1.875rem 1rem; }
article:hover { --row: var(--hover); }
article:focus-visible { outline-offset: -3px; border-radius: 10px; }
.unread article, article:has(.title[href]) { cursor: pointer; }
.mark { position: absolute; inset-block-start: 1.2rem; inset-inline-start: .8125rem; inline-size: .4375rem; block-size: .4375rem;
  border-radius: 50%; background: var(--accent); color: transparent; font-size: 0; }
.avatar { flex: none; inline-size: 2rem; block-size: 2rem; border-radius: 50%; overflow: hidden; display: grid; place-items: center;
  background: var(--line); color: var(--muted); font-weight: 600; }
.avatar img { inline-size: 100%; block-size: 100%; object-fit: cover; }
.content { flex: 1; display: grid; gap: .25rem; justify-items: start; min-inline-size: 0; }
.content > *, .action { max-inline-size: 100%; min-inline-size: 0; }
.line { display: flex; gap: .75rem; align-items: baseline; inline-size: 100%; }
.title, .actor, .body { text-align: -webkit-match-parent; text-align: match-parent; } /* the page's side, whatever the direction of the text */
.title, .body { display: -webkit-box; -webkit-box-orient: vertical; overflow: hidden; overflow-wrap: anywhere; }
.title { flex: 1; -webkit-line-clamp: 2; color: var(--muted); text-decoration: none; }
.title[href]::after { content: ""; position: absolute; inset: 0; } /* the whole row is the link */
.action, .tools { z-index: 1; } /* and these are above it */
.unread .title { color: var(--text); font-weight: 600; }
.actor { color: var(--muted); font-size: .8125rem; }
.body { -webkit-line-clamp: 3; color: var(--muted); font-size: .8125rem; white-space: pre-line; }
.time { flex: none; color: var(--muted); font-size: .75rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.meter { display: flex; align-items: center; gap: .625rem; inline-size: 100%; padding-block: .25rem; }
.progress { flex: 1; block-size: .3125rem; border-radius: 1rem; overflow: hidden; background: var(--line); }
.bar { display: block; block-size: 100%; border-radius: inherit; background: var(--accent); transition: inline-size .25s ease-out; }
.percent { min-inline-size: 2.25rem; text-align: end; color: var(--muted); font-size: .75rem; font-variant-numeric: tabular-nums; }
.action { position: relative; color: var(--accent); font-size: .8125rem; font-weight: 550; text-decoration: none; border-radius: 4px;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.action:hover { text-decoration: underline; text-underline-offset: .2em; }
.action.plain { color: var(--muted); font-weight: 400; text-decoration: none; }
.foot { display: contents; }
.tools { position: absolute; inset-block-start: .5rem; inset-inline-end: .625rem; display: flex; border-radius: 8px; background: var(--row);
  box-shadow: -12px 0 12px var(--row); }
:host(:dir(rtl)) .tools { box-shadow: 12px 0 12px var(--row); }
.tool { padding: .3125rem; border-radius: 6px; color: var(--muted); }
.tool svg { inline-size: 1rem; block-size: 1rem; }
.tool:hover { color: var(--text); background: var(--line); }
.tool + .tool:hover { color: var(--danger); }
@media (hover: hover) {
  .tools { opacity: 0; }
  article:hover .tools, article:focus-within .tools { opacity: 1; }
}
@media (hover: none) {
  article { padding-block-end: .25rem; }
  .foot { display: flex; align-items: center; min-inline-size: 100%; }
  .tools { position: relative; inset: auto; margin-inline: auto -.75rem; background: none; box-shadow: none; }
  .tool { padding: .75rem; }
}
@media (prefers-reduced-motion: reduce) { .panel { animation: none; } .bar { transition: none; } }
@media (forced-colors: active) {
  .mark, .bar, .badge { forced-color-adjust: none; background: Highlight; color: HighlightText; }
  .progress, .avatar { border: 1px solid CanvasText; }
}
`);

// A page may load this from two addresses: the first one stays.
if (!customElements.get("notistore-inbox")) customElements.define("notistore-inbox", NotistoreInbox);
