/**
 * One connection to the node, kept alive: sign-in, heartbeats, retries. No DOM, no rooms.
 *
 * The owner asks with `request` and gets the reply or an error; everything unasked goes to `onPush`.
 * The socket may be replaced many times meanwhile: `onReady` says each time that a fresh one works.
 */

import {
  CloseCode,
  ErrorCode,
  OPENING_TIMEOUT_MS,
  PONG_TIMEOUT_MS,
  PROBE_FRACTION,
  SIGN_IN_REFUSED,
  STEADY_AFTER_MS,
  SUBPROTOCOL,
  UNREACHABLE_AFTER_MS,
  closeWords,
  errorWords,
  mayReconnect,
  nextState,
  retryDelay,
} from "./protocol.js";

const TICK_MS = 1_000;

/**
 * Least time between two REFRESHes. A node whose tokens live shorter than its own warning would
 * otherwise be answered as fast as the wire carries it: seen, at 90 a second.
 */
const REFRESH_PAUSE_MS = 5_000;

/** The node refused a command. */
export class Refused extends Error {
  /** @param {import("./protocol.js").Frame} frame an ERROR */
  constructor(frame) {
    super(errorWords(frame.code));
    this.code = /** @type {number} */ (frame.code);
    this.temporary = Boolean(frame.temporary);
    this.retryAfterMs = /** @type {number | null} */ (frame.retry_after_ms ?? null);
  }
}

/** The socket went away before the reply came: whether the node acted on the command is unknown. */
export class ConnectionLost extends Error {}

/** No token is to be had, and trying again would not change that. */
export class SignInProblem extends Error {}

/**
 * @typedef {object} Snapshot what the page shows about the connection
 * @property {import("./protocol.js").State} state
 * @property {boolean} opening a socket is being opened right now
 * @property {number | null} retryAt when the next try is due (ms), while one is armed
 * @property {string} reason why it is not CONNECTED, in words; "" when there is nothing to say
 * @property {boolean} draining the node said that it is about to stop
 * @property {boolean} signInRefused CLOSED, and only another sign-in can help
 */

/**
 * @typedef {object} Options
 * @property {string} url
 * @property {(options: {fresh: boolean}) => Promise<string>} token `fresh`: the last one is of no use
 * @property {(snapshot: Snapshot) => void} onChange
 * @property {(hello: import("./protocol.js").Frame) => void} onReady with the AUTH_OK
 * @property {(push: import("./protocol.js").Frame) => void} onPush
 * @property {typeof WebSocket} [WebSocket]
 * @property {Clock} [clock]
 * @property {() => number} [random]
 */

/**
 * @typedef {object} Clock time as this module sees it, so that tests need not wait
 * @property {() => number} now ms
 * @property {(run: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/** @type {Clock} */
