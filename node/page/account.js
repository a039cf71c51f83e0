/**
 * Who the user is: somebody with a password, a guest, or the holder of a token from elsewhere. No DOM.
 *
 * The account lives in sessionStorage: a reload stays signed in, a closed tab is signed out, and
 * two tabs can be two people. No password is kept, here or anywhere: a token that is still good is
 * exchanged for a new one.
 */

import { SignInProblem } from "./connection.js";

const ACCOUNT_ITEM = "greenroom.account";
const NAME_ITEM = "greenroom.name";
const WAY_ITEM = "greenroom.way";
const ROOMS_ITEM = "greenroom.rooms";

/** @typedef {"guest" | "password" | "token"} Way how somebody came in */

/**
 * @typedef {object} Account
 * @property {string} user
 * @property {string} token
 * @property {Way} way
 * @property {string | null} guestName what to ask a new guest token with; null: no guest
 */

/**
 * @typedef {object} Offers what this node lets people sign in with
 * @property {boolean} accounts
 * @property {boolean} guests
 * @property {boolean} [registration]
 * @property {number} [password_characters]
 */

/** The node says why not, and that it may be otherwise in a while. */
export class NotNow extends Error {}

/** @returns {Promise<Offers>} rejects with a network error */
export async function askOffers() {
  const response = await fetch("api/sign-in", { cache: "no-store" });
  if (!response.ok) throw new Error(`The node answered ${response.status}.`);
  return response.json();
}

/**
 * @param {string} name
 * @returns {Promise<Account>} rejects with SignInProblem, NotNow or a network error
 */
export async function signInAsGuest(name) {
  const { token, user } = await post("api/guest", { name });
  return { token, user, way: "guest", guestName: name };
}

/**
 * @param {string} name
 * @param {string} password
 * @returns {Promise<Account>} rejects as signInAsGuest
 */
export async function signInWithPassword(name, password) {
  return signedIn(await post("api/login", { name, password }));
}

/**
 * Make an account, and come in with it.
 *
 * @param {string} name
 * @param {string} password
 * @returns {Promise<Account>} rejects as signInAsGuest
 */
export async function register(name, password) {
  return signedIn(await post("api/register", { name, password }));
}

/**
 * Change the password. All other sign-ins end; so does the token we had.
 *
 * @param {Account} account
 * @param {string} old
 * @param {string} fresh
 * @returns {Promise<Account>} rejects as signInAsGuest
 */
export async function changePassword(account, old, fresh) {
  return signedIn(await post("api/password", { old, new: fresh }, account.token));
}

/**
 * Have the node forget the sign-in. It is forgotten here whether or not that works.
 *
 * @param {Account} account
 */
export async function endSignIn(account) {
  if (account.way === "password") await post("api/logout", {}, account.token).catch(() => {});
}

/** @param {{token: string, user: string}} answer @returns {Account} */
function signedIn({ token, user }) {
  return { token, user, way: "password", guestName: null };
}

/**
 * @param {string} path
 * @param {object} body
 * @param {string} [token] of whoever is signed in already
 * @returns {Promise<any>} the answer; rejects with SignInProblem, NotNow or a network error
 */
async function post(path, body, token) {
  /** @type {Record<string, string>} */
  const headers = { "Content-Type": "application/json" };
  if (token !== undefined) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(path, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    cache: "no-store",
    keepalive: true, // signing out goes on while the page is replaced
  });
  if (response.status === 204) return null;
  const answer = await response.json();
  if (response.ok) return answer;
  if (response.status === 429) throw new NotNow(waitWords(Number(response.headers.get("Retry-After"))));
  if (response.status >= 500) throw new NotNow(answer.error);
  if (response.status === 404) throw new SignInProblem("This node does not offer that.");
  throw new SignInProblem(answer.error);
}

/** @param {number} seconds */
export function waitWords(seconds) {
  const minutes = Math.ceil(seconds / 60);
  const time = seconds < 100 ? `${seconds} seconds` : `${minutes} minutes`;
  return `Too many tries. Please wait ${time}, then try again.`;
}

/**
 * Take a token as it is. Only the node can judge it; we read the name, to have something to show.
 *
 * @param {string} token
 * @returns {Account}
 */
export function signInWithToken(token) {
  return { token, user: subject(token), way: "token", guestName: null };
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
 * @returns {Promise<string>} rejects with SignInProblem when only another sign-in can help
 */
export async function currentToken({ fresh }) {
  const account = loadAccount();
  if (!account) throw new SignInProblem("You are signed out.");
  if (!fresh) return account.token;
  const renewed = await renew(account);
  saveAccount(renewed);
  return renewed.token;
}

/** @param {Account} account @returns {Promise<Account>} */
async function renew(account) {
  if (account.guestName !== null) return signInAsGuest(account.guestName);
  if (account.way !== "password") throw new SignInProblem("Your token has run out.");
  try {
    return signedIn(await post("api/renew", {}, account.token));
  } catch (error) {
    if (error instanceof SignInProblem) throw new SignInProblem("Your sign-in has run out.");
    throw error;
  }
}

/** @returns {Account | null} */
export function loadAccount() {
  return read(sessionStorage, ACCOUNT_ITEM);
}

/** @param {Account} account */
export function saveAccount(account) {
  write(sessionStorage, ACCOUNT_ITEM, account);
  write(localStorage, WAY_ITEM, account.way);
  if (account.way !== "token") write(localStorage, NAME_ITEM, account.guestName ?? account.user);
}

export function forgetAccount() {
  sessionStorage.removeItem(ACCOUNT_ITEM);
}

/** The name this browser last came with. */
export function lastName() {
  return read(localStorage, NAME_ITEM) ?? "";
}

/** How this browser last came in. @returns {Way | null} */
export function lastWay() {
  return read(localStorage, WAY_ITEM);
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
