// Follows the agent's watch, and puts the parts of the new page in the place of the old.
"use strict";

const live = document.getElementById("live");
const field = document.getElementById("q");
const parts = ["tiles", "found"];
const pause = 1000; // at least, between two pages asked for
let asked = 0; // pages asked for; only the last one counts
let waiting, last = 0;
let shown; // of the page that is shown: its address and tag

function say(state, text) {
  live.dataset.state = state;
  live.textContent = text;
}

// soon refreshes at once, or after the pause when changes follow each other.
function soon() {
  if (waiting) return;
  waiting = setTimeout(() => { waiting = undefined; refresh(); }, Math.max(0, last + pause - Date.now()));
}

async function refresh() {
  last = Date.now();
  const mine = ++asked;
  const query = field.value.trim();
  const address = "/ui/" + (query ? "?q=" + encodeURIComponent(query) : "");
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" }, cache: "no-cache" }); // the browser asks with the tag that it has
    if (!answer.ok) throw new Error(answer.status);
    const tagged = address + answer.headers.get("ETag");
    if (tagged === shown && mine === asked) {
      if (watch.readyState === EventSource.OPEN) say("live", "live");
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== asked) return;
    for (const id of parts) {
      const now = page.getElementById(id), old = document.getElementById(id);
      if (now && old && now.innerHTML !== old.innerHTML) old.replaceWith(document.importNode(now, true));
    }
    shown = tagged;
    history.replaceState(null, "", address);
    if (watch.readyState === EventSource.OPEN) say("live", "live");
  } catch {
    if (mine === asked) say("away", "the agent does not answer");
  }
}

let typing;
field.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(refresh, 150);
});
field.form.addEventListener("submit", (event) => {
  event.preventDefault();
  refresh();
});
field.form.querySelector("button").hidden = true;

const watch = new EventSource("/api/v1/watch?brief=true");
watch.onopen = () => say("live", "live");
watch.onerror = () => say("away", "the agent is away; this is what it said last");
watch.addEventListener("fleet", soon);
setInterval(() => { if (!document.hidden) soon(); }, 15000); // ages grow
