// Proof of work as ALTCHA does it (https://altcha.org/docs/v2/server-integration/): a little of the visitor's computer time instead of
// a puzzle. It runs in a worker while the visitor fills in the form, and nothing ever waits long for it: without it the order is
// looked at a little more closely, no more.

/** Start on a challenge; resolves to the text for the field `altcha`, or to "" when anything fails. Never rejects. */
export async function solve(workerUrl) {
  try {
    const response = await fetch("/api/challenge", { headers: { Accept: "application/json" } });
    if (!response.ok) return "";
    const challenge = await response.json();
    const worker = new Worker(workerUrl, { type: "module" });
    const number = await new Promise((resolve, reject) => {
      worker.onmessage = (message) => resolve(message.data);
      worker.onerror = reject;
      worker.postMessage(challenge);
    });
    worker.terminate();
    if (number === null) return "";
    const { algorithm, challenge: wanted, salt, signature } = challenge;
    return btoa(JSON.stringify({ algorithm, challenge: wanted, number, salt, signature }));
  } catch {
    return "";
  }
}

/** What a promise has come to within `ms` milliseconds, or "". */
export const within = (promise, ms) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, ms, ""))]);
