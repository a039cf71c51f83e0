/**
 * What both ends of the wire agree on: names, numbers, states, and the words we show for them.
 *
 * Tables and pure functions only. This file knows no socket, no clock and no DOM; docs/protocol.md
 * is where the numbers come from.
 */

/**
 * @typedef {{epoch: string, offset: number}} Position a place in a room's history
 * @typedef {{epoch: string, offset: number, message_id: number, user: string, content: string,
 *   timestamp: number}} Message
 * @typedef {{user: string, connections: number}} Member
 * @typedef {Record<string, any> & {type: string}} Frame one decoded JSON frame, either direction
 */

export const SUBPROTOCOL = "greenroom.v1.json";

/** @typedef {"DISCONNECTED" | "CONNECTED" | "UNREACHABLE" | "CLOSED"} State */
/** @typedef {"authenticated" | "silence" | "heard" | "lost" | "ended" | "started"} StateEvent */

/**
 * The connection's states, the same on both sides. What a row leaves out does not change the state.
 *
 * @type {Record<State, Partial<Record<StateEvent, State>>>}
 */
const TRANSITIONS = {
  DISCONNECTED: { authenticated: "CONNECTED", ended: "CLOSED" },
  CONNECTED: { silence: "UNREACHABLE", lost: "DISCONNECTED", ended: "CLOSED" },
  UNREACHABLE: { heard: "CONNECTED", lost: "DISCONNECTED", ended: "CLOSED" },
  CLOSED: { started: "DISCONNECTED" },
};

/**
 * @param {State} state
 * @param {StateEvent} event
 * @returns {State}
 */
export function nextState(state, event) {
  return TRANSITIONS[state][event] ?? state;
}

/** Silence after which the node counts as out of reach; AUTH_OK may name another. */
export const UNREACHABLE_AFTER_MS = 25_000;

/** How much longer we then wait before we hang up. */
export const PONG_TIMEOUT_MS = 8_000;

/** The part of that silence after which we ask for a sign of life. */
export const PROBE_FRACTION = 0.8;

/** CONNECTED time after which the next failure waits one second again. */
export const STEADY_AFTER_MS = 10_000;

/** A socket that is not authenticated by then is given up. */
export const OPENING_TIMEOUT_MS = 10_000;

/** Used until AUTH_OK tells the node's own limit. */
export const MAX_CONTENT_BYTES = 32 * 1024;

const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/**
 * How long to wait before the n-th try in a row (from 0): 1, 2, 4, 8 … 30 s, with full jitter.
 *
 * Full jitter means anywhere between nothing and the whole step: when a node comes back, its
 * clients must not all knock at the same moment.
 *
 * @param {number} attempt
 * @param {() => number} random 0 ≤ random() < 1
 */
export function retryDelay(attempt, random) {
  return random() * Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** attempt);
}

export const ErrorCode = Object.freeze({
  ALREADY_JOINED: 105,
  TOKEN_EXPIRED: 109,
  TOO_MANY_REQUESTS: 111,
  NOT_JOINED: 120,
});

export const CloseCode = Object.freeze({
  NORMAL: 1000,
  TOKEN_EXPIRED: 4003,
  NO_HEARTBEAT: 4005,
  SESSION_REPLACED: 4510,
});

/** Close codes after which only another sign-in can help: invalid token, denied, revoked. */
export const SIGN_IN_REFUSED = new Set([4500, 4507, 4508]);

/** What a bug or a mismatch of versions caused would only be caused again. */
const FINAL_RFC_CODES = new Set([1000, 1002, 1003, 1007, 1009]);

/**
 * Whether a client may come back after this close code, known to us or not.
 *
 * @param {number} code
 */
export function mayReconnect(code) {
  if (code >= 4000 && code <= 4999) return code < 4500;
  return !FINAL_RFC_CODES.has(code);
}

/** What a person reads when a command was refused. */
const ERROR_WORDS = new Map([
  [100, "The node had a problem of its own."],
  [101, "You are not signed in."],
  [102, "There is no such room."],
  [103, "You may not do that here."],
  [106, "A limit is reached."],
  [107, "The node did not understand that."],
  [108, "The node cannot store messages right now."],
  [109, "Your sign-in has run out."],
  [111, "Too fast: the node asks for a pause."],
  [120, "You are not in this room."],
  [121, "This message is too long."],
  [122, "This message was already sent with other words."],
  [123, "This room is full."],
]);

/** @param {number} code */
export function errorWords(code) {
  return ERROR_WORDS.get(code) ?? `The node refused (error ${code}).`;
}

/** What a person reads when a connection ended. */
const CLOSE_WORDS = new Map([
  [1001, "The node is going away."],
  [1012, "The node is restarting."],
  [1013, "The node is busy."],
  [4001, "The node is restarting."],
  [4002, "The node dropped this connection after a fault."],
  [4003, "Your sign-in has run out."],
  [4004, "This window could not keep up."],
  [4005, "Nothing was heard from the node for too long."],
  [4006, "Our place in the history was lost."],
  [4007, "That was too much at once."],
  [4008, "The node cannot store messages right now."],
  [4009, "The node asked us to connect again."],
  [4500, "The node does not accept this sign-in."],
  [4502, "Signing in took too long."],
  [4503, "You were removed from this node."],
  [4504, "Too many windows are open under this name."],
  [4505, "Too many rooms are joined."],
  [4507, "You may not use this node."],
  [4508, "This sign-in was ended elsewhere, or by an operator."],
  [4510, "This session went on in another window."],
]);

/** @param {number} code */
export function closeWords(code) {
  const otherwise = mayReconnect(code)
    ? "The connection was lost."
    : "This page and the node do not understand each other.";
  return CLOSE_WORDS.get(code) ?? otherwise;
}

/** What a room name may hold; a node refuses everything else. */
const ROOM_NAME = /^[A-Za-z0-9._:-]{1,100}$/;

/** @param {string} name */
export function isRoomName(name) {
  return ROOM_NAME.test(name);
}

/** A key under which a message is stored once, however often it is sent. */
export function newKey() {
  // Not crypto.randomUUID: it is missing where the page came over plain http from another machine.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Length as the node counts it.
 *
 * @param {string} text
 */
export function byteLength(text) {
  return new TextEncoder().encode(text).length;
}
