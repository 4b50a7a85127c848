// Answers that say what went wrong (RFC 9457), and the lack of an answer.

/** The problem of a failed answer; one without a body we can read gets Dutch words of our own. */
export async function problemOf(response) {
  const type = response.headers.get("content-type") ?? "";
  const body = type.includes("json") ? await response.json().catch(() => ({})) : {};
  return {
    status: response.status,
    title: body.title ?? "Er ging iets mis bij ons",
    detail: body.detail ?? "Probeer het over een minuut nog eens. Blijft het misgaan? Bel ons dan.",
    errors: body.errors ?? [],
    ...body,
  };
}

/** What to say when no answer came at all. */
export const noConnection = {
  status: 0,
  title: "Geen verbinding",
  detail: "Wij konden onze server niet bereiken. Controleer uw internetverbinding en probeer het nog eens.",
  errors: [],
};
