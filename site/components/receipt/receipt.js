// The page of call receipts: verifies what is pasted with WebCrypto (RFC 7515, RFC 8037) and says what it attests.
// Nothing that is pasted leaves the browser; only the public keys are fetched.

import words from "@params";
import { byId, element, fill } from "../shared/dom.js";

const KEYS = "/.well-known/call-receipt-keys.json";

const form = byId("receipt-form");
const field = byId("receipt-text");
const status = byId("receipt-status");
const results = byId("receipt-results");

const octets = (text) => {
  if (!/^[\w-]*$/.test(text)) throw new Error("not base64url");
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
};
const json = (text) => JSON.parse(new TextDecoder().decode(octets(text)));

/** Whether this browser has no Ed25519. */
const isUnsupported = (error) => error instanceof DOMException && error.name === "NotSupportedError";

async function keySet() {
  const answer = await fetch(KEYS);
  if (!answer.ok) throw new Error(`the keys answered ${answer.status}`);
  const { keys } = await answer.json();
  return new Map(keys.map((key) => [key.kid, key]));
}

/** What a receipt attests, or null when it is not genuine. */
async function verified(receipt, keys) {
  try {
    const [header, payload, signature, ...rest] = receipt.split(".");
    const jwk = keys.get(json(header).kid);
    if (rest.length > 0 || json(header).alg !== "EdDSA" || jwk === undefined) return null;
    const key = await crypto.subtle.importKey(
      "jwk",
      { kty: jwk.kty, crv: jwk.crv, x: jwk.x },
      { name: "Ed25519" },
      false,
      ["verify"],
    );
    const signed = new TextEncoder().encode(`${header}.${payload}`);
    return (await crypto.subtle.verify("Ed25519", key, octets(signature), signed)) ? json(payload) : null;
  } catch (error) {
    if (isUnsupported(error)) throw error;
    return null;
  }
}

async function sha256(text) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return [...hash].map((octet) => octet.toString(16).padStart(2, "0")).join("");
}

/** How many are missing between the receipts of each chain; each holds the hash of the one before. */
async function missing(genuine) {
  const chains = Map.groupBy(genuine, ({ claims }) => `${claims.environment} ${claims.chain}`);
  let count = 0;
  for (const chain of chains.values()) {
    const ordered = chain.toSorted((one, other) => one.claims.number - other.claims.number);
    for (const [place, { claims }] of ordered.entries()) {
      if (place === 0) continue;
      const before = ordered[place - 1];
      const step = claims.number - before.claims.number;
      if (step > 1) count += step - 1;
      else if (step === 1 && claims.previous !== (await sha256(before.receipt))) count += 1;
    }
  }
  return count;
}

const moment = (iso) =>
  new Date(iso).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });

function leg(one, _, legs) {
  const media = one.media ?? "audio";
  const alike = legs.filter((each) => (each.media ?? "audio") === media);
  const end = words[alike.indexOf(one) === 0 ? "receipt_caller" : "receipt_called"];
  const side = media === "text" ? fill(words.receipt_text, { side: end }) : end;
  if (one.suite === "none") return fill(words.receipt_leg_plain, { side });
  return fill(words.receipt_leg, {
    side,
    suite: one.suite,
    keying: one.keying,
    packets: one.packets,
    plaintext: one.plaintextPackets,
  });
}

function item({ claims }) {
  if (claims === null) return element("li", {}, words.receipt_not_genuine);
  const title = fill(words.receipt_genuine, { at: moment(claims.startedAt), from: claims.from, to: claims.to });
  const legs = element("ul", {}, ...claims.legs.map((...one) => element("li", {}, leg(...one))));
  return element(
    "li",
    {},
    title,
    legs,
    element("p", {}, words[`receipt_beyond_${claims.beyond}`] ?? words.receipt_beyond_unknown),
  );
}

async function check() {
  const pasted = [...new Set(field.value.split(/\s+/).filter(Boolean))];
  results.replaceChildren();
  if (pasted.length === 0) {
    status.textContent = words.receipt_empty;
    field.focus();
    return;
  }
  try {
    const keys = await keySet();
    const found = await Promise.all(
      pasted.map(async (receipt) => ({ receipt, claims: await verified(receipt, keys) })),
    );
    const genuine = found.filter(({ claims }) => claims !== null);
    const gap = await missing(genuine);
    status.textContent = fill(words.receipt_summary, {
      genuine: genuine.length,
      wrong: found.length - genuine.length,
      missing: gap,
    });
    results.append(...found.map(item));
  } catch (error) {
    status.textContent = isUnsupported(error) ? words.receipt_old_browser : words.receipt_no_keys;
  }
}

form.hidden = false;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  check();
});
