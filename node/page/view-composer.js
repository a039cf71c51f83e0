/** Where the user writes. One draft a room. */

import { byId, setText } from "./dom.js";

export class ComposerView {
  #text = /** @type {HTMLTextAreaElement} */ (byId("composer-text"));
  #label = byId("composer-label");
  #note = byId("composer-note");
  /** @type {Map<string, string>} */
  #drafts = new Map();
  #room = "";
  #fits;

  /**
   * @param {object} actions
   * @param {(content: string) => void} actions.say
   * @param {() => void} actions.typing
   * @param {(content: string) => boolean} actions.fits
   */
  constructor({ say, typing, fits }) {
    this.#fits = fits;
    const form = /** @type {HTMLFormElement} */ (byId("composer"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const content = this.#text.value.trim();
      if (content === "" || !fits(content)) return;
      this.#set("");
      say(content);
      this.#text.focus();
    });
    this.#text.addEventListener("keydown", (event) => {
      // While an input method composes, Enter picks a word. On a touch keyboard it is the only way to a new line.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || isTouch()) return;
      event.preventDefault();
      form.requestSubmit();
    });
    this.#text.addEventListener("input", () => {
      this.#changed();
      if (this.#text.value.trim() !== "") typing();
    });
  }

  focus() {
    this.#text.focus();
  }

  /** @param {string} room */
  render(room) {
    if (room === this.#room) return;
    this.#drafts.set(this.#room, this.#text.value);
    this.#room = room;
    setText(this.#label, `Message to ${room}`);
    this.#text.placeholder = `Say something in ${room}`;
    this.#set(this.#drafts.get(room) ?? "");
  }

  /** @param {string} content */
  #set(content) {
    this.#text.value = content;
    this.#changed();
  }

  #changed() {
    const fits = this.#fits(this.#text.value.trim());
    this.#text.setAttribute("aria-invalid", String(!fits));
    setText(this.#note, fits ? "" : "This is too long for one message.");
    this.#text.style.height = "auto";
    this.#text.style.height = `${this.#text.scrollHeight}px`;
  }
}

/** Phones and tablets: nothing to point with but a finger. */
export function isTouch() {
  return matchMedia("(pointer: coarse)").matches;
}
