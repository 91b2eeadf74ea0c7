// Sends requests to the kit, with the key if there is one. All addresses are relative to the page,
// so they work below any prefix. The key is never in an address.

const STORE = `mealkit-key ${location.pathname.replace(/[^/]*$/, "")}`;
let inMemory = "";

/** The key, as typed by the user; it lasts as long as the tab. */
export function key() {
  try {
    return sessionStorage.getItem(STORE) ?? inMemory;
  } catch {
    return inMemory;
  }
}

export function setKey(value) {
  inMemory = value;
  try {
    if (value) sessionStorage.setItem(STORE, value);
    else sessionStorage.removeItem(STORE);
  } catch {
    // Where the browser stores nothing, the key lasts as long as the page.
  }
}

export function authorization() {
  return key() ? { Authorization: `Bearer ${key()}` } : {};
}

/** What went wrong: OpenAI's error object, as the kit answers it. */
export class Problem extends Error {
  constructor(facts) {
    super(facts.message);
    this.facts = facts;
  }
}

function unreachable(error) {
  const said = error.name === "TypeError" ? "the kit cannot be reached" : error.message;
  return new Problem({ code: "NO_ANSWER", message: said, owner: "platform", hint: "check that the kit runs: mealkit ps" });
}

/** Send a request; raise a Problem for an error. */
export async function send(path, body, signal) {
  let answer;
  try {
    answer = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: { ...authorization(), ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal, credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable(error);
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let facts = { message: text.slice(0, 2000) || answer.statusText };
  try {
    facts = JSON.parse(text).error ?? facts;
  } catch {
    // A proxy in front may answer with a page of its own.
  }
  if (answer.status === 401) document.dispatchEvent(new CustomEvent("key-refused"));
  throw new Problem({ ...facts, status: answer.status });
}

/** The values of the events of a stream, until [DONE]. */
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += (value ?? "").replaceAll("\r", "");
      const parts = rest.split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.split("\n").filter((line) => line.startsWith("data:"))
          .map((line) => line.slice(5).trimStart()).join("\n");
        if (data === "[DONE]") return;
        if (!data) continue;
        const found = JSON.parse(data);
        if (found.error && typeof found.error === "object") throw new Problem(found.error);
        yield found;
      }
      if (done) return;
    }
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") throw error;
    throw unreachable(error);
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** The value of a path of the kit, as JSON. */
export async function json(path, signal) {
  return (await send(path, undefined, signal)).json();
}
