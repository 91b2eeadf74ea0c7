// The part of the page that sends requests: a tab for each endpoint, with a form for its inputs.

import { area, button, copier, fill, make, problemBox, reveal, shortNumber } from "./elements.js";
import { fieldFor, list, parameters, promptChoice, readJson } from "./fields.js";
import { chatPanel, completionPanel } from "./generating.js";
import { events, json, Problem, send } from "./requests.js";
import { labels, ranking, raw, shown, similarities } from "./results.js";

const NAMES = {
  "/v1/chat/completions": "Chat", "/v1/completions": "Completion", "/v1/responses": "Responses",
  "/v1/embeddings": "Embeddings", "/v1/rerank": "Rerank", "/v2/rerank": "Rerank, as Cohere",
  "/v1/classify": "Classify", "/v1/predict": "Predict", "/v1/tokenize": "Tokenize",
};
const TEXT = { type: "string" };
const asList = (value) => (Array.isArray(value) ? value : value === undefined ? [] : [value]);

/** Texts, a list of rows; token numbers can be sent as JSON only. */
function texts(name, values) {
  return list(name, {}, TEXT, {}, values.map((value) => (typeof value === "string" ? value : value?.text ?? JSON.stringify(value))), true, 0, `${name}s`);
}

function embeddingPanel({ example, prompts }) {
  const input = texts("Text", asList(example.input));
  const prompt = promptChoice(prompts, example, true);
  return {
    element: make("div", {}, input.element, prompt.element),
    body: () => ({ input: input.value(), ...prompt.values() }),
    show: (answer, body) => similarities(answer, asList(body.input)),
  };
}

function classifyPanel({ example, prompts }) {
  const input = texts("Text", asList(example.input));
  const prompt = promptChoice(prompts, example, true);
  return {
    element: make("div", {}, input.element, prompt.element),
    body: () => ({ input: input.value(), ...prompt.values() }),
    show: (answer, body) => labels(answer, asList(body.input)),
  };
}

function rerankPanel({ example, prompts, properties, schemas }) {
  const query = fieldFor("Query", TEXT, {}, example.query ?? "", true);
  const documents = texts("Document", asList(example.documents));
  const prompt = promptChoice(prompts, example, true);
  const more = parameters(["top_n"], properties, schemas, {});
  return {
    element: make("div", {}, query.element, documents.element, prompt.element, more.element),
    body: () => ({ query: query.value(), documents: documents.value(), ...prompt.values(), ...more.values() }),
    show: (answer, body) => ranking(answer, body.documents),
  };
}

function predictPanel({ example, properties, schemas, open }) {
  const input = fieldFor("Input", { ...properties.input, description: undefined }, schemas, example.input, true);
  const more = parameters(open, properties, schemas, example);
  return {
    element: make("div", {}, input.element, more.element),
    body: () => ({ input: input.value(), ...more.values() }),
    show: (answer) => shown(answer.output),
  };
}

const PANELS = {
  "/v1/chat/completions": chatPanel, "/v1/completions": completionPanel,
  "/v1/embeddings": embeddingPanel, "/v1/classify": classifyPanel, "/v1/rerank": rerankPanel,
  "/v1/predict": predictPanel,
};

/** What an answer cost in time and tokens, in words. */
function measured(seconds, first, usage) {
  const parts = [`${shortNumber(seconds)} s`];
  if (first !== null) parts.push(`first piece after ${shortNumber(first)} s`);
  const [input, output] = [usage?.prompt_tokens ?? usage?.input_tokens, usage?.completion_tokens ?? usage?.output_tokens];
  if (input) parts.push(`${input} tokens in`);
  if (output) parts.push(`${output} tokens out`, `${shortNumber(output / Math.max(seconds, 0.001))} tokens/s`);
  return parts.join(" \u00b7 ");
}

