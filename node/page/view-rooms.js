/** The list of joined rooms, the form that enters another, and who we are. */

import { byId, element, patch, setText } from "./dom.js";
import { counted, initials, roomTitle, tint } from "./format.js";
import { unread } from "./rooms.js";

const MOST_SHOWN = 99;

/** @typedef {{key: string, name: string, title: string, active: boolean, unread: number, problem: boolean}} RoomRow */

export class RoomsView {
  #list = byId("room-list");
  #face = byId("me-face");
  #name = byId("me-name");
  #node = byId("me-node");
  #elsewhere = byId("elsewhere");
  #problem = byId("join-problem");
  #active = "";

  /**
   * @param {object} actions
   * @param {(name: string) => boolean} actions.enter false: that is no name for a room
   * @param {() => void} actions.signOut
   */
  constructor({ enter, signOut }) {
    const input = /** @type {HTMLInputElement} */ (byId("join-name"));
    byId("join-form").addEventListener("submit", (event) => {
      event.preventDefault();
      // The way people write rooms elsewhere; spaces are no part of a name here.
      const name = input.value.trim().replace(/^#/, "").replace(/\s+/g, "-");
      if (name === "") return;
      if (!enter(name)) {
        setText(this.#problem, "Use letters, digits and . _ : - only.");
        return;
      }
      input.value = "";
      setText(this.#problem, "");
    });
    input.addEventListener("input", () => setText(this.#problem, ""));
    byId("sign-out").addEventListener("click", signOut);
  }

  /** @param {import("./chat.js").ChatState} state */
  render({ rooms, active, user, node }) {
    const rows = [...rooms.values()].map((room) => ({
      key: room.name,
      name: room.name,
      title: roomTitle(room.name, user),
      active: room.name === active,
      unread: unread(room, user),
      problem: room.problem !== null,
    }));
    patch(this.#list, rows, drawRoom);
    if (active !== null && active !== this.#active) this.#bringIntoView();
    this.#active = active ?? "";
    this.#elsewhere.hidden = !rows.some((row) => !row.active && row.unread > 0);
    setText(this.#name, user);
    this.#name.title = user;
    setText(this.#node, node === "" ? "" : `on ${node}`);
    setText(this.#face, initials(user));
    this.#face.className = `face tint-${tint(user)}`;
  }

  /** By hand: `scrollIntoView` would move the window too, towards a drawer that is closed. */
  #bringIntoView() {
    const link = this.#list.querySelector("[aria-current]");
    if (!link) return;
    const list = this.#list.getBoundingClientRect();
    const { top, bottom } = link.getBoundingClientRect();
    this.#list.scrollTop += Math.min(0, top - list.top) + Math.max(0, bottom - list.bottom);
  }
}

/** @param {RoomRow} row */
function drawRoom(row) {
  const link = element("a", { href: `#${row.name}`, class: "room-link" });
  link.append(element("span", { class: "room-link-name", title: row.title }, row.title));
  if (row.active) link.setAttribute("aria-current", "page");
  if (row.problem) link.append(element("span", { class: "badge trouble", title: "Not in this room" }, "!"));
  else if (row.unread > 0 && !row.active) {
    const shown = row.unread > MOST_SHOWN ? `${MOST_SHOWN}+` : String(row.unread);
    link.append(element("span", { class: "badge" }, shown));
    link.setAttribute("aria-label", `${row.title}, ${counted(row.unread, "new message")}`);
    link.classList.add("has-news");
  }
  return element("li", {}, link);
}
