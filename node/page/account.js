/**
 * Who the user is: a guest of this node, or the holder of a token from elsewhere. No DOM.
 *
 * The account lives in sessionStorage: a reload stays signed in, a closed tab is signed out, and
 * two tabs can be two people.
 */

import { SignInProblem } from "./connection.js";

const ACCOUNT_ITEM = "greenroom.account";
const NAME_ITEM = "greenroom.name";
const ROOMS_ITEM = "greenroom.rooms";

/**
 * @typedef {object} Account
 * @property {string} user
 * @property {string} token
 * @property {string | null} guestName what to ask a new guest token with; null: the token was pasted
 */

/** This node takes no guests. */
export class NoGuests extends Error {}

/**
 * @param {string} name
 * @returns {Promise<Account>} rejects with NoGuests, SignInProblem or a network error
 */
export async function signInAsGuest(name) {
  const response = await fetch("api/guest", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name }),
    cache: "no-store",
  });
  if (response.status === 404) throw new NoGuests();
  if (response.status === 400) throw new SignInProblem((await response.json()).error);
  if (!response.ok) throw new Error(`The node answered ${response.status}.`);
  const { token, user } = await response.json();
  return { token, user, guestName: name };
}

/**
 * Take a token as it is. Only the node can judge it; we read the name, to have something to show.
 *
 * @param {string} token
 * @returns {Account}
 */
export function signInWithToken(token) {
  return { token, user: subject(token), guestName: null };
}

/** @param {string} token */
function subject(token) {
  try {
    const body = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(body), (character) => character.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof claims.sub === "string") return claims.sub;
  } catch {
    // Said below, in words a person can act on.
  }
  throw new SignInProblem("This is not a token: three parts with dots between them are expected.");
}

/**
 * The token to connect with, renewed when the last one is of no use any more.
 *
 * @param {{fresh: boolean}} options
 * @returns {Promise<string>}
 */
export async function currentToken({ fresh }) {
  const account = loadAccount();
  if (!account) throw new SignInProblem("You are signed out.");
  if (!fresh) return account.token;
  if (account.guestName === null) throw new SignInProblem("Your token has run out.");
  const renewed = await signInAsGuest(account.guestName).catch((error) => {
    if (error instanceof NoGuests) throw new SignInProblem("This node takes no guests any more.");
    throw error;
  });
  saveAccount(renewed);
  return renewed.token;
}

/** @returns {Account | null} */
export function loadAccount() {
  return read(sessionStorage, ACCOUNT_ITEM);
}

/** @param {Account} account */
export function saveAccount(account) {
  write(sessionStorage, ACCOUNT_ITEM, account);
  if (account.guestName !== null) write(localStorage, NAME_ITEM, account.guestName);
}

export function forgetAccount() {
  sessionStorage.removeItem(ACCOUNT_ITEM);
}

/** The name this browser last came with. */
export function lastName() {
  return read(localStorage, NAME_ITEM) ?? "";
}

/**
 * Where the joined rooms are remembered. By user, because two tabs can be two people.
 *
 * @param {string} user
 * @returns {import("./chat.js").Memory}
 */
export function roomMemory(user) {
  const item = `${ROOMS_ITEM}.${user}`;
  return {
    load: () => read(localStorage, item) ?? [],
    save: (rooms) => write(localStorage, item, rooms),
  };
}

/** @param {Storage} storage @param {string} item @returns {any} null when there is nothing of ours */
function read(storage, item) {
  try {
    return JSON.parse(storage.getItem(item) ?? "null");
  } catch {
    return null; // not ours, or damaged: as good as nothing
  }
}

/** @param {Storage} storage @param {string} item @param {unknown} value */
function write(storage, item, value) {
  try {
    storage.setItem(item, JSON.stringify(value));
  } catch {
    // Full or forbidden: the page works on, it only remembers less.
  }
}
