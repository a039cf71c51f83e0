/**
 * The messages of the room before the user's eyes, and the scrolling that goes with them.
 *
 * Two promises: at the end, the list stays at the end; anywhere else, the line being read stays
 * where it is, whatever is added above or below.
 */

import { button, byId, element, patch, setText } from "./dom.js";
import { counted, fullTime, splitLinks, timeOfDay, tint } from "./format.js";
import { unread } from "./rooms.js";
import { timelineRows, typingWords } from "./timeline.js";

const AT_END_PX = 48;
const LOAD_OLDER_PX = 400;

/**
 * @typedef {object} TimelineActions
 * @property {() => void} loadOlder
 * @property {() => void} seen
 * @property {(key: string) => void} sayAgain
 * @property {(key: string) => void} discard
 * @property {(gap: {from: number, to: number}) => void} loadGap
 */

export class TimelineView {
  #actions;
  #scroller = byId("scroller");
  #lines = byId("lines");
  #beginning = byId("beginning");
  #toEnd = byId("to-end");
  #toEndWords = byId("to-end-words");
  #typing = byId("typing");

  /** @type {import("./rooms.js").Room | null} */
  #room = null;
  #user = "";
  /** Whether the user is at the end and wants to stay there. */
  #atEnd = true;
  /** The room and history state for which the first position was found. */
  #placed = "";

  /** @param {TimelineActions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#toEnd.addEventListener("click", () => this.toEnd());
    document.addEventListener("visibilitychange", () => this.#noticeSeen());
    // A keyboard that slides in, a composer that grows: the end stays in view.
    new ResizeObserver(() => this.#atEnd && this.#jumpToEnd()).observe(this.#scroller);
  }

  /**
   * @param {import("./rooms.js").Room} room
   * @param {string} user
   */
  render(room, user) {
    this.#room = room;
    this.#user = user;
    const anchor = this.#anchor();
    const rows = timelineRows(room, user, Date.now());
    patch(this.#lines, rows, (row) => this.#draw(row));
    this.#scroller.setAttribute("aria-label", `Messages in ${room.name}`);
    this.#renderBeginning(room, rows.length === 0);
    setText(this.#typing, typingWords(room));
    this.#place(room, anchor);
    this.#renderToEnd();
    this.#noticeSeen();
    this.#loadOlderIfNear();
  }

  /** Go to the latest message, as when the user sends one. */
  toEnd() {
    this.#atEnd = true;
    this.#jumpToEnd();
    this.#renderToEnd();
    this.#noticeSeen();
  }

  // Scrolling.

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < AT_END_PX;
    this.#renderToEnd();
    this.#noticeSeen();
    this.#loadOlderIfNear();
  }

  /**
   * The words of the first line in view and how far they are from the top. Not a separator, not a
   * node: what comes in above moves the one, and makes another of the other (without its name).
   */
  #anchor() {
    for (const line of /** @type {Iterable<HTMLElement>} */ (this.#lines.querySelectorAll(".line"))) {
      const distance = this.#distance(line);
      if (distance + line.offsetHeight > 0) return { key: line.dataset.key, distance };
    }
    return null;
  }

  /** How far below the upper edge of the view the words of a line are. @param {Element} line */
  #distance(line) {
    const words = line.querySelector(".words") ?? line;
    return words.getBoundingClientRect().top - this.#scroller.getBoundingClientRect().top;
  }

  /**
   * @param {import("./rooms.js").Room} room
   * @param {{key: string | undefined, distance: number} | null} anchor
   */
  #place(room, anchor) {
    const place = `${room.name} ${room.epoch} ${room.history === "yes"}`;
    if (place !== this.#placed) {
      this.#placed = place;
      this.#placeFirst();
    } else if (this.#atEnd) {
      this.#jumpToEnd();
    } else if (anchor) {
      const lines = /** @type {HTMLElement[]} */ ([...this.#lines.children]);
      const line = lines.find((each) => each.dataset.key === anchor.key);
      if (line) this.#scroller.scrollTop += this.#distance(line) - anchor.distance;
    }
  }

  /** A room just opened: where its news begins, or at its end. */
  #placeFirst() {
    this.#jumpToEnd();
    const firstNew = this.#lines.querySelector(".new-line");
    const above = firstNew ? this.#distance(firstNew) : 0;
    if (above < 0) this.#scroller.scrollTop += above - this.#scroller.clientHeight / 4;
    this.#atEnd = above >= 0;
  }

