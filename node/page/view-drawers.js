/** The side panels where the window is too narrow for them: one at a time, over the room. */

import { byId } from "./dom.js";

const NARROW = { rooms: "(max-width: 760px)", people: "(max-width: 1080px)" };

/** @typedef {"rooms" | "people"} Panel */

export class Drawers {
  #chat = byId("chat");
  #room = byId("room");
  #scrim = byId("scrim");
  #openers = { rooms: byId("open-rooms"), people: byId("open-people") };
  /** @type {Panel | null} */
  #open = null;

  constructor() {
    for (const panel of /** @type {Panel[]} */ (["rooms", "people"])) {
      this.#openers[panel].addEventListener("click", () => this.#show(panel));
      matchMedia(NARROW[panel]).addEventListener("change", () => this.close());
    }
    this.#scrim.addEventListener("click", () => this.close());
    for (const closer of document.querySelectorAll("[data-close-drawer]")) {
      closer.addEventListener("click", () => this.close());
    }
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  /** Back to the room; focus goes back to what opened the drawer. */
  close() {
    if (!this.#open) return;
    const panel = this.#open;
    this.#mark(null);
    this.#openers[panel].focus();
  }

  /** @param {Panel} panel */
  #show(panel) {
    if (!matchMedia(NARROW[panel]).matches) return;
    this.#mark(panel);
    /** @type {HTMLElement | null} */ (byId(panel).querySelector("a, button"))?.focus();
  }

  /** @param {Panel | null} open */
  #mark(open) {
    this.#open = open;
    this.#chat.dataset.drawer = open ?? "";
    this.#scrim.hidden = open === null;
    this.#room.inert = open !== null;
    for (const [panel, opener] of Object.entries(this.#openers)) {
      opener.setAttribute("aria-expanded", String(panel === open));
    }
  }
}