function headersOf(answer) {
  const named = [...answer.headers].filter(([name]) => /^x-mealkit-(data|budget|seed|cost)|^x-ratelimit|^x-request-id/.test(name));
  return make("details", { class: "more" }, make("summary", {}, "Headers of the answer"), make("dl", { class: "facts" },
    named.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
}

/** One endpoint: its form, the buttons, the result. */
function tryOut(path, facts) {
  const form = PANELS[path]?.(facts);
  const status = make("p", { class: "soft", role: "status" });
  const result = make("div", { class: "result" });
  const edited = area(JSON.stringify(facts.example, null, 1), 10);
  edited.classList.add("code");
  edited.setAttribute("aria-label", "The request as JSON");
  const written = make("details", { class: "more", open: !form }, make("summary", {}, "The request as JSON"), edited,
    button("Send this JSON", () => run(() => readJson("the request", edited.value), false), { class: "quiet" }));
  const bodyOf = () => ({ ...(facts.properties.model ? { model: facts.model } : {}), ...form.body() });
  written.addEventListener("toggle", () => {
    if (!written.open || !form) return;
    try { edited.value = JSON.stringify(bodyOf(), null, 1); } catch { /* The form says what is wrong when it is sent. */ }
  });
  let stopping = null;
  const go = make("button", { class: "main" }, "Send");
  const stop = button("Stop", () => stopping?.abort(), { hidden: true });

  async function run(makeBody, isForm) {
    if (stopping) return;
    fill(result);
    let body;
    try {
      body = makeBody();
    } catch (error) {
      fill(result, problemBox({ code: "NOT_SENT", message: error.message }));
      return;
    }
    stopping = new AbortController();
    // A disabled button would lose the keyboard's place.
    go.setAttribute("aria-disabled", "true");
    stop.hidden = false;
    status.textContent = "Waiting for the answer\u2026";
    const shownAs = isForm ? form?.begin?.() : null;
    const began = performance.now();
    let [first, usage, content, problem] = [null, null, "", null];
    // Once for each frame: laying out a long text for each piece would be slower than a fast engine.
    let [waiting, frame, flush] = ["", 0, () => {}];
    const arrived = (place, piece) => {
      waiting += piece;
      flush = () => { place.append(reveal(waiting)); [waiting, frame] = ["", 0]; shownAs?.follow(); };
      frame ||= requestAnimationFrame(flush);
    };
    try {
      const answer = await send(path.slice(1), body, stopping.signal);
      if (answer.headers.get("content-type")?.startsWith("text/event-stream")) {
        const place = shownAs?.said ?? result.appendChild(make("pre", { class: "text", tabindex: 0 }));
        for await (const event of events(answer)) {
          usage = event.usage ?? event.response?.usage ?? usage;
          const piece = shownAs ? shownAs.piece(event) : `${JSON.stringify(event)}\n`;
          if (piece) first ??= (performance.now() - began) / 1000;
          content += piece;
          arrived(place, piece);
        }
      } else {
        const whole = await answer.json();
        usage = whole.usage;
        if (shownAs) {
          content = shownAs.whole(whole);
          shownAs.said.append(reveal(content));
        } else if (isForm && form.show) fill(result, form.show(whole, body));
        else fill(result, shown(whole));
        result.append(raw(whole));
      }
      result.append(headersOf(answer));
      status.textContent = measured((performance.now() - began) / 1000, first, usage);
    } catch (error) {
      problem = error;
      const stopped = error.name === "AbortError";
      status.textContent = stopped ? `Stopped after ${shortNumber((performance.now() - began) / 1000)} s` : "";
      if (!stopped) result.prepend(problemBox(error instanceof Problem ? error.facts : { code: "PAGE", message: error.message }));
    } finally {
      cancelAnimationFrame(frame);
      if (waiting) flush();
      shownAs?.end(content, problem);
      stopping = null;
      go.removeAttribute("aria-disabled");
      if (document.activeElement === stop) (form ? go : edited).focus();
      stop.hidden = true;
    }
  }

  const asCurl = copier(() => `curl ${new URL(path.slice(1), location.href.replace(/[#?].*$/, ""))} \\\n  -H "Authorization: Bearer $MEALKIT_API_KEY" -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(bodyOf()).replaceAll("'", "'\\''")}'`, "Copy as curl");
  const bar = form ? make("div", { class: "row" }, go, stop, form.extra, asCurl) : make("div", { class: "row" }, stop);
  const element = make("form", { submit: (event) => { event.preventDefault(); run(bodyOf, true); }, novalidate: true },
    form?.element, bar, status, make("div", { role: "alert" }, result), written);
  element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(form && !written.contains(event.target) ? bodyOf : () => readJson("the request", edited.value), Boolean(form) && !written.contains(event.target)); }
  });
  return element;
}

/** Fill the part of the page: a tab for each endpoint of the kit. */
export async function startTrying(root) {
  let description;
  let metadata;
  try {
    [description, metadata] = await Promise.all([json("openapi.json"), json("v1/metadata")]);
  } catch (error) {
    fill(root, problemBox(error.facts ?? { message: error.message }), button("Try again", () => startTrying(root)));
    return;
  }
  const schemas = description.components.schemas;
  const paths = Object.entries(description.paths).filter(([, item]) => item.post);
  const panels = paths.map(([path, { post }]) => {
    const content = post.requestBody.content["application/json"];
    const properties = schemas[content.schema.$ref.split("/").pop()].properties;
    const names = ["max_tokens", ...Object.keys(metadata.overrides)];
    const open = [...new Set(names)].filter((name) => name !== "max_tokens" || properties.max_tokens);
    return [path, () => tryOut(path, { example: content.example ?? {}, properties, schemas, open,
      prompts: description["x-mealkit"].prompts, model: description["x-mealkit"].model })];
  });
  if (panels.length === 1) fill(root, panels[0][1]());
  else fill(root, ...tabs(panels));
}

function tabs(panels) {
  const area = make("div", { role: "tabpanel", id: "trying-panel", tabindex: -1 });
  const made = new Map();
  const buttons = panels.map(([path, build], index) => make("button", { type: "button", role: "tab", id: `tab-${index}`, "aria-controls": "trying-panel",
    click: () => choose(index),
    keydown: (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) { event.preventDefault(); choose((index + step + panels.length) % panels.length, true); }
    } }, NAMES[path] ?? path));
  function choose(index, focus = false) {
    buttons.forEach((other, at) => { other.setAttribute("aria-selected", String(at === index)); other.tabIndex = at === index ? 0 : -1; });
    if (focus) buttons[index].focus();
    if (!made.has(index)) made.set(index, panels[index][1]());
    area.setAttribute("aria-labelledby", `tab-${index}`);
    area.replaceChildren(made.get(index));
  }
  choose(0);
  return [make("div", { role: "tablist", class: "tabs", "aria-label": "Endpoints" }, buttons), area];
}