  #jumpToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #loadOlderIfNear() {
    if (this.#room?.older && this.#scroller.scrollTop < LOAD_OLDER_PX) this.#actions.loadOlder();
  }

  #noticeSeen() {
    const { visibilityState } = document;
    if (this.#room?.history === "yes" && this.#atEnd && visibilityState === "visible") this.#actions.seen();
  }

  #renderToEnd() {
    this.#toEnd.hidden = this.#atEnd;
    if (this.#atEnd || !this.#room) return;
    const news = unread(this.#room, this.#user);
    setText(this.#toEndWords, news > 0 ? counted(news, "new message") : "Latest messages");
    this.#toEnd.classList.toggle("has-news", news > 0);
  }

  // Drawing.

  /** @param {import("./rooms.js").Room} room @param {boolean} empty */
  #renderBeginning(room, empty) {
    const known = room.history === "yes";
    this.#beginning.classList.toggle("empty", known && empty);
    if (room.problem) setText(this.#beginning, room.problem);
    else if (!known) setText(this.#beginning, room.joined ? "Reading the history…" : "Waiting for the room…");
    else if (room.older) setText(this.#beginning, "Reading earlier messages…");
    else if (empty) setText(this.#beginning, "Nobody has spoken here yet. The first line is yours.");
    else setText(this.#beginning, `This is where ${room.name} begins.`);
  }

  /** @param {import("./timeline.js").Row} row @returns {HTMLElement} */
  #draw(row) {
    switch (row.kind) {
      case "line":
        return this.#drawLine(row);
      case "day":
        return element("li", { class: "day" }, element("span", {}, row.text));
      case "new":
        return element("li", { class: "new-line" }, element("span", {}, row.text));
      case "gap": {
        const load = button("Try to read them", () => this.#actions.loadGap(row), "link-button");
        return element("li", { class: "gap" }, `${row.text} `, load);
      }
      default:
        return element("li", { class: row.kind }, row.text);
    }
  }

  /** @param {import("./timeline.js").Line} row */
  #drawLine(row) {
    const time = element("time", { class: "time", datetime: new Date(row.timestamp).toISOString() });
    time.textContent = timeOfDay(row.timestamp);
    time.title = fullTime(row.timestamp);
    // Every line has its speaker for those who listen; the eye gets the name once a group.
    const name = element("span", { class: "speaker", dir: "auto", title: row.user }, row.own ? "You" : row.user);
    const words = element("p", { class: "words", dir: "auto" });
    for (const { text, href } of splitLinks(row.content)) {
      words.append(href ? element("a", { href, target: "_blank", rel: "noopener noreferrer" }, text) : text);
    }
    const classes = ["line", `tint-${tint(row.user)}`, row.state];
    if (row.leads) classes.push("leads");
    if (row.own) classes.push("own");
    const item = element("li", { class: classes.join(" ") }, time, name, words);
    if (row.state === "sending") item.append(element("span", { class: "fate" }, row.slow ? "Waiting" : "Sending"));
    if (row.state === "failed") item.append(this.#drawFailure(row));
    return item;
  }

  /** @param {import("./timeline.js").Line} row */
  #drawFailure({ problem, pendingKey }) {
    return element(
      "span",
      { class: "fate" },
      `Not sent. ${problem} `,
      button("Send again", () => this.#actions.sayAgain(pendingKey), "link-button"),
      " ",
      button("Discard", () => this.#actions.discard(pendingKey), "link-button"),
    );
  }
}
