// Shows answers: JSON, tables, pictures, similarities, labels, rankings.

import { make, shortNumber } from "./elements.js";

const MOST_ROWS = 200;
const MOST_COLUMNS = 20;
const PICTURE = /^data:image\/(png|jpeg|gif|webp|bmp|avif|svg\+xml)[;,]/i;
const SOUND = /^data:audio\//i;
const FILE = /^data:[\w.+-]*\/?[\w.+-]*[;,]/i;

const isPlain = (value) => value === null || typeof value !== "object";
const isRecord = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const cell = (value) => typeof value === "number" ? shortNumber(value, 6)
  : typeof value === "string" ? value : JSON.stringify(value);

/** A table that scrolls by itself; the first column names the row. */
export function table(head, rows, label) {
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
    make("table", {}, make("thead", {}, make("tr", {}, head.map((name) => make("th", { scope: "col" }, name)))),
      make("tbody", {}, rows.map((row) => make("tr", {}, row.map((value, index) =>
        value instanceof Node ? make("td", {}, value)
          : make("td", { class: typeof value === "number" ? "number" : null, dir: "auto" }, cell(value))))))));
}

/** Any value of an answer, in the form that is easiest to read. */
export function shown(value, depth = 0) {
  if (typeof value === "string") return shownText(value);
  if (isPlain(value)) return make("code", {}, cell(value));
  if (Array.isArray(value) && value.length && depth < 3) {
    if (value.every((item) => isRecord(item) && Object.values(item).every(isPlain))) return records(value);
    if (value.every((item) => Array.isArray(item) && item.every(isPlain))) return table(value[0].map((_, index) => index).slice(0, MOST_COLUMNS), value.slice(0, MOST_ROWS).map((row) => row.slice(0, MOST_COLUMNS)), "The output");
    if (value.length <= MOST_ROWS && value.some((item) => typeof item === "string")) return make("ol", {}, value.map((item) => make("li", { dir: "auto" }, shown(item, depth + 1))));
  }
  if (isRecord(value) && depth < 3 && Object.keys(value).length <= 50) {
    return make("dl", { class: "facts" }, Object.entries(value).flatMap(([name, item]) => [make("dt", {}, name), make("dd", {}, shown(item, depth + 1))]));
  }
  return make("pre", { class: "text", tabindex: 0 }, JSON.stringify(value, null, 1));
}

function records(value) {
  const columns = [...new Set(value.flatMap((item) => Object.keys(item)))].slice(0, MOST_COLUMNS);
  const rows = value.slice(0, MOST_ROWS).map((item) => columns.map((name) =>
    typeof item[name] === "string" && FILE.test(item[name]) ? shownText(item[name]) : item[name] ?? ""));
  const left = value.length - rows.length;
  return make("div", {}, table(columns, rows, "The output"), left > 0 ? make("p", { class: "soft" }, `and ${left} more rows`) : null);
}

function shownText(text) {
  if (PICTURE.test(text)) return make("img", { src: text, alt: "A picture in the answer" });
  if (SOUND.test(text)) return make("audio", { src: text, controls: true });
  if (FILE.test(text)) return make("a", { href: `data:application/octet-stream${text.slice(text.search(/[;,]/))}`, download: "answer" }, "Download the file");
  return make("p", { class: "said", dir: "auto" }, text);
}

/** The whole answer as JSON, closed at first. */
export function raw(answer) {
  return make("details", { class: "more" }, make("summary", {}, "The answer as JSON"),
    make("pre", { class: "text", tabindex: 0 }, JSON.stringify(answer, shortVectors, 1)));
}

function shortVectors(name, value) {
  return Array.isArray(value) && value.length > 32 && value.every((item) => typeof item === "number")
    ? [...value.slice(0, 8), `... ${value.length} numbers`] : value;
}

function bar(share, label) {
  return make("meter", { min: 0, max: 1, value: Math.min(1, Math.max(0, share)), "aria-label": label });
}

/** Probabilities of labels, as bars. */
export function labels(answer, texts) {
  return answer.data.map((item) => {
    const rows = item.probs.map((share, index) => [answer.labels?.[index] ?? (index === item.probs.indexOf(Math.max(...item.probs)) ? item.label : `label ${index}`), share])
      .sort((a, b) => b[1] - a[1]);
    return make("div", { class: "answer" }, make("p", { class: "soft", dir: "auto" }, texts[item.index] ?? ""),
      make("dl", { class: "bars" }, rows.map(([label, share]) => make("div", {}, make("dt", { dir: "auto" }, label),
        make("dd", {}, bar(share, label), make("span", { class: "number" }, `${(share * 100).toFixed(1)} %`))))));
  });
}

/** Documents in the order of their relevance. */
export function ranking(answer, documents) {
  const best = Math.max(...answer.results.map((item) => item.relevance_score), 1e-9);
  const least = Math.min(...answer.results.map((item) => item.relevance_score), 0);
  return make("ol", { class: "ranking" }, answer.results.map((item) => make("li", {},
    make("p", { dir: "auto" }, documents[item.index] ?? `document ${item.index}`),
    make("p", { class: "soft" }, bar((item.relevance_score - least) / (best - least || 1), "relevance"), ` ${shortNumber(item.relevance_score, 4)}, document ${item.index + 1}`))));
}

export function cosine(a, b) {
  let [dot, one, two] = [0, 0, 0];
  a.forEach((value, index) => {
    dot += value * b[index];
    one += value * value;
    two += b[index] * b[index];
  });
  return dot / Math.sqrt(one * two || 1);
}

/** The cosine of every two texts, as a matrix. */
export function similarities(answer, texts) {
  const vectors = answer.data.map((item) => item.embedding);
  const head = ["", ...vectors.map((_, index) => `${index + 1}`)];
  const rows = vectors.map((one, row) => [
    make("span", { class: "clip", dir: "auto", title: texts[row] ?? "" }, `${row + 1}. ${texts[row] ?? ""}`),
    ...vectors.map((other, column) => {
      const value = row === column ? 1 : cosine(one, other);
      const made = make("span", { class: "heat" }, value.toFixed(3));
      made.style.setProperty("--share", `${Math.round(Math.max(0, value) * 60)}%`);
      return made;
    }),
  ]);
  const size = vectors[0]?.length ?? 0;
  return make("div", {}, vectors.length > 1 ? make("p", {}, "Cosine similarity of every two texts:") : null,
    vectors.length > 1 ? table(head, rows, "Cosine similarities") : make("p", {}, "Add a second text to see how similar two texts are."),
    make("p", { class: "soft" }, `${vectors.length} vector${vectors.length === 1 ? "" : "s"} of ${size} numbers. The first one begins ${vectors[0]?.slice(0, 4).map((item) => shortNumber(item, 4)).join(", ")}.`));
}
