// Makes a form from a JSON Schema. A field is {element, value()}; value() is undefined for a value
// that is left out, and raises an Error with a message for the user if what is typed is not valid.

import { area, button, fill, labelled, make } from "./elements.js";

const DEEPEST = 6;

/** A schema without references; null, which only means "left out", is dropped from alternatives. */
function resolved(schema, schemas) {
  let found = schema ?? {};
  for (let steps = 0; found.$ref && steps < 20; steps += 1) found = { ...schemas[found.$ref.split("/").pop()], ...found, $ref: undefined };
  for (let steps = 0; steps < DEEPEST && (found.anyOf || found.oneOf || found.allOf?.length === 1); steps += 1) {
    const { anyOf, oneOf, allOf, ...rest } = found;
    const ways = (anyOf ?? oneOf ?? allOf).filter((way) => way.type !== "null");
    if (ways.length !== 1) return found;
    found = { ...resolved(ways[0], schemas), ...rest };
  }
  return found;
}

function boundsOf(schema) {
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  const parts = [low != null && `from ${low}`, high != null && `to ${high}`,
    schema.maxLength && `at most ${schema.maxLength} characters`].filter(Boolean);
  return parts.join(" ");
}

function noteOf(schema, isNeeded) {
  const fallback = schema.default !== undefined && schema.default !== null ? `${JSON.stringify(schema.default)} if left out` : "";
  return [schema.description, boundsOf(schema), isNeeded ? "" : fallback || "optional"].filter(Boolean).join(" · ");
}

/** A field for a value of the schema. `given` is its first value. */
export function fieldFor(name, schema, schemas, given, isNeeded, depth = 0) {
  const form = resolved(schema, schemas);
  const kind = Array.isArray(form.type) ? form.type.find((type) => type !== "null") : form.type;
  const first = given ?? form.default;
  if (form.enum || form.const !== undefined) return choice(name, form, first, isNeeded);
  if (kind === "boolean") return tick(name, form, first, isNeeded);
  if (kind === "integer" || kind === "number") return number(name, form, kind, first, isNeeded);
  if (kind === "string" && form.format === "data-url") return file(name, form, first, isNeeded);
  if (kind === "string") return text(name, form, first, isNeeded);
  if (kind === "object" && form.properties && depth < DEEPEST) return object(name, form, schemas, first, isNeeded, depth);
  const item = kind === "array" && resolved(form.items, schemas);
  if (item && ["string", "integer", "number", "boolean"].includes(item.type) && depth < DEEPEST) return list(name, form, item, schemas, first, isNeeded, depth);
  return anyJson(name, form, first, isNeeded);
}

function choice(name, form, first, isNeeded) {
  const values = (form.enum ?? [form.const]).filter((value) => value !== null);
  const select = make("select", {}, isNeeded ? [] : make("option", { value: "" }, "\u2014"),
    values.map((value, index) => make("option", { value: String(index + 1) }, typeof value === "string" ? value : JSON.stringify(value))));
  const at = values.findIndex((value) => value === first);
  if (at >= 0) select.value = String(at + 1);
  return { element: labelled(name, select, noteOf(form, isNeeded)), value: () => values[Number(select.value) - 1] };
}

function tick(name, form, first, isNeeded) {
  const box = make("input", { type: "checkbox", checked: first === true });
  let touched = first !== undefined && first !== null;
  box.addEventListener("change", () => { touched = true; });
  const element = labelled(name, box, noteOf(form, isNeeded));
  element.classList.add("tick");
  return { element, value: () => (touched || isNeeded ? box.checked : undefined) };
}

function number(name, form, kind, first, isNeeded) {
  const input = make("input", { type: "number", inputmode: "decimal", required: isNeeded, value: first ?? null,
    min: form.minimum ?? form.exclusiveMinimum, max: form.maximum ?? form.exclusiveMaximum,
    step: form.multipleOf ?? (kind === "integer" ? 1 : "any") });
  return { element: labelled(name, input, noteOf(form, isNeeded)), value: () => {
    if (!input.checkValidity()) throw new Error(`${name}: ${input.validationMessage}`);
    return input.value === "" ? undefined : Number(input.value);
  } };
}

function text(name, form, first, isNeeded) {
  const isDate = form.format === "date";
  const isLong = !isDate && !(form.maxLength <= 80) && !form.format && !form.pattern;
  const input = isLong ? area(first ?? "") : make("input", { type: isDate ? "date" : "text", dir: "auto", spellcheck: "false" });
  input.value = first ?? "";
  return { element: labelled(name, input, noteOf(form, isNeeded)), value: () => (input.value === "" && !isNeeded ? undefined : input.value) };
}

function file(name, form, first, isNeeded) {
  let data = first ?? undefined;
  const picker = make("input", { type: "file" });
  const view = make("div", { class: "preview" });
  const show = () => fill(view, typeof data === "string" && /^data:image\//i.test(data) ? make("img", { src: data, alt: `The picture for ${name}` }) : null);
  picker.addEventListener("change", async () => {
    const chosen = picker.files[0];
    data = chosen ? await dataUrl(chosen) : undefined;
    show();
  });
  show();
  const element = labelled(name, picker, noteOf(form, isNeeded));
  element.append(view);
  return { element, value: () => data };
}

function dataUrl(chosen) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(chosen);
  });
}

