// The sales API (/api/sales/…). Every function answers the JSON, or throws a Refused with the problem.

import { noConnection, problemOf } from "../problem.js";
import { token } from "./oidc.js";

/** The API said no (RFC 9457), or could not be reached (status 0). */
export class Refused extends Error {
  constructor(problem) {
    super(problem.title);
    this.problem = problem;
  }
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(`/api/sales${path}`, {
      ...options,
      headers: { Accept: "application/json", Authorization: `Bearer ${token()}`, ...options.headers },
    });
  } catch {
    throw new Refused(noConnection);
  }
  if (!response.ok) throw new Refused(await problemOf(response));
  return response.json();
}

const post = (path, version, body) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json", "If-Match": `"${version}"` }, body: JSON.stringify(body) });

export const orders = (state, cursor) => call(`/orders?${new URLSearchParams({ state, limit: 50, ...(cursor ? { cursor } : {}) })}`);
export const order = (id) => call(`/orders/${encodeURIComponent(id)}`);
export const approve = ({ id, version }) => post(`/orders/${encodeURIComponent(id)}/approve`, version, {});
export const reject = ({ id, version }, reason) => post(`/orders/${encodeURIComponent(id)}/reject`, version, { reason });
