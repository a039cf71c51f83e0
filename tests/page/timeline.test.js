/** A room as rows, and the small words around it. Run by test_page_logic.py. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { counted, dayLabel, initials, isolated, listOfNames, roomTitle, splitLinks, tint, TINTS } from "../../node/page/format.js";
import * as rooms from "../../node/page/rooms.js";
import { timelineRows, typingWords } from "../../node/page/timeline.js";
import { nextWords } from "../../node/page/view-connection.js";

const MINUTE = 60_000;
const NOON = new Date(2026, 10, 23, 12).getTime();

/** A room whose lines are [user, time] pairs. */
function roomOf(lines) {
  const messages = lines.map(([user, timestamp], index) => ({
    epoch: "e1", offset: index + 1, message_id: index, user, content: "…", timestamp,
  }));
  return { ...rooms.newRoom("lobby"), epoch: "e1", joined: true, history: "yes", messages, position: messages.length };
}
const kinds = (room) => timelineRows(room, "ada", NOON).map((row) => row.kind);

test("lines of one speaker close together share a name", () => {
  const room = roomOf([["ben", NOON], ["ben", NOON + MINUTE], ["ada", NOON + MINUTE], ["ada", NOON + 10 * MINUTE]]);
  const lines = timelineRows(room, "ada", NOON).filter((row) => row.kind === "line");
  assert.deepEqual(lines.map((line) => line.leads), [true, false, true, true]);
  assert.deepEqual(lines.map((line) => line.own), [false, false, true, true]);
});

test("a new day gets a separator and starts the groups anew", () => {
  const midnight = new Date(2026, 10, 23).getTime();
  const rows = timelineRows(roomOf([["ben", midnight - 1], ["ben", midnight]]), "ada", NOON);
  assert.deepEqual(rows.map((row) => row.kind), ["day", "line", "day", "line"]);
  assert.deepEqual([rows[0].text, rows[2].text, rows[3].leads], ["Yesterday", "Today", true]);
});

test("what is not acknowledged stands at the end, with its fate", () => {
  let room = rooms.written(roomOf([["ben", NOON]]), "k1", "going", NOON);
  room = rooms.pendingChanged(rooms.written(room, "k2", "refused", NOON), "k2", { problem: "No." });
  const lines = timelineRows(room, "ada", NOON).filter((row) => row.kind === "line");
  assert.deepEqual(lines.map((line) => line.state), ["stored", "sending", "failed"]);
});

test("the line above what is new stands before the first unread message", () => {
  const room = { ...roomOf([["ben", NOON], ["ben", NOON]]), firstNew: 2 };
  assert.deepEqual(kinds(room), ["day", "line", "new", "line"]);
});

test("a gap stands where its messages would be", () => {
  const room = roomOf([["ben", NOON], ["ben", NOON]]);
  const late = { ...room.messages[1], offset: 5 };
  const holed = { ...room, messages: [room.messages[0], late], gaps: [{ from: 2, to: 4, reason: "expired" }] };
  const rows = timelineRows(holed, "ada", NOON);
  assert.deepEqual(rows.map((row) => row.kind), ["day", "line", "gap", "line"]);
  assert.equal(rows[2].text, "3 messages missing here: no longer kept.");
});

test("entrances between two lines are one stage direction", () => {
  let room = roomOf([["ben", NOON]]);
  for (const user of ["cy", "di"]) room = rooms.cameOrWent(room, { type: "JOINED", user, members: 2 });
  const rows = timelineRows(room, "ada", NOON);
  assert.deepEqual(rows.map((row) => row.text ?? ""), ["Today", "", `${isolated("cy")} and ${isolated("di")} enter`]);
});

