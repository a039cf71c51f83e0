/** The chat over a socket in the test's hands: what it sends, and when again. Run by test_page_logic.py. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { Chat } from "../../node/page/chat.js";

/** Stopped after each test: a retry that goes on would keep the process alive for ever. */
const chats = [];
afterEach(() => chats.splice(0).forEach((chat) => chat.stop()));

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A chat whose sockets are collected; `memory` is what an earlier visit left. */
async function stage({ memory = [] } = {}) {
  const sockets = [];
  class FakeSocket {
    sent = [];
    constructor() {
      sockets.push(this);
    }
    send(text) {
      this.sent.push(JSON.parse(text));
    }
    close() {}
    /** Reply to the latest command of a type. */
    async reply(type, frame) {
      const { id, room } = this.sent.findLast((command) => command.type === type);
      this.onmessage?.({ data: JSON.stringify({ room, ...frame, id }) });
      await settle();
    }
    async push(frame) {
      this.onmessage?.({ data: JSON.stringify(frame) });
      await settle();
    }
    async accept() {
      this.onopen();
      await this.reply("AUTH", { type: "AUTH_OK", session: "s", user: "ada", node: "n", heartbeat_ms: 25_000 });
    }
    of(type) {
      return this.sent.filter((command) => command.type === type);
    }
  }
  const saved = [];
  const heard = [];
  const chat = new Chat({
    url: "ws://node/ws",
    user: "ada",
    token: async () => "token",
    memory: { load: () => memory, save: (rooms) => saved.push(rooms) },
    onChange: () => {},
    onMessage: (_room, message) => heard.push(message.content),
    connection: { WebSocket: FakeSocket },
  });
  chats.push(chat);
  return { chat, sockets, saved, heard };
}

const joinOk = (offset, more = {}) => ({ type: "JOIN_OK", epoch: "e1", offset, recovered: false, messages: [], members: 1, ...more });
const message = (offset, content, user = "ben") => ({
  type: "MESSAGE", room: "lobby", epoch: "e1", offset, message_id: offset, user, content, timestamp: offset,
});
const ack = (offset, more = {}) => ({ type: "ACK", message_id: offset, epoch: "e1", offset, timestamp: offset, status: 1, duplicate: false, ...more });

/** In the lobby at offset 3, with its history read. */
async function inLobby(options) {
  const scene = await stage(options);
  scene.chat.open("lobby");
  scene.chat.start();
  await settle();
  const [socket] = scene.sockets;
  await socket.accept();
  await socket.reply("JOIN", joinOk(3));
  await socket.reply("HISTORY", { type: "HISTORY_OK", epoch: "e1", messages: [message(3, "three")], more: false });
  return { ...scene, socket, lobby: () => scene.chat.state.rooms.get("lobby") };
}

/** The connection is lost and the next one is signed in. */
async function reconnect({ chat, sockets }) {
  sockets.at(-1).onclose?.({ code: 1006 });
  await settle();
  chat.retryNow();
  await settle();
  await sockets.at(-1).accept();
  return sockets.at(-1);
}

test("a first JOIN has no position, the next one has that of the last message", async () => {
  const scene = await inLobby();
  assert.equal(scene.socket.of("JOIN")[0].since, undefined);
  await scene.socket.push(message(4, "four"));
  const second = await reconnect(scene);
  assert.deepEqual(second.of("JOIN")[0].since, { epoch: "e1", offset: 4 });
});

test("what was not acknowledged is published again, in order, under the same keys, after the JOIN_OK", async () => {
  const scene = await inLobby();
  scene.chat.say("lobby", "one");
  scene.chat.say("lobby", "two");
  const keys = scene.socket.of("PUBLISH").map(({ key }) => key);
  assert.equal(new Set(keys).size, 2);
  const second = await reconnect(scene);
  assert.deepEqual(second.of("PUBLISH"), []);
  await second.reply("JOIN", joinOk(4, { recovered: true, messages: [message(4, "one", "ada")] }));
  assert.deepEqual(second.of("PUBLISH").map(({ key }) => key), keys);
  assert.deepEqual(second.of("PUBLISH").map(({ content }) => content), ["one", "two"]);
});

