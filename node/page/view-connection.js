/** The connection in words and colour: the cue light in the header, and a bar while it is not well. */

import { byId, setText } from "./dom.js";

/** @type {Record<import("./protocol.js").State, string>} */
const WORDS = {
  CONNECTED: "Connected",
  UNREACHABLE: "No answer",
  DISCONNECTED: "Disconnected",
  CLOSED: "Closed",
};

export class ConnectionView {
  #light = byId("cue-light");
  #word = byId("cue-word");
  #bar = byId("connection-bar");
  #reason = byId("connection-reason");
  #next = byId("connection-next");
  #status = byId("connection-status");
  #button = byId("try-now");
  /** @type {import("./connection.js").Snapshot | null} */
  #snapshot = null;
  /** Nothing is said about the first connecting, only about troubles and their end. */
  #wasConnected = false;

  /** @param {() => void} tryNow */
  constructor(tryNow) {
    this.#button.addEventListener("click", tryNow);
    setInterval(() => this.#renderCountdown(), 250);
  }

  /** @param {import("./connection.js").Snapshot} snapshot */
  render(snapshot) {
    this.#snapshot = snapshot;
    const { state, reason, opening, draining } = snapshot;
    const first = state === "DISCONNECTED" && opening && reason === "";
    this.#light.dataset.state = first ? "" : state;
    setText(this.#word, first ? "Connecting" : WORDS[state]);
    if (state === "CONNECTED") this.#wasConnected = true;

    this.#bar.hidden = (state === "CONNECTED" && !draining) || first;
    this.#bar.dataset.state = state;
    setText(this.#reason, draining && state === "CONNECTED" ? "The node is about to restart." : reason);
    const again = snapshot.signInRefused ? "Sign in again" : "Connect again";
    setText(this.#button, state === "CLOSED" ? again : "Try now");
    this.#button.hidden = state === "CONNECTED" || state === "UNREACHABLE" || opening;
    this.#renderCountdown();
    // The countdown is for the eye: read out every second it would drown everything else.
    if (this.#wasConnected || reason) setText(this.#status, [WORDS[state], reason].filter(Boolean).join(". "));
  }

  #renderCountdown() {
    const snapshot = this.#snapshot;
    if (!snapshot || this.#bar.hidden) return;
    setText(this.#next, nextWords(snapshot, Date.now()));
  }
}

/**
 * @param {import("./connection.js").Snapshot} snapshot
 * @param {number} now ms
 */
export function nextWords({ state, opening, retryAt, draining }, now) {
  if (state === "CLOSED") return "";
  if (state === "CONNECTED") return draining ? "We will connect again by ourselves." : "";
  if (state === "UNREACHABLE") return "Waiting a little longer.";
  if (opening || retryAt === null) return "Connecting…";
  return `Next try in ${Math.max(1, Math.ceil((retryAt - now) / 1000))} s.`;
}
