// Makes elements. Texts of kits, models and callers are only ever set as text, never as markup.

const HIDDEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ufff9-\ufffb]/g;

/** A text in which hidden characters, which could reorder other words, are written as codes. */
export function reveal(text) {
  return String(text).replace(HIDDEN, (found) =>
    `\u27e8U+${found.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`);
}

/** An element with attributes, listeners (functions) and children (elements or texts). */
export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(attribute, value);
    else if (value === true) made.setAttribute(attribute, "");
    else if (value !== false && value != null) made.setAttribute(attribute, value);
  }
  made.append(...children.flat().filter((child) => child != null)
    .map((child) => child instanceof Node ? child : reveal(child)));
  return made;
}

/** Replace what an element contains. */
export function fill(element, ...children) {
  element.replaceChildren(...make("div", {}, ...children).childNodes);
  return element;
}

let count = 0;

/** A control with its label and, below it, a note; the note is read with the control. */
export function labelled(label, control, note = "") {
  control.id ||= `field-${(count += 1)}`;
  const under = note ? make("p", { class: "soft hint", id: `${control.id}-note` }, note) : null;
  if (under) control.setAttribute("aria-describedby", under.id);
  return make("div", { class: "field" }, make("label", { for: control.id }, label), control, under);
}

/** A text area that grows with its text. */
export function area(value = "", rows = 2) {
  const made = make("textarea", { rows, dir: "auto", spellcheck: "false" });
  made.value = value;
  return made;
}

/** A button that does not send a form. */
export function button(label, click, attributes = {}) {
  return make("button", { type: "button", click, ...attributes }, label);
}

/** A button that copies a text, and says so. */
export function copier(text, label = "Copy") {
  const made = button(label, async () => {
    try {
      await navigator.clipboard.writeText(text());
      made.textContent = "Copied";
    } catch {
      made.textContent = "Select the text to copy it";
    }
    setTimeout(() => { made.textContent = label; }, 2000);
  }, { class: "quiet", "aria-live": "polite" });
  return made;
}

/** A problem: its code, message, owner and hint. */
export function problemBox(problem) {
  // OpenAI's name of a code comes first in `code`; the kit's own one is in the log and the docs.
  const { mealkit_code: own, code, message, owner, hint, where, request_id: id, contact, status } = problem;
  const facts = [["Owner", owner], ["Hint", hint], ["Where", where],
    ["Contact", contact?.contact], ["Request", id]].filter(([, value]) => value);
  return make("div", { class: "problem" },
    make("p", {}, make("strong", {}, own || code || "Error"), status ? ` (${status})` : ""),
    make("p", { dir: "auto" }, message),
    make("dl", { class: "facts" }, facts.flatMap(([name, value]) =>
      [make("dt", {}, name), make("dd", {}, value)])));
}

/** A number for people, with few digits. */
export function shortNumber(value, digits = 3) {
  if (!Number.isFinite(value)) return String(value);
  return value.toLocaleString("en", { maximumSignificantDigits: Math.max(digits, String(Math.trunc(Math.abs(value))).length) });
}
