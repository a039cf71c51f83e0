/**
 * A room as the rows a person reads: days, speakers, lines, cues. Pure; view-timeline.js draws it.
 */

import { counted, dayKey, dayLabel, isolated, listOfNames, timeOfDay } from "./format.js";
import { missing } from "./rooms.js";

/** Lines of one speaker further apart than this start anew, with name and time. */
const GROUP_MS = 5 * 60_000;

/**
 * @typedef {object} Line
 * @property {"line"} kind
 * @property {string} key
 * @property {string} user
 * @property {boolean} own
 * @property {string} content
 * @property {number} timestamp ms
 * @property {boolean} leads shows the name: the first of a group
 * @property {"stored" | "sending" | "failed"} state
 * @property {boolean} slow it is sent as soon as the node takes more
 * @property {string} problem
 * @property {string} pendingKey "" for a stored one
 *
 * @typedef {{kind: "day" | "cue" | "note" | "new", key: string, text: string}} Note
 * @typedef {{kind: "gap", key: string, text: string, from: number, to: number}} GapRow
 * @typedef {Line | Note | GapRow} Row
 */

const GAP_WORDS = new Map([
  ["too_many", "too many to catch up on at once"],
  ["dropped", "this room keeps nothing"],
]);

/**
 * @param {import("./rooms.js").Room} room
 * @param {string} user us
 * @param {number} now ms
 * @returns {Row[]}
 */
export function timelineRows(room, user, now) {
  /** @type {Row[]} */
  const rows = [];
  /** @type {Line | null} */
  let previous = null;
  let day = "";

  /** @param {Row} row */
  const interrupt = (row) => {
    rows.push(row);
    previous = null;
  };
  /** @param {number} timestamp */
  const turnPage = (timestamp) => {
    if (dayKey(timestamp) === day) return;
    day = dayKey(timestamp);
    interrupt({ kind: "day", key: `day ${day}`, text: dayLabel(timestamp, now) });
  };
  /** @param {Omit<Line, "leads" | "kind">} line */
  const say = (line) => {
    turnPage(line.timestamp);
    const leads = !previous || previous.user !== line.user || line.timestamp - previous.timestamp > GROUP_MS;
    /** @type {Line} */
    const whole = { ...line, kind: "line", leads };
    rows.push(whole);
    // A group is measured from its first line, or a slow monologue would never show the time again.
    if (leads) previous = whole;
  };

  if (room.restarted) interrupt({ kind: "note", key: "restarted", text: "The history of this room was started again." });
  const gaps = room.gaps.filter((gap) => missing(room, gap) > 0);
  let cue = 0;
  for (const message of room.messages) {
    for (const gap of gaps.filter(({ from }) => from <= message.offset)) {
      gaps.splice(gaps.indexOf(gap), 1);
      interrupt(gapRow(room, gap));
    }
    // Whoever came or went did so while we watched: on the day of the line that follows, not before it.
    turnPage(message.timestamp);
    const from = cue;
    while (cue < room.cues.length && room.cues[cue].after < message.offset) cue += 1;
    for (const row of cueRows(room.cues.slice(from, cue))) interrupt(row);
    if (message.offset === room.firstNew) interrupt({ kind: "new", key: "new", text: "New" });
    say({
      key: `${message.epoch} ${message.offset}`,
      user: message.user,
      own: message.user === user,
      content: message.content,
      timestamp: message.timestamp,
      state: "stored",
      slow: false,
      problem: "",
      pendingKey: "",
    });
  }
  for (const gap of gaps) interrupt(gapRow(room, gap));
  for (const row of cueRows(room.cues.slice(cue))) interrupt(row);
  for (const pending of room.pending) {
    if (pending.landed && pending.problem === null) continue;
    say({
      key: `pending ${pending.key}`,
      user,
      own: true,
      content: pending.content,
      timestamp: pending.timestamp,
      state: pending.problem === null ? "sending" : "failed",
      slow: pending.slow,
      problem: pending.problem ?? "",
      pendingKey: pending.key,
    });
  }
  return rows;
}

/** @param {import("./rooms.js").Room} room @param {import("./rooms.js").Gap} gap @returns {GapRow} */
function gapRow(room, gap) {
  const why = GAP_WORDS.get(gap.reason) ?? "no longer kept";
  const text = `${counted(missing(room, gap), "message")} missing here: ${why}.`;
  return { kind: "gap", key: `gap ${gap.from}`, text, from: gap.from, to: gap.to };
}

/**
 * Neighbouring entrances become one stage direction, and neighbouring exits.
 *
 * @param {readonly import("./rooms.js").Cue[]} cues
 * @returns {Note[]}
 */
function cueRows(cues) {
  /** @type {Note[]} */
  const rows = [];
  for (const entered of [true, false]) {
    const names = [...new Set(cues.filter((cue) => cue.entered === entered).map((cue) => cue.user))];
    if (names.length === 0) continue;
    const verb = names.length === 1 ? (entered ? "enters" : "leaves") : entered ? "enter" : "leave";
    rows.push({ kind: "cue", key: `cue ${entered} ${cues[0].after} ${names[0]}`, text: `${listOfNames(names.map(isolated))} ${verb}` });
  }
  return rows;
}

/**
 * What a screen reader hears of a message that arrives.
 *
 * @param {import("./protocol.js").Message} message
 */
export function spoken(message) {
  return `${message.user}, ${timeOfDay(message.timestamp)}: ${message.content}`;
}

/**
 * @param {import("./rooms.js").Room} room
 * @returns {string} "" when nobody is typing
 */
export function typingWords(room) {
  const names = [...room.typing.keys()].map(isolated);
  if (names.length === 0) return "";
  return `${listOfNames(names, 2)} ${names.length === 1 ? "is" : "are"} typing`;
}
