import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import {
  NotNow,
  askOffers,
  changePassword,
  currentToken,
  endSignIn,
  lastName,
  lastWay,
  loadAccount,
  register,
  saveAccount,
  signInAsGuest,
  signInWithPassword,
  waitWords,
} from "../../node/page/account.js";
import { SignInProblem } from "../../node/page/connection.js";

/** Requests in the order they were made. */
let asked = [];
/** What the node answers next: [status, body, headers]. */
let answers = [];

class FakeStorage {
  #items = new Map();
  getItem(item) {
    return this.#items.get(item) ?? null;
  }
  setItem(item, value) {
    this.#items.set(item, value);
  }
  removeItem(item) {
    this.#items.delete(item);
  }
  get all() {
    return JSON.stringify([...this.#items]);
  }
}

beforeEach(() => {
  asked = [];
  answers = [];
  globalThis.sessionStorage = new FakeStorage();
  globalThis.localStorage = new FakeStorage();
  globalThis.fetch = async (path, options = {}) => {
    asked.push({ path, token: options.headers?.Authorization, ...JSON.parse(options.body ?? "{}") });
    const [status, body, headers] = answers.shift();
    return new Response(status === 204 ? null : JSON.stringify(body), { status, headers });
  };
});

const ANN = { token: "t1", user: "Ann", expires: 1 };

test("a password is sent once and kept nowhere", async () => {
  answers = [[200, ANN]];
  saveAccount(await signInWithPassword("ann", "correct horse"));
  assert.deepEqual(asked, [{ path: "api/login", token: undefined, name: "ann", password: "correct horse" }]);
  assert.equal(loadAccount().user, "Ann");
  assert.ok(!(sessionStorage.all + localStorage.all).includes("horse"));
});

test("the next time begins with the name and the way of the last", async () => {
  answers = [[200, ANN]];
  saveAccount(await register("Ann", "correct horse"));
  assert.equal(lastName(), "Ann");
  assert.equal(lastWay(), "password");
});

test("a token that ends is exchanged for another one", async () => {
  answers = [[200, ANN], [200, { ...ANN, token: "t2" }]];
  saveAccount(await signInWithPassword("ann", "correct horse"));
  assert.equal(await currentToken({ fresh: false }), "t1");
  assert.equal(await currentToken({ fresh: true }), "t2");
  assert.deepEqual(asked[1], { path: "api/renew", token: "Bearer t1" });
  assert.equal(loadAccount().token, "t2");
});

test("when the node exchanges it no more, only another sign-in helps", async () => {
  answers = [[200, ANN], [401, { error: "Sign in again." }]];
  saveAccount(await signInWithPassword("ann", "correct horse"));
  await assert.rejects(currentToken({ fresh: true }), new SignInProblem("Your sign-in has run out."));
});

test("when the node only can't just now, it is tried again", async () => {
  answers = [[200, ANN], [503, { error: "Not now." }], [429, {}, { "Retry-After": "7" }]];
  saveAccount(await signInWithPassword("ann", "correct horse"));
  for (const _ of [1, 2]) {
    await assert.rejects(currentToken({ fresh: true }), (error) => !(error instanceof SignInProblem));
  }
});

test("a guest comes again by name", async () => {
  answers = [[200, { token: "g1", user: "guest:Ben" }], [200, { token: "g2", user: "guest:Ben" }]];
  saveAccount(await signInAsGuest("Ben"));
  assert.equal(lastName(), "Ben");
  assert.equal(await currentToken({ fresh: true }), "g2");
});

test("what is wrong is told in the node's words, and how long to wait in ours", async () => {
  answers = [
    [401, { error: "The name or the password is wrong." }],
    [429, { error: "x" }, { "Retry-After": "20" }],
    [404, { error: "Not Found" }],
  ];
  await assert.rejects(signInWithPassword("a", "b"), new SignInProblem("The name or the password is wrong."));
  await assert.rejects(
    signInWithPassword("a", "b"),
    new NotNow("Too many tries. Please wait 20 seconds, then try again."),
  );
  await assert.rejects(signInAsGuest("a"), new SignInProblem("This node does not offer that."));
  assert.equal(waitWords(1200), "Too many tries. Please wait 20 minutes, then try again.");
});

test("a new password is asked for with the token, and brings another", async () => {
  answers = [[200, ANN], [200, { ...ANN, token: "t2" }]];
  const account = await signInWithPassword("ann", "correct horse");
  const changed = await changePassword(account, "correct horse", "battery staple");
  assert.equal(changed.token, "t2");
  assert.deepEqual(asked[1], { path: "api/password", token: "Bearer t1", old: "correct horse", new: "battery staple" });
});

test("signing out ends the token, whatever the node says; a guest's ends by itself", async () => {
  answers = [[200, ANN], [204], [200, ANN], [429, {}], [200, ANN]];
  for (const _ of [1, 2]) await endSignIn(await signInWithPassword("ann", "correct horse"));
  assert.deepEqual(asked[1], { path: "api/logout", token: "Bearer t1" });
  await endSignIn(await signInAsGuest("Ben"));
  assert.equal(asked.length, 5);
});

test("the node says what it offers", async () => {
  answers = [[200, { accounts: true, guests: false }], [500, {}]];
  assert.deepEqual(await askOffers(), { accounts: true, guests: false });
  await assert.rejects(askOffers());
});
