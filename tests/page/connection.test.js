/** The connection against a socket and a clock that tests hold in their hands. Run by test_page_logic.py. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Connection, ConnectionLost, Refused, SignInProblem } from "../../node/page/connection.js";
import { mayReconnect, nextState, retryDelay } from "../../node/page/protocol.js";

class FakeClock {
  time = 1_000_000;
  timers = new Map();
  last = 0;
  now = () => this.time;
  setTimeout = (run, ms) => {
    this.timers.set(++this.last, { at: this.time + ms, run });
    return this.last;
  };
  clearTimeout = (timer) => this.timers.delete(timer);

  /** Let time pass, timer by timer. */
  async advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.time = Math.max(this.time, due[1].at);
      due[1].run();
      await settle();
    }
    this.time = end;
  }
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A connection, the sockets it opened, and what it told its owner. */
function stage({ token = async () => "token", random = () => 0.5 } = {}) {
  const clock = new FakeClock();
  const sockets = [];
  const told = { pushes: [], ready: 0, tokens: [] };
  class FakeSocket {
    sent = [];
    closedWith = null;
    constructor(url, subprotocol) {
      Object.assign(this, { url, subprotocol });
      sockets.push(this);
    }
    send(text) {
      this.sent.push(JSON.parse(text));
    }
    close(code) {
      this.closedWith = code;
    }
    receive(frame) {
      this.onmessage?.({ data: JSON.stringify(frame) });
    }
    accept() {
      this.onopen();
      this.receive({ type: "AUTH_OK", id: this.sent[0].id, session: "s1", user: "ada", heartbeat_ms: 25_000 });
    }
    refuse(code) {
      this.onclose?.({ code });
    }
  }
  const connection = new Connection({
    url: "ws://node/ws",
    token: (options) => {
      told.tokens.push(options.fresh);
      return token(options);
    },
    onChange: () => {},
    onReady: () => (told.ready += 1),
    onPush: (push) => told.pushes.push(push),
    WebSocket: FakeSocket,
    clock,
    random,
  });
  return { connection, clock, sockets, told };
}

/** The same, signed in. */
async function connected(options) {
  const scene = stage(options);
  scene.connection.start();
  await settle();
  scene.sockets[0].accept();
  return scene;
}

test("it signs in with the token and is CONNECTED at AUTH_OK, not before", async () => {
  const { connection, sockets, told } = stage();
  connection.start();
  await settle();
  assert.equal(sockets[0].subprotocol, "greenroom.v1.json");
  sockets[0].onopen();
  assert.equal(sockets[0].sent[0].type, "AUTH");
  assert.equal(connection.snapshot.state, "DISCONNECTED");
  sockets[0].accept();
  assert.equal(connection.snapshot.state, "CONNECTED");
  assert.equal(told.ready, 1);
});

test("waits between tries double up to 30 s", async () => {
  const { connection, clock, sockets } = stage({ random: () => 0.999999 });
  connection.start();
  await settle();
  const waits = [];
  for (let attempt = 0; attempt < 7; attempt += 1) {
    sockets.at(-1).refuse(1006);
    const wait = connection.snapshot.retryAt - clock.now();
    waits.push(Math.round(wait / 1000));
    await clock.advance(wait);
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 30, 30]);
});

test("full jitter: the wait is anywhere below the step", () => {
  assert.equal(retryDelay(3, () => 0), 0);
  assert.equal(retryDelay(3, () => 0.5), 4_000);
});

test("ten seconds of CONNECTED start the row of waits again, less do not", async () => {
  for (const [steady, wait] of [[9_000, 1_000], [11_000, 500]]) {
    const { connection, clock, sockets } = stage();
    connection.start();
    await settle();
    sockets[0].refuse(1006);
    await clock.advance(500);
    sockets[1].accept();
    await clock.advance(steady);
    sockets[1].refuse(1006);
    assert.equal(connection.snapshot.retryAt - clock.now(), wait);
  }
});

