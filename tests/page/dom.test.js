import assert from "node:assert/strict";
import { test } from "node:test";

import { patch } from "../../node/page/dom.js";

/** As much of a list element as `patch` touches; counts what is put somewhere. */
class List {
  /** @type {Item[]} */
  children = [];
  put = 0;

  get firstElementChild() {
    return this.children[0] ?? null;
  }

  /** @param {Item} item @param {Item | null} before */
  insertBefore(item, before) {
    item.remove();
    this.put += 1;
    this.children.splice(before === null ? this.children.length : this.children.indexOf(before), 0, item);
    item.list = this;
  }

  words() {
    return this.children.map((item) => item.words).join(" ");
  }
}

class Item {
  dataset = {};
  /** @type {List | null} */
  list = null;

  /** @param {string} words */
  constructor(words) {
    this.words = words;
  }

  get nextElementSibling() {
    const all = this.list?.children ?? [];
    return all[all.indexOf(this) + 1] ?? null;
  }

  remove() {
    if (this.list) this.list.children.splice(this.list.children.indexOf(this), 1);
    this.list = null;
  }
}

/** @param {List} list @param {string[]} keys */
function show(list, keys) {
  list.put = 0;
  const rows = keys.map((key) => ({ key }));
  patch(/** @type {any} */ (list), rows, ({ key }) => /** @type {any} */ (new Item(key)));
}

test("a line that is acknowledged moves none of those that wait behind it", () => {
  // A node that is moved starts its animations again: the words beside it would never be seen.
  const list = new List();
  show(list, ["said 1", "waits 2", "waits 3", "waits 4"]);
  show(list, ["said 1", "said 2", "waits 3", "waits 4"]);
  assert.equal(list.words(), "said 1 said 2 waits 3 waits 4");
  assert.equal(list.put, 1);
});

test("rows come, go and change places", () => {
  const list = new List();
  for (const keys of [["a", "b", "c"], ["c", "a"], ["d", "a", "e", "c"], [], ["b"]]) {
    show(list, keys);
    assert.equal(list.words(), keys.join(" "));
  }
});
