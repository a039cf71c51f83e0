/** Who is in the room. */

import { byId, element, patch, setText } from "./dom.js";
import { initials, tint } from "./format.js";

/** More faces than these help nobody; the count says the rest. */
const MOST_SHOWN = 200;

/** @typedef {{key: string, user: string, own: boolean, tabs: number}} Person */

export class PeopleView {
  #list = byId("people-list");
  #count = byId("people-count");
  #total = byId("people-total");
  #note = byId("people-note");

  /** @param {import("./rooms.js").Room} room @param {string} user */
  render(room, user) {
    const members = room.joined ? (room.members ?? []) : [];
    const people = members.map((member) => ({
      key: member.user,
      user: member.user,
      own: member.user === user,
      tabs: member.connections,
    }));
    people.sort((one, other) => Number(other.own) - Number(one.own) || one.user.localeCompare(other.user));
    patch(this.#list, people.slice(0, MOST_SHOWN), drawPerson);
    const count = room.joined ? room.memberCount.toLocaleString() : "";
    setText(this.#count, count || "–");
    setText(this.#total, count);
    const more = room.memberCount - Math.min(people.length, MOST_SHOWN);
    if (!room.joined) setText(this.#note, "Shown once we are in the room.");
    else setText(this.#note, room.members && more > 0 ? `and ${more.toLocaleString()} more` : "");
  }
}

/** @param {Person} person */
function drawPerson({ user, own, tabs }) {
  const face = element("span", { class: `face tint-${tint(user)}`, "aria-hidden": "true" }, initials(user));
  const name = element("span", { class: "person-name", dir: "auto", title: user }, user);
  const item = element("li", { class: "person" }, face, name);
  const notes = [own ? "you" : "", tabs > 1 ? `${tabs} windows` : ""].filter(Boolean).join(", ");
  if (notes) item.append(element("span", { class: "person-note" }, notes));
  return item;
}
