// Keeps a page true: takes what the server says has changed, and asks anew when a filter changes.
"use strict";

const LOST_AFTER_MS = 8000; // the server says something at least once a second
const TYPING_MS = 200;
const AGAIN_MS = 5000;
const ANNOUNCE_MS = 10000; // a screen reader isn't interrupted more often
const LOST = "connection lost: what you see may be old";
const OLD = "what you see is old: the log can't be read, or no worker folds it";
const TROUBLE = ["down", "silent", "degraded"];

const form = document.getElementById("filter");
const connection = document.getElementById("connection");
const pause = document.getElementById("pause");
const announcement = document.getElementById("announcement");

let source = null;
let lastHeard = performance.now();
let lastTried = 0;
let isPaused = false;
let retry = 0;
let told = null;
let toldAt = -Infinity;

function liveAddress() {
  const { live, page } = document.body.dataset;
  if (!form) return live;
  const asked = new URLSearchParams(new FormData(form));
  asked.set("page", page); // the server knows what this page holds, and sends what has changed since
  return `${live}?${asked}`;
}

function connect() {
  disconnect();
  if (isPaused || document.hidden || !document.body.dataset.live) return;
  lastTried = performance.now();
  source = new EventSource(liveAddress());
  source.onmessage = (event) => {
    take(JSON.parse(event.data));
    lastHeard = performance.now(); // what can't be shown, as by a newer version, wasn't heard
  };
  source.onerror = () => {
    // A lost connection is taken up by the browser; a refused one is not.
    if (source && source.readyState === EventSource.CLOSED) retry = setTimeout(connect, AGAIN_MS);
  };
}

function disconnect() {
  clearTimeout(retry);
  if (source) source.close();
  source = null;
}

// Whoever looks again, or at the title of the tab, must not take what was left here for what is.
function giveUp() {
  disconnect();
  if (document.body.dataset.live && !isPaused) showConnection("not live: what you see may be old", true);
}

function take(message) {
  const focused = focusedPart();
  showAges(document, message.now);
  for (const [name, change] of Object.entries(message.lists)) {
    const list = document.querySelector(`[data-list="${name}"]`);
    replaceParts(list, change.changed || {}, message.now);
    if (change.order) reorder(list, change.order);
  }
  restoreFocus(focused);
  if (message.counts) showCounts(message);
  if (message.stale) {
    showConnection(OLD, true);
    announce(OLD);
    return;
  }
  showConnection(`live · ${new Date(message.now * 1000).toISOString().slice(11, 19)} UTC`, false);
  announce(message.counts ? inWords(message.counts) : `The stream is ${message.status}.`);
}

function replaceParts(list, changed, now) {
  const known = partsOf(list);
  for (const [key, html] of Object.entries(changed)) {
    const template = document.createElement("template");
    template.innerHTML = html; // written and escaped by the server
    const part = template.content.firstElementChild;
    const before = known.get(key);
    showAges(part, now);
    if (!before) {
      list.append(part);
      continue;
    }
    const opened = before.querySelectorAll("details");
    part.querySelectorAll("details").forEach((one, index) => {
      one.open = Boolean(opened[index] && opened[index].open);
    });
    if (part.isEqualNode(before)) continue; // as in the first message after the page has loaded
    if (statusOf(before) !== statusOf(part)) part.classList.add("changed");
    before.replaceWith(part);
  }
}

function reorder(list, order) {
  const known = partsOf(list);
  const wanted = new Set(order);
  for (const [key, part] of known) if (!wanted.has(key)) part.remove();
  let next = list.firstElementChild;
  for (const key of order) {
    const part = known.get(key);
    if (part === next) next = next.nextElementSibling;
    else if (part) list.insertBefore(part, next);
  }
}

function partsOf(list) {
  const parts = new Map();
  for (const part of list.children) parts.set(part.dataset.key, part);
  return parts;
}

function statusOf(part) {
  const badge = part.querySelector(".badge");
  return badge && badge.textContent;
}

// Where the keyboard is: a part may be replaced or moved under it.
function focusedPart() {
  const element = document.activeElement;
  const part = element && element.closest("[data-key]");
  if (!part) return null;
  return { element, key: part.dataset.key, index: focusable(part).indexOf(element) };
}

function restoreFocus(focused) {
  if (!focused || document.activeElement === focused.element) return;
  const part = document.querySelector(`[data-key="${CSS.escape(focused.key)}"]`);
  const element = part && focusable(part)[focused.index];
  if (element) element.focus({ preventScroll: true });
}

function focusable(part) {
  return [...part.querySelectorAll("a[href], summary")];
}

