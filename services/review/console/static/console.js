"use strict";

// Keys, the lease's heartbeat, reveals that end by themselves, and toasts that go. Every page works without this file.

const IN_TEXT = "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";
const csrf = () => document.querySelector("input[name=csrf]")?.value ?? "";
const byId = (id) => document.getElementById(id);

async function post(path, fields = {}) {
  return fetch(path, {
    method: "POST",
    body: new URLSearchParams(fields),
    headers: { "Accept": "application/json, image/png", "X-CSRF-Token": csrf() },
    cache: "no-store",
    redirect: "error",
  });
}

// ---- keys

const usesKeys = () => localStorage.getItem("keys") !== "off";
let armed = null; // the button that Ctrl+Enter presses

function arm(button) {
  const box = byId("comment");
  armed = button;
  byId("armed").textContent = button ? `Say why, then press Ctrl+Enter to ${button.dataset.reason}.` : "";
  if (button) box.focus();
}

function press(button) {
  const box = byId("comment");
  if (button.disabled) return;
  if (button.dataset.reason && !box.value.trim()) arm(button);
  else button.click();
}

document.addEventListener("keydown", (event) => {
  const writing = event.target.matches?.(IN_TEXT);
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.id === "comment") {
    event.preventDefault();
    if (armed) press(armed);
    return;
  }
  if (event.key === "Escape" && writing) {
    arm(null);
    event.target.blur();
    return;
  }
  if (writing || event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector("dialog[open]")) return;
  if (event.key === "?") {
    open_("keys");
  } else if (usesKeys()) {
    const button = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (!button) return;
    event.preventDefault();
    press(button);
  }
});

function open_(id) {
  const switch_ = byId("use-keys");
  if (switch_) switch_.checked = usesKeys();
  byId(id)?.showModal();
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("[data-open]");
  if (opener) open_(opener.dataset.open);
});

document.addEventListener("change", (event) => {
  if (event.target.id === "use-keys") localStorage.setItem("keys", event.target.checked ? "on" : "off");
});

// A reason is asked for before the form goes, whichever way its button was pressed; and a form goes once.
byId("steps")?.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button?.dataset.reason && !byId("comment").value.trim()) {
    event.preventDefault();
    arm(button);
  } else if (event.target.dataset.sent) {
    event.preventDefault();
  } else {
    event.target.dataset.sent = "yes";
  }
});
window.addEventListener("pageshow", () => delete byId("steps")?.dataset.sent);

// ---- the lease: renewed at every third of its life; once lost, nothing can be sent and nothing typed is gone

const held = document.querySelector("[data-lease]");

function lose() {
  byId("lost").hidden = false;
  for (const button of document.querySelectorAll("#steps button[data-key], #steps button[formaction], [data-reveal] button")) {
    button.disabled = true;
  }
  sessionStorage.setItem(`typed-${held.dataset.case}`, byId("comment").value);
}

async function beat(third, missed) {
  let answer = null;
  try {
    answer = await post(`/cases/${held.dataset.case}/renew`);
  } catch { /* the network is away: the lease may outlast that */ }
  if (answer && answer.status < 500 && !answer.ok) return lose();
  const failed = answer?.ok ? 0 : missed + 1;
  if (failed >= 3) return lose();
  setTimeout(beat, (failed ? third / 2 : third), third, failed);
}

if (held) {
  const third = (Number(held.dataset.lease) * 1000) / 3;
  setTimeout(beat, third, third, 0);
  const typed = sessionStorage.getItem(`typed-${held.dataset.case}`);
  if (typed) byId("comment").value = typed;
  sessionStorage.removeItem(`typed-${held.dataset.case}`);
}

// ---- reveals: drawn on a canvas, wiped when the moment is over or the page is hidden

for (const form of document.querySelectorAll("[data-reveal]")) {
  const figure = form.closest("figure");
  const canvas = figure.querySelector("canvas");
  let timer = 0;
  const cover = () => {
    clearTimeout(timer);
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    canvas.hidden = true;
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await post(form.action, { part: figure.dataset.part });
    if (answer.status === 409) return lose();
    if (!answer.ok) return say("The picture cannot be shown.");
    const bitmap = await createImageBitmap(await answer.blob());
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    canvas.hidden = false;
    timer = setTimeout(cover, Number(form.dataset.reveal) * 1000);
  });
  document.addEventListener("visibilitychange", () => document.hidden && cover());
  window.addEventListener("pagehide", cover);
}

// ---- toasts

function say(text) {
  const toast = document.createElement("div");
  toast.className = "toast";
  toast.textContent = text;
  byId("toasts").append(toast);
  setTimeout(() => toast.remove(), 8000);
}

for (const toast of document.querySelectorAll(".toast")) {
  const seconds = Number(toast.dataset.seconds ?? 5);
  setTimeout(() => toast.remove(), seconds * 1000);
  // The address no longer says what was done, so that a reload does not offer it again.
  const url = new URL(location);
  for (const name of ["done", "what", "empty"]) url.searchParams.delete(name);
  history.replaceState(null, "", url);
}
