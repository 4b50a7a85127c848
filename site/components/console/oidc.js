// Signing in: OpenID Connect authorization code with PKCE (RFC 7636). The token lives in sessionStorage: this tab, until it closes.

const TOKEN = "console.token";
const SINCE = "console.since";
const PENDING = "console.signin";

const configuration = fetch("/console/config.json").then((response) => {
  if (!response.ok) throw new Error(`config.json answered ${response.status}`);
  return response.json();
});
configuration.catch(() => {}); // whoever needs it meets the error

const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));
const redirectUri = () => `${location.origin}${location.pathname}`;

/** The access token, or null when nobody is signed in. */
export const token = () => sessionStorage.getItem(TOKEN);

/** Whether the token came less than a quarter of a minute ago. */
export const signedInJustNow = () => Date.now() - Number(sessionStorage.getItem(SINCE)) < 15_000;

/** Leave for the sign-in page, and come back to what is shown now. */
export async function signIn() {
  const config = await configuration;
  const verifier = random();
  const state = random();
  const challenge = base64url(
    new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))),
  );
  sessionStorage.removeItem(TOKEN);
  sessionStorage.setItem(PENDING, JSON.stringify({ verifier, state, search: location.search }));
  location.assign(
    `${config.authorize}?${new URLSearchParams({
      response_type: "code",
      client_id: config.clientId,
      redirect_uri: redirectUri(),
      scope: config.scope,
      state,
      code_challenge: challenge,
      code_challenge_method: "S256",
    })}`,
  );
}

/** Finish a sign-in when this address is the way back from it; raises Error when it failed. */
export async function finishSignIn() {
  const answer = new URLSearchParams(location.search);
  if (!answer.has("state") || !(answer.has("code") || answer.has("error"))) return;
  const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? "null");
  sessionStorage.removeItem(PENDING);
  history.replaceState(null, "", `${location.pathname}${pending?.search ?? ""}`);
  if (!pending || pending.state !== answer.get("state")) return; // not asked for by us: whoever sent it, it signs nobody in
  if (answer.has("error")) throw new Error(answer.get("error_description") ?? answer.get("error") ?? "");
  const config = await configuration;
  const response = await fetch(config.token, {
    method: "POST",
    headers: { Accept: "application/json" },
    body: new URLSearchParams({
      grant_type: "authorization_code",
      client_id: config.clientId,
      redirect_uri: redirectUri(),
      code: answer.get("code") ?? "",
      code_verifier: pending.verifier,
    }),
  });
  if (!response.ok) throw new Error(`the token endpoint answered ${response.status}`);
  sessionStorage.setItem(TOKEN, (await response.json()).access_token);
  sessionStorage.setItem(SINCE, String(Date.now()));
}

/** Forget the token here, and end the session there. */
export async function signOut() {
  const config = await configuration;
  sessionStorage.clear();
  if (!config.logout) {
    location.assign(location.pathname);
    return;
  }
  location.assign(`${config.logout}?${new URLSearchParams({ client_id: config.clientId, logout_uri: redirectUri() })}`);
}