test("an acknowledged message is never published again, and stands there once", async () => {
  const scene = await inLobby();
  scene.chat.say("lobby", "one");
  await scene.socket.reply("PUBLISH", ack(4));
  const second = await reconnect(scene);
  await second.reply("JOIN", joinOk(4, { recovered: true }));
  assert.deepEqual(second.of("PUBLISH"), []);
  assert.deepEqual(scene.lobby().messages.map(({ content }) => content), ["three", "one"]);
});

test("a message written while disconnected waits and goes out after the JOIN_OK", async () => {
  const scene = await inLobby();
  scene.socket.onclose({ code: 1006 });
  scene.chat.say("lobby", "later");
  assert.equal(scene.lobby().pending[0].problem, null);
  const second = await reconnect(scene);
  await second.reply("JOIN", joinOk(3, { recovered: true }));
  assert.deepEqual(second.of("PUBLISH").map(({ content }) => content), ["later"]);
});

test("a refused message fails with the reason, and can be sent again or discarded", async () => {
  const scene = await inLobby();
  scene.chat.say("lobby", "no");
  await scene.socket.reply("PUBLISH", { type: "ERROR", code: 103, temporary: false });
  const [{ key, problem }] = scene.lobby().pending;
  assert.equal(problem, "You may not do that here.");
  scene.chat.sayAgain("lobby", key);
  assert.equal(scene.socket.of("PUBLISH").length, 2);
  scene.chat.discard("lobby", key);
  assert.deepEqual(scene.lobby().pending, []);
});

const tooFast = (ms) => ({ type: "ERROR", code: 111, temporary: true, retry_after_ms: ms });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test("what is too much at once waits as the node says, and goes out one by one in its order", async () => {
  const scene = await inLobby();
  for (const content of ["one", "two", "three"]) scene.chat.say("lobby", content);
  const sent = () => scene.socket.of("PUBLISH").map(({ content }) => content);
  const [first, second, third] = scene.socket.of("PUBLISH");
  for (const { id } of [first, second, third]) await scene.socket.push({ ...tooFast(30), id });
  scene.chat.say("lobby", "four");
  await pause(15);
  assert.deepEqual(sent(), ["one", "two", "three"]);
  assert.deepEqual(scene.lobby().pending.map(({ slow, problem }) => [slow, problem]), Array(4).fill([true, null]));
  await pause(40);
  assert.deepEqual(sent().slice(3), ["one"]);
  await scene.socket.reply("PUBLISH", ack(4));
  assert.deepEqual(sent().slice(3), ["one", "two"]);
  await scene.socket.reply("PUBLISH", tooFast(10)); // still too fast
  await pause(30);
  assert.deepEqual(sent().slice(3), ["one", "two", "two"]);
  for (const offset of [5, 6, 7]) await scene.socket.reply("PUBLISH", ack(offset));
  assert.deepEqual(sent().slice(3), ["one", "two", "two", "three", "four"]);
  assert.deepEqual(scene.lobby().pending, []);
  assert.deepEqual(scene.lobby().messages.map(({ content }) => content), ["three", "one", "two", "three", "four"]);
  assert.equal(new Set(scene.socket.of("PUBLISH").map(({ key }) => key)).size, 4);
  scene.chat.say("lobby", "five"); // and then it is as before
  assert.equal(sent().at(-1), "five");
});

test("what waits when the connection is closed with 4007 goes out after the JOIN_OK", async () => {
  const scene = await inLobby();
  scene.chat.say("lobby", "one");
  await scene.socket.reply("PUBLISH", tooFast(20));
  scene.socket.onclose({ code: 4007 });
  const second = await reconnect(scene);
  await second.reply("JOIN", joinOk(3, { recovered: true }));
  await pause(40);
  assert.deepEqual(second.of("PUBLISH").map(({ content }) => content), ["one"]);
});