const BROWSER_CLOCK = {
  now: () => Date.now(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

export class Connection {
  #options;
  #clock;
  #random;
  #WebSocket;

  /** @type {import("./protocol.js").State} */
  #state = "CLOSED";
  #reason = "";
  #opening = false;
  /** @type {number | null} */
  #retryAt = null;

  /** @type {WebSocket | null} */
  #socket = null;
  /** Told apart by number, so that what an abandoned try still brings is dropped. */
  #generation = 0;
  /** @type {any} the one timer: opening deadline, next tick or next try */
  #timer = null;

  #attempt = 0;
  #needsFreshToken = false;
  #refreshedAt = -Infinity;
  #refreshDue = false;
  /** @type {number | null} set by DRAIN and retry_after: no try before this moment, and one then */
  #comeBackAt = null;
  #draining = false;
  #signInRefused = false;

  #connectedAt = 0;
  #receivedAt = 0;
  /** Whether this silence was already answered with a HEARTBEAT of ours. */
  #probed = false;
  #unreachableAfterMs = UNREACHABLE_AFTER_MS;
  /** @type {string | null} kept in memory only: a duplicated tab copies sessionStorage, and the
   *   same session connecting again would throw the first tab out (4510) */
  #session = null;

  #nextId = 1;
  /** @type {Map<number, {resolve: (reply: any) => void, reject: (error: Error) => void}>} */
  #waiting = new Map();

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#clock = options.clock ?? BROWSER_CLOCK;
    this.#random = options.random ?? Math.random;
    this.#WebSocket = options.WebSocket ?? WebSocket;
  }

  /** @returns {Snapshot} */
  get snapshot() {
    return {
      state: this.#state,
      opening: this.#opening,
      retryAt: this.#retryAt,
      reason: this.#reason,
      draining: this.#draining,
      signInRefused: this.#signInRefused,
    };
  }

  /** Whether a command sent now would reach a socket that is signed in. */
  get isReady() {
    return this.#state === "CONNECTED" || this.#state === "UNREACHABLE";
  }

  start() {
    this.#move("started");
    this.#signInRefused = false;
    this.#attempt = 0;
    void this.#open();
  }

  /** The user's own close: final. */
  stop() {
    this.#end("", false);
  }

  /** Do not wait for the countdown: the user says so, or the browser found the network again. */
  retryNow() {
    if (this.#state === "CLOSED") this.start();
    else if (this.#state === "DISCONNECTED" && !this.#opening) void this.#open();
  }

  /**
   * Send a command and wait for its reply.
   *
   * @param {import("./protocol.js").Frame} command without `id`
   * @returns {Promise<import("./protocol.js").Frame>} rejects with Refused or ConnectionLost
   */
  request(command) {
    return new Promise((resolve, reject) => {
      if (!this.isReady) {
        reject(new ConnectionLost());
        return;
      }
      this.#ask(command, resolve, reject);
    });
  }

  /**
   * Send a command that has no reply; dropped when there is no connection.
   *
   * @param {import("./protocol.js").Frame} command
   */
  send(command) {
    if (this.isReady) this.#write(command);
  }

  // From nothing to AUTH_OK.

  async #open() {
    this.#drop();
    const generation = this.#generation;
    this.#opening = true;
    this.#changed();
    let token;
    try {
      token = await this.#options.token({ fresh: this.#needsFreshToken });
    } catch (error) {
      if (generation !== this.#generation) return;
      if (error instanceof SignInProblem) this.#end(error.message, true);
      else this.#lost("The node cannot be reached.");
      return;
    }
    if (generation !== this.#generation) return;
    this.#needsFreshToken = false;
    this.#draining = false;
    const socket = new this.#WebSocket(this.#options.url, SUBPROTOCOL);
    this.#socket = socket;
    this.#arm(OPENING_TIMEOUT_MS, () => this.#lost("The node does not answer."));
    socket.onopen = () => this.#authenticate(token);
    socket.onmessage = (event) => this.#received(String(event.data));
    // There is no onerror: the browser tells nothing in it, and a close always follows.
    socket.onclose = (event) => this.#closed(event.code);
  }

  /** @param {string} token */
  #authenticate(token) {
    const command = { type: "AUTH", token, client: "greenroom-page", session: this.#session ?? undefined };
    this.#ask(
      command,
      (hello) => this.#authenticated(hello),
      (error) => {
        // The close code that follows decides; here only what it cannot say.
        if (!(error instanceof Refused)) return;
        if (error.code === ErrorCode.TOKEN_EXPIRED) this.#needsFreshToken = true;
        this.#comeBackIn(error.retryAfterMs);
      },
    );
  }

  /** @param {import("./protocol.js").Frame} hello */
  #authenticated(hello) {
    this.#session = hello.session;
    this.#unreachableAfterMs = hello.heartbeat_ms;
    this.#refreshDue = false;
    this.#connectedAt = this.#clock.now();
    this.#opening = false;
    this.#reason = "";
    this.#move("authenticated");
    this.#arm(TICK_MS, () => this.#tick());
    this.#changed();
    this.#options.onReady(hello);
  }

  // While it works.

  /** @param {string} data */
  #received(data) {
    this.#receivedAt = this.#clock.now();
    this.#probed = false;
    if (this.#state === "UNREACHABLE") {
      this.#move("heard");
      this.#changed();
    }
    const frame = JSON.parse(data);
    if (frame.type === "HEARTBEAT") {
      if (frame.echo === undefined || frame.echo === null) {
        this.#write({ type: "HEARTBEAT", timestamp: this.#receivedAt, echo: frame.timestamp });
      }
    } else if (typeof frame.id === "number") {
      this.#answered(frame);
    } else if (frame.type === "TOKEN_EXPIRING") {
      this.#refreshDue = true;
      this.#refreshIfDue();
    } else if (frame.type === "DRAIN") {
      this.#drain(frame);
    } else {
      if (frame.code === ErrorCode.TOKEN_EXPIRED) this.#needsFreshToken = true;
      this.#options.onPush(frame);
    }
  }

  /** @param {import("./protocol.js").Frame} frame */
  #answered(frame) {
    const waiting = this.#waiting.get(frame.id);
    if (!waiting) return;
    this.#waiting.delete(frame.id);
    if (frame.type === "ERROR") waiting.reject(new Refused(frame));
    else waiting.resolve(frame);
  }

  #refreshIfDue() {
    const now = this.#clock.now();
    if (!this.#refreshDue || now - this.#refreshedAt < REFRESH_PAUSE_MS) return;
    this.#refreshDue = false;
    this.#refreshedAt = now;
    void this.#refresh();
  }

  async #refresh() {
    const generation = this.#generation;
    try {
      const token = await this.#options.token({ fresh: true });
      if (generation === this.#generation) await this.request({ type: "REFRESH", token });
    } catch {
      // The old token lasts a little longer; when it is closed with 4003 we come back with a new one.
    }
  }

  /** @param {import("./protocol.js").Frame} push */
  #drain(push) {
    this.#draining = true;
    this.#comeBackIn(push.after_ms + this.#random() * push.spread_ms);
    this.#changed();
  }

  #tick() {
    this.#arm(TICK_MS, () => this.#tick());
    const now = this.#clock.now();
    const silence = now - this.#receivedAt;
    if (silence >= this.#unreachableAfterMs + PONG_TIMEOUT_MS) {
      this.#lost(closeWords(CloseCode.NO_HEARTBEAT), CloseCode.NO_HEARTBEAT);
      return;
    }
    if (this.#draining && this.#comeBackAt !== null && now >= this.#comeBackAt) {
      this.#lost("The node is restarting.", CloseCode.NORMAL);
      return;
    }
    if (silence >= this.#unreachableAfterMs && this.#state === "CONNECTED") {
      this.#reason = "The node has gone quiet.";
      this.#move("silence");
      this.#changed();
    }
    // Once per silence, early enough for the answer to break it. That we are silent ourselves is
    // the node's to notice: it asks, and an answer needs no timer, which hidden tabs run slowly.
    if (silence >= this.#unreachableAfterMs * PROBE_FRACTION && !this.#probed) {
      this.#probed = true;
      this.#write({ type: "HEARTBEAT", timestamp: now });
    }
    this.#refreshIfDue();
    if (now - this.#connectedAt >= STEADY_AFTER_MS) this.#attempt = 0;
  }

  // When it ends.

  /** @param {number} code */
  #closed(code) {
    if (code === CloseCode.TOKEN_EXPIRED) this.#needsFreshToken = true;
    // Who takes up this window again must not throw the other one out in turn.
    if (code === CloseCode.SESSION_REPLACED) this.#session = null;
    if (mayReconnect(code)) this.#lost(closeWords(code));
    else this.#end(closeWords(code), SIGN_IN_REFUSED.has(code));
  }

  /**
   * @param {string} reason
   * @param {number} [code] how we close a socket that is still open
   */
  #lost(reason, code = CloseCode.NORMAL) {
    this.#drop(code);
    this.#opening = false;
    this.#reason = reason;
    this.#move("lost");
    const now = this.#clock.now();
    let delay;
    if (this.#comeBackAt === null) {
      delay = retryDelay(this.#attempt, this.#random);
      this.#attempt += 1;
    } else {
      delay = Math.max(0, this.#comeBackAt - now);
      this.#comeBackAt = null; // good for one try: kept, a past moment would make a tight loop
    }
    this.#retryAt = now + delay;
    this.#arm(delay, () => void this.#open());
    this.#changed();
    this.#abandonWaiting();
  }

  /** @param {string} reason @param {boolean} signInRefused */
  #end(reason, signInRefused) {
    this.#drop();
    this.#opening = false;
    this.#reason = reason;
    this.#signInRefused = signInRefused;
    this.#move("ended");
    this.#changed();
    this.#abandonWaiting();
  }

  /**
   * Forget the socket at once: a close handshake with a peer that is gone could take minutes.
   *
   * @param {number} [code]
   */
  #drop(code = CloseCode.NORMAL) {
    this.#generation += 1;
    this.#retryAt = null;
    this.#clock.clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  #abandonWaiting() {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(new ConnectionLost());
  }

  // Small tools.

  /**
   * @param {import("./protocol.js").Frame} command
   * @param {(reply: any) => void} resolve
   * @param {(error: Error) => void} reject
   */
  #ask(command, resolve, reject) {
    const id = this.#nextId;
    this.#nextId = (this.#nextId % 0xffff_ffff) + 1; // a uint32
    this.#waiting.set(id, { resolve, reject });
    this.#write({ ...command, id });
  }

  /** @param {import("./protocol.js").Frame} frame */
  #write(frame) {
    this.#socket?.send(JSON.stringify(frame));
  }

  /** @param {number | null} ms */
  #comeBackIn(ms) {
    if (ms !== null) this.#comeBackAt = this.#clock.now() + ms;
  }

  /** @param {number} ms @param {() => void} run */
  #arm(ms, run) {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(run, ms);
  }

  /** @param {import("./protocol.js").StateEvent} event */
  #move(event) {
    this.#state = nextState(this.#state, event);
  }

  #changed() {
    this.#options.onChange(this.snapshot);
  }
}
