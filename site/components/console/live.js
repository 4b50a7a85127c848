// Keeps what is shown up to date by asking again: seldom when nobody touches the page, ever later when there is no answer, and not at all
// while nobody can see it or there is no network. Coming back to the page asks at once.

import { byId } from "../shared/dom.js";
import { hour } from "../shared/time.js";

const SOON_MS = 3000;
const SELDOM_MS = 15_000;
const IDLE_MS = 120_000;
const LATEST_MS = 60_000;

let show; // asks for what is shown anew
let timer = 0;
let failures = 0;
let askedAt = 0;
let goodAt = 0;
let touchedAt = Date.now();
let ended = false; // nobody is signed in

const offline = () => !navigator.onLine;
const asleep = () => document.hidden || offline() || ended;

function pause() {
  if (failures > 0) return Math.min(LATEST_MS, SOON_MS * 2 ** (failures - 1)) * (0.8 + 0.4 * Math.random()); // not all browsers at once
  return Date.now() - touchedAt < IDLE_MS ? SOON_MS : SELDOM_MS;
}

function tell() {
  const stale = failures > 0 || offline();
  const since = goodAt > 0 ? hour(new Date(goodAt)) : "";
  const text = stale
    ? `${offline() ? "Offline. " : ""}${since ? `Bijgewerkt tot ${since}` : "Nog niets opgehaald"}`
    : since && `Bijgewerkt om ${since}`;
  if (byId("fresh-text").textContent !== text) byId("fresh-text").textContent = text;
  byId("fresh").dataset.stale = String(stale);
  byId("refresh").hidden = !stale;
}

function again() {
  clearTimeout(timer);
  if (!asleep()) show();
}

/** What is shown was asked for; say how it went, and plan when to ask again. */
export function asking() {
  clearTimeout(timer);
  askedAt = Date.now();
  return (problem) => {
    clearTimeout(timer);
    // An order that does not exist is an answer too.
    const failed = problem && (problem.status === 0 || problem.status === 429 || problem.status >= 500);
    failures = failed ? failures + 1 : 0;
    if (!failed) goodAt = Date.now();
    ended = problem?.status === 401;
    tell();
    if (!asleep()) timer = setTimeout(again, pause());
  };
}

/** Keep asking with `showAnew`, which tells of each time by `asking`. */
export function startLive(showAnew) {
  show = showAnew;
  const atOnce = () => Date.now() - askedAt > 1000 && again();
  const touched = () => {
    const wasIdle = Date.now() - touchedAt > IDLE_MS;
    touchedAt = Date.now();
    if (wasIdle) atOnce();
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : atOnce()));
  addEventListener("focus", atOnce);
  addEventListener("pointerdown", touched);
  addEventListener("keydown", touched);
  addEventListener("online", again);
  addEventListener("offline", () => {
    clearTimeout(timer);
    tell();
  });
  byId("refresh").addEventListener("click", again);
}
