/** One room: nothing twice, nothing out of order, nothing lost silently. Run by test_page_logic.py. */

import assert from "node:assert/strict";
import { test } from "node:test";

import * as rooms from "../../node/page/rooms.js";

const message = (offset, { user = "ben", epoch = "e1", content = `line ${offset}` } = {}) => ({
  epoch, offset, message_id: offset, user, content, timestamp: 1_000 * offset,
});
const joinOk = (offset, more = {}) => ({ epoch: "e1", offset, recovered: false, messages: [], members: 1, ...more });
const history = (messages, more = false) => ({ epoch: "e1", messages, more });
const offsets = (room) => room.messages.map((each) => each.offset);
const joinedAt = (offset) => rooms.joined(rooms.newRoom("lobby"), joinOk(offset), "ada");

test("a message that comes twice is kept once", () => {
  let room = joinedAt(0);
  for (const offset of [1, 2, 2, 1, 3]) room = rooms.received(room, message(offset));
  assert.deepEqual(offsets(room), [1, 2, 3]);
});

test("the position stops before a hole and jumps over it once it is filled", () => {
  let room = joinedAt(0);
  room = rooms.received(room, message(1));
  room = rooms.received(room, message(3));
  assert.equal(room.position, 1);
  room = rooms.received(room, message(2));
  assert.equal(room.position, 3);
  assert.deepEqual(offsets(room), [1, 2, 3]);
});

test("history and the live stream overlap without doubles", () => {
  let room = joinedAt(4);
  room = rooms.received(room, message(5));
  room = rooms.historyRead(room, history([3, 4, 5].map((each) => message(each)), true), "latest");
  assert.deepEqual(offsets(room), [3, 4, 5]);
  assert.equal(room.older, true);
  room = rooms.historyRead(room, history([message(1), message(2)]), "before");
  assert.deepEqual(offsets(room), [1, 2, 3, 4, 5]);
  assert.equal(room.older, false);
});

test("an ACK puts our message into its place and ends the waiting", () => {
  let room = rooms.written(joinedAt(0), "k", "hello", 5);
  room = rooms.received(room, message(2));
  room = rooms.acknowledged(room, "k", { epoch: "e1", offset: 1, message_id: 9, timestamp: 7 }, "ada");
  assert.deepEqual(room.pending, []);
  assert.deepEqual(room.messages.map((each) => each.content), ["hello", "line 2"]);
  assert.equal(room.position, 2);
});

test("our message that came back with the recovery and then its ACK stands there once", () => {
  let room = rooms.written(joinedAt(0), "k", "hello", 5);
  room = rooms.disconnected(room);
  const missed = [message(1, { user: "ada", content: "hello" })];
  room = rooms.joined(room, joinOk(1, { recovered: true, messages: missed }), "ada");
  room = rooms.acknowledged(room, "k", { epoch: "e1", offset: 1, message_id: 1, timestamp: 1 }, "ada");
  assert.deepEqual(offsets(room), [1]);
  assert.deepEqual(room.pending, []);
});

test("a stored message whose ACK was lost is shown once even before its ACK", () => {
  let room = joinedAt(0);
  for (const key of ["k1", "k2", "k3"]) room = rooms.written(room, key, "same words", 5);
  for (const key of ["k1", "k2"]) room = rooms.pendingChanged(room, key, { sent: true });
  const missed = [1, 2, 3].map((each) => message(each, { user: each === 3 ? "ben" : "ada", content: "same words" }));
  room = rooms.joined(rooms.disconnected(room), joinOk(3, { recovered: true, messages: missed }), "ada");
  assert.deepEqual(room.pending.map((each) => each.landed), [true, true, false]);
});

test("a recovered join keeps what is there and adds what was missed", () => {
  let room = rooms.received(joinedAt(0), message(1));
  room = rooms.joined(rooms.disconnected(room), joinOk(3, { recovered: true, messages: [message(2), message(3)] }), "ada");
  assert.deepEqual(offsets(room), [1, 2, 3]);
  assert.equal(room.position, 3);
  assert.equal(room.restarted, false);
});

test("without recovery the list starts afresh and the unsent stays", () => {
  let room = rooms.received(joinedAt(0), message(1));
  room = rooms.written(room, "k", "unsent", 5);
  room = rooms.joined(room, joinOk(900), "ada");
  assert.deepEqual(offsets(room), []);
  assert.equal(room.history, "no");
  assert.equal(room.position, 900);
  assert.equal(room.pending.length, 1);
});

test("another epoch is said and its offsets never mix with the old ones", () => {
  let room = rooms.received(joinedAt(0), message(1));
  room = rooms.joined(room, joinOk(5, { epoch: "e2" }), "ada");
  assert.equal(room.restarted, true);
  room = rooms.received(room, message(6));
  assert.deepEqual(offsets(room), []);
  room = rooms.received(room, message(6, { epoch: "e2" }));
  assert.deepEqual(offsets(room), [6]);
});

