/**
 * The chat itself: what the user does, what the node says, and the rooms that result. No DOM.
 *
 * Rooms are kept through every loss of the connection. When it is back each is joined again from
 * its own position, and what was not acknowledged is published again under the same key.
 */

import { Connection, Refused } from "./connection.js";
import { Pace } from "./pace.js";
import { ErrorCode, MAX_CONTENT_BYTES, byteLength, isRoomName, newKey } from "./protocol.js";
import * as reduce from "./rooms.js";

const PAGE_OF_HISTORY = 50;
const TYPING_EVERY_MS = 3_000;
const TYPING_SHOWN_MS = 6_000;
const MAX_TRIES = 4;
const RETRY_REFUSED_MS = 2_000;
const PRESENCE_PAUSE_MS = 1_000;

/**
 * @typedef {object} ChatState everything the page draws; replaced, never changed
 * @property {string} user
 * @property {string} node
 * @property {import("./connection.js").Snapshot} connection
 * @property {ReadonlyMap<string, import("./rooms.js").Room>} rooms in the order of the sidebar
 * @property {string | null} active
 * @property {number} maxContentBytes
 *
 * @typedef {{epoch: string, read: number}} Bookmark
 *
 * @typedef {object} Memory where the joined rooms are remembered between visits
 * @property {() => {name: string, bookmark: Bookmark | null}[]} load
 * @property {(rooms: {name: string, bookmark: Bookmark | null}[]) => void} save
 *
 * @typedef {object} ChatOptions
 * @property {string} url
 * @property {string} user until AUTH_OK says it with authority
 * @property {(options: {fresh: boolean}) => Promise<string>} token
 * @property {Memory} memory
 * @property {() => void} onChange
 * @property {(room: import("./rooms.js").Room, message: import("./protocol.js").Message) => void} onMessage a
 *   message of somebody else that has just been said
 * @property {Partial<import("./connection.js").Options>} [connection]
 */

/**
 * @param {unknown} error
 * @returns {number | null} ms, where the node refused a command because it came too fast
 */
function pauseFor(error) {
  const tooFast = error instanceof Refused && error.code === ErrorCode.TOO_MANY_REQUESTS;
  return tooFast ? (error.retryAfterMs ?? RETRY_REFUSED_MS) : null;
}

export class Chat {
  /** @type {ChatState} */
  state;

  #options;
  #connection;
  /** @type {Map<string, Bookmark>} */
  #bookmarks = new Map();
  /** @type {Map<string, number>} room → when TYPING was last sent */
  #typingSentAt = new Map();
  /** @type {Set<string>} rooms whose PRESENCE is about to be asked */
  #presenceDue = new Set();
  /** @type {Set<string>} rooms with a JOIN on its way */
  #joining = new Set();
  /** @type {Set<string>} keys with a PUBLISH on its way on the present connection */
  #publishing = new Set();
  // The node counts each of these by itself.
  #joins = new Pace();
  #publishes = new Pace();
  #questions = new Pace();

