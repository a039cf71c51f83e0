/**
 * The few things we do with the DOM. Text goes in as text nodes only: there is no way to markup.
 */

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id of an element that index.html holds
 * @returns {T}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return /** @type {T} */ (element);
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children strings become text
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * @param {string} label
 * @param {() => void} press
 * @param {string} className
 */
export function button(label, press, className) {
  const made = element("button", { type: "button", class: className }, label);
  made.addEventListener("click", press);
  return made;
}

/**
 * Set text only where it differs: live regions speak at every touch.
 *
 * @param {HTMLElement} target @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * Make a list's children those of `rows`, keeping, moving and replacing nodes by key.
 *
 * A node stays as long as its row reads the same: focus, selection and scroll anchors live in nodes.
 *
 * @template {{key: string}} Row
 * @param {HTMLElement} list
 * @param {readonly Row[]} rows plain data
 * @param {(row: Row) => HTMLElement} draw
 */
export function patch(list, rows, draw) {
  const wanted = new Set(rows.map((row) => row.key));
  /** @type {Map<string, HTMLElement>} */
  const present = new Map();
  for (const child of /** @type {HTMLElement[]} */ ([...list.children])) {
    const key = child.dataset.key ?? "";
    // What goes makes way first, or all behind it would be moved, and begin their animations again.
    // Two of one key: a clock that went back a day.
    if (present.has(key) || !wanted.has(key)) child.remove();
    else present.set(key, child);
  }
  /** @type {Element | null} */
  let next = list.firstElementChild;
  for (const row of rows) {
    const face = JSON.stringify(row);
    let node = present.get(row.key);
    present.delete(row.key);
    if (node && node.dataset.face !== face) {
      if (node === next) next = next.nextElementSibling;
      node.remove();
      node = undefined;
    }
    if (!node) {
      node = draw(row);
      node.dataset.key = row.key;
      node.dataset.face = face;
    }
    if (node === next) next = next.nextElementSibling;
    else list.insertBefore(node, next);
  }
}