test("a GAP of another epoch in the middle of the stream starts the room afresh", () => {
  let room = rooms.received(joinedAt(0), message(1));
  room = rooms.gapped(room, { epoch: "e2", from: 2, to: 7, reason: "epoch" });
  assert.deepEqual([room.epoch, room.position, room.history, room.restarted], ["e2", 7, "no", true]);
});

test("a GAP of a history that was put back under the same epoch starts the room afresh", () => {
  let room = rooms.received(joinedAt(98), message(99));
  room = rooms.gapped(room, { epoch: "e1", from: 100, to: 3, reason: "epoch" });
  assert.deepEqual([room.epoch, room.position, room.history, room.restarted], ["e1", 3, "no", true]);
  room = rooms.received(room, message(4));
  assert.deepEqual([room.position, offsets(room)], [4, [4]]);
});

test("a GAP moves the position on, counts what is missing, and shrinks as it is filled", () => {
  let room = rooms.historyRead(joinedAt(1), history([message(1)]), "latest");
  room = rooms.gapped(room, { epoch: "e1", from: 2, to: 4, reason: "too_many" });
  assert.equal(room.position, 4);
  assert.equal(rooms.missing(room, room.gaps[0]), 3);
  room = rooms.historyRead(room, history([message(2), message(3)]), "gap");
  assert.equal(rooms.missing(room, room.gaps[0]), 1);
});

test("a gap before the first page is not missing while older pages can be read", () => {
  let room = rooms.joined(joinedAt(0), joinOk(500), "ada");
  room = rooms.gapped(room, { epoch: "e1", from: 1, to: 500, reason: "too_many" });
  room = rooms.historyRead(room, history([499, 500].map((each) => message(each)), true), "latest");
  assert.equal(rooms.missing(room, room.gaps[0]), 0);
});

test("unread counts the others' messages after the last one seen", () => {
  let room = joinedAt(10);
  room = rooms.received(room, message(11));
  room = rooms.received(room, message(12, { user: "ada" }));
  assert.equal(rooms.unread(room, "ada"), 1);
  assert.equal(rooms.unread(rooms.seen(room), "ada"), 0);
});

test("what was read in an earlier visit counts from there, in the same epoch only", () => {
  const fresh = rooms.newRoom("lobby");
  assert.equal(rooms.unread(rooms.joined(fresh, joinOk(10), "ada", { epoch: "e1", read: 7 }), "ada"), 3);
  assert.equal(rooms.unread(rooms.joined(fresh, joinOk(10), "ada", { epoch: "e0", read: 7 }), "ada"), 0);
  assert.equal(rooms.unread(rooms.joined(fresh, joinOk(10), "ada", { epoch: "e1", read: 70 }), "ada"), 0);
});

test("a reload of somebody is neither an exit nor an entrance", () => {
  const here = rooms.present(joinedAt(0), { members: [{ user: "ben", connections: 1 }] });
  const gone = rooms.cameOrWent(here, { type: "LEFT", user: "ben", members: 0 });
  assert.deepEqual(gone.members, []);
  assert.equal(gone.cues.length, 1);
  const back = rooms.cameOrWent(gone, { type: "JOINED", user: "ben", members: 1 });
  assert.deepEqual(back.members, [{ user: "ben", connections: 1 }]);
  assert.equal(back.cues.length, 0);
});

test("who comes back after our connection was lost does not enter again", () => {
  let room = rooms.present(joinedAt(0), { members: [{ user: "ben", connections: 1 }] });
  room = rooms.joined(rooms.disconnected(room), joinOk(0, { recovered: true }), "ada");
  room = rooms.cameOrWent(room, { type: "JOINED", user: "ben", members: 2 });
  assert.deepEqual(room.cues, []);
});

test("who is here is not known from before our connection was lost, however often it was", () => {
  let room = rooms.present(joinedAt(0), { members: [{ user: "ben", connections: 1 }] });
  for (let losses = 0; losses < 2; losses += 1) {
    room = rooms.joined(rooms.disconnected(room), joinOk(0, { recovered: true }), "ada");
    assert.equal(room.members, null);
  }
  room = rooms.cameOrWent(room, { type: "JOINED", user: "ben", members: 2 });
  assert.deepEqual(room.cues, []);
});

test("typing ends with a message, an exit, or time", () => {
  const room = rooms.typed(joinedAt(0), "ben", 100);
  assert.equal(rooms.received(room, message(1)).typing.size, 0);
  assert.equal(rooms.cameOrWent(room, { type: "LEFT", user: "ben", members: 1 }).typing.size, 0);
  assert.equal(rooms.withoutExpiredTyping(room, 99), room);
  assert.equal(rooms.withoutExpiredTyping(room, 100).typing.size, 0);
});

test("a busy room left open keeps a bounded list that can be read back", () => {
  let room = joinedAt(0);
  for (let offset = 1; offset <= 3_000; offset += 1) room = rooms.received(room, message(offset));
  assert.ok(room.messages.length <= rooms.MAX_KEPT + 200);
  assert.equal(room.older, true);
  assert.equal(room.position, 3_000);
});