  /** @param {ChatOptions} options */
  constructor(options) {
    this.#options = options;
    this.#connection = new Connection({
      url: options.url,
      token: options.token,
      onChange: (connection) => this.#connectionChanged(connection),
      onReady: (hello) => this.#ready(hello),
      onPush: (push) => this.#pushed(push),
      ...options.connection,
    });
    /** @type {Map<string, import("./rooms.js").Room>} */
    const rooms = new Map();
    for (const { name, bookmark } of options.memory.load()) {
      rooms.set(name, reduce.newRoom(name));
      if (bookmark) this.#bookmarks.set(name, bookmark);
    }
    this.state = {
      user: options.user,
      node: "",
      connection: this.#connection.snapshot,
      rooms,
      active: null,
      maxContentBytes: MAX_CONTENT_BYTES,
    };
  }

  // What the user does.

  start() {
    this.#connection.start();
  }

  stop() {
    this.#connection.stop();
  }

  retryNow() {
    this.#connection.retryNow();
  }

  /** Come in again, with another token. */
  reconnect() {
    this.#connection.stop();
    this.#connection.start();
  }

  /**
   * Show a room; join it first if need be.
   *
   * @param {string} name
   * @returns {boolean} false: that is no name for a room
   */
  open(name) {
    if (!isRoomName(name)) return false;
    const known = this.state.rooms.get(name);
    this.#set({ active: name });
    this.#put(reduce.opened(known ?? reduce.newRoom(name), this.state.user));
    if (known?.joined) this.#loadLatest(name);
    else void this.#join(name);
    this.#remember();
    return true;
  }

  /** @param {string} name */
  leave(name) {
    const rooms = new Map(this.state.rooms);
    rooms.delete(name);
    this.#bookmarks.delete(name);
    this.#joining.delete(name); // who comes straight back needs a JOIN of their own, after the LEAVE
    this.#set({ rooms, active: this.state.active === name ? null : this.state.active });
    this.#remember();
    // Whether or not it arrives: a connection that is lost has left the room too.
    this.#connection.request({ type: "LEAVE", room: name }).catch(() => {});
  }

  /** @param {string} name @param {string} content */
  say(name, content) {
    const key = newKey();
    this.#update(name, (room) => reduce.written({ ...room, firstNew: null }, key, content, Date.now()));
    this.#typingSentAt.delete(name);
    void this.#publish(name, key);
  }

  /** @param {string} name @param {string} key */
  sayAgain(name, key) {
    this.#update(name, (room) => reduce.pendingChanged(room, key, { problem: null, tries: 0 }));
    void this.#publish(name, key);
  }

  /** @param {string} name @param {string} key */
  discard(name, key) {
    this.#update(name, (room) => reduce.discarded(room, key));
  }

  /** The user pressed a key in the composer. @param {string} name */
  typing(name) {
    const now = Date.now();
    if (now - (this.#typingSentAt.get(name) ?? 0) < TYPING_EVERY_MS) return;
    if (!this.state.rooms.get(name)?.joined) return;
    this.#typingSentAt.set(name, now);
    this.#connection.send({ type: "TYPING", room: name });
  }

  /** The end of the room is before the user's eyes. @param {string} name */
  seen(name) {
    const before = this.state.rooms.get(name);
    this.#update(name, reduce.seen);
    if (this.state.rooms.get(name) !== before) this.#remember();
  }

  /** @param {string} name */
  loadOlder(name) {
    const room = this.state.rooms.get(name);
    if (!room?.joined || !room.older || room.loadingOlder || room.messages.length === 0) return;
    this.#put({ ...room, loadingOlder: true });
    const before = { epoch: room.epoch, offset: room.messages[0].offset };
    void this.#readHistory(name, { before, limit: PAGE_OF_HISTORY }, "before");
  }

  /** @param {string} name @param {{from: number, to: number}} gap */
  loadGap(name, { from, to }) {
    const room = this.state.rooms.get(name);
    if (!room?.joined) return;
    const since = { epoch: room.epoch, offset: from - 1 };
    void this.#readHistory(name, { since, limit: Math.min(to - from + 1, 200) }, "gap");
  }

  /** Whether this text fits into one message. @param {string} content */
  fits(content) {
    return byteLength(content) <= this.state.maxContentBytes;
  }

  // What the node says.

  /** @param {import("./connection.js").Snapshot} connection */
  #connectionChanged(connection) {
    this.#set({ connection });
    if (connection.state !== "DISCONNECTED" && connection.state !== "CLOSED") return;
    this.#joining.clear();
    this.#publishing.clear();
    for (const name of this.state.rooms.keys()) this.#update(name, reduce.disconnected);
  }

  /** @param {import("./protocol.js").Frame} hello */
  #ready(hello) {
    const maxContentBytes = hello.limits?.content_bytes ?? MAX_CONTENT_BYTES;
    this.#set({ user: hello.user, node: hello.node, maxContentBytes });
    const { active, rooms } = this.state;
    // The room before the user's eyes first.
    const names = [...rooms.keys()].sort((one, other) => Number(other === active) - Number(one === active));
    for (const name of names) void this.#join(name);
  }

  /** @param {import("./protocol.js").Frame} push */
  #pushed(push) {
    const room = this.state.rooms.get(push.room);
    if (!room) return; // left meanwhile, or of a later version of the protocol
    switch (push.type) {
      case "MESSAGE": {
        const next = reduce.received(room, /** @type {any} */ (push));
        if (next.messages === room.messages) return; // seen before
        this.#put(next);
        if (push.user !== this.state.user) this.#options.onMessage(next, /** @type {any} */ (push));
        return;
      }
      case "JOINED":
      case "LEFT":
        this.#put(reduce.cameOrWent(room, push));
        if (!push.user) this.#askPresence(push.room);
        return;
      case "TYPING":
        if (push.user !== this.state.user) this.#othersTyping(push.room, push.user);
        return;
      case "GAP":
        this.#put(reduce.gapped(room, push));
        if (push.room === this.state.active) this.#loadLatest(push.room);
        return;
      case "REMOVED":
        this.#put({ ...room, joined: false, problem: push.rejoin ? null : "You were taken out of this room." });
        if (push.rejoin) void this.#join(push.room);
    }
  }

  /** @param {string} name @param {string} user */
  #othersTyping(name, user) {
    this.#update(name, (room) => reduce.typed(room, user, Date.now() + TYPING_SHOWN_MS));
    setTimeout(() => {
      this.#update(name, (room) => reduce.withoutExpiredTyping(room, Date.now()));
    }, TYPING_SHOWN_MS + 50);
  }

  // Conversations with the node: each is a command, its reply, and what may go wrong.

  /** @param {string} name */
  async #join(name) {
    const room = this.state.rooms.get(name);
    if (!room || room.joined || this.#joining.has(name) || !this.#connection.isReady) return;
    this.#joining.add(name);
    await this.#joins.run(name, () => this.#joinNow(name));
  }

  /**
   * @param {string} name
   * @returns {Promise<number | null>} how long to wait before doing it again, where the node says so
   */
  async #joinNow(name) {
    const room = this.state.rooms.get(name);
    if (!room || !this.#joining.has(name)) return null; // left, or the connection was lost
    const since = room.epoch === null ? undefined : { epoch: room.epoch, offset: room.position };
    try {
      const reply = await this.#connection.request({ type: "JOIN", room: name, since });
      this.#update(name, (now) => reduce.joined(now, reply, this.state.user, this.#bookmarks.get(name)));
    } catch (error) {
      const pause = pauseFor(error);
      if (pause !== null) return pause;
      this.#joining.delete(name);
      if (error instanceof Refused) this.#joinRefused(name, error);
      return null;
    }
    this.#joining.delete(name);
    for (const { key, problem } of this.state.rooms.get(name)?.pending ?? []) {
      if (problem === null) void this.#publish(name, key);
    }
    if (name === this.state.active) this.#loadLatest(name);
    this.#askPresence(name);
    this.#remember();
    return null;
  }

  /** @param {string} name @param {Refused} error */
  #joinRefused(name, error) {
    if (error.code === ErrorCode.ALREADY_JOINED) {
      // Only a leave and a join that crossed can bring us here; the way out is the same again.
      this.#connection.request({ type: "LEAVE", room: name }).then(() => this.#join(name), () => {});
      return;
    }
    this.#update(name, (room) => ({ ...room, problem: error.message }));
    if (error.temporary) setTimeout(() => void this.#join(name), error.retryAfterMs ?? RETRY_REFUSED_MS);
  }

  /** @param {string} name @param {string} key */
  async #publish(name, key) {
    const room = this.state.rooms.get(name);
    const pending = room?.pending.find((each) => each.key === key);
    // Not joined: it goes out after the JOIN_OK.
    if (!room?.joined || !pending || this.#publishing.has(key)) return;
    this.#publishing.add(key);
    const went = await this.#publishes.run(key, () => this.#publishNow(name, key));
    if (!went) this.#update(name, (now) => reduce.pendingChanged(now, key, { slow: true }));
  }

  /**
   * @param {string} name @param {string} key
   * @returns {Promise<number | null>} how long to wait before doing it again, where the node says so
   */
  async #publishNow(name, key) {
    const pending = this.state.rooms.get(name)?.pending.find((each) => each.key === key);
    if (!pending || !this.#publishing.has(key)) return null; // discarded; or it goes out after a JOIN_OK
    this.#update(name, (now) => reduce.pendingChanged(now, key, { sent: true, slow: false }));
    try {
      const command = { type: "PUBLISH", room: name, key, content: pending.content };
      const ack = await this.#connection.request(command);
      this.#update(name, (now) => reduce.acknowledged(now, key, ack, this.state.user));
    } catch (error) {
      const pause = pauseFor(error);
      if (pause !== null) {
        this.#update(name, (now) => reduce.pendingChanged(now, key, { slow: true }));
        return pause;
      }
      // A lost connection: again under the same key when it is back.
      if (error instanceof Refused) this.#publishRefused(name, pending, error);
    }
    this.#publishing.delete(key);
    return null;
  }

  /** @param {string} name @param {import("./rooms.js").Pending} pending @param {Refused} error */
  #publishRefused(name, { key, tries }, error) {
    if (error.code === ErrorCode.NOT_JOINED) {
      this.#update(name, (room) => ({ ...room, joined: false }));
      void this.#join(name);
    } else if (error.temporary && tries + 1 < MAX_TRIES) {
      this.#update(name, (room) => reduce.pendingChanged(room, key, { tries: tries + 1 }));
      const pause = error.retryAfterMs ?? RETRY_REFUSED_MS * 2 ** tries;
      setTimeout(() => void this.#publish(name, key), pause);
    } else {
      this.#update(name, (room) => reduce.pendingChanged(room, key, { problem: error.message }));
    }
  }

  /** @param {string} name */
  #loadLatest(name) {
    const room = this.state.rooms.get(name);
    if (!room?.joined || room.history !== "no") return;
    this.#put({ ...room, history: "loading" });
    void this.#readHistory(name, { limit: PAGE_OF_HISTORY }, "latest");
  }

  /** @param {string} name @param {object} range @param {"latest" | "before" | "gap"} asked */
  async #readHistory(name, range, asked) {
    await this.#questions.run(`history ${name} ${JSON.stringify(range)}`, async () => {
      try {
        const reply = await this.#connection.request({ type: "HISTORY", room: name, ...range });
        this.#update(name, (room) => reduce.historyRead(room, reply, asked));
      } catch (error) {
        const pause = pauseFor(error);
        if (pause !== null) return pause;
        this.#update(name, (room) => ({
          ...room,
          loadingOlder: false,
          history: asked === "latest" ? "no" : room.history,
        }));
        if (error instanceof Refused && error.temporary && asked === "latest") {
          setTimeout(() => this.#loadLatest(name), error.retryAfterMs ?? RETRY_REFUSED_MS);
        }
      }
      return null;
    });
  }

  /** Ask who is here, once for a burst of news. @param {string} name */
  #askPresence(name) {
    if (this.#presenceDue.has(name)) return;
    this.#presenceDue.add(name);
    const pause = this.state.rooms.get(name)?.members === null ? 0 : PRESENCE_PAUSE_MS;
    setTimeout(() => {
      this.#presenceDue.delete(name);
      void this.#questions.run(`presence ${name}`, async () => {
        try {
          const reply = await this.#connection.request({ type: "PRESENCE", room: name });
          this.#update(name, (room) => reduce.present(room, reply));
        } catch (error) {
          return pauseFor(error); // the count from JOIN_OK is there; else the list comes with the next news
        }
        return null;
      });
    }, pause);
  }

  // State.

  /** @param {Partial<ChatState>} change */
  #set(change) {
    this.state = { ...this.state, ...change };
    this.#options.onChange();
  }

  /** @param {import("./rooms.js").Room} room */
  #put(room) {
    this.#set({ rooms: new Map(this.state.rooms).set(room.name, room) });
  }

  /** @param {string} name @param {(room: import("./rooms.js").Room) => import("./rooms.js").Room} change */
  #update(name, change) {
    const room = this.state.rooms.get(name);
    if (!room) return;
    const next = change(room);
    if (next !== room) this.#put(next);
  }

  #remember() {
    const rooms = [...this.state.rooms.values()].map(({ name, epoch, read }) => {
      // Before its first JOIN_OK a room knows nothing better than the last visit did.
      const bookmark = epoch === null ? (this.#bookmarks.get(name) ?? null) : { epoch, read };
      return { name, bookmark };
    });
    this.#options.memory.save(rooms);
  }
}
