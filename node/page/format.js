/**
 * Words and numbers for people: times, days, names, links. Pure functions, no DOM.
 *
 * Everything here takes what it needs as arguments (the locale too), so that a test can pin it.
 */

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** How many colours names are spread over; style.css holds one `.tint-N` rule for each. */
export const TINTS = 8;

/**
 * A colour number for a name, the same in every window and on every day.
 *
 * @param {string} name
 * @returns {number} 0 to TINTS - 1
 */
export function tint(name) {
  let hash = 2166136261; // FNV-1a: short, and neighbours such as "ann" and "anne" land apart
  for (const character of name) {
    hash = Math.imul(hash ^ /** @type {number} */ (character.codePointAt(0)), 16777619) >>> 0;
  }
  return ((hash ^ (hash >>> 16)) >>> 0) % TINTS;
}

/**
 * One or two letters that stand for a name.
 *
 * @param {string} name
 */
export function initials(name) {
  const words = name.split(/[\s._:-]+/u).filter(Boolean);
  const letters = words.map((word) => firstGrapheme(word).toLocaleUpperCase());
  if (letters.length === 0) return "?";
  return letters.length === 1 ? letters[0] : letters[0] + letters[letters.length - 1];
}

/**
 * What a room is called on the screen: the room of two users by the other one, any other by its name.
 *
 * @param {string} name
 * @param {string} user who is looking
 */
export function roomTitle(name, user) {
  const [, ...written] = /^direct:([\w.-]+):([\w.-]+)$/.exec(name) ?? [];
  const others = written.map(readUser).filter((each) => each !== user);
  return others.length === 1 && !/\p{C}/u.test(others[0]) ? `@${others[0]}` : name;
}

/**
 * A user as a direct room's name writes one: `.` and two digits stand for a byte.
 *
 * @param {string} written
 */
function readUser(written) {
  try {
    return decodeURIComponent(written.replaceAll(".", "%"));
  } catch {
    return written; // not written by us
  }
}

/** @param {string} word */
function firstGrapheme(word) {
  // A flag or a family is several code points; cutting one in half would draw two boxes.
  const [first] = new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(word);
  return first ? first.segment : "";
}

/**
 * @param {number} timestamp ms
 * @param {string} [locale]
 */
export function timeOfDay(timestamp, locale) {
  return new Date(timestamp).toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" });
}

/**
 * The full moment, for a tooltip and for `<time>` readers.
 *
 * @param {number} timestamp ms
 * @param {string} [locale]
 */
export function fullTime(timestamp, locale) {
  return new Date(timestamp).toLocaleString(locale, { dateStyle: "full", timeStyle: "medium" });
}

/**
 * The local calendar day as a key: two timestamps share a separator exactly when these are equal.
 *
 * @param {number} timestamp ms
 */
export function dayKey(timestamp) {
  const date = new Date(timestamp);
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

/**
 * @param {number} timestamp ms
 * @param {number} now ms
 * @param {string} [locale]
 */
export function dayLabel(timestamp, now, locale) {
  if (dayKey(timestamp) === dayKey(now)) return "Today";
  if (dayKey(timestamp) === dayKey(now - DAY_MS)) return "Yesterday";
  const sameYear = new Date(timestamp).getFullYear() === new Date(now).getFullYear();
  return new Date(timestamp).toLocaleDateString(locale, {
    weekday: "long",
    day: "numeric",
    month: "long",
    year: sameYear ? undefined : "numeric",
  });
}

/**
 * A name within a sentence of ours: written from right to left or not, it turns nothing but itself.
 *
 * @param {string} name
 */
export function isolated(name) {
  return `\u2068${name}\u2069`; // FIRST STRONG ISOLATE, POP DIRECTIONAL ISOLATE
}

/**
 * "a", "a and b", "a, b and c", "a, b and 4 others".
 *
 * @param {readonly string[]} names
 * @param {number} [shown] how many names are spelled out at most
 */
export function listOfNames(names, shown = 3) {
  if (names.length <= 1) return names[0] ?? "";
  if (names.length <= shown) return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  const others = names.length - shown + 1;
  return `${names.slice(0, shown - 1).join(", ")} and ${others} others`;
}

/**
 * @param {number} count
 * @param {string} noun
 * @param {string} [plural]
 */
export function counted(count, noun, plural = `${noun}s`) {
  return `${count.toLocaleString()} ${count === 1 ? noun : plural}`;
}

/**
 * @typedef {{text: string, href: string | null}} Piece
 */

const LINK = /\bhttps?:\/\/[^\s<>"']+/giu;

/**
 * Cut a message into plain text and http(s) links. Nothing else ever becomes a link.
 *
 * @param {string} content
 * @returns {Piece[]}
 */
export function splitLinks(content) {
  /** @type {Piece[]} */
  const pieces = [];
  let end = 0;
  for (const match of content.matchAll(LINK)) {
    const url = withoutTrailingPunctuation(match[0]);
    if (!URL.canParse(url)) continue;
    if (match.index > end) pieces.push({ text: content.slice(end, match.index), href: null });
    pieces.push({ text: url, href: url });
    end = match.index + url.length;
  }
  if (end < content.length) pieces.push({ text: content.slice(end), href: null });
  return pieces;
}

/** @param {string} url */
function withoutTrailingPunctuation(url) {
  let cut = url.replace(/[.,;:!?…]+$/u, "");
  // "(see https://example.org/a_(b))": the last bracket belongs to the sentence, the one before does not.
  while (cut.endsWith(")") && count(cut, ")") > count(cut, "(")) cut = cut.slice(0, -1);
  return cut;
}

/** @param {string} text @param {string} character */
function count(text, character) {
  return text.split(character).length - 1;
}