function showAges(within, now) {
  for (const time of within.querySelectorAll("time[data-at]")) {
    const text = span(now - Number(time.dataset.at));
    if (time.textContent !== text) time.textContent = text;
  }
}

function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole >= 86400) return `${Math.floor(whole / 86400)} d`;
  const minutes = Math.floor((whole % 3600) / 60);
  return minutes ? `${Math.floor(whole / 3600)} h ${minutes} min` : `${Math.floor(whole / 3600)} h`;
}

function showCounts(message) {
  const total = Object.values(message.counts).reduce((sum, count) => sum + count, 0);
  for (const output of document.querySelectorAll("[data-count]")) {
    const status = output.dataset.count;
    output.textContent = status ? message.counts[status] : total;
  }
  document.querySelector("[data-matching]").textContent = message.matching;
  document.querySelector("[data-total]").textContent = total;
  const more = document.getElementById("more");
  const [wanted, most] = [Number(form.elements.rows.value), Number(more.dataset.most)];
  more.hidden = wanted >= Math.min(message.matching, most);
  document.getElementById("rest").hidden = wanted < most || message.matching <= most;
  document.getElementById("recovering").hidden = !message.recovering;
  document.title = message.counts.down ? `${message.counts.down} down · Livestreams` : "Livestreams";
}

function inWords(counts) {
  return TROUBLE.map((status) => `${counts[status]} ${status}`).join(", ") + ".";
}

function announce(text) {
  if (told === null) told = text; // what the page said when it was opened
  if (text === told || performance.now() - toldAt < ANNOUNCE_MS) return;
  told = text;
  toldAt = performance.now();
  announcement.textContent = text;
}

function showConnection(text, isLost) {
  if (!connection) return;
  connection.textContent = text;
  connection.classList.toggle("lost", isLost);
  if (form && (isLost || isPaused)) document.title = "? down · Livestreams";
}

function filterChanged(push) {
  const address = `?${new URLSearchParams(new FormData(form))}`;
  if (push) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  setPaused(false); // what stands still would not be what the filter asks for
}

function readAddress() {
  const asked = new URLSearchParams(location.search);
  for (const name of ["q", "vendor", "source"]) form.elements[name].value = asked.get(name) || "";
  form.elements.status.value = asked.get("status") || "";
  form.elements.rows.value = asked.get("rows") || form.elements.rows.defaultValue;
  setPaused(false);
}

function setUpFilter() {
  let typing = 0;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    filterChanged(false);
  });
  form.addEventListener("change", (event) => {
    if (event.target.name !== "q") filterChanged(true);
  });
  form.elements.q.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => filterChanged(false), TYPING_MS);
  });
  const more = document.getElementById("more");
  more.addEventListener("click", (event) => {
    event.preventDefault();
    // The link may be hidden once there are no more; from here the next Tab leads to the first new row.
    const last = document.querySelector("#streams tr:last-child a");
    if (last) last.focus({ preventScroll: true });
    form.elements.rows.value = Math.min(Number(form.elements.rows.value) + 100, Number(more.dataset.most));
    filterChanged(false);
  });
  addEventListener("popstate", readAddress);
  document.addEventListener("keydown", (event) => {
    const typesAlready = /^(input|select|textarea)$/i.test(event.target.tagName) && event.target.type !== "radio";
    if (event.key !== "/" || typesAlready || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    form.elements.q.focus();
  });
}

function setUpPause() {
  if (!pause || !document.body.dataset.live) return;
  pause.hidden = false;
  pause.addEventListener("click", () => setPaused(!isPaused));
}

function setPaused(paused) {
  isPaused = paused;
  pause.setAttribute("aria-pressed", String(paused));
  if (paused) {
    disconnect();
    showConnection("paused", false);
  } else connect();
}

document.documentElement.classList.add("scripted");
if (form) setUpFilter();
setUpPause();
connect();

// A browser keeps few connections to one server: a page that nobody sees gives its own up.
document.addEventListener("visibilitychange", () => (document.hidden ? giveUp() : connect()));
addEventListener("pagehide", giveUp);
addEventListener("pageshow", (event) => {
  if (event.persisted) connect();
});

setInterval(() => {
  if (!document.body.dataset.live || isPaused || document.hidden) return;
  // To try isn't to hear: a proxy answers for a service that is down, again and again.
  const now = performance.now();
  if (now - lastHeard <= LOST_AFTER_MS) return;
  showConnection(LOST, true);
  announce(LOST);
  if (now - lastTried <= LOST_AFTER_MS) return;
  if (!source || source.readyState !== EventSource.CONNECTING) connect();
}, 1000);
