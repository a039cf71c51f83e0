/**
 * What the node refuses because it is too much at once (ERROR 111): none of it before the time that
 * the node names, then one after the other, in the order in which it was first tried.
 */

export class Pace {
  /** @type {Map<string, () => Promise<number | null>>} what waits, by a key of the caller's */
  #waiting = new Map();
  #holding = false;

  /**
   * Send something, now or when the node wants it. What has a key that waits already takes its place.
   *
   * @param {string} key
   * @param {() => Promise<number | null>} send resolves to null, or to the ms after which to do it again
   * @returns {Promise<boolean>} false: it waits
   */
  async run(key, send) {
    if (!this.#holding) {
      const pause = await send();
      if (pause === null) return true;
      this.#hold(pause);
    }
    this.#waiting.set(key, send);
    return false;
  }

  /** @param {number} pause ms */
  #hold(pause) {
    if (this.#holding) return;
    this.#holding = true;
    setTimeout(() => void this.#goOn(), pause);
  }

  async #goOn() {
    for (const [key, send] of this.#waiting) {
      const pause = await send();
      if (pause !== null) {
        setTimeout(() => void this.#goOn(), pause);
        return;
      }
      this.#waiting.delete(key);
    }
    this.#holding = false;
  }
}
