/** The way in: a name for guests, name and password for users, a token for everybody else. */

import {
  NotNow,
  askOffers,
  lastName,
  lastWay,
  register,
  signInAsGuest,
  signInWithPassword,
  signInWithToken,
} from "./account.js";
import { SignInProblem } from "./connection.js";
import { byId, setText } from "./dom.js";

/** @typedef {"guest" | "password" | "register" | "token"} Form */

/** @type {Record<Form, string>} what the button that leads there says */
const WORDS = {
  guest: "Come in as a guest",
  password: "Sign in with a password",
  register: "Make an account",
  token: "I have a token",
};

const FORMS = /** @type {Form[]} */ (Object.keys(WORDS));

export class SignInView {
  #main = byId("signin");
  #problem = byId("signin-problem");
  #others = byId("signin-others");
  #guestName = /** @type {HTMLInputElement} */ (byId("guest-name"));
  #userName = /** @type {HTMLInputElement} */ (byId("user-name"));
  #password = /** @type {HTMLInputElement} */ (byId("password"));
  #newName = /** @type {HTMLInputElement} */ (byId("new-name"));
  #newPassword = /** @type {HTMLInputElement} */ (byId("new-password"));
  #token = /** @type {HTMLTextAreaElement} */ (byId("token"));
  #done;
  /** @type {import("./account.js").Offers | null} null until the node has said it */
  #offers = null;
  /** @type {Form} */
  #form = "guest";
  #busy = false;

  /** @param {(account: import("./account.js").Account) => void} done */
  constructor(done) {
    this.#done = done;
    this.#on("guest", () => signInAsGuest(this.#guestName.value));
    this.#on("password", () => signInWithPassword(this.#userName.value, this.#password.value));
    this.#on("register", () => register(this.#newName.value, this.#newPassword.value));
    this.#on("token", async () => signInWithToken(this.#token.value.trim()));
    for (const form of FORMS) {
      byId(`to-${form}`).addEventListener("click", () => this.#show(form));
      setText(byId(`to-${form}`), WORDS[form]);
    }
    byId("signin-retry").addEventListener("click", () => void this.#learn());
  }

  /** @param {string} [problem] why the user is here again */
  show(problem = "") {
    this.#main.hidden = false;
    for (const name of [this.#guestName, this.#userName]) name.value = lastName();
    this.#token.value = "";
    void this.#learn(problem);
  }

  hide() {
    this.#main.hidden = true;
    // Nobody who looks at this page later finds one in it.
    for (const field of [this.#password, this.#newPassword, this.#token]) field.value = "";
  }

  /**
   * Ask the node what it offers, and offer that.
   *
   * @param {string} [problem]
   */
  async #learn(problem = "") {
    try {
      this.#offers = await askOffers();
    } catch {
      problem = "The node cannot be reached. Is it running?";
    }
    byId("signin-retry").hidden = this.#offers !== null;
    if (this.#offers) {
      const least = this.#offers.password_characters ?? 0;
      this.#newPassword.minLength = least;
      setText(byId("new-password-hint"), `At least ${least} characters. A few words are easy to remember.`);
      const last = lastWay();
      const offered = this.#offered();
      this.#show(last && offered.includes(last) ? last : offered[0]);
    }
    setText(this.#problem, problem);
  }

  /** @returns {Form[]} what this node offers, the simplest first */
  #offered() {
    const { guests, accounts, registration } = this.#offers ?? { guests: false, accounts: false };
    const offered = { guest: guests, password: accounts, register: accounts && registration, token: true };
    return FORMS.filter((form) => offered[form]);
  }

  /** @param {Form} chosen */
  #show(chosen) {
    this.#form = chosen;
    const offered = this.#offered();
    for (const form of FORMS) {
      byId(`${form}-form`).hidden = form !== chosen;
      byId(`to-${form}`).hidden = form === chosen || !offered.includes(form);
    }
    this.#others.hidden = offered.length < 2;
    setText(this.#problem, "");
    this.#focus();
  }

  /** Where there is something to type. */
  #focus() {
    const fields = /** @type {NodeListOf<HTMLInputElement>} */ (byId(`${this.#form}-form`).querySelectorAll("input, textarea"));
    const empty = [...fields].find((field) => field.value === "");
    (empty ?? fields[0]).focus();
  }

  /**
   * @param {Form} form
   * @param {() => Promise<import("./account.js").Account>} signIn
   */
  #on(form, signIn) {
    byId(`${form}-form`).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit(signIn);
    });
  }

  /** @param {() => Promise<import("./account.js").Account>} signIn */
  async #submit(signIn) {
    if (this.#busy) return; // a second press of the key
    const form = byId(`${this.#form}-form`);
    this.#busy = true;
    form.setAttribute("aria-busy", "true");
    setText(this.#problem, "");
    try {
      this.#done(await signIn());
    } catch (error) {
      const told = error instanceof SignInProblem || error instanceof NotNow;
      setText(this.#problem, told ? error.message : "The node cannot be reached. Is it running?");
      if (this.#form === "password" && error instanceof SignInProblem) {
        this.#password.value = "";
        this.#password.focus();
      }
    } finally {
      this.#busy = false;
      form.removeAttribute("aria-busy");
    }
  }
}