test("silence is asked about at 20 s, UNREACHABLE at 25 s, over at 33 s", async () => {
  const { connection, clock, sockets } = await connected();
  await clock.advance(21_000);
  assert.equal(sockets[0].sent.filter(({ type }) => type === "HEARTBEAT").length, 1);
  assert.equal(connection.snapshot.state, "CONNECTED");
  await clock.advance(5_000);
  assert.equal(connection.snapshot.state, "UNREACHABLE");
  await clock.advance(8_000);
  assert.equal(sockets[0].closedWith, 4005);
  assert.notEqual(connection.snapshot.state, "UNREACHABLE");
});

test("anything received makes UNREACHABLE CONNECTED again", async () => {
  const { connection, clock, sockets } = await connected();
  await clock.advance(26_000);
  sockets[0].receive({ type: "HEARTBEAT", timestamp: 1, echo: 1 });
  assert.equal(connection.snapshot.state, "CONNECTED");
});

test("a HEARTBEAT is answered with its timestamp, an answer is not", async () => {
  const { sockets } = await connected();
  sockets[0].receive({ type: "HEARTBEAT", timestamp: 42 });
  sockets[0].receive({ type: "HEARTBEAT", timestamp: 43, echo: 7 });
  const beats = sockets[0].sent.filter(({ type }) => type === "HEARTBEAT");
  assert.deepEqual(beats.map(({ echo }) => echo), [42]);
});

test("final close codes close for good, and say whether signing in again can help", async () => {
  for (const [code, signInRefused] of [[4503, false], [4500, true], [4999, false], [1002, false]]) {
    const { connection, clock, sockets } = await connected();
    sockets[0].refuse(code);
    await clock.advance(120_000);
    assert.equal(connection.snapshot.state, "CLOSED", String(code));
    assert.equal(connection.snapshot.signInRefused, signInRefused, String(code));
    assert.equal(sockets.length, 1);
  }
});

test("close codes split where the protocol splits them", () => {
  for (const code of [1006, 1001, 1011, 1012, 4000, 4001, 4499]) assert.ok(mayReconnect(code), String(code));
  for (const code of [1000, 1002, 1009, 4500, 4999]) assert.ok(!mayReconnect(code), String(code));
});

test("a request gets its own reply, an ERROR with its id is Refused", async () => {
  const { connection, sockets } = await connected();
  const first = connection.request({ type: "JOIN", room: "a" });
  const second = connection.request({ type: "JOIN", room: "b" });
  const [, a, b] = sockets[0].sent;
  sockets[0].receive({ type: "ERROR", id: b.id, code: 103, temporary: false });
  sockets[0].receive({ type: "JOIN_OK", id: a.id, room: "a" });
  assert.equal((await first).room, "a");
  await assert.rejects(second, (error) => error instanceof Refused && error.code === 103);
});

test("what waits when the connection is lost ends in ConnectionLost", async () => {
  const { connection, sockets } = await connected();
  const waiting = connection.request({ type: "PUBLISH", room: "a" });
  sockets[0].refuse(1006);
  await assert.rejects(waiting, ConnectionLost);
  await assert.rejects(connection.request({ type: "PUBLISH", room: "a" }), ConnectionLost);
});

test("DRAIN names the moment of the next try, whether the node closes first or we do", async () => {
  for (const nodeCloses of [true, false]) {
    const { connection, clock, sockets } = await connected();
    sockets[0].receive({ type: "DRAIN", after_ms: 4_000, spread_ms: 2_000 });
    if (nodeCloses) sockets[0].refuse(4001);
    await clock.advance(4_900);
    assert.equal(sockets.length, 1);
    await clock.advance(1_200);
    assert.equal(sockets.length, 2);
    assert.equal(connection.snapshot.opening, true);
  }
});