function object(name, form, schemas, first, isNeeded, depth) {
  const fields = Object.entries(form.properties).map(([key, schema]) =>
    [key, fieldFor(key, schema, schemas, first?.[key], form.required?.includes(key) ?? false, depth + 1)]);
  const element = make("fieldset", {}, make("legend", {}, name), fields.map(([, field]) => field.element));
  return { element, value: () => {
    const found = fields.map(([key, field]) => [key, field.value()]).filter(([, value]) => value !== undefined);
    return found.length || isNeeded ? Object.fromEntries(found) : undefined;
  } };
}

/** Rows of one value each, which can be added and removed. */
export function list(name, form, item, schemas, first, isNeeded, depth = 0, title = name) {
  let rows = [];
  const box = make("div", { class: "rows" });
  const number = (row, index) => {
    row.element.querySelector("label").textContent = `${name} ${index + 1}`;
    row.element.nextSibling.setAttribute("aria-label", `Remove ${name} ${index + 1}`);
  };
  const add = (value) => {
    const row = fieldFor(`${name} ${rows.length + 1}`, item, schemas, value, true, depth + 1);
    const drop = button("Remove", () => {
      rows = rows.filter((other) => other !== row);
      line.remove();
      rows.forEach(number);
      more.focus();
    }, { class: "quiet" });
    const line = make("div", { class: "listed" }, row.element, drop);
    rows.push(row);
    number(row, rows.length - 1);
    box.append(line);
    return row;
  };
  const more = button("Add", () => add(undefined).element.querySelector("textarea,input,select").focus(), { class: "quiet", "aria-label": `Add ${name}` });
  for (const value of Array.isArray(first) ? first : first === undefined || first === null ? [] : [first]) add(value);
  const note = noteOf(form, isNeeded);
  const element = make("fieldset", {}, make("legend", {}, title), note ? make("p", { class: "soft hint" }, note) : null, box, more);
  return { element, value: () => (rows.length || isNeeded ? rows.map((row) => row.value()) : undefined) };
}

function anyJson(name, form, first, isNeeded) {
  const input = area(first === undefined || first === null ? "" : JSON.stringify(first, null, 1), 5);
  input.classList.add("code");
  return { element: labelled(`${name} (JSON)`, input, noteOf(form, isNeeded)), value: () => {
    if (!input.value.trim() && !isNeeded) return undefined;
    return readJson(name, input.value);
  } };
}

/** The value of a JSON text. */
export function readJson(name, typed) {
  try {
    return JSON.parse(typed);
  } catch (error) {
    throw new Error(`${name} is not JSON: ${error.message}`);
  }
}

/** The fields for the parameters that callers may change: {element, values()}. */
export function parameters(names, properties, schemas, given) {
  const fields = names.filter((name) => properties[name]).map((name) => {
    // Beside numbers within bounds, the schema allows the kit's own value, and neutral ones.
    const ways = properties[name].anyOf ?? [];
    const number = ways.find((way) => way.type === "number" || way.type === "integer");
    const schema = number ? { ...number, description: properties[name].description } : properties[name];
    return [name, fieldFor(name, schema, schemas, given[name], false)];
  });
  const element = fields.length ? make("details", { class: "more" },
    make("summary", {}, `Parameters (${fields.length})`), make("div", { class: "grid" }, fields.map(([, field]) => field.element))) : null;
  return { element, values: () => Object.fromEntries(fields.map(([name, field]) => [name, field.value()]).filter(([, value]) => value !== undefined)) };
}

/** A choice among the kit's prompts, with a field for each variable: {element, values()}. */
export function promptChoice(prompts, given, isApplied) {
  const variablesOf = (name) => (prompts[name] ?? []).filter((variable) => !(isApplied && variable === "text"));
  const names = Object.keys(prompts).filter((name) => !isApplied || prompts[name].includes("text"));
  if (!names.length) return { element: null, name: () => "", values: () => ({}) };
  const stated = typeof given.prompt === "object" && given.prompt?.name ? given.prompt : { name: given.prompt, variables: given.variables };
  const select = make("select", {}, make("option", { value: "" }, "none"), names.map((name) => make("option", { value: name }, name)));
  if (names.includes(stated.name)) select.value = stated.name;
  const box = make("div", { class: "grid" });
  let fields = [];
  const show = () => {
    fields = variablesOf(select.value).map((name) => [name, area(stated.variables?.[name] ?? "")]);
    fill(box, fields.map(([name, field]) => labelled(name, field)));
  };
  select.addEventListener("change", show);
  show();
  const note = isApplied ? "The kit's prompt is applied to each text." : "The kit's prompt is sent as the last user message.";
  return { element: make("div", {}, labelled("Prompt", select, note), box), name: () => select.value, values: () => {
    if (!select.value) return {};
    const variables = Object.fromEntries(fields.map(([name, field]) => [name, field.value]));
    return { prompt: { name: select.value, ...(fields.length ? { variables } : {}) } };
  } };
}
