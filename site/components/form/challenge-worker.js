// Looks for the number whose hash with the salt is the challenge: {algorithm, challenge, salt, maxnumber} -> number or null.

const encoder = new TextEncoder();
const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

addEventListener("message", async ({ data: { algorithm, challenge, salt, maxnumber } }) => {
  for (let number = 0; number <= maxnumber; number++) {
    if (hex(await crypto.subtle.digest(algorithm, encoder.encode(salt + number))) === challenge) {
      postMessage(number);
      return;
    }
  }
  postMessage(null);
});
