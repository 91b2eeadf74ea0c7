// The start of the page: the key, then trying the kit and its state.

import { copier, fill } from "./elements.js";
import { authorization, key, setKey } from "./requests.js";
import { startState } from "./state.js";
import { startTrying } from "./trying.js";

const find = (id) => document.getElementById(id);

/** Load the page with the key, and show it in the place of the page that asks for the key. */
function enter() {
  const request = new XMLHttpRequest();
  request.open("GET", location.pathname);
  request.responseType = "document";
  request.setRequestHeader("Accept", "text/html");
  request.setRequestHeader("Authorization", authorization().Authorization);
  request.onload = () => {
    if (request.status === 200 && request.response) {
      document.title = request.response.title;
      document.body.replaceWith(document.adoptNode(request.response.body));
      begin();
      return;
    }
    setKey("");
    fill(find("key-said"), request.status === 401 ? "This is not a key of this kit." : `The kit answered with status ${request.status}.`);
    find("key").focus();
  };
  request.onerror = () => fill(find("key-said"), "The kit cannot be reached.");
  request.send();
}

function openDoor() {
  find("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    setKey(find("key").value.trim());
    if (key()) enter();
  });
  if (key()) enter();
  else find("key").focus();
}

function keyField(reload) {
  const form = find("key-form");
  if (!form) return;
  form.hidden = false;
  find("key").value = key();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    setKey(find("key").value.trim());
    fill(find("key-said"));
    reload();
  });
  document.addEventListener("key-refused", () => fill(find("key-said"), key() ? "This is not a key of this kit." : "Type a key to send requests."));
}

function begin() {
  const refresh = startState(find("now"), find("chip"));
  startTrying(find("trying"));
  keyField(() => {
    startTrying(find("trying"));
    refresh();
  });
  for (const call of document.querySelectorAll(".calls pre")) call.before(copier(() => call.textContent));
  openTarget();
  window.addEventListener("hashchange", openTarget);
  // The address of the API's description has stayed the same.
  if (/\/docs$/.test(location.pathname) && !location.hash) find("calls").scrollIntoView();
}

/** Open what a link leads to, if it is closed. */
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

if ("door" in document.body.dataset) openDoor();
else begin();
