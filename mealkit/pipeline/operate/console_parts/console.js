// The console: deployments and kits of this machine, read again every few seconds.

import { button, fill, make, problemBox, shortNumber } from "./elements.js";
import { key, send, setKey } from "./requests.js";

const SECONDS = 5;
const find = (id) => document.getElementById(id);
const when = (seconds) => new Date(seconds * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
const short = (digest) => (digest ? make("code", { title: digest }, digest.replace("sha256:", "").slice(0, 12)) : "\u2014");
let allowed = false;
let busy = false;
let shown = "";
// What is open stays open when the page is read again.
const opened = new Set();

function takeToken() {
  const token = location.hash.slice(1);
  if (!/^[\w-]{20,}$/.test(token)) return;
  setKey(token);
  // It must not stay in the address bar, in bookmarks or in the history.
  history.replaceState(null, "", location.pathname);
}

function table(head, rows, label) {
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, make("table", {},
    make("thead", {}, make("tr", {}, head.map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, rows.map((row) => make("tr", {}, row.map((value) => make("td", {}, value)))))));
}

function chip(health) {
  return make("span", { class: "chip", "data-status": health === "ready" ? "ready" : /^(no answer|failed|ended|down)/.test(health) ? "failed" : "other" }, health);
}

function load(item) {
  if (item.running === undefined) return "";
  return `${shortNumber(item.running)} running, ${shortNumber(item.waiting)} waiting${item.tokens ? `, ${shortNumber(item.tokens, 6)} tokens so far` : ""}`;
}

/** Ask, then send a change; say what came of it. */
async function change(path, values, { title, text, verb, asksWhy }) {
  const dialog = find("confirm");
  fill(find("confirm-title"), title);
  fill(find("confirm-text"), text);
  fill(find("confirm-yes"), verb);
  find("confirm-why").hidden = !asksWhy;
  find("why").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  if (dialog.returnValue !== "yes") return;
  busy = true;
  fill(find("problem"));
  fill(find("said"), `${title}\u2026`);
  try {
    const { said } = await (await send(path, { ...values, ...(asksWhy ? { why: find("why").value } : {}) })).json();
    fill(find("said"), said);
  } catch (error) {
    fill(find("said"));
    fill(find("problem"), problemBox(error.facts ?? { message: error.message }));
  } finally {
    busy = false;
    await refresh();
  }
}

function revisions(item) {
  const rows = item.revisions.map((one) => [
    String(one.number), make("bdi", {}, one.kit), short(one.recipe), make("bdi", {}, one.user), when(one.seconds), make("bdi", {}, one.why || "\u2014"),
    make("span", {}, one.number === item.serving ? make("strong", {}, one.state) : one.state, one.gate ? make("span", { class: "soft" }, ` \u00b7 ${one.gate.gate}: ${one.gate.reason}`) : null),
    one.claims.length ? `${one.claims.filter((claim) => claim.verdict === "holds").length} of ${one.claims.length} met` : "not tested",
    allowed && one.can_return && one.number !== item.serving
      ? button("Roll back", () => change("api/rollback", { name: item.name, revision: one.number }, {
        title: `Roll back ${item.name} to revision ${one.number}`, verb: "Roll back", asksWhy: true,
        text: "The revision is started again and gets the traffic when it is ready. No request is lost." }),
      { class: "quiet", "aria-label": `Roll back ${item.name} to revision ${one.number}` }) : ""]);
  return table(["Revision", "Kit", "Recipe", "Who", "When", "Why", "State", "Claims", ""].slice(0, allowed ? 9 : 8), rows.map((row) => row.slice(0, allowed ? 9 : 8)), `Revisions of ${item.name}`);
}

function historyOf(item) {
  const box = make("div", {});
  const element = make("details", { class: "more", open: opened.has(item.name), toggle: async () => {
    if (!element.open) { opened.delete(item.name); return; }
    opened.add(item.name);
    try {
      const events = await (await send(`api/history/${encodeURIComponent(item.name)}`)).json();
      fill(box, table(["When", "Who", "What", "Revision", "Why"], events.map((event) => [when(event.seconds), make("bdi", {}, event.user), event.kind,
        event.revision ? String(event.revision) : "", make("span", { dir: "auto" }, event.gate ? `${event.gate.gate}: ${event.gate.reason}` : event.reason)]), `History of ${item.name}`));
    } catch (error) {
      fill(box, problemBox(error.facts ?? { message: error.message }));
    }
  } }, make("summary", {}, "History"), box);
  return element;
}

function deployment(item) {
  if (item.problem) return make("article", { class: "card" }, make("h3", {}, item.name), problemBox(item.problem));
  const serving = item.revisions.find((one) => one.number === item.serving);
  const repair = allowed && (item.change || item.health === "no answer")
    ? button("Repair", () => change("api/repair", { name: item.name }, { title: `Repair ${item.name}`, verb: "Repair",
      text: "What an interrupted command left is finished or undone, and a revision that ended is started again." })) : null;
  const stop = allowed && item.serving !== null
    ? button("Take down", () => change("api/down", { name: item.name }, { title: `Take ${item.name} down`, verb: "Take down",
      text: "Running requests end, then the containers and the address are removed. The history stays." })) : null;
  return make("article", { class: "card", "aria-label": item.name },
    make("h3", {}, make("a", { href: `${item.url}/`, rel: "noreferrer" }, item.name), " ", chip(item.health)),
    make("p", {}, serving ? make("span", {}, "Revision ", make("strong", {}, String(serving.number)), ": ", make("bdi", {}, serving.kit), ", recipe ", short(serving.recipe), `, by ${serving.user}, ${when(serving.seconds)}`) : "No revision has the traffic."),
    make("p", { class: "soft" }, [load(item), item.reason, item.change ? `a change is at the step ${item.change.step}` : ""].filter(Boolean).join(" \u00b7 ")),
    revisions(item), historyOf(item), make("div", { class: "row" }, repair, stop));
}

function kits(found) {
  if (!found.length) return make("p", { class: "soft" }, "None. Start one with mealkit run.");
  const head = ["Name", "Kit", "Recipe", "Client", "Since", "Health", "Load", ""];
  return table(head.slice(0, allowed ? 8 : 7), found.map((item) => [
    item.url ? make("a", { href: `${item.url}/`, rel: "noreferrer" }, item.name) : item.name, make("bdi", {}, item.kit), short(item.recipe), item.client, when(item.seconds), chip(item.health), load(item),
    button("Stop", () => change("api/stop", { name: item.name }, { title: `Stop ${item.name}`, verb: "Stop", text: "Running requests end first; then the container is removed." }),
      { class: "quiet", "aria-label": `Stop ${item.name}` })].slice(0, allowed ? 8 : 7)), "Kits");
}

const focusables = () => [...document.querySelectorAll("main a, main button, main summary, main [tabindex='0']")];

/** What an element is called, so that the keyboard finds its place again. */
function placeOf(item) {
  return item?.closest("main div") ? [item.closest("article")?.ariaLabel, item.tagName, item.ariaLabel, item.tagName === "DIV" ? "" : item.textContent].join("|") : "";
}

async function refresh() {
  if (busy || find("confirm").open) return;
  let host;
  try {
    host = await (await send("api/host")).json();
  } catch (error) {
    fill(find("problem"), problemBox(error.facts ?? { message: error.message }));
    return;
  }
  // What has not changed is left alone: for those who read, select or listen to it.
  const text = JSON.stringify(host);
  if (text === shown || String(getSelection())) return;
  shown = text;
  const place = placeOf(document.activeElement);
  allowed = host.allow_changes;
  find("mode").hidden = false;
  fill(find("mode"), allowed ? "changes allowed" : "read-only");
  fill(find("deployments"), host.deployments.length ? host.deployments.map(deployment) : make("p", { class: "soft" }, "None. Start one with mealkit up NAME KIT."));
  fill(find("kits"), kits(host.kits));
  if (place) focusables().find((item) => placeOf(item) === place)?.focus({ preventScroll: true });
}

async function tick() {
  if (!document.hidden) await refresh();
  setTimeout(tick, SECONDS * 1000);
}

takeToken();
window.addEventListener("hashchange", () => { takeToken(); refresh(); });
if (key()) tick();
else fill(find("problem"), problemBox({ code: "REQUEST_KEY", message: "the console's token is missing", hint: "open the address that mealkit console has printed" }));