test("rooms and their members wait as well when there are too many at once", async () => {
  const memory = ["a", "b", "c"].map((name) => ({ name, bookmark: null }));
  const { chat, sockets } = await stage({ memory });
  chat.start();
  await settle();
  const [socket] = sockets;
  await socket.accept();
  const [a, b, c] = socket.of("JOIN");
  await socket.push({ ...joinOk(0), room: "a", id: a.id });
  for (const { id } of [b, c]) await socket.push({ ...tooFast(10), id });
  await pause(25);
  assert.deepEqual(socket.of("JOIN").map(({ room }) => room), ["a", "b", "c", "b"]);
  await socket.reply("JOIN", joinOk(0));
  await socket.reply("JOIN", joinOk(0));
  assert.ok([...chat.state.rooms.values()].every((room) => room.joined));
});

test("a recovery that failed reads the history again", async () => {
  const scene = await inLobby();
  const second = await reconnect(scene);
  await second.reply("JOIN", joinOk(900));
  assert.equal(second.of("HISTORY").length, 1);
  await second.push({ type: "GAP", room: "lobby", epoch: "e1", from: 4, to: 900, reason: "too_many" });
  assert.equal(second.of("HISTORY").length, 1);
});

test("history goes back page by page, one at a time", async () => {
  const scene = await inLobby();
  const second = await reconnect(scene);
  await second.reply("JOIN", joinOk(9));
  const page = { type: "HISTORY_OK", epoch: "e1", messages: [message(9, "nine")], more: true };
  await second.reply("HISTORY", page);
  scene.chat.loadOlder("lobby");
  scene.chat.loadOlder("lobby");
  assert.equal(second.of("HISTORY").length, 2);
  assert.deepEqual(second.of("HISTORY")[1].before, { epoch: "e1", offset: 9 });
});

test("rooms of an earlier visit are joined again, the open one first", async () => {
  const memory = [{ name: "attic", bookmark: { epoch: "e1", read: 1 } }, { name: "lobby", bookmark: null }];
  const { chat, sockets } = await stage({ memory });
  chat.open("lobby");
  chat.start();
  await settle();
  await sockets[0].accept();
  assert.deepEqual(sockets[0].of("JOIN").map(({ room }) => room), ["lobby", "attic"]);
});

test("a bookmark is not forgotten when the page closes before the room was joined", async () => {
  const memory = [{ name: "attic", bookmark: { epoch: "e1", read: 1 } }];
  const { chat, saved } = await stage({ memory });
  chat.open("lobby");
  assert.deepEqual(saved.at(-1)[0], memory[0]);
});

test("TYPING goes out at most every three seconds", async () => {
  const scene = await inLobby();
  for (let keystroke = 0; keystroke < 5; keystroke += 1) scene.chat.typing("lobby");
  assert.equal(scene.socket.of("TYPING").length, 1);
});

test("REMOVED with rejoin joins again from where we were, without it says so", async () => {
  const scene = await inLobby();
  await scene.socket.push({ type: "REMOVED", room: "lobby", code: 100, rejoin: true });
  assert.deepEqual(scene.socket.of("JOIN")[1].since, { epoch: "e1", offset: 3 });
  await scene.socket.reply("JOIN", joinOk(3, { recovered: true }));
  await scene.socket.push({ type: "REMOVED", room: "lobby", code: 103, rejoin: false });
  assert.equal(scene.socket.of("JOIN").length, 2);
  assert.notEqual(scene.lobby().problem, null);
});

test("a room that was left is forgotten, and what still comes from it is dropped", async () => {
  const scene = await inLobby();
  scene.chat.leave("lobby");
  await scene.socket.push(message(4, "late"));
  assert.equal(scene.socket.of("LEAVE").length, 1);
  assert.equal(scene.chat.state.rooms.size, 0);
  assert.deepEqual(scene.heard, []);
});

test("each message of others is announced once", async () => {
  const scene = await inLobby();
  await scene.socket.push(message(4, "four"));
  await scene.socket.push(message(4, "four"));
  await scene.socket.push(message(5, "mine", "ada"));
  assert.deepEqual(scene.heard, ["four"]);
});

test("what is no name for a room is refused here", async () => {
  const { chat } = await stage();
  for (const name of ["", "a b", "é", "x".repeat(101), "a/b"]) assert.equal(chat.open(name), false, name);
  assert.equal(chat.open("team:stage.left_2"), true);
});
