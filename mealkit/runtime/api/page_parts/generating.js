// Chat and completion: turns, prompts, parameters, and answers that arrive piece by piece.

import { area, button, fill, labelled, make } from "./elements.js";
import { parameters, promptChoice } from "./fields.js";

const textOf = (content) => typeof content === "string" ? content
  : Array.isArray(content) ? content.map((part) => part.text ?? "").join("\n") : "";
const ROLES = { user: "You", assistant: "Kit", system: "System", developer: "Developer", tool: "Tool" };

function streamSwitch(example) {
  const box = make("input", { type: "checkbox", checked: example.stream !== false });
  const element = labelled("Stream the answer", box);
  element.classList.add("tick");
  return { element, values: () => (box.checked ? { stream: true, stream_options: { include_usage: true } } : {}) };
}

/** The panel of chats. */
export function chatPanel({ example, properties, schemas, prompts, open }) {
  const given = [...(example.messages ?? [])];
  const last = given.at(-1)?.role === "user" ? given.pop() : null;
  const system = area(textOf(given[0]?.role === "system" ? given.shift().content : ""));
  const typed = area(textOf(last?.content ?? ""), 3);
  const log = make("div", { class: "log", role: "log", "aria-label": "Conversation", tabindex: 0 });
  let turns = [];
  const show = (role, content) => {
    const said = make("p", { class: "said", dir: "auto" }, content);
    log.append(make("div", { class: `turn ${role}` }, make("p", { class: "who" }, ROLES[role] ?? role), said));
    log.scrollTop = log.scrollHeight;
    return said;
  };
  const begin = (messages) => {
    turns = messages;
    fill(log);
    for (const turn of turns) show(turn.role, textOf(turn.content));
  };
  begin(given);
  const prompt = promptChoice(prompts, example, false);
  const more = parameters(open, properties, schemas, example);
  const stream = streamSwitch(example);
  const around = make("details", { class: "more", open: Boolean(system.value || prompt.name()) },
    make("summary", {}, prompt.element ? "System message, prompt" : "System message"),
    labelled("System", system, "Instructions for the whole conversation; may be empty."), prompt.element);
  const element = make("div", {}, log, labelled("Message", typed), stream.element, around, more.element);
  return {
    element,
    body: () => {
      const messages = [...(system.value ? [{ role: "system", content: system.value }] : []), ...turns,
        ...(typed.value || !prompt.name() ? [{ role: "user", content: typed.value }] : [])];
      return { ...(messages.length ? { messages } : {}), ...prompt.values(), ...more.values(), ...stream.values() };
    },
    /** Show what is sent, and return what shows the pieces of the answer. */
    begin: () => {
      const asked = typed.value;
      if (asked) show("user", asked);
      if (prompt.name()) show("user", `(prompt ${prompt.name()})`);
      log.setAttribute("aria-busy", "true");
      const said = show("assistant", "");
      return {
        piece: (event) => (event.choices?.[0]?.delta?.content ?? ""),
        whole: (answer) => {
          const message = answer.choices[0].message;
          return message.content ?? (message.tool_calls ? JSON.stringify(message.tool_calls, null, 1) : "");
        },
        said,
        follow: () => { log.scrollTop = log.scrollHeight; },
        end: (content, problem) => {
          log.setAttribute("aria-busy", "false");
          if (problem && !content) said.closest(".turn").remove();
          // A conversation goes on only with whole texts; a prompt of the kit is not one.
          if (content && asked) {
            turns = [...turns, { role: "user", content: asked }, { role: "assistant", content }];
            typed.value = "";
          }
        },
      };
    },
    extra: button("New conversation", () => { begin([]); typed.focus(); }, { class: "quiet" }),
  };
}

/** The panel of completions. */
export function completionPanel({ example, properties, schemas, prompts, open }) {
  const isText = typeof example.prompt === "string";
  const typed = area(isText ? example.prompt : "", 4);
  const prompt = promptChoice(prompts, isText ? {} : example, false);
  const more = parameters(open, properties, schemas, example);
  const stream = streamSwitch(example);
  const said = make("p", { class: "said", dir: "auto" });
  const output = make("div", { class: "log", role: "log", "aria-label": "Continued text", tabindex: 0, hidden: true }, said);
  const element = make("div", {}, prompt.element, labelled("Beginning of the text", typed, prompt.element ? "Not sent if a prompt is chosen." : ""), stream.element, more.element, output);
  return {
    element,
    body: () => ({ prompt: typed.value, ...prompt.values(), ...more.values(), ...stream.values() }),
    begin: () => {
      output.hidden = false;
      output.setAttribute("aria-busy", "true");
      fill(said);
      const start = make("span", { class: "soft" }, prompt.name() ? "" : typed.value);
      const added = make("span", {});
      said.append(start, added);
      return {
        piece: (event) => (event.choices?.[0]?.text ?? ""),
        whole: (answer) => answer.choices[0].text,
        said: added,
        follow: () => { output.scrollTop = output.scrollHeight; },
        end: () => output.setAttribute("aria-busy", "false"),
      };
    },
  };
}