test("retry_after of a refused AUTH overrides the row", async () => {
  const { connection, clock, sockets } = stage();
  connection.start();
  await settle();
  sockets[0].onopen();
  sockets[0].receive({ type: "ERROR", id: 1, code: 111, temporary: true, retry_after_ms: 12_345 });
  sockets[0].refuse(4007);
  assert.equal(connection.snapshot.retryAt - clock.now(), 12_345);
});

test("an expired token is replaced before the next try", async () => {
  const { clock, sockets, told } = await connected();
  sockets[0].refuse(4003);
  await clock.advance(1_000);
  assert.deepEqual(told.tokens, [false, true]);
});

test("TOKEN_EXPIRING is answered with a fresh token on the same connection", async () => {
  const { sockets } = await connected({ token: async ({ fresh }) => (fresh ? "new" : "old") });
  sockets[0].receive({ type: "TOKEN_EXPIRING", expires: 1 });
  await settle();
  assert.deepEqual(sockets[0].sent.at(-1).token, "new");
  assert.equal(sockets[0].sent.at(-1).type, "REFRESH");
});

test("warnings that never end are answered every five seconds, not at once", async () => {
  const { clock, sockets } = await connected();
  const refreshes = () => sockets[0].sent.filter(({ type }) => type === "REFRESH").length;
  for (let warning = 0; warning < 50; warning += 1) {
    sockets[0].receive({ type: "TOKEN_EXPIRING", expires: 1 });
    await settle();
  }
  assert.equal(refreshes(), 1);
  await clock.advance(6_000);
  assert.equal(refreshes(), 2);
});

test("no token to be had is final, no network is not", async () => {
  const final = stage({ token: () => Promise.reject(new SignInProblem("run out")) });
  final.connection.start();
  await settle();
  assert.equal(final.connection.snapshot.state, "CLOSED");
  assert.equal(final.connection.snapshot.signInRefused, true);
  const passing = stage({ token: () => Promise.reject(new TypeError("fetch failed")) });
  passing.connection.start();
  await settle();
  assert.equal(passing.connection.snapshot.state, "DISCONNECTED");
  assert.notEqual(passing.connection.snapshot.retryAt, null);
});

test("a socket that never opens is given up after ten seconds", async () => {
  const { connection, clock, sockets } = stage();
  connection.start();
  await settle();
  await clock.advance(10_000);
  assert.notEqual(connection.snapshot.retryAt, null);
  assert.equal(sockets[0].closedWith, 1000);
});

test("try now does not wait, and the abandoned try changes nothing any more", async () => {
  const { connection, sockets } = stage();
  connection.start();
  await settle();
  sockets[0].refuse(1006);
  connection.retryNow();
  connection.retryNow();
  await settle();
  assert.equal(sockets.length, 2);
  sockets[1].accept();
  sockets[0].onclose?.({ code: 4503 });
  assert.equal(connection.snapshot.state, "CONNECTED");
});

test("the session of the last AUTH_OK is offered again", async () => {
  const { clock, sockets } = await connected();
  sockets[0].refuse(1006);
  await clock.advance(1_000);
  sockets[1].onopen();
  assert.equal(sockets[1].sent[0].session, "s1");
});

test("a session that went on elsewhere is left to the other window", async () => {
  const { clock, connection, sockets } = await connected();
  sockets[0].refuse(4510);
  await clock.advance(60_000);
  assert.equal(connection.snapshot.state, "CLOSED");
  assert.equal(sockets.length, 1);
  connection.retryNow();
  await settle();
  sockets[1].onopen();
  assert.equal(sockets[1].sent[0].session, undefined);
});

test("states change only where the table says so", () => {
  assert.equal(nextState("CLOSED", "authenticated"), "CLOSED");
  assert.equal(nextState("DISCONNECTED", "silence"), "DISCONNECTED");
  assert.equal(nextState("UNREACHABLE", "lost"), "DISCONNECTED");
});