test("an entrance stands between what was said before and after it", () => {
  const joinOk = { epoch: "e1", offset: 1, recovered: false, messages: [], members: 1 };
  const joined = rooms.joined(rooms.newRoom("lobby"), joinOk, "ada");
  let room = rooms.cameOrWent(joined, { type: "JOINED", user: "cy", members: 2 });
  const [first, second] = roomOf([["ben", NOON], ["ben", NOON]]).messages;
  room = rooms.received(room, second);
  room = rooms.historyRead(room, { epoch: "e1", messages: [first, second], more: false }, "latest");
  assert.deepEqual(kinds(room), ["day", "line", "cue", "line"]);
});

test("every row of a room has a key of its own", () => {
  let room = roomOf([["ben", NOON], ["ada", NOON]]);
  room = rooms.cameOrWent(room, { type: "JOINED", user: "cy", members: 2 });
  room = rooms.cameOrWent(room, { type: "LEFT", user: "di", members: 1 });
  room = rooms.written(rooms.written(room, "k1", "same", NOON), "k2", "same", NOON);
  const keys = timelineRows(room, "ada", NOON).map((row) => row.key);
  assert.equal(new Set(keys).size, keys.length);
});

test("typing names two people at most", () => {
  const room = roomOf([]);
  assert.equal(typingWords(room), "");
  assert.equal(typingWords(rooms.typed(room, "ben", 1)), `${isolated("ben")} is typing`);
  const crowd = ["a", "b", "c", "d"].reduce((all, user) => rooms.typed(all, user, 1), room);
  assert.equal(typingWords(crowd), `${isolated("a")} and 3 others are typing`);
});

test("the room of two users is called by the other one", () => {
  assert.equal(roomTitle("direct:ann:bob", "ann"), "@bob");
  assert.equal(roomTitle("direct:Ann.20Lee:jos.c3.a9", "josé"), "@Ann Lee");
  for (const name of ["lobby", "direct:ann:bob:carl", "direct:bob:carl", "team:ann:bob", "direct:ann:.e2.80.ae", "direct:ann:.c3"]) {
    const shown = roomTitle(name, "ann");
    assert.equal(shown, name === "direct:ann:.c3" ? "@.c3" : name);
  }
});

test("only http and https become links, without the sentence's punctuation", () => {
  const hrefs = (text) => splitLinks(text).flatMap(({ href }) => (href ? [href] : []));
  assert.deepEqual(hrefs("see https://a.example/x_(y)."), ["https://a.example/x_(y)"]);
  assert.deepEqual(hrefs("(http://a.example/?q=1)"), ["http://a.example/?q=1"]);
  assert.deepEqual(hrefs("javascript:alert(1) data:text/html,x //b.example"), []);
  for (const text of ["", "plain", "a https://a.example, b", "https://", "<https://a.example>"]) {
    assert.equal(splitLinks(text).map((piece) => piece.text).join(""), text);
  }
});

test("names have a colour and initials, whatever they are made of", () => {
  for (const name of ["Ben", "Ada", "مريم", "🎭", "guest:Zoë", "", "x".repeat(128)]) {
    assert.ok(Number.isInteger(tint(name)) && tint(name) >= 0 && tint(name) < TINTS, name);
    assert.ok(initials(name).length > 0);
  }
  assert.equal(initials("ada lovelace"), "AL");
});

test("small words", () => {
  assert.equal(listOfNames(["a", "b", "c"]), "a, b and c");
  assert.equal(listOfNames(["a", "b", "c", "d"]), "a, b and 2 others");
  assert.equal(counted(1, "message"), "1 message");
  // Versions of Unicode's tables disagree about the comma.
  assert.match(dayLabel(new Date(2025, 0, 5).getTime(), NOON, "en-GB"), /^Sunday,? 5 January 2025$/);
});

test("the countdown never says zero, and says nothing where there is none", () => {
  const lost = { state: "DISCONNECTED", opening: false, retryAt: 5_000, reason: "", draining: false };
  assert.equal(nextWords(lost, 1_500), "Next try in 4 s.");
  assert.equal(nextWords(lost, 5_200), "Next try in 1 s.");
  assert.equal(nextWords({ ...lost, opening: true }, 0), "Connecting…");
  assert.equal(nextWords({ ...lost, state: "CLOSED" }, 0), "");
});
