/** The way in: a name for guests, a token for everybody else. */

import { NoGuests, lastName, signInAsGuest, signInWithToken } from "./account.js";
import { SignInProblem } from "./connection.js";
import { byId, setText } from "./dom.js";

export class SignInView {
  #main = byId("signin");
  #guestForm = byId("guest-form");
  #tokenForm = byId("token-form");
  #toggle = byId("token-toggle");
  #problem = byId("signin-problem");
  #name = /** @type {HTMLInputElement} */ (byId("guest-name"));
  #token = /** @type {HTMLTextAreaElement} */ (byId("token"));
  #done;

  /** @param {(account: import("./account.js").Account) => void} done */
  constructor(done) {
    this.#done = done;
    this.#guestForm.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit(() => signInAsGuest(this.#name.value));
    });
    this.#tokenForm.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit(async () => signInWithToken(this.#token.value.trim()));
    });
    this.#toggle.addEventListener("click", () => this.#offerToken(this.#tokenForm.hidden));
  }

  /** @param {string} [problem] why the user is here again */
  show(problem = "") {
    this.#main.hidden = false;
    this.#name.value = lastName();
    this.#token.value = "";
    setText(this.#problem, problem);
    this.#name.focus();
  }

  hide() {
    this.#main.hidden = true;
  }

  /** @param {() => Promise<import("./account.js").Account>} signIn */
  async #submit(signIn) {
    setText(this.#problem, "");
    try {
      this.#done(await signIn());
    } catch (error) {
      if (error instanceof NoGuests) {
        this.#offerToken(true);
        this.#toggle.hidden = true;
        setText(byId("token-hint"), "This node takes no guests. If you were given a token, paste it here.");
      } else if (error instanceof SignInProblem) {
        setText(this.#problem, error.message);
      } else {
        setText(this.#problem, "The node cannot be reached. Is it running?");
      }
    }
  }

  /** @param {boolean} offer */
  #offerToken(offer) {
    this.#tokenForm.hidden = !offer;
    this.#guestForm.hidden = offer;
    setText(this.#toggle, offer ? "Come in as a guest" : "I have a token");
    setText(this.#problem, "");
    (offer ? this.#token : this.#name).focus();
  }
}
