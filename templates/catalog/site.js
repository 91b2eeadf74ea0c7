"use strict";
// The pages work without this script; it adds the search, the filters and the buttons that copy.

const byId = (id) => document.getElementById(id);

function matches(kit, wanted) {
  const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
  const data = kit.dataset;
  const fits = data.fits.split(" ");
  const maybe = data.maybe.split(" ");
  const onGpu = !wanted.gpu || (wanted.gpu === "none" ? data.gpu !== "required"
    : fits.includes(wanted.gpu) || maybe.includes(wanted.gpu));
  kit.querySelector(".maybe").hidden = !(wanted.gpu && wanted.gpu !== "none" && maybe.includes(wanted.gpu));
  return words.every((word) => data.text.includes(word))
    && (!wanted.task || data.task === wanted.task)
    && (!wanted.licence || data.licence === wanted.licence)
    && (!wanted.signed || data.signed === "yes")
    && onGpu;
}

function startFilters(form) {
  const kits = [...document.querySelectorAll(".kit")];
  const fields = ["q", "task", "licence", "gpu", "signed"].map(byId);
  const valueOf = (field) => (field.type === "checkbox" ? (field.checked ? "yes" : "") : field.value);

  function show() {
    const wanted = Object.fromEntries(fields.map((field) => [field.id, valueOf(field)]));
    const found = kits.filter((kit) => {
      kit.hidden = !matches(kit, wanted);
      return !kit.hidden;
    });
    const noun = kits.length === 1 ? "kit" : "kits";
    byId("found").textContent = `${found.length} of ${kits.length} ${noun}`;
    byId("nothing").hidden = found.length > 0 || kits.length === 0;
    const used = Object.entries(wanted).filter(([, value]) => value);
    const hash = new URLSearchParams(used).toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  function read() {
    const stated = new URLSearchParams(location.hash.slice(1));
    for (const field of fields) {
      if (field.type === "checkbox") field.checked = stated.get(field.id) === "yes";
      else field.value = stated.get(field.id) ?? "";
      if (field.selectedIndex === -1) field.value = "";
    }
    show();
  }

  function reset() {
    for (const field of fields) {
      if (field.type === "checkbox") field.checked = false;
      else field.value = "";
    }
    show();
    byId("q").focus();
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", show);
  byId("reset").addEventListener("click", reset);
  addEventListener("hashchange", read);
  addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, select, textarea");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      byId("q").focus();
    } else if (event.key === "Escape" && event.target === byId("q")) {
      reset();
    }
  });
  read();
}

function startCopying(command) {
  const text = command.textContent.trim();
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy the command ${text}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(command.querySelector("code"));
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  command.append(button);
}

const filters = byId("filters");
if (filters) startFilters(filters);
document.querySelectorAll(".command").forEach(startCopying);
