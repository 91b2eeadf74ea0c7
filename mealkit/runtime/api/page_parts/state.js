// The state of the kit, read again every few seconds from its health and its metrics.

import { button, fill, make, problemBox, shortNumber } from "./elements.js";
import { authorization, send } from "./requests.js";

const SECONDS = 5;
const LINE = /^([A-Za-z_:][\w:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?\s+([^\s]+)/;

// The routes of requests that reach the engine; the others only describe the kit.
const ENGINE = /^\/v\d\/(?!health|metadata|models|manifest|license)/;

/** The samples of a text in Prometheus' format. */
export function samples(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const match = line.startsWith("#") ? null : LINE.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));
    found.push({ name: match[1], labels, value: Number(match[3]) });
  }
  return found;
}

const sum = (all, name, labels = {}) => all.filter((one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value))
  .reduce((total, one) => total + one.value, 0);

/** What the kit has done so far, out of its metrics. */
function counts(all) {
  return {
    at: performance.now(),
    answered: all.filter((one) => one.name === "mealkit_requests_total" && ENGINE.test(one.labels.route ?? "")).reduce((total, one) => total + one.value, 0),
    output: sum(all, "gen_ai_client_token_usage_sum", { gen_ai_token_type: "output" }),
  };
}

function ago(seconds) {
  const [days, hours, minutes] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60].map(Math.floor);
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

function tile(name, value, note = "") {
  return make("div", { class: "tile" }, make("dt", {}, name), make("dd", {}, make("strong", {}, value), note ? make("span", { class: "soft" }, ` ${note}`) : null));
}

function problems(all) {
  const rows = all.filter((one) => one.name === "mealkit_failures_total" && one.value > 0).sort((a, b) => b.value - a.value);
  if (!rows.length) return make("p", { class: "soft" }, "No problems since the start.");
  const owners = [...new Set(rows.map((row) => row.labels.owner))];
  return make("dl", { class: "facts" }, owners.flatMap((owner) => [make("dt", {}, owner),
    make("dd", {}, rows.filter((row) => row.labels.owner === owner).map((row) => `${row.labels.code} ${shortNumber(row.value)}`).join(", "))]));
}

function budgets(all) {
  const rows = all.filter((one) => one.name === "mealkit_budget_limit").slice(0, 50).map(({ labels, value }) => {
    const spent = sum(all, "mealkit_budget_spent", labels);
    const name = labels.key ? `${labels.budget}, key ${labels.key}` : labels.budget;
    return make("div", {}, make("dt", {}, name), make("dd", {}, make("meter", { min: 0, max: value, value: spent, "aria-label": name }),
      make("span", { class: "number" }, `${shortNumber(spent, 4)} of ${shortNumber(value, 4)} ${labels.unit}`)));
  });
  return rows.length ? make("div", {}, make("h3", {}, "Budgets: spent in this period"), make("dl", { class: "bars" }, rows)) : null;
}

/** Fill the part of the page and the sign in the header, again and again. */
export function startState(root, chip) {
  const content = make("div", {});
  let [before, paused] = [null, false];
  const toggle = button("Pause", () => {
    paused = !paused;
    toggle.textContent = paused ? "Resume" : "Pause";
    if (!paused) refresh();
  }, { class: "quiet" });
  fill(root, content, make("div", { class: "row" }, toggle, make("span", { class: "soft" }, `Read again every ${SECONDS} seconds.`)));

  async function refresh() {
    let health;
    try {
      health = await (await fetch("v1/health/ready", { headers: authorization(), cache: "no-store", credentials: "omit" })).json();
    } catch {
      health = { status: "unreachable", reason: "the kit does not answer" };
    }
    const status = String(health.status);
    if (chip.dataset.status !== status) {
      chip.dataset.status = status;
      chip.hidden = false;
      fill(chip, status);
    }
    let all = null;
    let problem = null;
    if (status !== "unreachable") {
      try {
        all = samples(await (await send("metrics")).text());
      } catch (error) {
        problem = error.facts ?? { message: error.message };
      }
    }
    const now = all && counts(all);
    const rate = (name) => (before && now && now.at > before.at ? Math.max(0, now[name] - before[name]) / ((now.at - before.at) / 1000) : null);
    const shownRate = (name) => (rate(name) === null ? "\u2014" : shortNumber(rate(name), 2));
    const perSecond = rate("answered") === null ? "requests" : `requests, now ${shownRate("answered")}/s`;
    fill(content,
      make("dl", { class: "tiles" },
        tile("State", status, health.since_seconds === undefined ? "" : `for ${ago(health.since_seconds)}`),
        now ? [tile("Running", shortNumber(sum(all, "mealkit_requests_running")), "requests"),
          tile("Waiting", shortNumber(sum(all, "mealkit_requests_waiting")), "in the queue"),
          tile("Answered", shortNumber(now.answered), perSecond),
          now.output ? tile("Output", shownRate("output"), `tokens/s, ${shortNumber(now.output)} so far`) : null,
          tile("Restarts", shortNumber(sum(all, "mealkit_worker_restarts_total")), "of the engine")] : null),
      make("p", { class: "soft" }, health.reason ?? ""),
      health.problem ? problemBox({ ...health.problem, contact: health.contact }) : null,
      all ? [make("h3", {}, "Problems by owner"), problems(all), budgets(all)] : null,
      problem ? problemBox(problem) : null);
    before = now ?? before;
  }

  const tick = async () => {
    if (!paused && !document.hidden) await refresh();
    setTimeout(tick, SECONDS * 1000);
  };
  tick();
  return refresh;
}
