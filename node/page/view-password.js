/** Changing one's password: a dialog over the room. */

import { NotNow, changePassword, loadAccount } from "./account.js";
import { SignInProblem } from "./connection.js";
import { byId, setText } from "./dom.js";

export class PasswordView {
  #opener = byId("open-password");
  #dialog = /** @type {HTMLDialogElement} */ (byId("password-dialog"));
  #form = /** @type {HTMLFormElement} */ (byId("password-change"));
  #user = /** @type {HTMLInputElement} */ (byId("password-user"));
  #old = /** @type {HTMLInputElement} */ (byId("old-password"));
  #next = /** @type {HTMLInputElement} */ (byId("next-password"));
  #problem = byId("password-problem");
  #done;
  #busy = false;

  /** @param {(account: import("./account.js").Account) => void} done told who has another token now */
  constructor(done) {
    this.#done = done;
    this.#opener.addEventListener("click", () => this.#open());
    byId("password-cancel").addEventListener("click", () => this.#dialog.close());
    // Escape closes the dialog alone, and not the drawer under it too.
    this.#dialog.addEventListener("keydown", (event) => event.stopPropagation());
    // However it was closed: nobody who looks at this page later finds one in it.
    this.#dialog.addEventListener("close", () => this.#form.reset());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
  }

  /** @param {import("./account.js").Account} account of whoever is in */
  offer(account) {
    this.#opener.hidden = account.way !== "password";
  }

  /** Where nobody is in any more. */
  close() {
    this.#dialog.close();
  }

  #open() {
    setText(this.#problem, "");
    this.#dialog.showModal();
    this.#user.value = loadAccount()?.user ?? "";
    this.#old.focus();
  }

  async #submit() {
    const account = loadAccount();
    if (this.#busy || !account) return;
    this.#busy = true;
    this.#form.setAttribute("aria-busy", "true");
    setText(this.#problem, "");
    try {
      this.#done(await changePassword(account, this.#old.value, this.#next.value));
      this.#dialog.close();
    } catch (error) {
      setText(this.#problem, problemWords(error));
    } finally {
      this.#busy = false;
      this.#form.removeAttribute("aria-busy");
    }
  }
}

/** @param {unknown} error */
function problemWords(error) {
  if (error instanceof SignInProblem || error instanceof NotNow) return error.message;
  return "The node cannot be reached. Is it running?";
}
