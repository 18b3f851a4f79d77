/** The types of notistore-inbox.js; docs/element.md describes what they are for. */

/** A notification as the server sends it; times are ISO 8601 with an offset. */
export interface NotistoreItem {
  id: string;
  type: string;
  notifiableType: string;
  notifiableId: string;
  tenantId: string | null;
  key: string | null;
  data: Record<string, unknown>;
  actor: { type: string; id: string } | null;
  traceId: string | null;
  /** 0 for one that was sent live and is not stored. */
  version: number;
  readAt: string | null;
  createdAt: string;
  updatedAt: string;
}

/** Every text of the element; `{n}` and `{title}` are filled in. */
export interface NotistoreLabels {
  title: string;
  unread: string;
  unreadMany: string;
  disconnected: string;
  markAll: string;
  markRead: string;
  markUnread: string;
  remove: string;
  isUnread: string;
  open: string;
  progress: string;
  more: string;
  loading: string;
  empty: string;
  failed: string;
  undone: string;
  offline: string;
  signedOut: string;
  retry: string;
  arrived: string;
  arrivedMany: string;
}

/** Called before each request; `refresh` is true after the server has answered 401 to what it gave before. */
export type NotistoreHeaders = (reason: { refresh: boolean }) => HeadersInit | null | Promise<HeadersInit | null>;

export interface NotistoreInboxEventMap {
  /** A notification has arrived; `announced` when it is new, unread again or done: what screen readers announce. */
  "notistore:notification": CustomEvent<{ item: NotistoreItem; announced: boolean }>;
  /** The user opens a row or follows its link; preventDefault() keeps the browser from following `href`. */
  "notistore:open": CustomEvent<{ item: NotistoreItem; href: string | null }>;
  /** The unread count has changed; above 99 it is at least `count`. */
  "notistore:count": CustomEvent<{ count: number }>;
  /** The server has answered 401. */
  "notistore:signed-out": CustomEvent<null>;
}

export class NotistoreInbox extends HTMLElement {
  /** Some texts to replace, or all. Reads as all of them. */
  get labels(): NotistoreLabels;
  set labels(labels: Partial<NotistoreLabels>);
  /** Sent with every request. With any, the stream is read by fetch. */
  headers: HeadersInit | NotistoreHeaders | null | undefined;
  /** Whether the panel is open. */
  open: boolean;
  /** The unread count; above 99 it is at least that. */
  readonly count: number;
  /** Opens the stream anew and fetches what is shown: after the user has signed in, for one. */
  reconnect(): void;

  addEventListener<K extends keyof NotistoreInboxEventMap>(
    type: K,
    listener: (this: NotistoreInbox, event: NotistoreInboxEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener<K extends keyof HTMLElementEventMap>(
    type: K,
    listener: (this: NotistoreInbox, event: HTMLElementEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "notistore-inbox": NotistoreInbox;
  }
  interface DocumentEventMap extends NotistoreInboxEventMap {}
  interface WindowEventMap extends NotistoreInboxEventMap {}
}
