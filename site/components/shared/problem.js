// Answers that say what went wrong (RFC 9457), and the lack of an answer.

import words from "@params";

/** The problem of a failed answer; one without a body we can read gets words of our own. */
export async function problemOf(response) {
  const type = response.headers.get("content-type") ?? "";
  const body = type.includes("json") ? await response.json().catch(() => ({})) : {};
  return {
    status: response.status,
    title: body.title ?? words.problem_title,
    detail: body.detail ?? words.problem_text,
    errors: body.errors ?? [],
    ...body,
  };
}

/** What to say when no answer came at all. */
export const noConnection = {
  status: 0,
  title: words.no_connection_title,
  detail: words.no_connection_text,
  errors: [],
};
